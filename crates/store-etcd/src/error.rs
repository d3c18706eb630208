//! What went wrong with one server, and what that means for the caller.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use store::cluster::ClusterError;
use tonic::{Code, Status};

/// What one server, or the way to it, said. It is the source of a `ClusterError`.
#[derive(Debug, thiserror::Error)]
pub enum Fault {
    #[error("can't connect to {endpoint}")]
    Connect {
        endpoint: String,
        source: tonic::transport::Error,
    },
    #[error("{endpoint} said: {}", status.message())]
    Status {
        endpoint: String,
        #[source]
        status: Box<Status>,
    },
    /// At its beginning, and with TLS.
    #[error(
        "{endpoint} dropped the connection before it said anything; does it accept this node's certificate?"
    )]
    Dropped {
        endpoint: String,
        #[source]
        status: Box<Status>,
    },
    #[error("{endpoint} said nothing within {} s", bound.as_secs_f32())]
    Silent { endpoint: String, bound: Duration },
    #[error("{endpoint} ended a watch: {reason}")]
    WatchRefused { endpoint: String, reason: String },
    #[error("{endpoint} sent an answer without {missing}")]
    Torn {
        endpoint: String,
        missing: &'static str,
    },
    #[error("can't read {}", path.display())]
    ReadFile { path: PathBuf, source: io::Error },
    #[error("{endpoint:?} is no address of an etcd server: http://HOST:PORT or https://HOST:PORT")]
    Endpoint { endpoint: String },
    #[error("{endpoint} has certificates, but not https")]
    PlainText { endpoint: String },
    #[error("{endpoint} asks for TLS, and there is no file with its certificate authority")]
    NoAuthority { endpoint: String },
    #[error("can't put a record into JSON")]
    Print { source: serde_json::Error },
    #[error("no endpoint")]
    NoEndpoint,
    #[error("can't start the runtime for its connections")]
    Runtime { source: io::Error },
}

/// What a fault asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Consequence {
    /// Another server may do better.
    TryAnother,
    /// The login is not known any more: the server restarted, or its users changed.
    LogIn,
    /// A lease went while it was used: read again.
    ReadAgain,
    Denied,
    Refused,
    Settings,
}

impl Fault {
    pub fn consequence(&self) -> Consequence {
        match self {
            Self::Status { status, .. } => of_status(status),
            Self::Connect { source, .. } if is_tls(source) => Consequence::Denied,
            Self::Dropped { status, .. } if is_tls(&**status) => Consequence::Denied,
            Self::Connect { .. }
            | Self::Dropped { .. }
            | Self::Silent { .. }
            | Self::Torn { .. } => Consequence::TryAnother,
            Self::WatchRefused { .. } => Consequence::Denied,
            Self::ReadFile { .. }
            | Self::Endpoint { .. }
            | Self::PlainText { .. }
            | Self::NoAuthority { .. }
            | Self::Print { .. }
            | Self::NoEndpoint
            | Self::Runtime { .. } => Consequence::Settings,
        }
    }

    /// As the caller sees it; `store` names all the servers.
    pub fn into_cluster_error(self, store: String) -> ClusterError {
        let consequence = match self {
            Self::Dropped { .. } => Consequence::Denied,
            _ => self.consequence(),
        };
        let source = Box::new(self);
        match consequence {
            Consequence::TryAnother => ClusterError::Unavailable { store, source },
            Consequence::LogIn | Consequence::Denied => ClusterError::Denied { store, source },
            Consequence::ReadAgain | Consequence::Refused => {
                ClusterError::Refused { store, source }
            }
            Consequence::Settings => ClusterError::Settings { store, source },
        }
    }
}

/// The messages are etcd's (`api/v3rpc/rpctypes/error.go`): one code stands for several errors.
fn of_status(status: &Status) -> Consequence {
    let message = status.message();
    match status.code() {
        Code::Unauthenticated => Consequence::LogIn,
        Code::InvalidArgument if message.contains("revision of auth store is old") => {
            Consequence::LogIn
        }
        Code::InvalidArgument if message.contains("user name is empty") => Consequence::LogIn,
        Code::InvalidArgument if message.contains("authentication failed") => Consequence::Denied,
        Code::PermissionDenied => Consequence::Denied,
        Code::NotFound if message.contains("lease not found") => Consequence::ReadAgain,
        _ if is_tls(status) => Consequence::Denied,
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            Consequence::TryAnother
        }
        // The connection broke under the answer.
        Code::Internal => Consequence::TryAnother,
        _ => Consequence::Refused,
    }
}

/// Whether TLS refused, on either side: rustls says so with bytes that are not as they should be.
fn is_tls(error: &(dyn Error + 'static)) -> bool {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(io) = error.downcast_ref::<io::Error>()
            && io.kind() == io::ErrorKind::InvalidData
        {
            return true;
        }
        next = error.source();
    }
    false
}
