//! `pontoon lab`: its arguments, and each subcommand as one call of the lab.

mod print;
mod topology;

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use clap::{Args, Subcommand, ValueEnum};
use engine::ErrorClass;
use lab::{
    Lab, LabError, LabName, NetworkSpec, NodeCount, Part, Spec, Stage, StoreKind, Tools, Underlay,
    down, up,
};
use model::{Alias, EndpointName, Mtu, Names, NetworkName, NodeName, Publish};

use crate::args::Common;
use crate::cluster::args::DrawnArgs;
use crate::print::Out;

const EXAMPLES: &str = "\
A session:
  pontoon lab up
  pontoon lab attach n1 web c1
  pontoon lab attach n2 web c2
  pontoon lab ls
  pontoon lab topology --svg > lab.svg
  pontoon lab exec n1 -- ip netns exec c1 ping -c3 10.50.2.2
  pontoon lab exec n2 -- bash
  pontoon lab cut n2
  pontoon lab heal
  pontoon lab down

One Ethernet over all nodes, with broadcast and multicast:
  pontoon lab up --network web=10.50.0.0/16:stretch --store etcd

Containers that find each other by name, from all nodes:
  pontoon lab up --store etcd --names

With 'up --store etcd' the nodes agree by an etcd, on a machine of the lab that is called store:
  pontoon lab exec n1 -- pontoon network create green --overlay --subnet 10.60.0.0/16
  pontoon lab exec store -- etcdctl get --prefix --keys-only /pontoon/
  pontoon lab stop store
  pontoon lab heal store

On a node everything is as on a machine of its own: its devices, its namespaces, its records,
its agent. Files and processes are the machine's. All of it is in memory.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct LabArgs {
    /// Which lab, where there are several: names of namespaces begin with it
    #[arg(
        long = "name",
        id = "lab",
        global = true,
        default_value = "lab",
        value_name = "LAB"
    )]
    lab: LabName,
    #[command(subcommand)]
    command: LabCommand,
}

#[derive(Debug, Subcommand)]
enum LabCommand {
    /// Make nodes, a switch that joins them, and networks over them
    Up(Up),
    /// Show nodes, agents, endpoints and the store
    Ls,
    /// Show all nodes, networks and endpoints as a tree or a picture
    Topology(DrawnArgs),
    /// Run a command on a node, or beside the store
    Exec(Exec),
    /// Make a network namespace on a node and attach it, as 'pontoon attach --create' does there
    Attach(Attach),
    /// Pull a cable out of the switch: packets go nowhere, and nobody is told
    Cut {
        /// Which machine: n1, n2, … or store
        machine: NodeName,
    },
    /// End a node's agent, or the store's etcd
    Stop {
        /// Which machine: n1, n2, … or store
        machine: NodeName,
    },
    /// Put a cable back in, and start the agent or the etcd where none runs
    Heal {
        /// Which machine; all without
        machine: Option<NodeName>,
    },
    /// Remove everything, also what a killed command left
    Down,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum StoreChoice {
    /// A file that names the nodes
    Static,
    /// An etcd on a machine of its own on the underlay; needs Debian's etcd-server
    Etcd,
}

#[derive(Debug, Args)]
struct Up {
    /// How many nodes, 1 to 16
    #[arg(long, default_value = "3", value_name = "N")]
    nodes: NodeCount,
    /// Bytes a packet between nodes may have, 1280 to 65535
    #[arg(long, default_value_t = Mtu::ETHERNET.bytes(), value_name = "N")]
    underlay_mtu: u16,
    /// Give the nodes IPv4 addresses alone, instead of both: a routed network needs its own family
    #[arg(long)]
    ipv4: bool,
    /// Give the nodes IPv6 addresses alone
    #[arg(long, conflicts_with = "ipv4")]
    ipv6: bool,
    /// A network over all nodes: NAME=CIDR[,CIDR][:vxlan|stretch|routed|ipip], where stretch is one
    /// Ethernet over all, in VXLAN; web=10.50.0.0/16,fd00:50::/48 without
    #[arg(long, value_name = "NETWORK")]
    network: Vec<NetworkSpec>,
    /// Let the endpoints of these networks find each other by name; from all nodes with --store etcd
    #[arg(long)]
    names: bool,
    /// What the nodes agree by
    #[arg(long, value_enum, default_value = "static")]
    store: StoreChoice,
    /// Have etcd and the nodes know each other by certificates; needs --store etcd, and openssl
    #[arg(long)]
    tls: bool,
}

#[derive(Debug, Args)]
struct Exec {
    /// Which machine: n1, n2, … or store
    machine: NodeName,
    /// The command and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

#[derive(Debug, Args)]
struct Attach {
    /// Which node: n1, n2, …
    node: NodeName,
    /// The network to attach to
    network: NetworkName,
    /// The namespace's name on the node
    name: EndpointName,
    /// An address of the node's part of the network, once a family at most; a free one without
    #[arg(long, value_name = "IP")]
    ip: Vec<std::net::IpAddr>,
    /// Another name of the endpoint, on a network with names; several may share one
    #[arg(long, value_name = "NAME")]
    alias: Vec<Alias>,
    /// Publish a port or a range of the node, as 'pontoon attach' does
    #[arg(short = 'p', long = "publish", value_name = "PORTS")]
    publish: Vec<Publish>,
}

pub fn run(args: LabArgs, common: &Common, out: Out) -> Result<ExitCode> {
    let pontoon = std::env::current_exe().context("can't find out where this pontoon is")?;
    let tools = Tools {
        pontoon,
        lock_wait: Duration::from_secs(common.lock_wait),
        announce: if common.verbose { announce } else { |_| {} },
    };
    let find = || Lab::find(&args.lab);
    match args.command {
        LabCommand::Up(wish) => make(args.lab, wish, &tools, out)?,
        LabCommand::Ls => out.show(&find()?.status(&tools)?, print::listed)?,
        LabCommand::Topology(drawn) => {
            let all = topology::topology(&find()?, &tools)?;
            out.show(&all, drawn.printer())?;
        }
        LabCommand::Exec(exec) => {
            let part = find()?.part(&exec.machine)?;
            return become_command(&exec.command, |program| part.command(program, &tools));
        }
        LabCommand::Attach(wish) => {
            let node = find()?.node(&wish.node)?;
            let line = attach_line(&wish, &tools, out);
            return become_command(&line, |program| node.command(program, &tools));
        }
        LabCommand::Cut { machine } => {
            let lab = find()?;
            lab.part(&machine)?.cut(&lab.spec, &tools)?;
        }
        LabCommand::Stop { machine } => find()?.part(&machine)?.stop()?,
        LabCommand::Heal { machine } => {
            let lab = find()?;
            let parts = match machine {
                Some(name) => vec![lab.part(&name)?],
                None => lab.parts(),
            };
            let heal = |part: &Part| part.heal(&lab.spec, &tools);
            parts.iter().try_for_each(heal)?;
        }
        LabCommand::Down => out.show(&down(&args.lab, tools.lock_wait)?, print::removed)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn make(name: LabName, wish: Up, tools: &Tools, out: Out) -> Result<()> {
    let store = match (wish.store, wish.tls) {
        (StoreChoice::Static, false) => StoreKind::Static,
        (StoreChoice::Static, true) => return Err(LabError::NothingToSecure.into()),
        (StoreChoice::Etcd, false) => StoreKind::Etcd,
        (StoreChoice::Etcd, true) => StoreKind::EtcdTls,
    };
    let networks = if wish.network.is_empty() {
        Spec::usual_networks()
    } else {
        wish.network
    };
    let spec = Spec {
        name,
        nodes: wish.nodes,
        underlay: match (wish.ipv4, wish.ipv6) {
            (true, _) => Underlay::Ipv4,
            (_, true) => Underlay::Ipv6,
            _ => Underlay::Both,
        },
        underlay_mtu: Mtu::try_from(wish.underlay_mtu).map_err(LabError::from)?,
        networks,
        names: match wish.names {
            true => Names::On,
            false => Names::Off,
        },
        store,
    };
    let begun = Instant::now();
    let lab = up(&spec, tools, &mut progress())?;
    let status = lab.status(tools)?;
    out.show(&status, |status| print::made(status, begun.elapsed()))
}

/// Tells a person who watches; nobody else.
fn progress() -> impl FnMut(Stage<'_>) {
    let watched = io::stderr().is_terminal();
    move |stage| {
        if watched {
            let mut stderr = io::stderr().lock();
            // What can't be shown is done all the same.
            let _ = match stage {
                Stage::Make(node) => writeln!(stderr, "making node {} …", node.name),
                Stage::Store => writeln!(stderr, "waiting for etcd …"),
                Stage::Wait(node) => writeln!(stderr, "waiting for the agent of {} …", node.name),
            };
        }
    }
}

fn announce(script: &str) {
    let _ = writeln!(io::stderr().lock(), "{}", script.trim_end());
}

/// Runs a command of the lab in this process's place: exit code, signals and terminal are its.
fn become_command(
    line: &[OsString],
    command: impl FnOnce(&OsString) -> Result<Command, LabError>,
) -> Result<ExitCode> {
    let Some((program, args)) = line.split_first() else {
        return Ok(ExitCode::SUCCESS);
    };
    let mut command = command(program)?;
    let source = command.args(args).stdin(Stdio::inherit()).exec();
    let program = command.get_program().to_string_lossy().into_owned();
    Err(LabError::Start { program, source }.into())
}

fn attach_line(wish: &Attach, tools: &Tools, out: Out) -> Vec<OsString> {
    let mut line: Vec<OsString> = vec![tools.pontoon.clone().into(), "attach".into()];
    line.extend([wish.network.as_str(), wish.name.as_str(), "--create"].map(OsString::from));
    for ip in &wish.ip {
        line.extend(["--ip".into(), ip.to_string().into()]);
    }
    for alias in &wish.alias {
        line.extend(["--alias".into(), alias.to_string().into()]);
    }
    for publish in &wish.publish {
        line.extend(["-p".into(), publish.to_string().into()]);
    }
    if out.json {
        line.push("--json".into());
    }
    line
}

/// The class of a lab's error, for the exit code.
pub fn class(error: &LabError) -> ErrorClass {
    match error {
        LabError::Name(_)
        | LabError::NodeCount(_)
        | LabError::NetworkText(_)
        | LabError::Word(_)
        | LabError::MtuTooSmall(_)
        | LabError::TwoNetworks(_)
        | LabError::NothingToSecure
        | LabError::NotANode(_)
        | LabError::Cluster(_)
        | LabError::InsideNode(_) => ErrorClass::Usage,
        LabError::NoLab(_) | LabError::NoPart { .. } | LabError::NodeDead(_) => ErrorClass::Missing,
        LabError::Exists { .. } | LabError::Remains(_) | LabError::NetnsTaken(_) => {
            ErrorClass::Taken
        }
        LabError::NotRoot => ErrorClass::Permission,
        LabError::Busy(_) => ErrorClass::Busy,
        LabError::MakeDir { .. }
        | LabError::Lock { .. }
        | LabError::ClusterFile(_)
        | LabError::WriteFile { .. }
        | LabError::ReadFile { .. }
        | LabError::Mount { .. }
        | LabError::Unmount { .. }
        | LabError::Remove { .. }
        | LabError::Start { .. }
        | LabError::Command { .. }
        | LabError::Answer { .. }
        | LabError::NoProgram { .. }
        | LabError::StoreEnded { .. }
        | LabError::StoreNotReady { .. }
        | LabError::AgentEnded { .. }
        | LabError::NotReady { .. }
        | LabError::StillRunning(_)
        | LabError::Left(_) => ErrorClass::Other,
    }
}
