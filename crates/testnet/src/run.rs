//! Running a command to its end, within a bound, with all it said.

use std::fmt;
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Signal, kill_process_group, set_parent_process_death_signal};

use crate::patience::patient;

/// How long one command may take.
pub const COMMAND_BOUND: Duration = Duration::from_secs(60);

/// How a command ended and what it said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// The exit code; 128 and the signal's number where a signal ended it, as a shell counts.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Output {
    #[must_use]
    pub fn success(&self) -> bool {
        self.code == 0
    }

    /// What it printed, when it succeeded.
    ///
    /// # Panics
    /// When it failed, with all it said.
    #[must_use]
    pub fn expect_success(self, what: &str) -> String {
        assert!(self.success(), "{what}: {self}");
        self.stdout
    }
}

impl fmt::Display for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "exit code {}", self.code)?;
        writeln!(f, "stdout: {}", self.stdout.trim_end())?;
        write!(f, "stderr: {}", self.stderr.trim_end())
    }
}

/// Runs `command` to its end, within [`COMMAND_BOUND`].
///
/// # Panics
/// When it cannot be started or does not end in time.
pub fn output(command: &mut Command) -> Output {
    output_within(COMMAND_BOUND, command)
}

/// Runs `command` to its end, that is until it and whoever shares its output have ended.
///
/// # Panics
/// When it cannot be started, and when it does not end within `bound`; it is killed then, with the
/// processes it started.
pub fn output_within(bound: Duration, command: &mut Command) -> Output {
    let bound = patient(bound);
    let deadline = Instant::now() + bound;
    let mut child = spawn(command);
    let mut said = [
        Said::new(child.stdout.take().map(OwnedFd::from)),
        Said::new(child.stderr.take().map(OwnedFd::from)),
    ];
    let mut in_time = true;
    while in_time && said.iter().any(|said| said.pipe.is_some()) {
        in_time = wait_readable(&said, deadline);
        said.iter_mut().for_each(Said::read);
    }
    if !in_time {
        kill_group(&child);
    }
    let status = child
        .wait()
        .unwrap_or_else(|error| panic!("cannot wait for {command:?}: {error}"));
    let [stdout, stderr] = said.map(Said::into_text);
    let output = Output {
        code: code_of(status),
        stdout,
        stderr,
    };
    assert!(
        in_time,
        "{command:?} did not end within {bound:?}: {output}"
    );
    output
}

fn spawn(command: &mut Command) -> Child {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap_or_else(|error| {
            panic!("cannot start {command:?}: {error} (does scripts/setup install it?)")
        })
}

/// Makes a child of `command` die with the thread that starts it, so that a killed test leaves no
/// process behind.
#[allow(unsafe_code)]
pub(crate) fn die_with_the_test(command: &mut Command) {
    // SAFETY: between fork and exec the closure makes one prctl(2) call: it allocates nothing and
    // takes no lock.
    unsafe {
        command.pre_exec(|| Ok(set_parent_process_death_signal(Some(Signal::KILL))?));
    }
}

/// True when a pipe has something to read or is at its end, false at the deadline.
fn wait_readable(said: &[Said], deadline: Instant) -> bool {
    let mut polled: Vec<PollFd<'_>> = said
        .iter()
        .filter_map(|said| said.pipe.as_ref())
        .map(|pipe| PollFd::from_borrowed_fd(pipe.as_fd(), PollFlags::IN))
        .collect();
    let left = deadline.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).expect("bounds are below an age");
    poll(&mut polled, Some(&left)).is_ok_and(|ready| ready > 0)
}

fn kill_group(child: &Child) {
    if let Some(group) = Pid::from_raw(child.id().cast_signed()) {
        // Gone already is as good as killed.
        let _ = kill_process_group(group, Signal::KILL);
    }
}

fn code_of(status: ExitStatus) -> i32 {
    status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .expect("a process that has ended has a code or a signal")
}

/// One stream of a child.
struct Said {
    /// None once it has ended.
    pipe: Option<std::fs::File>,
    bytes: Vec<u8>,
}

impl Said {
    fn new(pipe: Option<OwnedFd>) -> Self {
        let pipe = pipe.expect("the stream is piped");
        rustix::io::ioctl_fionbio(&pipe, true).expect("a pipe can be read without waiting");
        Self {
            pipe: Some(pipe.into()),
            bytes: Vec::new(),
        }
    }

    fn read(&mut self) {
        let Some(pipe) = &mut self.pipe else { return };
        let outcome = pipe.read_to_end(&mut self.bytes);
        let more_may_come =
            matches!(&outcome, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock);
        if !more_may_come {
            self.pipe = None;
        }
    }

    fn into_text(self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }
}
