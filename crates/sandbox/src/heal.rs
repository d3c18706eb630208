//! Containers whose supervisor was killed: what is left of them is ended and removed.
//!
//! What a killed supervisor leaves are processes that live on, a control group, and files. The
//! endpoint is the caller's to detach.

use std::fs;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use rustix::process::Signal;

use crate::cgroup::Cgroups;
use crate::container::{End, Ending, State, Status};
use crate::error::SandboxError;
use crate::place::{Home, Known};
use crate::process::ProcessId;

/// 128 and SIGKILL: what a shell says of what was killed.
const KILLED: u8 = 137;
/// How long killed copies of a supervisor may take to be gone.
const COPIES_BOUND: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

pub fn now_secs() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs()
}

/// Ends what is left of an abandoned container and writes that down.
///
/// # Errors
/// Processes that don't end; files that can't be removed or written.
pub fn end_abandoned(known: &mut Known, cgroups: &Cgroups) -> Result<(), SandboxError> {
    let init = known.status.as_ref().and_then(|status| status.init.clone());
    if let Some(init) = &init {
        // What it does not reach, the group's end does.
        let _ = init.signal(Signal::KILL);
    }
    kill_copies(&known.home)?;
    cgroups.group(&known.container.cgroup).end()?;
    remove_runtime(&known.home)?;
    let end = End {
        why: match &known.status {
            Some(status) if status.started_secs.is_some() => Ending::Lost,
            _ => Ending::NotStarted,
        },
        code: KILLED,
        at_secs: now_secs(),
    };
    let creator = known.container.creator.clone();
    let status = known.status.get_or_insert(Status {
        supervisor: creator,
        init: None,
        started_secs: None,
        end: None,
    });
    status.end = Some(end);
    known.state = State::Ended(end);
    known.home.write_status(status)
}

/// Kills copies of the supervisor that it forked on the way to a container and that don't end with
/// it: they would go on making what is being removed. They have its command line.
fn kill_copies(home: &Home) -> Result<(), SandboxError> {
    let deadline = Instant::now() + COPIES_BOUND;
    loop {
        let copies = copies(home);
        if copies.is_empty() {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err(SandboxError::StillRunning(home.dir().to_owned()));
        }
        for copy in copies {
            let _ = copy.signal(Signal::KILL);
        }
        thread::sleep(PAUSE);
    }
}

fn copies(home: &Home) -> Vec<ProcessId> {
    let tail = format!("\0supervise\0{}\0", home.dir().display());
    let pids = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = pids.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(|pid: u32| {
        // Held to be the same process from before its command line is read.
        let process = ProcessId::of(pid)?;
        let line = fs::read(format!("/proc/{pid}/cmdline")).ok()?;
        line.ends_with(tail.as_bytes()).then_some(process)
    })
    .collect()
}

/// Removes what the runtime library keeps of a container.
///
/// # Errors
/// A directory that can't be removed.
pub fn remove_runtime(home: &Home) -> Result<(), SandboxError> {
    Home::at(home.file(RUNTIME)).remove()
}

/// The directory of the runtime library in a container's.
pub const RUNTIME: &str = "runtime";
