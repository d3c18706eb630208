//! The first process of a container: runs the command as its child, passes signals on, reaps.
//!
//! The kernel keeps signals without a handler from a first process (pid_namespaces(7)): a command
//! that were it would not end by Ctrl-C. This one is a copy of the supervisor that never runs
//! another program; it can't be looked at from inside, since it is not dumpable.

use std::fs::File;
use std::io;

use rustix::process::{
    Pid, Signal, WaitOptions, getpid, kill_process, kill_process_group, setpgid, wait,
};
use rustix::termios::tcsetpgrp;

use super::signals::{self, Caught};
use super::starter;

const NAME: &std::ffi::CStr = c"pontoon-init";

/// Never comes back where the command could be begun.
pub fn run(line: &[String], verdict: &mut File) -> io::Result<()> {
    // A name is for people.
    let _ = rustix::thread::set_name(NAME);
    signals::block_all();
    let Some(child) = fork()? else {
        become_command(line, verdict);
    };
    // Nothing of the supervisor's stays open here; it waits for the last one that has the verdict.
    close_all();
    leave(look_after(child));
}

/// In the child: the command gets a process group of its own, in front of the terminal if there
/// is one.
fn become_command(line: &[String], verdict: &mut File) -> ! {
    // A child that has just been forked leads nothing and is no session's leader.
    let _ = setpgid(None, None);
    // Without a terminal there is nothing to be in front of. SIGTTOU is blocked.
    let _ = tcsetpgrp(io::stdin(), getpid());
    let error = starter::run(line);
    starter::tell(verdict, &error);
    let missing = error.kind() == io::ErrorKind::NotFound;
    leave(if missing { 127 } else { 126 })
}

/// Answers the child's exit code.
fn look_after(child: Pid) -> u8 {
    loop {
        match signals::wait() {
            Caught::Child => {
                if let Some(code) = reap(child) {
                    return code;
                }
            }
            Caught::Signal(signal) if is_of_terminal(signal) => {
                let _ = kill_process_group(child, signal);
            }
            Caught::Signal(signal) => {
                let _ = kill_process(child, signal);
            }
        }
    }
}

/// What a terminal sends to all processes in front of it.
fn is_of_terminal(signal: Signal) -> bool {
    matches!(
        signal,
        Signal::INT | Signal::QUIT | Signal::HUP | Signal::WINCH | Signal::TSTP | Signal::CONT
    )
}

/// Waits for all that have ended. Answers the command's exit code if it is among them.
fn reap(child: Pid) -> Option<u8> {
    loop {
        match wait(WaitOptions::NOHANG) {
            Ok(Some((pid, status))) if pid == child => return Some(signals::code(status)),
            Ok(Some(_)) => {}
            Ok(None) | Err(_) => return None,
        }
    }
}

#[allow(unsafe_code)]
fn fork() -> io::Result<Option<Pid>> {
    // SAFETY: this process has one thread, so that the child finds no lock held by another.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(Pid::from_raw(pid)),
    }
}

/// Closes all but the standard streams.
#[allow(unsafe_code)]
fn close_all() {
    // SAFETY: this process never comes back to code that owns a descriptor: it ends by _exit(2).
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, 0);
    }
}

#[allow(unsafe_code)]
fn leave(code: u8) -> ! {
    // SAFETY: _exit(2) ends the process and touches no memory of it.
    unsafe { libc::_exit(i32::from(code)) }
}
