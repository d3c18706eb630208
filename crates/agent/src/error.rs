//! What the agent can fail with.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;

use engine::EngineError;
use store::cluster::ClusterError;

/// Why a pass, or the agent as a whole, failed.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error(
        "this node has no default route whose source address could be its underlay address; name one with --underlay"
    )]
    NoUnderlay,
    #[error("an agent runs on these records already ({} is locked)", .0.display())]
    NotAlone(PathBuf),
    #[error("can't lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("can't answer questions for metrics at {address}")]
    Metrics {
        address: SocketAddr,
        source: io::Error,
    },
    #[error("can't take signals")]
    Signals { source: io::Error },
    #[error("can't start a thread")]
    Thread { source: io::Error },
}

impl AgentError {
    /// An error with what caused it, in one line.
    pub(crate) fn in_one_line(&self) -> String {
        in_one_line(self)
    }
}

pub(crate) fn in_one_line(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        next = cause.source();
    }
    text
}
