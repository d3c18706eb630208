//! Containers from plain processes: namespaces and cgroups.
//!
//! Two halves. What every command needs is light: what was asked for (`container`), where it is
//! written down (`place`), the OCI bundle (`bundle`), limits and control groups (`limit`,
//! `cgroup`), its namespaces (`namespaces`), and healing what a killed supervisor left (`heal`). The other half, `runtime`, is
//! the supervisor: a process of its own for each container, on libcontainer. `pontoon` links the
//! first alone, and starts `pontoon-sandbox` for the second.
//!
//! Nothing here knows of networks: endpoints are attached and detached by commands that the caller
//! gives (`Calls`).

pub mod bundle;
pub mod cgroup;
pub mod container;
mod error;
mod heal;
mod inherited;
pub mod limit;
mod log;
mod namespaces;
mod place;
mod process;
pub mod runtime;
mod seccomp;
mod users;

pub use error::SandboxError;
pub use heal::{end_abandoned, now_secs, remove_runtime};
pub use inherited::close_inherited;
pub use log::{Entry, Reader, Stream};
pub use namespaces::{InNamespace, Whose, namespaces};
pub use place::{Home, Known, Place};
pub use process::{How, ProcessId};
pub use users::free_range;
