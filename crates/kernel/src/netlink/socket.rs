//! A synchronous netlink socket: one request at a time.

use std::os::fd::{AsRawFd, OwnedFd};

use rustix::buffer::spare_capacity;
use rustix::io::Errno;
use rustix::net::netlink;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt,
};

use super::message::{Attrs, HEADER, Message, read_u16, read_u32};
use super::port;

/// Enough for any answer: the kernel fills at most 32 KiB a read (`NLMSG_GOODSIZE`,
/// `netlink_dump`).
const RECEIVE_BYTES: usize = 64 * 1024;
/// What one queued answer costs of the receive buffer (`skb->truesize`), with room to spare.
const ANSWER_BYTES: usize = 1024;
/// How long the kernel may take for one answer, in seconds.
const TIMEOUT_SECS: u64 = 20;
/// How often a dump that the kernel marks as torn is asked for again.
const DUMP_TRIES: u32 = 8;

/// `include/uapi/asm-generic/socket.h`.
const SO_NETNS_COOKIE: libc::c_int = 71;
const NLM_F_ACK: u16 = 0x4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_DUMP_INTR: u16 = 0x10;
const NLM_F_CAPPED: u16 = 0x100;
const NLM_F_ACK_TLVS: u16 = 0x200;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLMSGERR_ATTR_MSG: u16 = 1;

/// The kernel subsystems we talk to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    Route,
    Netfilter,
    SockDiag,
}

impl Protocol {
    pub(super) fn socket(self, flags: SocketFlags) -> Result<OwnedFd, Errno> {
        let number = match self {
            // NETLINK_ROUTE is 0, which rustix writes as no protocol.
            Self::Route => None,
            Self::Netfilter => Some(netlink::NETFILTER),
            Self::SockDiag => Some(netlink::SOCK_DIAG),
        };
        let flags = flags | SocketFlags::CLOEXEC;
        socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, number)
    }
}

/// What the kernel said.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{}", errno_text(*errno), detail.as_ref().map(|d| format!(" ({d})")).unwrap_or_default())]
pub struct NetlinkError {
    pub errno: Errno,
    /// The kernel's own sentence (extended acknowledgement), where it gave one.
    pub detail: Option<String>,
}

fn errno_text(errno: Errno) -> String {
    std::io::Error::from(errno).to_string()
}

impl From<Errno> for NetlinkError {
    fn from(errno: Errno) -> Self {
        Self {
            errno,
            detail: None,
        }
    }
}

/// One message received.
pub(super) struct Received<'a> {
    pub(super) kind: u16,
    flags: u16,
    seq: u32,
    /// The netlink port of the socket that asked for it; 0 where nobody did.
    pub(super) port: u32,
    pub(super) payload: &'a [u8],
}

/// A socket of one namespace: the one its thread was in when it was opened.
#[derive(Debug)]
pub struct Socket {
    fd: OwnedFd,
    seq: u32,
    /// The last datagram. What the kernel does not fill is never touched.
    received: Vec<u8>,
}

impl Socket {
    /// # Errors
    /// What socket(2) or bind(2) says.
    pub fn open(protocol: Protocol) -> Result<Self, NetlinkError> {
        let fd = protocol.socket(SocketFlags::empty())?;
        port::bind_marked(&fd)?;
        let timeout = Some(std::time::Duration::from_secs(TIMEOUT_SECS));
        sockopt::set_socket_timeout(&fd, sockopt::Timeout::Recv, timeout)?;
        set_option(&fd, libc::NETLINK_EXT_ACK);
        set_option(&fd, libc::NETLINK_CAP_ACK);
        set_option(&fd, libc::NETLINK_GET_STRICT_CHK);
        Ok(Self {
            fd,
            seq: 0,
            received: Vec::with_capacity(RECEIVE_BYTES),
        })
    }

    /// Sends a change and waits for the kernel's yes or no.
    ///
    /// # Errors
    /// The kernel's no.
    pub fn request(&mut self, message: Message) -> Result<(), NetlinkError> {
        let seq = self.send_one(message, NLM_F_ACK)?;
        self.receive(seq, |_, _| {}, End::Ack).map(|_| ())
    }

    /// Asks for one object; `read` gets the type and payload of the answer.
    ///
    /// # Errors
    /// The kernel's no, ENOENT or ENODEV where the object doesn't exist.
    pub fn get<T>(
        &mut self,
        message: Message,
        mut read: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Result<Option<T>, NetlinkError> {
        let seq = self.send_one(message, NLM_F_ACK)?;
        let mut answer = None;
        self.receive(seq, |kind, payload| answer = read(kind, payload), End::Ack)?;
        Ok(answer)
    }

    /// Asks for all objects of a kind. A dump that changed under way is taken again, so `read`
    /// answers a fresh collection each time.
    ///
    /// # Errors
    /// The kernel's no, or EINTR after [`DUMP_TRIES`] torn dumps.
    pub fn dump<T>(
        &mut self,
        message: &Message,
        mut read: impl FnMut(u16, &[u8]) -> Option<T>,
    ) -> Result<Vec<T>, NetlinkError> {
        for _ in 0..DUMP_TRIES {
            let seq = self.send_one(message.clone(), NLM_F_DUMP)?;
            let mut all = Vec::new();
            let whole = self.receive(seq, |k, p| all.extend(read(k, p)), End::Done)?;
            if whole {
                return Ok(all);
            }
        }
        Err(Errno::INTR.into())
    }

    /// Sends messages in one write, as nfnetlink batches need, and collects the index of every
    /// refused message and why. `acks` says which messages are answered in any case; the kernel
    /// answers in the order of the messages, so that it is enough if the last one is.
    ///
    /// # Errors
    /// Where sending or receiving itself fails.
    pub fn batch(
        &mut self,
        messages: Vec<Message>,
        acks: impl Fn(usize) -> bool,
    ) -> Result<Vec<(usize, NetlinkError)>, NetlinkError> {
        let first = self.seq.wrapping_add(1);
        let count = messages.len();
        let mut bytes = Vec::new();
        let mut expected = 0;
        for (index, message) in messages.into_iter().enumerate() {
            self.seq = self.seq.wrapping_add(1);
            let ack = if acks(index) { NLM_F_ACK } else { 0 };
            expected += usize::from(acks(index));
            bytes.extend_from_slice(&message.finish(self.seq, ack));
        }
        // A batch is also what its answers take: each is one small datagram.
        self.make_room(bytes.len().max(count.saturating_mul(ANSWER_BYTES)));
        send(&self.fd, &bytes, SendFlags::empty())?;
        let mut refused = Vec::new();
        let mut answered = 0;
        while answered < expected {
            self.receive_datagram()?;
            for received in Messages(&self.received) {
                let index = received.seq.wrapping_sub(first) as usize;
                if received.kind != NLMSG_ERROR || index >= count {
                    continue;
                }
                answered += usize::from(acks(index));
                if let Some(error) = error_of(&received) {
                    // A batch refused as a whole is answered once, with its first message.
                    if index == 0 && !acks(index) {
                        answered = expected;
                    }
                    refused.push((index, error));
                }
            }
        }
        Ok(refused)
    }

    /// The cookie of the namespace the socket was opened in (`SO_NETNS_COOKIE`, socket(7)).
    ///
    /// # Errors
    /// ENOPROTOOPT before Linux 5.14.
    #[allow(unsafe_code)]
    pub fn netns_cookie(&self) -> Result<u64, NetlinkError> {
        let mut cookie = 0u64;
        let mut len = size_of::<u64>() as libc::socklen_t;
        // SAFETY: the descriptor is open, and the pointers are to a live u64 and its length.
        let code = unsafe {
            libc::getsockopt(
                self.fd.as_raw_fd(),
                libc::SOL_SOCKET,
                SO_NETNS_COOKIE,
                (&raw mut cookie).cast(),
                &raw mut len,
            )
        };
        if code != 0 {
            let error = std::io::Error::last_os_error();
            return Err(Errno::from_io_error(&error).unwrap_or(Errno::IO).into());
        }
        Ok(cookie)
    }

    fn send_one(&mut self, message: Message, flags: u16) -> Result<u32, NetlinkError> {
        self.seq = self.seq.wrapping_add(1);
        // NLM_F_REQUEST is in every message.
        let bytes = message.finish(self.seq, flags | 1);
        send(&self.fd, &bytes, SendFlags::empty())?;
        Ok(self.seq)
    }

    /// A send buffer and a receive buffer for a batch of `bytes`: at the least the kernel's
    /// default. CAP_NET_ADMIN may go above `net.core.wmem_max`; without it the batch fails later.
    fn make_room(&self, bytes: usize) {
        let wanted = libc::c_int::try_from(bytes.saturating_mul(2)).unwrap_or(libc::c_int::MAX);
        if bytes > RECEIVE_BYTES {
            set_int(&self.fd, libc::SOL_SOCKET, libc::SO_SNDBUFFORCE, wanted);
            set_int(&self.fd, libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, wanted);
        }
    }

    fn receive_datagram(&mut self) -> Result<(), NetlinkError> {
        loop {
            self.received.clear();
            let room = spare_capacity(&mut self.received);
            match recv(&self.fd, room, RecvFlags::empty()) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }

    /// Reads up to the end of one answer. Answers whether it is whole (no dump interruption).
    fn receive(
        &mut self,
        seq: u32,
        mut each: impl FnMut(u16, &[u8]),
        end: End,
    ) -> Result<bool, NetlinkError> {
        let mut whole = true;
        loop {
            self.receive_datagram()?;
            for received in Messages(&self.received) {
                if received.seq != seq {
                    continue;
                }
                whole &= received.flags & NLM_F_DUMP_INTR == 0;
                match received.kind {
                    NLMSG_ERROR => {
                        return match error_of(&received) {
                            Some(error) => Err(error),
                            None => Ok(whole),
                        };
                    }
                    NLMSG_DONE if end == End::Done => {
                        return match dump_error(received.payload) {
                            Some(error) => Err(error),
                            None => Ok(whole),
                        };
                    }
                    kind => each(kind, received.payload),
                }
            }
        }
    }
}

/// What closes an answer.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Ack,
    Done,
}

/// The messages of one datagram. Ends at the first malformed one.
pub(super) struct Messages<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Messages<'a> {
    type Item = Received<'a>;

    fn next(&mut self) -> Option<Received<'a>> {
        let len = read_u32(self.0)? as usize;
        let payload = self.0.get(HEADER..len)?;
        let received = Received {
            kind: read_u16(&self.0[4..])?,
            flags: read_u16(&self.0[6..])?,
            seq: read_u32(&self.0[8..])?,
            port: read_u32(&self.0[12..])?,
            payload,
        };
        self.0 = self.0.get(len.next_multiple_of(4)..).unwrap_or_default();
        Some(received)
    }
}

/// The error in an NLMSG_ERROR message; `None` for an acknowledgement.
fn error_of(received: &Received<'_>) -> Option<NetlinkError> {
    let code = read_u32(received.payload)? as i32;
    if code == 0 {
        return None;
    }
    // Behind the code stands the refused message's header, and all of it unless capped.
    let quoted = read_u32(received.payload.get(4..)?).map_or(0, |len| len as usize);
    let capped = received.flags & NLM_F_CAPPED != 0;
    let skipped = 4 + if capped { HEADER } else { quoted };
    let has_detail = received.flags & NLM_F_ACK_TLVS != 0;
    let detail = has_detail
        .then(|| Attrs::behind(received.payload, skipped).text(NLMSGERR_ATTR_MSG))
        .flatten();
    Some(NetlinkError {
        errno: Errno::from_raw_os_error(-code),
        detail: detail.map(str::to_owned),
    })
}

fn dump_error(payload: &[u8]) -> Option<NetlinkError> {
    let code = read_u32(payload)? as i32;
    (code < 0).then(|| Errno::from_raw_os_error(-code).into())
}

fn set_option(fd: &OwnedFd, option: libc::c_int) {
    set_int(fd, libc::SOL_NETLINK, option, 1);
}

/// Sets an integer option. An old kernel without it only gives poorer answers.
#[allow(unsafe_code)]
pub(super) fn set_int(fd: &OwnedFd, level: libc::c_int, option: libc::c_int, value: libc::c_int) {
    // SAFETY: the descriptor is open, and the pointer and length are those of a live c_int.
    unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            level,
            option,
            (&raw const value).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}
