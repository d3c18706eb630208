//! Names of endpoints on the command line: what is answered, and having it answered.

mod print;
mod status;
mod switch;

use std::io::{self, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use engine::Engine;
use model::{Names, NetworkName};
use names::StartError;
use store::NamesLock;

use crate::args::Common;
use crate::cluster::args::ClusterArgs;
use crate::print::Out;
use switch::{Switch, switch};

const EXAMPLES: &str = "\
Examples:
  pontoon network create web --names
  pontoon attach web c1 --create --alias db
  pontoon names
  pontoon names on web --cluster etcd:http://192.0.2.1:2379    a network of the whole cluster

A container asks the gateway of its network, port 53: 'pontoon run' and CNI say so in its
resolv.conf. It is told the names of the networks that it is on; all other names the node's own
resolvers (/etc/resolv.conf) are asked for, or nobody where its networks are internal.

Names of an overlay network are the whole cluster's: on or off on every node. With etcd each node
tells the others of its endpoints' names, and an endpoint is found from every node; what was heard
last is in the node's records, and answered whatever runs. A cluster by a file tells nothing: there
each node answers for its own endpoints. A node tells of 1,000 endpoints at most.

The server, pontoon-names, is started by the first attach to a network with names and ends with
the last such network. Containers attach without it, too.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, args_conflicts_with_subcommands = true)]
pub struct NamesArgs {
    #[command(subcommand)]
    command: Option<NamesCommand>,
}

#[derive(Debug, Subcommand)]
enum NamesCommand {
    /// Answer for names until a signal ends it, in the foreground: for a service manager
    Serve,
    /// Give a network names; one of the whole cluster with --cluster, on every node
    On {
        network: NetworkName,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
    /// Take a network's names away; those of the whole cluster's with --cluster, on every node
    Off {
        network: NetworkName,
        #[command(flatten)]
        cluster: ClusterArgs,
    },
}

pub fn run(args: NamesArgs, engine: &Engine, common: &Common, out: Out) -> Result<ExitCode> {
    let (network, names, cluster) = match args.command {
        None => {
            out.show(&status::status(engine, &common.state_dir)?, print::status)?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(NamesCommand::Serve) => return serve(common),
        Some(NamesCommand::On { network, cluster }) => (network, Names::On, cluster),
        Some(NamesCommand::Off { network, cluster }) => (network, Names::Off, cluster),
    };
    let place = cluster.place();
    let wish = Switch {
        network,
        names,
        place,
    };
    switch(wish, engine, &common.state_dir, out)
}

/// Becomes the server.
fn serve(common: &Common) -> Result<ExitCode> {
    let path = names::find().context("can't answer for names")?;
    let source = Command::new(&path)
        .arg("always")
        .arg(&common.state_dir)
        .arg(common.lock_wait.to_string())
        .exec();
    Err(StartError::Spawn { path, source }.into())
}

/// As [`ensure`], where an endpoint of this node could ask.
pub fn ensure_used(engine: &Engine, state_dir: &Path) {
    if engine.has_askers().unwrap_or(false) {
        ensure(state_dir);
    }
}

/// As [`ensure_used`], for the agent: what goes wrong, it says.
pub fn keep(engine: &Engine, state_dir: &Path) -> Result<(), String> {
    if NamesLock::is_held(state_dir) || !engine.has_askers().unwrap_or(false) {
        return Ok(());
    }
    names::ensure(state_dir).map_err(|error| error.to_string())
}

/// Has the server run for who was attached just now. Without it the rest of an endpoint works: what
/// goes wrong is said, and no failure.
pub fn ensure(state_dir: &Path) {
    if let Err(error) = names::ensure(state_dir) {
        // Where standard error is closed, 'pontoon names' still tells.
        let _ = writeln!(
            io::stderr().lock(),
            "pontoon: warning: names are not answered for: {error}"
        );
    }
}
