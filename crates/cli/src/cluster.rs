//! The commands of a cluster: the agent, networks over all nodes, nodes, status, topology. Each is
//! one call of `agent` or of the engine, or a page of what they know; no logic of its own.

pub mod args;
pub mod error;
pub mod known;
pub mod status;
pub mod topology;

use std::fs;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::time::Duration;

use agent::{
    Agent, AgentSettings, ClusterAddress, ClusterPlace, NetworkRequest, create_network,
    plan_removal, remove_network,
};
use anyhow::{Context, Result};
use engine::{Engine, EngineError, Mode, Settings};
use model::{Backend, Names, NetworkKind, NetworkName, NodeName, OverlayPrefix, Reach, Span};
use store::cluster::ClusterError;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::args::{Common, NetworkCreate};
use crate::exit::FOUND;
use crate::print::{self, Out};
use args::{AgentArgs, ClusterArgs, LogLevel, NodeCommand, StatusArgs, TopologyArgs};
use error::CommandError;
use known::known;

/// Read, not asked by gethostname(2): `/proc` shows that of the reader's own UTS namespace.
const HOSTNAME: &str = "/proc/sys/kernel/hostname";

pub fn agent(args: AgentArgs, settings: Settings, common: &Common) -> Result<ExitCode> {
    let agent = Agent::new(AgentSettings {
        name: args.node.map_or_else(hostname, Ok)?,
        place: required(args.cluster)?,
        underlay: args.underlay,
        resync: Duration::from_secs(args.resync),
        metrics: metrics(args.metrics, args.metrics_public)?,
        engine: settings,
        keep_names: crate::names::keep,
    });
    if !args.once {
        log_to_stderr(args.log);
        agent.run()?;
        return Ok(ExitCode::SUCCESS);
    }
    let change = agent.once()?;
    let out = Out { json: common.json };
    out.change(Mode::Apply, &change, print::joined)?;
    Ok(match change.outcome.lacks_something() {
        true => ExitCode::from(FOUND),
        false => ExitCode::SUCCESS,
    })
}

/// Numbers about a node are for who runs it, unless told otherwise.
fn metrics(at: Option<SocketAddr>, is_public: bool) -> Result<Option<SocketAddr>, CommandError> {
    match at {
        Some(at) if !at.ip().is_loopback() && !is_public => Err(CommandError::PublicMetrics(at)),
        at => Ok(at),
    }
}

fn hostname() -> Result<NodeName> {
    let text = fs::read_to_string(HOSTNAME).context("can't read the hostname; give --node")?;
    let text = text.trim();
    let first = text.split('.').next().unwrap_or(text);
    let name = first.parse();
    Ok(name.map_err(|_| CommandError::Hostname(text.to_owned()))?)
}

/// What others' crates have to say is for whoever mends them.
fn log_to_stderr(level: LogLevel) {
    let level = match level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let own = Targets::new().with_target("agent", level);
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .with_target(false);
    tracing_subscriber::registry().with(lines).with(own).init();
}

fn required(cluster: ClusterArgs) -> Result<ClusterPlace> {
    Ok(cluster.place().ok_or(CommandError::NoCluster)?)
}

pub fn create(engine: &Engine, args: NetworkCreate, out: Out) -> Result<()> {
    let dry_run = args.dry.dry_run;
    let (request, place) = request(args)?;
    engine.check_backend(request.backend)?;
    if engine
        .networks()?
        .iter()
        .any(|n| n.network.name == request.name)
    {
        return Err(EngineError::NetworkExists(request.name).into());
    }
    let mut store = place.open()?;
    let overlay = request.plan(&mut *store)?;
    if let ClusterAddress::Static(path) = place.address {
        return Err(CommandError::FileToChange { path, overlay }.into());
    }
    if dry_run {
        let text = print::overlay_planned(&overlay);
        return out.files(true, &overlay, &text);
    }
    let overlay = create_network(&mut *store, &request)?;
    out.files(false, &overlay, &print::overlay_created(&overlay))
}

fn request(args: NetworkCreate) -> Result<(NetworkRequest, ClusterPlace)> {
    let overlay = args.overlay;
    let (given, subnets) = (overlay.node_prefix.len(), args.subnet.len());
    if given > subnets {
        return Err(CommandError::TooManyNodePrefixes { given, subnets }.into());
    }
    let bits = overlay.node_prefix.into_iter().map(Some);
    let bits = bits.chain(std::iter::repeat(None));
    let parts = args.subnet.into_iter().zip(bits);
    let parts: Result<Vec<_>, _> = parts
        .map(|(prefix, bits)| OverlayPrefix::new(prefix, bits))
        .collect();
    let request = NetworkRequest {
        name: args.name,
        prefixes: parts.map_err(EngineError::from)?,
        backend: overlay.backend.unwrap_or(Backend::Vxlan),
        vni: overlay.vni,
        mtu: args.mtu,
        reach: match args.internal {
            true => Reach::Internal,
            false => Reach::Outside,
        },
        span: match overlay.stretch {
            true => Span::Stretched,
            false => Span::Node,
        },
        names: match args.names {
            true => Names::On,
            false => Names::Off,
        },
    };
    Ok((request, required(overlay.cluster)?))
}

/// Removes a network of the whole cluster; false where it is none, or no longer.
pub fn remove(
    engine: &Engine,
    name: &NetworkName,
    cluster: ClusterArgs,
    mode: Mode,
    out: Out,
) -> Result<bool> {
    let own = engine.networks()?;
    let own = own.into_iter().find(|status| status.network.name == *name);
    let agreed = engine
        .membership()?
        .is_some_and(|m| m.cluster.networks.contains_key(name));
    let is_overlay = own
        .as_ref()
        .map(|own| own.network.kind == NetworkKind::Overlay);
    let place = match (is_overlay, cluster.place()) {
        (Some(false), _) | (None, None) => return Ok(false),
        (Some(true), None) if !agreed => return Ok(false),
        (Some(true), None) => return Err(CommandError::OfTheCluster(name.clone()).into()),
        (_, Some(place)) => place,
    };
    let endpoints = own.map_or(0, |own| own.endpoints.len());
    if endpoints > 0 {
        return Err(EngineError::NetworkInUse {
            name: name.clone(),
            endpoints: u32::try_from(endpoints).unwrap_or(u32::MAX),
        }
        .into());
    }
    let mut store = place.open()?;
    let removed = match mode {
        Mode::DryRun => plan_removal(&mut *store, name),
        Mode::Apply => remove_network(&mut *store, name),
    };
    let removed = match removed {
        // Only this node still has it.
        Err(ClusterError::NetworkUnknown(_)) if is_overlay.is_some() => return Ok(false),
        removed => removed?,
    };
    let text = print::overlay_removed(&removed, mode);
    out.files(mode == Mode::DryRun, &removed, &text)?;
    Ok(true)
}

pub fn node(engine: &Engine, command: NodeCommand, common: &Common) -> Result<()> {
    let out = Out { json: common.json };
    let state_dir = &common.state_dir;
    match command {
        NodeCommand::Ls { cluster } => {
            let known = known(engine, state_dir, cluster.place().as_ref())?;
            out.show(&known, print::nodes)
        }
        NodeCommand::Show { name, cluster } => {
            let mut known = known(engine, state_dir, cluster.place().as_ref())?;
            known.cluster.nodes.retain(|node, _| *node == name);
            if known.cluster.nodes.is_empty() {
                return Err(CommandError::NodeMissing(name).into());
            }
            out.show(&known, print::node)
        }
        NodeCommand::Rm { name, cluster } => {
            required(cluster)?.open()?.remove_node(&name)?;
            out.show(&name, print::node_removed)
        }
    }
}

pub fn status(engine: &Engine, args: StatusArgs, common: &Common) -> Result<ExitCode> {
    let place = args.cluster.place();
    let status = status::status(engine, &common.state_dir, place.as_ref())?;
    Out { json: common.json }.show(&status, print::status)?;
    Ok(match status.wrong.is_empty() {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FOUND),
    })
}

pub fn topology(engine: &Engine, args: TopologyArgs, common: &Common) -> Result<()> {
    let place = args.cluster.place();
    let topology = topology::topology(engine, &common.state_dir, place.as_ref())?;
    Out { json: common.json }.show(&topology, args.drawn.printer())
}
