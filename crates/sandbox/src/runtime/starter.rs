//! The last steps of a process on its way to the command, inside: die with the supervisor, take
//! the filter of system calls, run.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use libcontainer::oci_spec::runtime::Spec;
use libcontainer::workload::{Executor, ExecutorError, ExecutorValidationError};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Signal, set_parent_process_death_signal};
use seccompiler::{BpfProgram, apply_filter};

use super::error::RuntimeError;
use super::join::Users;
use super::{init, signals};

/// What the process becomes.
#[derive(Debug, Clone)]
pub enum Role {
    /// The container's first process, which runs the command as its child.
    Init,
    /// The command itself, in a container that is there, as one of its users where it
    /// has users of its own.
    Joined(Option<Users>),
}

/// Handed through the library to the process inside.
#[derive(Clone)]
pub struct Starter {
    role: Role,
    filter: Vec<BpfProgram>,
    /// Where it says why the command could not be run. Closed by running it.
    verdict: RawFd,
}

/// The other end: what became of running the command.
#[derive(Debug)]
pub struct Verdict {
    read: File,
    /// Kept for the process inside, and closed here once it is there.
    write: Option<OwnedFd>,
}

impl Starter {
    /// # Errors
    /// No more descriptors.
    pub fn new(role: Role, filter: Vec<BpfProgram>) -> Result<(Self, Verdict), RuntimeError> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        let starter = Self {
            role,
            filter,
            verdict: write.as_raw_fd(),
        };
        let read = read.into();
        let write = Some(write);
        Ok((starter, Verdict { read, write }))
    }
}

impl Verdict {
    /// Waits until the command runs, or can't.
    ///
    /// # Errors
    /// What the kernel says to running the command.
    pub fn wait(mut self) -> io::Result<()> {
        self.write = None;
        let mut said = Vec::new();
        self.read.read_to_end(&mut said)?;
        match <[u8; 4]>::try_from(said.as_slice()) {
            Ok(errno) => Err(io::Error::from_raw_os_error(i32::from_ne_bytes(errno))),
            Err(_) => Ok(()),
        }
    }
}

impl Executor for Starter {
    fn exec(&self, spec: &Spec) -> Result<(), ExecutorError> {
        let process = spec.process().as_ref();
        let line = process.and_then(|process| process.args().as_ref());
        let line = line.ok_or(ExecutorError::InvalidArg)?;
        let mut verdict = take_verdict(self.verdict);
        let begun = self.enclose().and_then(|()| match &self.role {
            Role::Init => init::run(line, &mut verdict),
            Role::Joined(_) => Err(run(line)),
        });
        begun.map_err(|error| {
            tell(&mut verdict, &error);
            ExecutorError::Execution(Box::new(error))
        })
    }

    /// Whether the command is there is found by running it: anything looked at before may change.
    fn validate(&self, _: &Spec) -> Result<(), ExecutorValidationError> {
        Ok(())
    }
}

impl Starter {
    fn enclose(&self) -> io::Result<()> {
        if let Role::Joined(Some(users)) = &self.role {
            users.join()?;
        }
        // After the users: the kernel forgets it with a change of them.
        set_parent_process_death_signal(Some(Signal::KILL))?;
        let load = |program: &BpfProgram| apply_filter(program).map_err(io::Error::other);
        self.filter.iter().try_for_each(load)
    }
}

#[allow(unsafe_code)]
fn take_verdict(fd: RawFd) -> File {
    // SAFETY: the descriptor was opened in `Starter::new` by the process that this one is a copy
    // of, and in this process nobody else has it.
    unsafe { File::from_raw_fd(fd) }
}

/// Becomes the command. Comes back only where that fails.
pub fn run(line: &[String]) -> io::Error {
    signals::unblock_all();
    match line.split_first() {
        Some((program, args)) => Command::new(program).args(args).exec(),
        None => io::ErrorKind::InvalidInput.into(),
    }
}

/// Says why the command could not be run.
pub fn tell(verdict: &mut File, error: &io::Error) {
    let errno = error.raw_os_error().unwrap_or(libc::EINVAL);
    // Where nobody listens any more, the exit code tells.
    let _ = verdict.write_all(&errno.to_ne_bytes());
}
