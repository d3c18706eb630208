//! Which etcd, and how to be let in.

use std::path::PathBuf;
use std::time::Duration;

use store::cluster::SILENT_GRACE_SECS;

/// Where the keys are kept where nothing else is said.
pub const DEFAULT_PREFIX: &str = "/pontoon/";

/// Which etcd, and how to be let in. Files are read anew for each connection, so that renewed
/// certificates and passwords need no restart.
#[derive(Debug, Clone)]
pub struct EtcdSettings {
    /// `http://…`, `https://…`, or an address and a port: TLS then, where `tls` is given.
    pub endpoints: Vec<String>,
    /// Two clusters in one etcd have two.
    pub prefix: String,
    pub tls: Option<TlsFiles>,
    pub login: Option<Login>,
    /// How long a silent node keeps its name and subnets.
    pub silent_grace: Duration,
}

/// Files in PEM.
#[derive(Debug, Clone)]
pub struct TlsFiles {
    /// The authorities that the server's certificate may come from.
    pub ca: PathBuf,
    /// This node's own certificate and its key, where the server asks for one.
    pub client: Option<(PathBuf, PathBuf)>,
}

/// A user of etcd's own.
#[derive(Debug, Clone)]
pub struct Login {
    pub user: String,
    /// Its first line.
    pub password_file: PathBuf,
}

impl EtcdSettings {
    /// These servers, without TLS and user.
    pub fn new(endpoints: Vec<String>) -> Self {
        Self {
            endpoints,
            prefix: DEFAULT_PREFIX.to_owned(),
            tls: None,
            login: None,
            silent_grace: Duration::from_secs(SILENT_GRACE_SECS),
        }
    }
}
