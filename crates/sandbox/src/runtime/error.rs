//! What can go wrong in a container's supervisor.

use std::io;
use std::path::PathBuf;

use libcontainer::error::LibcontainerError;
use model::EndpointName;
use rustix::io::Errno;

use crate::error::SandboxError;

#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The library's word comes from another process, as text.
    #[error("can't make container {name}: {said}")]
    Create { name: EndpointName, said: String },
    #[error("can't make the container's users and network: {0}")]
    Ahead(#[source] io::Error),
    #[error("can't fork into the container's cgroup: {0}")]
    Maker(#[source] io::Error),
    #[error("can't start container {name}: {}", causes(.source))]
    Start {
        name: EndpointName,
        source: Box<LibcontainerError>,
    },
    #[error("can't run a command in container {name}: {said}")]
    Exec { name: EndpointName, said: String },
    #[error("can't run {command:?}: {source}")]
    Command { command: String, source: io::Error },
    #[error(
        "container {name} ended before its command began: no memory is left for it, or it was killed"
    )]
    EndedEarly { name: EndpointName },
    #[error("can't run {program}: {source}")]
    Call { program: PathBuf, source: io::Error },
    /// What it said is on standard error already.
    #[error("the container's endpoint was not attached")]
    Attach { code: u8 },
    #[error("can't set up the container's terminal: {0}")]
    Terminal(#[source] io::Error),
    #[error("can't wait for the container: {0}")]
    Wait(#[source] io::Error),
}

impl From<Errno> for RuntimeError {
    fn from(errno: Errno) -> Self {
        Self::Wait(errno.into())
    }
}

/// The library's errors name their causes one by one, the same one twice where they are wrapped.
pub fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text
}

impl RuntimeError {
    /// As a shell counts: 127 for a command that is not there, 126 for one that can't be run, 125
    /// for all else.
    pub fn code(&self) -> u8 {
        match self {
            Self::Command { source, .. } if source.kind() == io::ErrorKind::NotFound => 127,
            Self::Command { .. } => 126,
            Self::Attach { code } => *code,
            _ => 125,
        }
    }
}
