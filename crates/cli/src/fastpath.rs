//! `pontoon fastpath`: on and off for networks, and what it carries. Works from the node's records.

pub mod capture;
mod print;

use std::process::ExitCode;

use ::fastpath::{Ensured, FastPath, FastPathError, Status, is_built};
use anyhow::Result;
use clap::Subcommand;
use engine::{Engine, EngineError, NetworkStatus, Settings};
use model::{Backend, NetworkId, NetworkName};
use serde::Serialize;
use store::NodeLock;

use crate::exit::FOUND;
use crate::print::Out;

const ON_EXAMPLES: &str = "\
Examples:
  pontoon fastpath on
  pontoon fastpath on web blue

It lasts until 'off' or the next start of the machine.";

#[derive(Debug, Subcommand)]
pub enum FastPathCommand {
    /// Show what is carried fast, on which ports, and what was not and why
    Status,
    /// Turn it on for networks: traffic between their endpoints gets faster
    ///
    /// Puts BPF programs on the endpoints' ports and, of overlay networks in VXLAN and routed ones,
    /// on the devices that lead to other nodes. Endpoints that come later get it too. Run it again after
    /// an upgrade, and after queues on ports changed: what is right already stays.
    #[command(after_help = ON_EXAMPLES)]
    On {
        /// Which networks; all without
        networks: Vec<NetworkName>,
    },
    /// Turn it off: traffic goes on by the kernel's way
    Off {
        /// Which networks; all without, and nothing is left of it
        networks: Vec<NetworkName>,
    },
}

/// What `status` answers.
#[derive(Debug, Serialize)]
struct Answer {
    /// Whether this pontoon has the programs.
    built: bool,
    /// The networks that it is on for.
    networks: Vec<NetworkName>,
    /// Those of them that go over several nodes.
    between_nodes: Vec<BetweenNodes>,
    #[serde(flatten)]
    loaded: Option<Status>,
}

/// A network over several nodes.
#[derive(Debug, Serialize)]
struct BetweenNodes {
    network: NetworkName,
    backend: Backend,
    /// Whether packets are carried to other nodes and from them, not on this node alone.
    carried: bool,
}

pub fn run(
    command: &FastPathCommand,
    engine: &Engine,
    settings: &Settings,
    out: Out,
) -> Result<ExitCode> {
    let all = engine.networks()?;
    let fastpath = FastPath::of(engine.node_id()?);
    match command {
        FastPathCommand::Status => {}
        FastPathCommand::On { networks } => {
            if !is_built() {
                return Err(FastPathError::NotBuilt.into());
            }
            let chosen = choose(&all, networks)?;
            let _lock = NodeLock::acquire(&settings.state_dir, settings.lock_wait)?;
            fastpath.turn_on(&chosen, settings.random)?;
            // Again under the lock: endpoints may have come and gone.
            let (ports, overlays) = (engine.fast_path_ports()?, engine.fast_path_overlays()?);
            let ensured = fastpath.ensure(&ports, &overlays)?;
            return turned_on(&ensured, out);
        }
        FastPathCommand::Off { networks } => {
            let _lock = NodeLock::acquire(&settings.state_dir, settings.lock_wait)?;
            if networks.is_empty() {
                fastpath.turn_off(None)?;
            }
            for network in choose_named(&all, networks)? {
                fastpath.turn_off(Some(network))?;
            }
        }
    }
    let answer = answer(&fastpath, &all, engine)?;
    out.show(&answer, print::status)?;
    Ok(ExitCode::SUCCESS)
}

fn turned_on(ensured: &Ensured, out: Out) -> Result<ExitCode> {
    out.show(ensured, print::ensured)?;
    Ok(if ensured.hindered.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(FOUND)
    })
}

fn answer(fastpath: &FastPath, all: &[NetworkStatus], engine: &Engine) -> Result<Answer> {
    let on = fastpath.networks()?;
    let networks = all.iter().filter(|n| on.contains(&n.network.id));
    let networks: Vec<_> = networks.map(|n| &n.network).collect();
    let carried = engine.fast_path_overlays()?;
    let crossings = engine.crossings()?.into_iter();
    let between_nodes = crossings.filter_map(|crossing| {
        let network = networks.iter().find(|n| n.id == crossing.network)?;
        Some(BetweenNodes {
            network: network.name.clone(),
            backend: crossing.backend,
            carried: carried.iter().any(|o| o.network == crossing.network),
        })
    });
    Ok(Answer {
        built: is_built(),
        between_nodes: between_nodes.collect(),
        networks: networks.iter().map(|n| n.name.clone()).collect(),
        loaded: fastpath.status(&engine.fast_path_ports()?)?,
    })
}

fn choose(all: &[NetworkStatus], named: &[NetworkName]) -> Result<Vec<NetworkId>, EngineError> {
    if named.is_empty() {
        return Ok(all.iter().map(|n| n.network.id).collect());
    }
    choose_named(all, named)
}

fn choose_named(
    all: &[NetworkStatus],
    named: &[NetworkName],
) -> Result<Vec<NetworkId>, EngineError> {
    let id = |name: &NetworkName| {
        let found = all.iter().find(|n| n.network.name == *name);
        let missing = || EngineError::NetworkMissing(name.clone());
        found.map(|n| n.network.id).ok_or_else(missing)
    };
    named.iter().map(id).collect()
}
