//! What the commands of containers refuse, and the exit codes of the sandbox's errors.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use engine::{ErrorClass, KernelError};
use model::EndpointName;
use sandbox::SandboxError;

#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error(
        "can't run {path}: {source}; it is looked for beside this pontoon: put pontoon-sandbox of the same version there ('make' builds both)"
    )]
    Supervisor { path: PathBuf, source: io::Error },
    #[error(
        "no cgroups are mounted at /sys/fs/cgroup, which containers need; 'mount -t cgroup2 none /sys/fs/cgroup' mounts them"
    )]
    NoCgroups,
    #[error("this machine can't enforce --net-rate: {source}")]
    NetRate { source: KernelError },
    #[error("container {name} did not end within {} s of SIGKILL", bound.as_secs())]
    DoesNotEnd { name: EndpointName, bound: Duration },
    #[error("can't send container {name} a signal: {source}")]
    Signal {
        name: EndpointName,
        source: io::Error,
    },
    #[error("can't read the log of container {name}: {source}")]
    ReadLog {
        name: EndpointName,
        source: io::Error,
    },
}

impl ContainerError {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NoCgroups | Self::NetRate { .. } => ErrorClass::Kernel,
            Self::Supervisor { .. }
            | Self::DoesNotEnd { .. }
            | Self::Signal { .. }
            | Self::ReadLog { .. } => ErrorClass::Other,
        }
    }
}

/// The class of a sandbox's error, for the exit code.
pub fn class_of_sandbox(error: &SandboxError) -> ErrorClass {
    match error {
        SandboxError::NameTaken(_) | SandboxError::Running(_) => ErrorClass::Taken,
        SandboxError::ContainerMissing(_) | SandboxError::NotRunning(_) => ErrorClass::Missing,
        SandboxError::UsersExhausted(_) => ErrorClass::Exhausted,
        SandboxError::TargetMissing(_)
        | SandboxError::TargetPath(_)
        | SandboxError::OpenRoot { .. }
        | SandboxError::OpenMount { .. }
        | SandboxError::NotText(_) => ErrorClass::Usage,
        SandboxError::Limit(_) => ErrorClass::Kernel,
        SandboxError::MemoryInUse { .. } | SandboxError::PidsInUse { .. } => ErrorClass::Taken,
        SandboxError::Make { source, .. }
        | SandboxError::Write { source, .. }
        | SandboxError::Read { source, .. }
        | SandboxError::Remove { source, .. } => match source.kind() {
            io::ErrorKind::PermissionDenied => ErrorClass::Permission,
            _ => ErrorClass::Records,
        },
        SandboxError::Parse { .. } => ErrorClass::Records,
        SandboxError::StillRunning(_)
        | SandboxError::StillForking(_)
        | SandboxError::OwnProcess => ErrorClass::Other,
    }
}
