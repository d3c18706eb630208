//! Why a port must not have the fast path: something on it that the shortcut would go around
//! (rule R4).
//!
//! The rules of bridge and IP need no look: a proof goes through them. Traffic control does: a
//! queue behind the kernel's way out, or a filter behind our program on the way in, sees nothing
//! of what is redirected.

use std::io;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt,
};

use crate::attach::Hook;

const RTM_GETQDISC: u16 = 38;
const RTM_NEWQDISC: u16 = 36;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// The description goes to who listens; with this, to who asks too.
const NLM_F_ECHO: u16 = 8;
const NLMSG_ERROR: u16 = 2;
const ENOENT: i32 = 2;
const EINVAL: i32 = 22;
const TC_H_ROOT: u32 = 0xffff_ffff;
const TC_H_INGRESS: u32 = 0xffff_fff1;
const TCA_KIND: u16 = 1;
/// How long the kernel may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(20);
const HEADER: usize = 16;
const TCMSG: usize = 20;
/// One qdisc's description, with its statistics, is shorter.
const ANSWER_BYTES: usize = 8192;

/// What stands in the way.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hindrance {
    /// The port is not there.
    NoDevice,
    /// A queueing discipline of this kind is on it: `tbf` limits, `ingress` and `clsact` hold
    /// filters.
    Qdisc(String),
}

/// What a device is to the programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// An endpoint's port, both of whose sides are gone around.
    Port,
    /// Leads to other nodes: what is carried out goes through its queue as everything does.
    Uplink,
}

impl Role {
    fn parents(self) -> &'static [u32] {
        match self {
            Self::Port => &[TC_H_ROOT, TC_H_INGRESS],
            Self::Uplink => &[TC_H_INGRESS],
        }
    }
}

/// What is on the device that our programs must not go around.
pub(crate) fn look(ifindex: u32, hook: Hook, role: Role) -> io::Result<Option<Hindrance>> {
    let flags = SocketFlags::CLOEXEC;
    // NETLINK_ROUTE is 0, which rustix writes as no protocol.
    let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(TIMEOUT))?;
    for parent in role.parents() {
        let Some(kind) = qdisc_kind(&socket, ifindex, *parent)? else {
            continue;
        };
        // Where we need it ourselves its filters are looked through before ours.
        let is_ours = hook == Hook::Clsact && kind == "clsact";
        if kind != "noqueue" && !is_ours {
            return Ok(Some(Hindrance::Qdisc(kind)));
        }
    }
    Ok(None)
}

/// The kind of the qdisc at the root, or of that on the way in; the kernel describes
/// nothing where there is none but its own "no queue".
fn qdisc_kind(socket: &OwnedFd, ifindex: u32, parent: u32) -> io::Result<Option<String>> {
    let mut request = Vec::with_capacity(HEADER + TCMSG);
    request.extend(((HEADER + TCMSG) as u32).to_ne_bytes());
    request.extend(RTM_GETQDISC.to_ne_bytes());
    request.extend((NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO).to_ne_bytes());
    request.extend([0; 8]);
    request.extend([0; 4]);
    request.extend(ifindex.to_ne_bytes());
    request.extend(0_u32.to_ne_bytes());
    request.extend(parent.to_ne_bytes());
    request.extend([0; 4]);
    send(socket, &request, SendFlags::empty())?;
    let mut kind = None;
    let mut buffer = [0; ANSWER_BYTES];
    // The description, where there is one, then the acknowledgement.
    loop {
        let (received, _) = recv(socket, &mut buffer, RecvFlags::empty())?;
        let answer = buffer.get(..received).unwrap_or_default();
        match u16_at(answer, 4) {
            Some(RTM_NEWQDISC) => kind = Some(kind_in(answer).unwrap_or_default()),
            Some(NLMSG_ERROR) => {
                return match errno_in(answer) {
                    0 | ENOENT | EINVAL => Ok(kind),
                    errno => Err(io::Error::from_raw_os_error(errno)),
                };
            }
            _ => return Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

fn errno_in(answer: &[u8]) -> i32 {
    let bytes = answer.get(HEADER..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| i32::from_ne_bytes(*bytes).saturating_neg())
}

fn kind_in(answer: &[u8]) -> Option<String> {
    let mut at = HEADER + TCMSG;
    loop {
        let length = usize::from(u16_at(answer, at)?);
        let value = answer.get(at + 4..at + length)?;
        if u16_at(answer, at + 2)? == TCA_KIND {
            let text = value.split(|byte| *byte == 0).next()?;
            return Some(String::from_utf8_lossy(text).into_owned());
        }
        at += length.next_multiple_of(4).max(4);
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}
