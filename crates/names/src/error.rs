//! What the server can't do.

use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use store::StoreError;

/// Why nothing is answered.
#[derive(Debug, thiserror::Error)]
pub enum NamesError {
    #[error("can't take the task of answering for names")]
    Lock(#[source] StoreError),
    #[error("can't follow changes of {dir}: {source}")]
    Watch { dir: PathBuf, source: io::Error },
    #[error("can't wait for questions: {0}")]
    Poll(#[source] io::Error),
}

impl NamesError {
    /// Whether another process answers already.
    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Lock(StoreError::LockTimeout { .. }))
    }
}

/// What does not work while the rest does.
#[derive(Debug, thiserror::Error)]
pub enum Complaint {
    #[error(
        "can't answer at {address}, port 53: {source}; 'ss -lpn sport = :53' shows who listens there"
    )]
    Listen { address: IpAddr, source: io::Error },
    #[error("{asker} asks more than 1,000 questions a second, and is answered no more than that")]
    Flood { asker: IpAddr },
    #[error("can't read the records, and goes on with what they were: {0}")]
    Records(#[source] StoreError),
}

/// Why the server could not be started, or is not heard of.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error(
        "{program} is neither beside this program nor in {places}: 'make' builds it; copy it there"
    )]
    Missing {
        program: &'static str,
        places: String,
    },
    #[error("can't start {path}: {source}")]
    Spawn { path: PathBuf, source: io::Error },
    #[error("{path} did not get ready within a second: 'pontoon names serve' says what is wrong")]
    Silent { path: PathBuf },
    #[error("{}", .0.trim_end())]
    Complained(String),
}
