//! What can go wrong with the records.

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{
    ContainerId, EndpointId, EndpointName, IfName, Mac, NetworkId, NetworkName, ParseError,
    Publish, Target,
};
use rusqlite::ErrorCode;
use rusqlite::ffi;

use crate::lock::Holder;
use crate::record::Owner;

/// What the system or SQLite said.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
}

/// What is wrong with a file that should hold records.
#[derive(Debug, thiserror::Error)]
pub enum Damage {
    /// SQLite can't read it, or a value in it is of the wrong kind.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// The values of a network don't fit together.
    #[error(transparent)]
    Network(#[from] ParseError),
    #[error("what is known of the cluster can't be read: {0}")]
    Cluster(serde_json::Error),
    #[error("it is a database of something else")]
    Foreign,
}

/// Why the records could not be read or changed. Nothing was changed then.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    #[error("the node's lock {} was not free within {} s; {}", path.display(), waited.as_secs_f32(), held_by(holder.as_ref()))]
    LockTimeout {
        path: PathBuf,
        waited: Duration,
        holder: Option<Holder>,
    },
    #[error("can't lock {}", path.display())]
    Lock { path: PathBuf, source: io::Error },
    #[error("can't make the state directory {}", path.display())]
    CreateDir { path: PathBuf, source: io::Error },
    #[error("can't make the records {}", path.display())]
    Create { path: PathBuf, source: Cause },
    #[error("can't open {}", path.display())]
    Open { path: PathBuf, source: Cause },
    #[error("no permission for {}", path.display())]
    Permission { path: PathBuf, source: Cause },
    #[error("{} can't be written: the file system is read-only", path.display())]
    ReadOnly { path: PathBuf, source: Cause },
    #[error("no space for {}", path.display())]
    NoSpace { path: PathBuf, source: Cause },
    #[error("another process keeps {} locked", path.display())]
    Busy { path: PathBuf, source: Cause },
    #[error(
        "{} was written by a newer Pontoon (records version {found}; this one knows {known}); it was left as it is",
        path.display()
    )]
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    #[error("{} is damaged; it was left as it is", path.display())]
    Corrupt { path: PathBuf, source: Damage },
    #[error("SQLite refused a statement on {}", path.display())]
    Statement { path: PathBuf, source: Cause },

    #[error("what is known of the cluster can't be written down: {0}")]
    Cluster(serde_json::Error),

    #[error("there is already a network {name}")]
    NetworkNameTaken { name: NetworkName },
    #[error("the bridge {bridge} belongs to network {by}")]
    BridgeTaken { bridge: IfName, by: NetworkName },
    #[error("network {name} still has {endpoints} endpoints")]
    NetworkInUse { name: NetworkName, endpoints: u32 },
    #[error("there is no network with number {}", .0.0)]
    NetworkGone(NetworkId),
    #[error("number {} of a network was used before", .0.0)]
    NetworkIdUsed(NetworkId),

    #[error("the name {name} is taken by {by}")]
    NameTaken { name: EndpointName, by: Owner },
    #[error("the address {address} is taken by {by}")]
    AddressTaken { address: IpAddr, by: Owner },
    #[error("the MAC address {mac} is taken by {by}")]
    MacTaken { mac: Mac, by: Owner },
    #[error("interface {ifname} of {target} is taken by {by}")]
    IfNameTaken {
        ifname: IfName,
        target: Box<Target>,
        by: Owner,
    },
    #[error("{target} is already attached: {by}")]
    AlreadyAttached { target: Target, by: Owner },
    #[error("container {container} is already attached: {by}")]
    ContainerAttached {
        container: Box<ContainerId>,
        by: Owner,
    },
    #[error("port {asked} is taken: {taken} leads to {by}")]
    PortTaken {
        asked: Publish,
        taken: Publish,
        by: Owner,
    },
    #[error("there is no endpoint with number {}", .0.0)]
    EndpointGone(EndpointId),
    #[error("number {} of an endpoint was used before", .0.0)]
    EndpointIdUsed(EndpointId),
}

impl StoreError {
    /// The endpoint that has what was asked for.
    pub fn owner(&self) -> Option<&Owner> {
        match self {
            Self::NameTaken { by, .. }
            | Self::AddressTaken { by, .. }
            | Self::MacTaken { by, .. }
            | Self::IfNameTaken { by, .. }
            | Self::AlreadyAttached { by, .. }
            | Self::ContainerAttached { by, .. }
            | Self::PortTaken { by, .. } => Some(by),
            _ => None,
        }
    }
}

fn held_by(holder: Option<&Holder>) -> String {
    holder.map_or_else(
        || "its holder is unknown".to_owned(),
        |holder| format!("it is held by {holder}"),
    )
}

/// The error for what the system said about `path`; `otherwise` where it is nothing special.
pub(crate) fn from_io(
    path: &Path,
    error: io::Error,
    otherwise: impl FnOnce(PathBuf, io::Error) -> StoreError,
) -> StoreError {
    let path = path.to_owned();
    match error.kind() {
        io::ErrorKind::PermissionDenied => StoreError::Permission {
            path,
            source: error.into(),
        },
        io::ErrorKind::ReadOnlyFilesystem => StoreError::ReadOnly {
            path,
            source: error.into(),
        },
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::NoSpace {
            path,
            source: error.into(),
        },
        _ => otherwise(path, error),
    }
}

/// The error for what SQLite said about the records at `path`.
pub(crate) fn from_sqlite(path: &Path, error: rusqlite::Error) -> StoreError {
    let path = path.to_owned();
    match &error {
        rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
            ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt => StoreError::Corrupt {
                path,
                source: error.into(),
            },
            ErrorCode::DiskFull => StoreError::NoSpace {
                path,
                source: error.into(),
            },
            ErrorCode::SystemIoFailure if is_write_failure(failure.extended_code) => {
                StoreError::NoSpace {
                    path,
                    source: error.into(),
                }
            }
            ErrorCode::ReadOnly => StoreError::ReadOnly {
                path,
                source: error.into(),
            },
            ErrorCode::PermissionDenied => StoreError::Permission {
                path,
                source: error.into(),
            },
            ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::Busy {
                path,
                source: error.into(),
            },
            ErrorCode::CannotOpen => cannot_open(path, error),
            _ => statement(path, error),
        },
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::Utf8Error(..)
        | rusqlite::Error::QueryReturnedNoRows => StoreError::Corrupt {
            path,
            source: error.into(),
        },
        _ => statement(path, error),
    }
}

fn statement(path: PathBuf, error: rusqlite::Error) -> StoreError {
    StoreError::Statement {
        path,
        source: error.into(),
    }
}

/// SQLite answers with `SQLITE_FULL` only where `write` said so: a file that can't grow for the
/// WAL index, or is full by quota, comes as one of these.
fn is_write_failure(extended_code: i32) -> bool {
    matches!(
        extended_code,
        ffi::SQLITE_IOERR_WRITE | ffi::SQLITE_IOERR_SHMSIZE | ffi::SQLITE_IOERR_TRUNCATE
    )
}

/// SQLite says that it can't open a file, not why: the system is asked again.
fn cannot_open(path: PathBuf, error: rusqlite::Error) -> StoreError {
    use rustix::fs::{Access, access};
    let why = access(&path, Access::READ_OK | Access::WRITE_OK)
        .or_else(|_| access(&path, Access::READ_OK))
        .err();
    match why {
        Some(errno) => from_io(&path, errno.into(), |path, source| StoreError::Open {
            path,
            source: source.into(),
        }),
        None => StoreError::Open {
            path,
            source: error.into(),
        },
    }
}
