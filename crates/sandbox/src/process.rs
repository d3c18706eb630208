//! Processes that stay the same after a look away: a number alone may be another's by now.

use std::fs;

use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};

/// A process, by its number, when it began, and the boot that counts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    pub pid: u32,
    /// Clock ticks between boot and its begin (proc_pid_stat(5), field 22).
    pub started: u64,
    pub boot: String,
}

impl ProcessId {
    /// The process with this number now; `None` where there is none, or a dead one that nobody
    /// has waited for.
    pub fn of(pid: u32) -> Option<Self> {
        Some(Self {
            pid,
            started: started(pid)?,
            boot: boot()?,
        })
    }

    pub fn own() -> Option<Self> {
        Self::of(std::process::id())
    }

    pub fn is_alive(&self) -> bool {
        Self::of(self.pid).as_ref() == Some(self)
    }

    /// Holds the process, where it is alive: from then on its number is nobody else's.
    pub fn hold(&self) -> Option<OwnedFd> {
        let held = pidfd_open(Pid::from_raw(self.pid.cast_signed())?, PidfdFlags::empty()).ok()?;
        self.is_alive().then_some(held)
    }

    /// Sends a signal. Answers whether there was somebody to get it.
    ///
    /// # Errors
    /// What the kernel says to it, other than that the process is gone.
    pub fn signal(&self, signal: Signal) -> Result<bool, Errno> {
        let Some(held) = self.hold() else {
            return Ok(false);
        };
        match pidfd_send_signal(&held, signal) {
            Ok(()) => Ok(true),
            Err(Errno::SRCH) => Ok(false),
            Err(errno) => Err(errno),
        }
    }

    /// Has the process ended, politely or not.
    ///
    /// # Errors
    /// As [`Self::signal`].
    pub fn end(&self, how: How) -> Result<bool, Errno> {
        self.signal(match how {
            How::Term => Signal::TERM,
            How::Kill => Signal::KILL,
        })
    }
}

/// How a process is ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// It may clean up.
    Term,
    Kill,
}

fn boot() -> Option<String> {
    let text = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(text.trim().to_owned())
}

fn started(pid: u32) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse_started(&stat)
}

/// The second field is a name in parentheses that may hold anything, also parentheses.
fn parse_started(stat: &str) -> Option<u64> {
    let (_, rest) = stat.rsplit_once(") ")?;
    let mut fields = rest.split(' ');
    let state = fields.next()?;
    if matches!(state, "Z" | "X") {
        return None;
    }
    // The state is field 3, the start is field 22.
    fields.nth(18)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_itself_and_no_other() {
        let own = ProcessId::own().unwrap();
        assert!(own.is_alive());
        let mut earlier = own.clone();
        earlier.started -= 1;
        assert!(!earlier.is_alive());
        let mut other_boot = own;
        other_boot.boot = "another".into();
        assert!(!other_boot.is_alive());
    }

    #[test]
    fn hostile_process_names_do_not_move_the_fields() {
        let tail = "S 1 1 1 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 777 1 2 3";
        assert_eq!(
            parse_started(&format!("9 (a) b) ({tail}) {tail}")),
            Some(777)
        );
        assert_eq!(
            parse_started(&format!("9 (sh) {}", tail.replace('S', "Z"))),
            None
        );
        assert_eq!(parse_started("9 (sh)"), None);
    }
}
