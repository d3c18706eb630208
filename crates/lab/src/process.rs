//! Processes by the namespaces they are in, read from /proc (proc(5)).

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};

use crate::error::LabError;
use crate::mounts;

/// How long a process that is asked to end may take, before it is killed.
const END_BOUND: Duration = Duration::from_secs(5);
/// How long killed processes may take to end.
const KILL_BOUND: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Namespaces, held: the kernel gives the number of one that is gone to the next that is made.
#[derive(Debug, Default)]
pub struct Namespaces {
    identities: BTreeSet<(u64, u64)>,
    _held: Vec<File>,
}

impl Namespaces {
    pub fn of(held: Vec<File>) -> Self {
        Self {
            identities: held.iter().filter_map(mounts::identity_of).collect(),
            _held: held,
        }
    }

    fn contains(&self, identity: (u64, u64)) -> bool {
        self.identities.contains(&identity)
    }
}

/// Every process that runs.
fn all() -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Whether a process is in one of these namespaces. One that has ended is in none.
fn is_in(pid: u32, namespaces: &Namespaces) -> bool {
    let file = |word: &str| PathBuf::from(format!("/proc/{pid}/ns/{word}"));
    ["net", "mnt", "uts"]
        .iter()
        .filter_map(|word| mounts::identity(&file(word)))
        .any(|identity| namespaces.contains(identity))
}

/// The processes in the network namespace that a file stands for, and their command lines.
pub fn in_netns(file: &Path) -> Vec<(u32, Vec<String>)> {
    let Some(held) = mounts::hold_namespace(file) else {
        return Vec::new();
    };
    let there = Namespaces::of(vec![held]);
    let pids = all().into_iter().filter(|pid| is_in(*pid, &there));
    pids.map(|pid| (pid, command_line(pid))).collect()
}

fn command_line(pid: u32) -> Vec<String> {
    let bytes = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = bytes.split(|byte| *byte == 0);
    words
        .map(|word| String::from_utf8_lossy(word).into_owned())
        .collect()
}

/// Kills every process in these namespaces but this one, and those they start meanwhile, and waits
/// until they have ended. Answers how many there were.
pub fn kill_all(namespaces: &Namespaces) -> Result<usize, LabError> {
    let deadline = Instant::now() + KILL_BOUND;
    let own = std::process::id();
    let mut killed = BTreeSet::new();
    loop {
        let there: Vec<u32> = all()
            .into_iter()
            .filter(|pid| *pid != own && is_in(*pid, namespaces))
            .collect();
        if there.is_empty() {
            return Ok(killed.len());
        }
        if Instant::now() > deadline {
            return Err(LabError::StillRunning(there));
        }
        for pid in there {
            kill(pid, namespaces);
            killed.insert(pid);
        }
        thread::sleep(PAUSE);
    }
}

/// Asks a process in the network namespace of `file` to end, kills it where it does not, and waits
/// until it has. Success where it has ended.
pub fn end(pid: u32, file: &Path) -> Result<(), LabError> {
    let there = Namespaces::of(mounts::hold_namespace(file).into_iter().collect());
    let pid_of = Pid::from_raw(pid.cast_signed());
    let Some(Ok(process)) = pid_of.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return Ok(());
    };
    // Looked at once it is held: its number may be another's by now.
    if !is_in(pid, &there) {
        return Ok(());
    }
    for (signal, bound) in [(Signal::TERM, END_BOUND), (Signal::KILL, KILL_BOUND)] {
        let _ = pidfd_send_signal(&process, signal);
        let bound = Timespec::try_from(bound).ok();
        // A process that has ended is readable (pidfd_open(2)).
        let mut ended = [PollFd::new(&process, PollFlags::IN)];
        if poll(&mut ended, bound.as_ref()).is_ok_and(|number| number > 0) {
            return Ok(());
        }
    }
    Err(LabError::StillRunning(vec![pid]))
}

/// Looks again once the process is held: its number may be another's by now. What can't be killed
/// is found by the next look.
fn kill(pid: u32, namespaces: &Namespaces) {
    let pid_of = Pid::from_raw(pid.cast_signed());
    let Some(Ok(process)) = pid_of.map(|pid| pidfd_open(pid, PidfdFlags::empty())) else {
        return;
    };
    if is_in(pid, namespaces) {
        let _ = pidfd_send_signal(&process, Signal::KILL);
    }
}
