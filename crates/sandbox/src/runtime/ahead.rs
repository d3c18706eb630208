//! Namespaces that are made ahead of the container: its users', and the network's, which these
//! own. So its endpoint is attached while the library makes the rest.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitOptions, waitpid};

use super::error::RuntimeError;
use crate::cgroup::{clone3, leave};
use crate::container::Users;
use crate::users;

/// Namespaces without a process in them: they are there as long as this is.
#[derive(Debug)]
pub struct Ahead {
    /// `None` where the container's users are the machine's.
    users: Option<File>,
    network: File,
}

impl Ahead {
    /// # Errors
    /// What the kernel says to making them.
    pub fn make(users: Users) -> Result<Self, RuntimeError> {
        let (held, end) = pipe_with(PipeFlags::CLOEXEC)?;
        let child = fork(users).map_err(RuntimeError::Ahead)?;
        let Some(child) = child else {
            stay(held, end);
        };
        drop(held);
        let made = look(child, users).map_err(RuntimeError::Ahead);
        drop(end);
        waitpid(Some(child), WaitOptions::empty())?;
        made
    }

    /// Where others find the network's, as long as this process has it.
    pub fn network_path(&self) -> String {
        let own = std::process::id();
        format!("/proc/{own}/fd/{}", self.network.as_raw_fd())
    }

    /// The same for copies of this process.
    pub fn own_paths(&self) -> (Option<String>, String) {
        let path = |file: &File| format!("/proc/self/fd/{}", file.as_raw_fd());
        (self.users.as_ref().map(path), path(&self.network))
    }
}

/// A child in the new namespaces. The kernel makes that of the users first, and gives it the other.
#[allow(unsafe_code)]
fn fork(users: Users) -> io::Result<Option<Pid>> {
    let of_users = match users {
        Users::Host => 0,
        Users::Range { .. } => libc::CLONE_NEWUSER,
    };
    // SAFETY: numbers only, of which zero stands for none.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = u64::from((libc::CLONE_NEWNET | of_users).unsigned_abs());
    args.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    clone3(&mut args)
}

/// In the child: keeps the namespaces until the parent has them, or is dead.
fn stay(held: OwnedFd, end: OwnedFd) -> ! {
    drop(end);
    let _ = File::from(held).read(&mut [0]);
    leave(0)
}

fn look(child: Pid, users: Users) -> io::Result<Ahead> {
    let dir = format!("/proc/{}", child.as_raw_nonzero());
    let network = File::open(format!("{dir}/ns/net"))?;
    let Some(first) = users.first() else {
        let users = None;
        return Ok(Ahead { users, network });
    };
    let all = format!("0 {first} {}\n", users::SIZE);
    fs::write(format!("{dir}/uid_map"), &all)?;
    fs::write(format!("{dir}/gid_map"), &all)?;
    let users = Some(File::open(format!("{dir}/ns/user"))?);
    Ok(Ahead { users, network })
}
