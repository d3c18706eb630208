//! Names of endpoints on the command line: what is answered, and having it answered.

mod print;

use std::io::{self, Write};
use std::net::IpAddr;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use engine::{Engine, Mode};
use model::{Names, NetworkName, NodeId};
use names::{Book, Listed, StartError};
use serde::Serialize;
use store::{NamesLock, OpenMode, Records};

use crate::args::Common;
use crate::print::Out;

const EXAMPLES: &str = "\
Examples:
  pontoon network create web --names
  pontoon attach web c1 --create --alias db
  pontoon names

A container asks the gateway of its network, port 53: 'pontoon run' and CNI say so in its
resolv.conf. It is told the names of the networks that it is on; all other names the node's own
resolvers (/etc/resolv.conf) are asked for, or nobody where its networks are internal.

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
    /// Give a network names
    On { network: NetworkName },
    /// Take a network's names away
    Off { network: NetworkName },
}

/// All that is answered, and by whom.
#[derive(Debug, Serialize)]
struct Status {
    server: Option<Server>,
    networks: Vec<Network>,
}

#[derive(Debug, Serialize)]
struct Server {
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<u32>,
}

#[derive(Debug, Serialize)]
struct Network {
    #[serde(flatten)]
    listed: Listed,
    /// The gateways at which nobody answers.
    silent: Vec<IpAddr>,
}

pub fn run(args: NamesArgs, engine: &Engine, common: &Common, out: Out) -> Result<ExitCode> {
    let (network, names) = match args.command {
        None => {
            out.show(&status(&common.state_dir)?, print::status)?;
            return Ok(ExitCode::SUCCESS);
        }
        Some(NamesCommand::Serve) => return serve(common),
        Some(NamesCommand::On { network }) => (network, Names::On),
        Some(NamesCommand::Off { network }) => (network, Names::Off),
    };
    let change = engine.set_names(&network, names, Mode::Apply)?;
    ensure_used(engine, &common.state_dir);
    out.change(Mode::Apply, &change, print::switched)?;
    Ok(ExitCode::SUCCESS)
}

fn status(state_dir: &Path) -> Result<Status> {
    // Nothing is made: where there are no records, none are read.
    let records = Records::open(state_dir, OpenMode::ReadOnly, NodeId::from_bits(0))
        .map_err(engine::EngineError::from)?;
    let book = Book::read(&records).map_err(engine::EngineError::from)?;
    let networks = book.listed().iter().map(|listed| Network {
        silent: listed
            .gateways
            .iter()
            .copied()
            .filter(|gateway| !names::answers(*gateway))
            .collect(),
        listed: listed.clone(),
    });
    Ok(Status {
        networks: networks.collect(),
        server: NamesLock::is_held(state_dir).then(|| Server {
            pid: NamesLock::holder(state_dir).map(|holder| holder.pid),
        }),
    })
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
    let used = engine.endpoints().is_ok_and(|all| {
        let mut names = all.iter().map(|endpoint| endpoint.names);
        names.any(|names| names == Names::On)
    });
    if used {
        ensure(state_dir);
    }
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
