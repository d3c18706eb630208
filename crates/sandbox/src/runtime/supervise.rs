//! The course of one container, from its files to its end.

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio as ProcessStdio};

use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, pidfd_open, waitpid};

use super::ahead::Ahead;
use super::create::{self, Made};
use super::error::RuntimeError;
use super::pump::Pump;
use super::signals;
use crate::cgroup::{Cgroups, Part};
use crate::container::{Container, End, Ending, Status};
use crate::error::SandboxError;
use crate::heal::{now_secs, remove_runtime};
use crate::log::Log;
use crate::place::Home;
use crate::process::ProcessId;

/// What `pontoon run -d` waits to hear.
pub const READY: &str = "ready\n";

/// How it went.
#[derive(Debug)]
pub struct Ended {
    pub code: u8,
    /// What could not be cleaned up; the next command that looks does it.
    pub complaints: Vec<RuntimeError>,
}

struct Course<'a> {
    home: &'a Home,
    container: Container,
    status: Status,
    cgroups: Cgroups,
}

/// Runs the container of this home to its end.
///
/// # Errors
/// A container that could not be started; nothing of it is left but its files.
pub fn supervise(home: &Home) -> Result<Ended, RuntimeError> {
    let known = home.look()?.ok_or(SandboxError::OwnProcess)?;
    let container = known.container;
    if container.stdio.is_detached() {
        // Fails for who leads a session already, which is as good.
        let _ = rustix::process::setsid();
    }
    let mut course = Course {
        home,
        container,
        status: Status {
            supervisor: ProcessId::own().ok_or(SandboxError::OwnProcess)?,
            init: None,
            started_secs: None,
            end: None,
        },
        cgroups: Cgroups::find(),
    };
    course.write_status()?;
    let outcome = course.run();
    let (end, failure) = match outcome {
        Ok(end) => (end, None),
        Err(error) => {
            let end = End {
                why: Ending::NotStarted,
                code: error.code(),
                at_secs: now_secs(),
            };
            (end, Some(error))
        }
    };
    let complaints = course.finish(end);
    match failure {
        Some(error) => {
            // What never ran is no container that has ended; the first error is the one to report.
            let _ = home.remove();
            Err(error)
        }
        None => Ok(Ended {
            code: end.code,
            complaints,
        }),
    }
}

impl Course<'_> {
    fn write_status(&self) -> Result<(), RuntimeError> {
        Ok(self.home.write_status(&self.status)?)
    }

    fn run(&mut self) -> Result<End, RuntimeError> {
        let signals = signals::open().map_err(RuntimeError::Wait)?;
        // The endpoint's namespace is there until the command has ended.
        let ahead = Ahead::make(self.container.users)?;
        let creating = create::begin(self.home, &self.container, &self.cgroups, &ahead)?;
        let attaching = begin(&self.container.calls.created, &[ahead.network_path()]);
        let made = creating.finish();
        // What is attached after the end was cleaned up would stay.
        let attached = attaching.and_then(Begun::wait);
        let made = made?;
        let init = Pid::from_raw(made.init.cast_signed()).ok_or(SandboxError::OwnProcess)?;
        let held = pidfd_open(init, PidfdFlags::empty())?;
        let outcome = attached.and_then(|code| self.check_attached(code));
        let outcome = outcome.and_then(|()| self.start_and_wait(made, &held, &signals));
        if outcome.is_err() {
            let _ = rustix::process::pidfd_send_signal(&held, Signal::KILL);
        }
        let code = waitpid(Some(init), WaitOptions::empty())?;
        outcome?;
        let code = code.map_or(255, |(_, status)| signals::code(status));
        Ok(End {
            why: self.why(code),
            code,
            at_secs: now_secs(),
        })
    }

    fn start_and_wait(
        &mut self,
        made: Made,
        held: &OwnedFd,
        signals: &OwnedFd,
    ) -> Result<(), RuntimeError> {
        let Made {
            init,
            verdict,
            inside,
        } = made;
        let container = &self.container;
        self.status.init = ProcessId::of(init);
        self.write_status()?;
        let (path, limits) = (&container.cgroup, &container.limits);
        self.cgroups.limit(path, limits, None, Part::Command)?;
        create::start(self.home, container)?;
        verdict.wait().map_err(|source| RuntimeError::Command {
            command: container.command.first().cloned().unwrap_or_default(),
            source,
        })?;
        create::set_running(self.home, container)?;
        self.status.started_secs = Some(now_secs());
        self.write_status()?;
        let detached = self.container.stdio.is_detached();
        let log = detached.then(|| Log::new(self.home));
        if detached {
            let_go()?;
        }
        Ok(Pump::new(held, signals, inside, log).run()?)
    }

    /// What became of attaching the endpoint.
    fn check_attached(&self, code: u8) -> Result<(), RuntimeError> {
        match code {
            0 => Ok(()),
            // In the foreground the code is where the command's own would be.
            _ if !self.container.stdio.is_detached() => Err(RuntimeError::Attach { code: 125 }),
            code => Err(RuntimeError::Attach { code }),
        }
    }

    fn why(&self, code: u8) -> Ending {
        let used = self.cgroups.usage(&self.container.cgroup);
        let killed = used.out_of_memory.is_some_and(|processes| processes > 0);
        // What the kernel kills it kills by SIGKILL.
        if killed && code == 137 {
            return Ending::OutOfMemory;
        }
        Ending::Exited
    }

    /// Cleans up; goes on after what can't be.
    fn finish(&mut self, end: End) -> Vec<RuntimeError> {
        self.status.end = Some(end);
        let group = self.cgroups.group(&self.container.cgroup);
        let runtime = remove_runtime(self.home).map_err(RuntimeError::from);
        // The kernel takes its time for either: they take it together.
        let ended = begin(&self.container.calls.ended, &[]);
        let steps = [
            runtime,
            group.end().map_err(RuntimeError::from),
            ended.and_then(Begun::wait).map(|_| ()),
        ];
        let mut complaints: Vec<RuntimeError> = steps.into_iter().filter_map(Result::err).collect();
        if self.home.dir().exists()
            && let Err(error) = self.write_status()
        {
            complaints.push(error);
        }
        complaints
    }
}

/// One of the caller's commands, under way.
struct Begun<'a> {
    program: &'a str,
    /// `None` where there is none to run.
    child: Option<Child>,
}

/// What it says goes where this process's errors go.
fn begin<'a>(line: &'a [String], more: &[String]) -> Result<Begun<'a>, RuntimeError> {
    let Some((program, args)) = line.split_first() else {
        let (program, child) = ("", None);
        return Ok(Begun { program, child });
    };
    let mut command = Command::new(program);
    command
        .args(args)
        .args(more)
        .stdin(ProcessStdio::null())
        .stdout(ProcessStdio::null());
    let child = command.spawn().map_err(|source| RuntimeError::Call {
        program: program.into(),
        source,
    })?;
    let child = Some(child);
    Ok(Begun { program, child })
}

impl Begun<'_> {
    fn wait(self) -> Result<u8, RuntimeError> {
        let Some(mut child) = self.child else {
            return Ok(0);
        };
        let status = child.wait().map_err(|source| RuntimeError::Call {
            program: self.program.into(),
            source,
        })?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        Ok(code.unwrap_or(255))
    }
}

/// Tells who waits that the command runs, and lets go of all that was theirs.
fn let_go() -> Result<(), RuntimeError> {
    let mut stdout = io::stdout();
    // Who does not wait any more need not be told.
    let _ = stdout
        .write_all(READY.as_bytes())
        .and_then(|()| stdout.flush());
    let null = OpenOptions::new().read(true).write(true).open("/dev/null");
    let null = null.map_err(RuntimeError::Wait)?;
    rustix::stdio::dup2_stdin(&null)?;
    rustix::stdio::dup2_stdout(&null)?;
    rustix::stdio::dup2_stderr(&null)?;
    Ok(())
}
