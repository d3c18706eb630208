//! Terminals: the one inside, whose other end the supervisor has, and the person's own.

use std::fs::File;
use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::unix::net::UnixListener;

use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::termios::{
    OptionalActions, Termios, isatty, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize,
};

use super::error::RuntimeError;

/// Takes the other end of the container's terminal, which the library sends.
///
/// # Errors
/// `Terminal`.
pub fn receive(console: &UnixListener) -> Result<File, RuntimeError> {
    let (socket, _) = console.accept().map_err(RuntimeError::Terminal)?;
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 64];
    let mut slices = [IoSliceMut::new(&mut name)];
    let flags = RecvFlags::CMSG_CLOEXEC;
    recvmsg(&socket, &mut slices, &mut control, flags)
        .map_err(|errno| RuntimeError::Terminal(errno.into()))?;
    let mut files = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut files) => files.next(),
        _ => None,
    });
    let missing = || RuntimeError::Terminal(io::ErrorKind::UnexpectedEof.into());
    let master = files.next().ok_or_else(missing)?;
    rustix::io::ioctl_fionbio(&master, true)?;
    Ok(master.into())
}

/// The person's terminal, passing on every key until it is dropped.
#[derive(Debug)]
pub struct Raw {
    before: Option<Termios>,
}

impl Raw {
    /// Where standard input is no terminal there is nothing to change.
    pub fn begin() -> Self {
        let before = tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            // One that can't be changed echoes twice, and works.
            let _ = tcsetattr(io::stdin(), OptionalActions::Now, &raw);
        }
        Self { before }
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        if let Some(before) = &self.before {
            let _ = tcsetattr(io::stdin(), OptionalActions::Drain, before);
        }
    }
}

/// Gives the container's terminal the size of the person's.
pub fn resize(master: &File) {
    let streams = [isatty(io::stdin()), isatty(io::stdout())];
    let size = match streams {
        [true, _] => tcgetwinsize(io::stdin()),
        [_, true] => tcgetwinsize(io::stdout()),
        _ => return,
    };
    if let Ok(size) = size {
        // The kernel tells the processes in front of it.
        let _ = tcsetwinsize(master, size);
    }
}
