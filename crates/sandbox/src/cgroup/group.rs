//! One control group: who is in it, and its end.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::error::SandboxError;

/// How long killed processes may take to be gone.
const END_BOUND: Duration = Duration::from_secs(10);
const PAUSE: Duration = Duration::from_millis(2);

/// A group in every hierarchy, as its directories.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    dirs: Vec<PathBuf>,
}

impl Group {
    pub(super) fn new(dirs: Vec<PathBuf>) -> Self {
        Self { dirs }
    }

    pub fn dirs(&self) -> &[PathBuf] {
        &self.dirs
    }

    pub fn exists(&self) -> bool {
        self.dirs.iter().any(|dir| dir.exists())
    }

    /// The processes in it, by the numbers they have here.
    pub fn processes(&self) -> Vec<Pid> {
        let mut all: Vec<Pid> = Vec::new();
        for dir in &self.dirs {
            let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
            let pids = text.lines().filter_map(|line| line.parse().ok());
            // Zero stands for a process that this namespace has no number for.
            all.extend(pids.filter_map(Pid::from_raw));
        }
        all.sort_by_key(|pid| pid.as_raw_nonzero());
        all.dedup();
        all
    }

    /// Kills what is in it and removes it, with the directories above it that nobody else needs.
    /// What is gone is success.
    ///
    /// # Errors
    /// `StillRunning`; a directory that can't be removed.
    pub fn end(&self) -> Result<(), SandboxError> {
        let deadline = Instant::now() + END_BOUND;
        for dir in &self.dirs {
            loop {
                // A number would be another's only if the kernel had given out all numbers once
                // since it was read.
                for pid in self.processes() {
                    let _ = kill_process(pid, Signal::KILL);
                }
                match fs::remove_dir(dir) {
                    Ok(()) => break,
                    Err(error) if error.kind() == ErrorKind::NotFound => break,
                    Err(error) if error.kind() == ErrorKind::ResourceBusy => {}
                    Err(source) => {
                        let path = dir.clone();
                        return Err(SandboxError::Remove { path, source });
                    }
                }
                if Instant::now() > deadline {
                    return Err(SandboxError::StillRunning(dir.clone()));
                }
                thread::sleep(PAUSE);
            }
            remove_empty_parents(dir);
        }
        Ok(())
    }
}

/// Up to and with `pontoon`. Another container's group keeps them; then they stay.
fn remove_empty_parents(dir: &Path) {
    let mut above = dir.parent();
    while let Some(dir) = above {
        let is_ours = dir.components().any(|part| part.as_os_str() == "pontoon");
        if !is_ours || fs::remove_dir(dir).is_err() {
            return;
        }
        above = dir.parent();
    }
}
