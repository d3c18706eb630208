//! The commands that are started for each container, read without describing all the others first:
//! that takes longer than what they are told. What is not understood here, the whole reads again, and
//! whatever there is to say about it is said there.

use std::env;
use std::ffi::OsString;

use clap::{Parser, Subcommand};
use model::EndpointName;

use crate::args::{Cli, Command, Common, Detach};
use crate::late::Late;
use crate::plain;
use crate::sandbox::ContainerCommand;
use crate::sandbox::args::{Created, Run};

/// As many words as global options may stand before the command.
const BEFORE: usize = 7;

#[derive(Parser)]
#[command(name = "pontoon")]
struct Often {
    #[command(flatten)]
    common: Common,
    #[command(subcommand)]
    command: OftenCommand,
}

#[derive(Subcommand)]
enum OftenCommand {
    Detach(Late<Detach>),
    Run(Late<Box<Run>>),
    ContainerCreated(Late<Created>),
    ContainerEnded { name: EndpointName },
}

impl From<OftenCommand> for Command {
    fn from(command: OftenCommand) -> Self {
        match command {
            OftenCommand::Detach(args) => Self::Detach(args),
            OftenCommand::Run(args) => Self::Container(ContainerCommand::Run(args)),
            OftenCommand::ContainerCreated(Late(args)) => {
                Self::Container(ContainerCommand::ContainerCreated(args))
            }
            OftenCommand::ContainerEnded { name } => {
                Self::Container(ContainerCommand::ContainerEnded { name })
            }
        }
    }
}

/// What this process was told. Ends it where that is no command line.
pub fn parse() -> Cli {
    let line: Vec<OsString> = env::args_os().collect();
    read(&line).unwrap_or_else(|| Cli::parse_from(line))
}

fn read(line: &[OsString]) -> Option<Cli> {
    let attach = plain::attach(line);
    if attach.is_some() {
        return attach;
    }
    let mut first = line.iter().skip(1).take(BEFORE);
    first
        .any(|word| word.to_str().is_some_and(OftenCommand::has_subcommand))
        .then(|| Often::try_parse_from(line).ok())?
        .map(|often| Cli {
            common: often.common,
            command: often.command.into(),
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str) -> Vec<OsString> {
        text.split(' ').map(OsString::from).collect()
    }

    #[test]
    fn what_is_read_here_is_read_as_by_the_whole() {
        for text in [
            "pontoon attach web c1 --create -p 8080:80 --alias db --rate 10mbit --json",
            "pontoon --state-dir /s --lock-wait 5 -v attach web pid:7 --ip 10.0.0.7 --dry-run",
            "pontoon detach c1 web --delete",
            "pontoon run web --memory 64M -- attach --help",
            "pontoon --state-dir=/s --lock-wait=1 container-created c1 --ip 10.0.0.2 pid:7",
            "pontoon --state-dir attach container-ended c1",
            "pontoon --state-dir detach attach web c1",
        ] {
            let (here, whole) = (read(&line(text)), Cli::try_parse_from(line(text)));
            let here = here.unwrap_or_else(|| panic!("{text} was not read"));
            assert_eq!(format!("{here:?}"), format!("{:?}", whole.unwrap()));
        }
    }

    #[test]
    fn everything_else_is_left_to_the_whole() {
        for text in [
            "pontoon",
            "pontoon ls",
            "pontoon attach",
            "pontoon attach --help",
            "pontoon help attach",
            "pontoon attach web c1 --no-such-option",
            "pontoon exec c1 -- detach x",
            "pontoon --version attach web c1",
            "pontoon --state-dir attach ls",
        ] {
            assert!(read(&line(text)).is_none(), "{text} was read");
        }
    }
}
