//! A socket that asks nothing and hears what the kernel tells everybody of changes.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{RecvFlags, SocketFlags, bind, recv};

use super::socket::{Messages, set_int};
use super::{NetlinkError, Protocol, port};

/// A notice is one small message, a dump's part is none.
const RECEIVE_BYTES: usize = 64 * 1024;
/// What the kernel keeps for us while we are busy: some thousand notices.
const QUEUE_BYTES: libc::c_int = 4 * 1024 * 1024;

/// Who asked for a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Author {
    /// A process of ours.
    Ours,
    /// Another process, by netlink.
    Stranger,
    /// It followed from something else, or came by another way than netlink.
    Nobody,
}

impl Author {
    fn of(port: u32) -> Self {
        match port {
            0 => Self::Nobody,
            port if port::is_ours(port) => Self::Ours,
            _ => Self::Stranger,
        }
    }
}

/// One change that the kernel tells of.
#[derive(Debug, Clone, Copy)]
pub struct Notice<'a> {
    /// The message's type.
    pub kind: u16,
    pub author: Author,
    pub payload: &'a [u8],
}

/// A socket of the namespace that its thread was in when it was opened.
#[derive(Debug)]
pub struct Listener {
    fd: OwnedFd,
    received: Vec<u8>,
}

impl Listener {
    /// Hears the groups with these numbers, all below 33, from now on.
    ///
    /// # Errors
    /// What socket(2) or bind(2) says.
    pub fn open(protocol: Protocol, groups: &[u32]) -> Result<Self, NetlinkError> {
        let fd = protocol.socket(SocketFlags::NONBLOCK)?;
        set_int(&fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, QUEUE_BYTES);
        let mask = groups.iter().fold(0, |mask, group| mask | 1 << (group - 1));
        bind(&fd, &SocketAddrNetlink::new(0, mask))?;
        Ok(Self {
            fd,
            received: Vec::with_capacity(RECEIVE_BYTES),
        })
    }

    /// Gives `each` what has come; answers at once. False where something was lost because too
    /// much came.
    ///
    /// # Errors
    /// What recv(2) says.
    pub fn hear(&mut self, mut each: impl FnMut(Notice<'_>)) -> Result<bool, NetlinkError> {
        let mut whole = true;
        loop {
            self.received.clear();
            match recv(
                &self.fd,
                spare_capacity(&mut self.received),
                RecvFlags::empty(),
            ) {
                Ok(_) => {}
                Err(Errno::INTR) => continue,
                Err(Errno::NOBUFS) => {
                    whole = false;
                    continue;
                }
                Err(Errno::AGAIN) => return Ok(whole),
                Err(errno) => return Err(errno.into()),
            }
            for message in Messages(&self.received) {
                each(Notice {
                    kind: message.kind,
                    author: Author::of(message.port),
                    payload: message.payload,
                });
            }
        }
    }
}

/// Waits until one of some has something; false at the deadline.
///
/// # Errors
/// What poll(2) says.
pub fn wait_for_any<const N: usize>(
    listeners: [&Listener; N],
    deadline: Instant,
) -> Result<bool, Errno> {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(|_| Errno::INVAL)?;
        let mut all = listeners.map(|one| PollFd::from_borrowed_fd(one.fd.as_fd(), PollFlags::IN));
        match poll(&mut all, Some(&left)) {
            Err(Errno::INTR) => {}
            outcome => return outcome.map(|ready| ready > 0),
        }
    }
}
