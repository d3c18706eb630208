//! The maker: a copy of the supervisor that calls the runtime library, in the container's group,
//! and is gone when the library is done. The supervisor itself never is in the group, which would
//! count it; what the library forks are the supervisor's children all the same.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use libcontainer::error::LibcontainerError;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, set_parent_process_death_signal, setpgid,
    waitpgid, waitpid,
};

use super::error::{RuntimeError, causes};
use crate::cgroup::{Entry, REFUSED, hide, leave};

/// Whether the library may see the machine's groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Groups<'a> {
    /// Whatever hides them, these files and directories stay.
    Hidden(Vec<&'a Path>),
    Shown,
}

/// What became of the library's work.
#[derive(Debug)]
pub enum Made {
    /// The first process, by its number.
    Process(u32),
    /// What the library says.
    Refused(String),
    /// The maker was killed.
    Died,
}

/// A maker at work.
#[derive(Debug)]
pub struct Maker {
    process: Pid,
    answers: File,
}

impl Maker {
    /// Has work done by a maker.
    ///
    /// # Errors
    /// A maker that can't be forked.
    pub fn begin(
        entry: &Entry,
        groups: &Groups<'_>,
        work: impl FnOnce() -> Result<u32, LibcontainerError>,
    ) -> Result<Self, RuntimeError> {
        let (answers, answer) = pipe_with(PipeFlags::CLOEXEC)?;
        match entry.fork().map_err(RuntimeError::Maker)? {
            Some(process) => Ok(Self {
                process,
                answers: answers.into(),
            }),
            None => be_maker(answer, groups, work),
        }
    }

    /// Waits for its answer and its end.
    ///
    /// # Errors
    /// A maker that its group did not take.
    pub fn finish(self) -> Result<Made, RuntimeError> {
        let maker = self.process;
        // The maker's own children have the other end too: its answer tells its own length.
        let made = listen(self.answers, maker);
        let ended = waitpid(Some(maker), WaitOptions::empty())?;
        // What the library forked on the way; the container's first process leads a group of its
        // own.
        while let Ok(Some(_)) = waitpgid(maker, WaitOptions::empty()) {}
        let status = ended.and_then(|(_, status)| status.exit_status());
        if status == Some(i32::from(REFUSED)) {
            return Err(RuntimeError::Maker(io::ErrorKind::PermissionDenied.into()));
        }
        made.map_err(RuntimeError::Maker)
    }
}

fn be_maker(
    answer: OwnedFd,
    groups: &Groups<'_>,
    work: impl FnOnce() -> Result<u32, LibcontainerError>,
) -> ! {
    let outcome = prepare(groups)
        .map_err(|error| error.to_string())
        .and_then(|()| work().map_err(|error| causes(&error)));
    let (number, said) = match outcome {
        Ok(pid) => (pid, String::new()),
        Err(said) => (0, said),
    };
    let length = u32::try_from(said.len()).unwrap_or_default();
    let head = [number.to_ne_bytes(), length.to_ne_bytes()].concat();
    let mut answer = File::from(answer);
    // Who is not there any more needs no answer.
    let _ = answer.write_all(&[&head, said.as_bytes()].concat());
    leave(0)
}

fn prepare(groups: &Groups<'_>) -> io::Result<()> {
    set_parent_process_death_signal(Some(Signal::KILL))?;
    setpgid(None, None)?;
    match groups {
        Groups::Hidden(kept) => hide(kept),
        Groups::Shown => Ok(()),
    }
}

fn listen(mut answers: File, maker: Pid) -> io::Result<Made> {
    let held = pidfd_open(maker, PidfdFlags::empty())?;
    loop {
        let mut fds = [
            PollFd::from_borrowed_fd(answers.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(held.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if fds[0].revents().contains(PollFlags::IN) {
            return read(&mut answers);
        }
        if fds.iter().any(|fd| !fd.revents().is_empty()) {
            return Ok(Made::Died);
        }
    }
}

fn read(answers: &mut File) -> io::Result<Made> {
    let (mut number, mut length) = ([0; 4], [0; 4]);
    answers.read_exact(&mut number)?;
    answers.read_exact(&mut length)?;
    let number = u32::from_ne_bytes(number);
    if number != 0 {
        return Ok(Made::Process(number));
    }
    let mut said = Vec::new();
    let length = u64::from(u32::from_ne_bytes(length));
    answers.take(length).read_to_end(&mut said)?;
    Ok(Made::Refused(String::from_utf8_lossy(&said).into_owned()))
}
