//! What can go wrong with a lab: what was tried, on what, what was said.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use model::{Mtu, NetworkName, NodeName, ParseError};
use store::cluster::{ClusterError, FileFault};

use crate::spec::LabName;

#[derive(Debug, thiserror::Error)]
pub enum LabError {
    #[error("{0:?} is no name of a lab: 1 to 32 lower-case letters, digits or '-', not '-' first")]
    Name(String),
    #[error("{0:?} is no number of nodes: 1 to 16")]
    NodeCount(String),
    #[error("{0:?} is no network: NAME=CIDR[,CIDR][:vxlan|stretch|routed|ipip]")]
    NetworkText(String),
    #[error(transparent)]
    Word(#[from] ParseError),
    #[error("the underlay's MTU {0} is too small: at least 1280 bytes")]
    MtuTooSmall(Mtu),
    #[error("there are two networks {0}")]
    TwoNetworks(NetworkName),
    #[error("--tls is between the nodes and a server; it needs --store etcd")]
    NothingToSecure,
    #[error(
        "there is no {program} on this machine: apt-get install {package}{}",
        instead(program)
    )]
    NoProgram {
        program: &'static str,
        /// Debian's.
        package: &'static str,
    },
    #[error("these nodes and networks can't be: {0}")]
    Cluster(#[source] Box<FileFault>),
    #[error(transparent)]
    ClusterFile(ClusterError),

    #[error("a lab makes namespaces and mounts, which root alone may")]
    NotRoot,
    #[error("this is node {0} of a lab; run 'pontoon lab' on the machine itself")]
    InsideNode(String),
    #[error("there is no lab {0}; 'pontoon lab up' makes one")]
    NoLab(LabName),
    #[error("the lab {lab} has no machine {part}; it has {}", list(parts))]
    NoPart {
        part: NodeName,
        lab: LabName,
        parts: Vec<NodeName>,
    },
    #[error("{0} is no node; it has no containers")]
    NotANode(NodeName),
    #[error(
        "node {0} is dead: the process that keeps its mounts is gone; 'pontoon lab down' removes the lab"
    )]
    NodeDead(NodeName),
    #[error(
        "there is a lab {lab} already, with {nodes} node(s); 'pontoon lab down' removes it, --name makes another"
    )]
    Exists { lab: LabName, nodes: u8 },
    #[error("there is something left of a lab {0}; 'pontoon lab down' removes it")]
    Remains(LabName),
    #[error("a network namespace {0} is there already, and no lab's; --name chooses other names")]
    NetnsTaken(String),
    #[error("another process makes or removes a lab, for more than {} s now", .0.as_secs())]
    Busy(Duration),

    #[error("can't make the directory {}: {source}", path.display())]
    MakeDir { path: PathBuf, source: io::Error },
    #[error("can't lock {}: {source}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("can't write {}: {source}", path.display())]
    WriteFile { path: PathBuf, source: io::Error },
    #[error("can't read {}: {source}", path.display())]
    ReadFile { path: PathBuf, source: io::Error },
    #[error("can't mount {}: {source}", path.display())]
    Mount { path: PathBuf, source: io::Error },
    #[error("can't unmount {}: {source}", path.display())]
    Unmount { path: PathBuf, source: io::Error },
    #[error("can't remove {}: {source}", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error("can't start {program}: {source}")]
    Start { program: String, source: io::Error },
    #[error("{what} failed: {said}")]
    Command { what: String, said: String },
    #[error("can't read the answer of {what}: {source}")]
    Answer {
        what: String,
        source: serde_json::Error,
    },

    #[error("the agent of node {node} has ended ({status}); it said:\n{log}")]
    AgentEnded {
        node: NodeName,
        status: String,
        log: String,
    },
    #[error(
        "node {node} has not got its networks within {} s; its agent said:\n{log}", waited.as_secs()
    )]
    NotReady {
        node: NodeName,
        waited: Duration,
        log: String,
    },
    #[error("the lab's etcd has ended ({status}); it said:\n{log}")]
    StoreEnded { status: String, log: String },
    #[error("the lab's etcd does not answer within {} s; it said:\n{log}", waited.as_secs())]
    StoreNotReady { waited: Duration, log: String },
    #[error("processes of the lab can't be killed: {}", list(.0))]
    StillRunning(Vec<u32>),
    /// All that went wrong while removing; the rest is removed.
    #[error("not all of the lab could be removed: {}", list(.0))]
    Left(Vec<LabError>),
}

fn list<T: ToString>(all: &[T]) -> String {
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    texts.join("; ")
}

/// What does without a program.
fn instead(program: &str) -> &'static str {
    match program {
        "etcd" => "; --store static needs no server",
        _ => "",
    }
}
