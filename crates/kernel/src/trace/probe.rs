//! One packet sent from inside a namespace, and what comes of it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use model::Family;
use netstate::trace::{Answer, KnownBy, ProbeProto, TracedFlow};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvFlags, SendFlags, SocketFlags, SocketType, bind, connect,
    getsockname, ipproto, recv, send, socket_with, sockopt,
};

use crate::error::KernelError;
use crate::namespace::Namespace;

/// A socket that is bound and has sent nothing yet.
#[derive(Debug)]
pub struct Probe {
    socket: OwnedFd,
    to: IpAddr,
    proto: ProbeProto,
    /// Its port, or the identifier of its echo request.
    tag: u16,
}

/// What is in a datagram and an echo.
const DATA: &[u8] = b"pontoon trace";
/// An IPv4 header at its longest, an echo's header and our data.
const RECEIVE_BYTES: usize = 256;

impl Probe {
    /// Opens the socket inside `namespace`. `identifier` is an echo's; ports are the kernel's choice.
    pub(crate) fn open(
        namespace: &Namespace,
        to: IpAddr,
        proto: ProbeProto,
        identifier: u16,
    ) -> Result<Self, KernelError> {
        let family = Family::of(to);
        let opened = namespace.visit(|| open(family, proto, identifier))?;
        let (socket, tag) = opened.map_err(|source| KernelError::OpenProbe {
            netns: namespace.netns().clone(),
            source,
        })?;
        Ok(Self {
            socket,
            to,
            proto,
            tag,
        })
    }

    /// Which packets are its own and its answers.
    pub fn flow(&self) -> TracedFlow {
        TracedFlow {
            family: Family::of(self.to),
            proto: self.proto,
            by: KnownBy::Tag(self.tag),
        }
    }

    /// Sends it; an answer where the kernel gives one at once: no route, a rule of the namespace's
    /// own.
    pub fn send(&mut self) -> Option<Answer> {
        self.try_send().err().map(of_errno)
    }

    fn try_send(&mut self) -> Result<(), Errno> {
        let port = match self.proto {
            ProbeProto::Echo => 0,
            ProbeProto::Tcp(port) | ProbeProto::Udp(port) => port,
        };
        match connect(&self.socket, &SocketAddr::new(self.to, port)) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(errno) => return Err(errno),
        }
        let packet = match self.proto {
            ProbeProto::Tcp(_) => return Ok(()),
            ProbeProto::Udp(_) => DATA.to_vec(),
            ProbeProto::Echo => echo_request(Family::of(self.to), self.tag),
        };
        send(&self.socket, &packet, SendFlags::empty()).map(|_| ())
    }

    /// Waits for an answer until `end`.
    pub fn wait(&mut self, end: Instant) -> Answer {
        let events = match self.proto {
            ProbeProto::Tcp(_) => PollFlags::OUT,
            ProbeProto::Echo | ProbeProto::Udp(_) => PollFlags::IN,
        };
        loop {
            let left = end.saturating_duration_since(Instant::now());
            let Ok(left) = Timespec::try_from(left) else {
                return Answer::Silence;
            };
            let mut one = [PollFd::from_borrowed_fd(self.socket.as_fd(), events)];
            match poll(&mut one, Some(&left)) {
                Err(Errno::INTR) => continue,
                Ok(0) | Err(_) => return Answer::Silence,
                Ok(_) => {}
            }
            if let Some(answer) = self.look() {
                return answer;
            }
        }
    }

    /// What is there; `None` for what is no answer to this probe.
    fn look(&self) -> Option<Answer> {
        if let ProbeProto::Tcp(_) = self.proto {
            return Some(match sockopt::socket_error(&self.socket) {
                Ok(Ok(())) => Answer::Answered,
                Ok(Err(errno)) | Err(errno) => of_errno(errno),
            });
        }
        let mut room = [0; RECEIVE_BYTES];
        match recv(&self.socket, &mut room, RecvFlags::DONTWAIT) {
            Ok((_, filled)) => {
                let packet = &room[..filled.min(RECEIVE_BYTES)];
                let is_echo = self.proto == ProbeProto::Echo;
                let is_answer = !is_echo || is_reply(Family::of(self.to), self.tag, packet);
                is_answer.then_some(Answer::Answered)
            }
            Err(Errno::AGAIN | Errno::INTR) => None,
            Err(errno) => Some(of_errno(errno)),
        }
    }
}

fn of_errno(errno: Errno) -> Answer {
    match errno {
        Errno::CONNREFUSED => Answer::Refused,
        Errno::TIMEDOUT => Answer::Silence,
        errno => Answer::Unreachable(std::io::Error::from(errno).to_string()),
    }
}

/// A socket, and the port or identifier that its packets have.
fn open(family: Family, proto: ProbeProto, identifier: u16) -> Result<(OwnedFd, u16), Errno> {
    let (domain, any, icmp): (_, IpAddr, Protocol) = match family {
        Family::Ipv4 => (
            AddressFamily::INET,
            Ipv4Addr::UNSPECIFIED.into(),
            ipproto::ICMP,
        ),
        Family::Ipv6 => (
            AddressFamily::INET6,
            Ipv6Addr::UNSPECIFIED.into(),
            ipproto::ICMPV6,
        ),
    };
    let (kind, protocol) = match proto {
        ProbeProto::Tcp(_) => (SocketType::STREAM, None),
        ProbeProto::Udp(_) => (SocketType::DGRAM, None),
        ProbeProto::Echo => (SocketType::RAW, Some(icmp)),
    };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(domain, kind, flags, protocol)?;
    if proto == ProbeProto::Echo {
        return Ok((socket, identifier));
    }
    bind(&socket, &SocketAddr::new(any, 0))?;
    let bound = SocketAddr::try_from(getsockname(&socket)?)?;
    Ok((socket, bound.port()))
}

/// An echo request with sequence number 1 (RFC 792; RFC 4443 section 4.1, whose checksum the kernel
/// fills in).
fn echo_request(family: Family, identifier: u16) -> Vec<u8> {
    let kind = match family {
        Family::Ipv4 => 8,
        Family::Ipv6 => 128,
    };
    let mut packet = vec![kind, 0, 0, 0];
    packet.extend_from_slice(&identifier.to_be_bytes());
    packet.extend_from_slice(&1u16.to_be_bytes());
    packet.extend_from_slice(DATA);
    if family == Family::Ipv4 {
        let sum = checksum(&packet).to_be_bytes();
        packet[2..4].copy_from_slice(&sum);
    }
    packet
}

/// The internet checksum (RFC 1071).
fn checksum(bytes: &[u8]) -> u16 {
    let pairs = bytes.chunks(2).map(|pair| match pair {
        [a, b] => u32::from(u16::from_be_bytes([*a, *b])),
        [a] => u32::from(u16::from_be_bytes([*a, 0])),
        _ => 0,
    });
    let mut sum: u32 = pairs.sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}

/// Whether what a raw socket got is an echo reply with this identifier: of IPv4 it gets the IP
/// header too (raw(7)), of IPv6 not.
fn is_reply(family: Family, identifier: u16, packet: &[u8]) -> bool {
    let (kind, header) = match family {
        Family::Ipv4 => (0, usize::from(packet.first().map_or(0, |b| b & 0xf)) * 4),
        Family::Ipv6 => (129, 0),
    };
    let Some([found, _, _, _, high, low, ..]) = packet.get(header..) else {
        return false;
    };
    *found == kind && u16::from_be_bytes([*high, *low]) == identifier
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_echo_request_sums_to_nothing() {
        assert_eq!(checksum(&echo_request(Family::Ipv4, 0x1234)), 0);
    }

    #[test]
    fn a_reply_is_known_by_type_and_identifier() {
        let mut reply = vec![0x45; 1];
        reply.resize(20, 0);
        reply.extend_from_slice(&[0, 0, 0, 0, 0x12, 0x34, 0, 1]);
        assert!(is_reply(Family::Ipv4, 0x1234, &reply));
        assert!(!is_reply(Family::Ipv4, 0x1235, &reply));
        assert!(is_reply(Family::Ipv6, 7, &[129, 0, 0, 0, 0, 7, 0, 1]));
        assert!(!is_reply(Family::Ipv6, 7, &[128, 0, 0, 0, 0, 7, 0, 1]));
        assert!(!is_reply(Family::Ipv4, 7, &[0x4f]));
    }
}
