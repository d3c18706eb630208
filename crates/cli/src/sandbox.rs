//! Containers: `pontoon run` and its companions, each as a few calls of the sandbox and the
//! engine. The order of a start is theirs: attach, then run.

pub mod args;
pub mod doctor;
pub mod error;
mod heal;
mod life;
mod limit;
mod print;
mod stack;
mod start;

use std::process::ExitCode;

use anyhow::Result;
use clap::Subcommand;
use engine::Engine;
use model::EndpointName;
use sandbox::SandboxError;
use sandbox::container::State;

use args::{Created, ExecArgs, Limit, Logs, Ps, Rm, Run, Stats, Stop};
pub use heal::heal;
pub use stack::stack;

use crate::args::Common;
use crate::exit;
use crate::late::Late;
use crate::print::Out;

/// As a shell counts what is not the command's own fault.
const OWN_FAULT: u8 = 125;

#[derive(Debug, Subcommand)]
pub enum ContainerCommand {
    /// Run a command as a container on a network
    ///
    /// It gets process, user, IPC, network, UTS and mount namespaces of its own, a cgroup with the
    /// limits given, and an endpoint, before it starts.
    #[command(after_help = args::RUN_EXAMPLES)]
    Run(Late<Box<Run>>),
    /// List containers
    Ps(Late<Ps>),
    /// Run another command in a container
    Exec(Late<ExecArgs>),
    /// Show what a detached container has written
    Logs(Late<Logs>),
    /// End containers: SIGTERM, and after a time SIGKILL
    Stop(Late<Stop>),
    /// Forget containers that have ended
    Rm(Late<Rm>),
    /// Show what containers use: CPU, memory, disk, network
    Stats(Late<Stats>),
    /// Change the limits of a container that runs
    ///
    /// All that are named are changed, or none. They are recorded, and stay until the container ends.
    #[command(after_help = args::LIMIT_EXAMPLES)]
    Limit(Late<Limit>),
    #[command(hide = true)]
    ContainerCreated(Created),
    #[command(hide = true)]
    ContainerEnded { name: EndpointName },
}

pub fn run(
    command: ContainerCommand,
    engine: &Engine,
    common: &Common,
    out: Out,
) -> Result<ExitCode> {
    match command {
        ContainerCommand::Run(Late(args)) => {
            let detached = args.detach;
            let outcome = start::run(*args, engine, common, out);
            return if detached {
                outcome
            } else {
                Ok(own_fault(outcome, out))
            };
        }
        ContainerCommand::Exec(Late(args)) => return Ok(own_fault(exec(&args, engine), out)),
        ContainerCommand::Ps(Late(args)) => life::ps(&args, engine, out)?,
        ContainerCommand::Logs(Late(args)) => life::logs(&args, engine)?,
        ContainerCommand::Stop(Late(args)) => life::stop(&args, engine)?,
        ContainerCommand::Rm(Late(args)) => life::rm(&args, engine)?,
        ContainerCommand::Stats(Late(args)) => life::stats(&args, engine, out)?,
        ContainerCommand::Limit(Late(args)) => limit::limit(&args, engine, out)?,
        ContainerCommand::ContainerCreated(args) => heal::created(args, engine, &common.state_dir)?,
        ContainerCommand::ContainerEnded { name } => heal::ended(&name, engine)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// Where the exit code is a command's, one of the table would be taken for its.
fn own_fault(outcome: Result<ExitCode>, out: Out) -> ExitCode {
    outcome.unwrap_or_else(|error| {
        exit::report(&error, out.json);
        ExitCode::from(OWN_FAULT)
    })
}

fn exec(args: &ExecArgs, engine: &Engine) -> Result<ExitCode> {
    let known = heal::place(engine)?.find(&args.name)?;
    if known.state != State::Running {
        return Err(SandboxError::NotRunning(args.name.clone()).into());
    }
    let mut words = vec![if args.tty { "tty" } else { "no-tty" }.to_owned()];
    words.extend(args.env.iter().cloned());
    words.push("--".to_owned());
    words.extend(args.command.iter().cloned());
    start::become_supervisor(&known.home, &["exec"], &words)
}
