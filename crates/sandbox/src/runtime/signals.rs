//! Signals as something to wait for: all are blocked, and taken one by one.

use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{FromRawFd, OwnedFd};

use rustix::process::{Signal, WaitStatus};

/// What a supervisor passes on. Those that stop or end the supervisor by force can't be caught,
/// and faults are its own.
const PASSED: [libc::c_int; 9] = [
    libc::SIGHUP,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGTERM,
    libc::SIGUSR1,
    libc::SIGUSR2,
    libc::SIGALRM,
    libc::SIGCONT,
    libc::SIGWINCH,
];

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Caught {
    /// A child has changed its state.
    Child,
    Signal(Signal),
}

/// The exit code of a process that has ended, as a shell counts.
pub fn code(status: WaitStatus) -> u8 {
    let code = status.exit_status().or_else(|| {
        let signal = status.terminating_signal();
        signal.map(|signal| 128 + signal)
    });
    u8::try_from(code.unwrap_or(255)).unwrap_or(255)
}

/// Blocks every signal, for a process that waits for them.
#[allow(unsafe_code)]
pub fn block_all() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigfillset(3) fills the set before sigprocmask(2) reads it; no old set is asked for.
    unsafe {
        libc::sigfillset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// Blocks none, for a process that is about to become a command.
#[allow(unsafe_code)]
pub fn unblock_all() {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) makes the set before sigprocmask(2) reads it.
    unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        libc::sigprocmask(libc::SIG_SETMASK, set.as_ptr(), std::ptr::null_mut());
    }
}

/// The next signal of a process that has blocked all.
#[allow(unsafe_code)]
pub fn wait() -> Caught {
    let mut set = MaybeUninit::uninit();
    loop {
        // SAFETY: as above; nothing is asked for but the number.
        let number = unsafe {
            libc::sigfillset(set.as_mut_ptr());
            libc::sigwaitinfo(set.as_ptr(), std::ptr::null_mut())
        };
        if number == libc::SIGCHLD {
            return Caught::Child;
        }
        if let Some(signal) = Signal::from_named_raw(number) {
            return Caught::Signal(signal);
        }
    }
}

/// The signals that are to be passed on, as a file to poll.
///
/// # Errors
/// No more descriptors.
#[allow(unsafe_code)]
pub fn open() -> io::Result<OwnedFd> {
    let mut set = MaybeUninit::uninit();
    // SAFETY: sigemptyset(3) makes the set before anything reads it; every number in `PASSED` is
    // a signal's.
    let fd = unsafe {
        libc::sigemptyset(set.as_mut_ptr());
        for signal in PASSED {
            libc::sigaddset(set.as_mut_ptr(), signal);
        }
        libc::sigprocmask(libc::SIG_BLOCK, set.as_ptr(), std::ptr::null_mut());
        libc::signalfd(-1, set.as_ptr(), libc::SFD_CLOEXEC | libc::SFD_NONBLOCK)
    };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just opened it for us.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Takes the next signal from the file; `None` where there is none now.
pub fn read(file: &OwnedFd) -> Option<Signal> {
    // `ssi_signo` comes first (signalfd(2)); the structure is 128 bytes.
    let mut record = [0_u8; 128];
    let length = rustix::io::read(file, &mut record).ok()?;
    if length < record.len() {
        return None;
    }
    let number = i32::from_ne_bytes([record[0], record[1], record[2], record[3]]);
    Signal::from_named_raw(number)
}
