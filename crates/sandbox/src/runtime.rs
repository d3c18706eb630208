//! The runtime: a process of its own for each container, on youki's libcontainer.
//!
//! `pontoon-sandbox` is this and nothing else, so that what libcontainer brings costs `pontoon`
//! nothing: every attach is a start of `pontoon`. The library forks, and so must be called by a
//! process with one thread; and a container needs a process that outlives `pontoon run -d`, keeps
//! its log, reaps it and tells how it ended. That is the same process: the supervisor.
//!
//! Its course: make the namespace of the network and have the endpoint attached to it
//! (`Calls::created`), meanwhile have the library make the rest, in the control group; start the
//! command, wait, remove the control group, write the end down, have the endpoint detached
//! (`Calls::ended`).

mod ahead;
mod create;
mod error;
mod exec;
mod filter;
mod init;
mod inner;
mod join;
mod maker;
mod pump;
mod signals;
mod starter;
mod supervise;
mod terminal;

pub use error::RuntimeError;
pub use exec::Terminal;
pub use exec::{Exec, exec};
pub use supervise::{Ended, READY, supervise};
