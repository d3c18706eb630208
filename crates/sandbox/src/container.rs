//! A container as its files say: what was asked for, and how it goes.
//!
//! What was asked for is written before anything is made, and again where other limits are asked
//! for. How it goes is written by one process at a time: the supervisor while it lives, and whoever
//! finds it dead afterwards.

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use model::{EndpointName, NetworkName};
use serde::{Deserialize, Serialize};

use crate::limit::Limits;
use crate::process::ProcessId;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    pub name: EndpointName,
    pub network: NetworkName,
    pub command: Vec<String>,
    /// `KEY=VALUE`, beside `PATH`, `HOME` and `TERM`.
    pub env: Vec<String>,
    pub hostname: EndpointName,
    /// Whom its resolver asks; as the machine, or its root, without.
    #[serde(default)]
    pub nameservers: Vec<IpAddr>,
    pub root: Root,
    pub mounts: Vec<Bind>,
    pub users: Users,
    pub stdio: Stdio,
    pub limits: Limits,
    /// Its cgroup, below the root of each hierarchy.
    pub cgroup: String,
    /// The node's records: never to be seen inside.
    pub state_dir: PathBuf,
    pub calls: Calls,
    /// The process that made these files; a supervisor follows it.
    pub creator: ProcessId,
    /// Seconds since 1970.
    pub created_secs: u64,
    pub afterwards: Afterwards,
}

/// What a container sees as `/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Root {
    /// The machine's own, for reading alone.
    Machine,
    Dir(PathBuf),
}

impl Container {
    /// The disk that rates are about. It was found when the limits were checked; one that is gone
    /// since limits nobody.
    pub fn disk(&self) -> Option<(u32, u32)> {
        let root = match &self.root {
            Root::Machine => Path::new("/"),
            Root::Dir(dir) => dir,
        };
        self.limits.disk(root).ok()
    }
}

/// A directory or file of the machine's, seen inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bind {
    pub source: PathBuf,
    pub target: PathBuf,
    pub access: Access,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Access {
    Read,
    Write,
}

/// Who the container's users are on the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Users {
    /// The same: its root is the machine's root, less most capabilities.
    Host,
    /// Numbers that nobody else has: 0 is the first of a range.
    Range { first: u32 },
}

impl Users {
    /// The number on the machine of the container's root, where it has numbers of its own.
    pub fn first(self) -> Option<u32> {
        match self {
            Self::Host => None,
            Self::Range { first } => Some(first),
        }
    }
}

/// Where the command reads and writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Stdio {
    /// What `pontoon run` was started with.
    Inherit,
    /// A terminal of its own, shown on the one `pontoon run` was started on.
    Terminal,
    /// Nothing to read; what it writes is kept.
    Log,
    /// A terminal of its own; what it shows is kept.
    TerminalLog,
}

impl Stdio {
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Terminal | Self::TerminalLog)
    }

    pub fn is_detached(self) -> bool {
        matches!(self, Self::Log | Self::TerminalLog)
    }
}

/// Commands that the supervisor runs at the turns of a container's life: the sandbox knows nothing
/// of networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calls {
    /// When the namespace of its network is there and its command is not; where that is found is
    /// added.
    pub created: Vec<String>,
    /// When it is over.
    pub ended: Vec<String>,
}

/// What becomes of the files of a container that is over.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Afterwards {
    Keep,
    Remove,
}

/// How a container goes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    pub supervisor: ProcessId,
    /// Its first process, once there is one.
    pub init: Option<ProcessId>,
    /// When its command began, in seconds since 1970.
    pub started_secs: Option<u64>,
    pub end: Option<End>,
}

/// How a container ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct End {
    pub why: Ending,
    /// As a shell counts: 128 and the signal's number where a signal ended the command.
    pub code: u8,
    pub at_secs: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// The command ended.
    Exited,
    /// The kernel killed a process of it for want of memory, and the command ended by a signal.
    OutOfMemory,
    /// It could not be started.
    NotStarted,
    /// Its supervisor was killed, and the container with it.
    Lost,
}

/// What a container is, looked at now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum State {
    Creating,
    Running,
    Ended(End),
    /// Nobody looks after it: what is left of it is to be removed.
    Abandoned,
}

/// What a container is, by its files and by who is alive.
pub fn state(container: &Container, status: Option<&Status>) -> State {
    let Some(status) = status else {
        return match container.creator.is_alive() {
            true => State::Creating,
            false => State::Abandoned,
        };
    };
    match (status.end, status.supervisor.is_alive()) {
        (Some(end), _) => State::Ended(end),
        (None, false) => State::Abandoned,
        (None, true) if status.started_secs.is_some() => State::Running,
        (None, true) => State::Creating,
    }
}
