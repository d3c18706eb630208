//! What can go wrong with a container: what was tried, on what, what was said.

use std::io;
use std::num::NonZeroU32;
use std::path::PathBuf;

use model::EndpointName;

use crate::cgroup::Unenforceable;
use crate::limit::Bytes;

#[derive(Debug, thiserror::Error)]
pub enum SandboxError {
    #[error(
        "there is a container {0} already; 'pontoon rm {0}' removes it, --name chooses another"
    )]
    NameTaken(EndpointName),
    #[error("there is no container {0}; 'pontoon ps --all' shows what there is")]
    ContainerMissing(EndpointName),
    #[error("container {0} is not running")]
    NotRunning(EndpointName),
    #[error("container {0} is running; 'pontoon stop {0}' ends it, or 'pontoon rm --force {0}'")]
    Running(EndpointName),
    #[error(
        "no range of user numbers is free: {0} containers have one each; --user-ns host needs none"
    )]
    UsersExhausted(usize),
    #[error(transparent)]
    Limit(#[from] Unenforceable),
    #[error("can't use {path} as root of a container: {source}")]
    OpenRoot { path: PathBuf, source: io::Error },
    #[error("can't mount {path} into a container: {source}")]
    OpenMount { path: PathBuf, source: io::Error },
    #[error(
        "can't mount on {0}: the machine's own files are for reading alone, and it is not there; choose a directory that is, or a new one directly below /"
    )]
    TargetMissing(PathBuf),
    #[error("can't mount on {0}: it must be an absolute path without '..', and not / itself")]
    TargetPath(PathBuf),
    #[error("can't make {path}: {source}")]
    Make { path: PathBuf, source: io::Error },
    #[error("can't write {path}: {source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("can't read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{path} is not what a container's files hold: {source}")]
    Parse {
        path: PathBuf,
        source: serde_json::Error,
    },
    #[error("can't remove {path}: {source}")]
    Remove { path: PathBuf, source: io::Error },
    #[error("the processes in cgroup {0} don't end")]
    StillRunning(PathBuf),
    #[error(
        "can't lower --memory to {}: {used_bytes} bytes are in use, and the kernel can't take back enough; nothing was changed",
        .limit.map_or_else(|| "that".to_owned(), |limit| limit.to_string())
    )]
    MemoryInUse {
        limit: Option<Bytes>,
        used_bytes: u64,
    },
    #[error("can't lower --pids to {limit}: there are {used} processes; nothing was changed")]
    PidsInUse { limit: NonZeroU32, used: u64 },
    #[error("can't move all processes into {0}: new ones are forked all the time")]
    StillForking(PathBuf),
    #[error("{0} is not text in UTF-8")]
    NotText(PathBuf),
    #[error("can't find out about this process in /proc")]
    OwnProcess,
}
