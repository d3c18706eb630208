//! Questions to the kernel about traffic control at a device, by netlink (man 7 rtnetlink).

use std::io;
use std::time::Duration;

use rustix::fd::OwnedFd;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, send, socket_with, sockopt,
};

const RTM_GETQDISC: u16 = 38;
const RTM_GETTFILTER: u16 = 46;
/// A description's type, from that of the question for it: `RTM_NEWQDISC` is 36.
const NEW_FROM_GET: u16 = 2;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
/// The description goes to who listens; with this, to who asks too.
const NLM_F_ECHO: u16 = 8;
const NLMSG_ERROR: u16 = 2;
const ENOENT: i32 = 2;
const EINVAL: i32 = 22;
const TCA_KIND: u16 = 1;
const TCA_OPTIONS: u16 = 2;
/// Of a filter (`include/uapi/linux/pkt_cls.h`).
const TCA_BPF_ID: u16 = 11;
/// An attribute's kind without its flags.
const NLA_TYPE_MASK: u16 = 0x3fff;
const ETH_P_ALL: u16 = 3;
/// How long the kernel may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(20);
const HEADER: usize = 16;
const TCMSG: usize = 20;
/// One description, with its statistics, is shorter.
const ANSWER_BYTES: usize = 8192;

pub(crate) struct Socket(OwnedFd);

impl Socket {
    pub fn open() -> io::Result<Self> {
        let flags = SocketFlags::CLOEXEC;
        // NETLINK_ROUTE is 0, which rustix writes as no protocol.
        let socket = socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
        sockopt::set_socket_timeout(&socket, sockopt::Timeout::Recv, Some(TIMEOUT))?;
        Ok(Self(socket))
    }

    /// The kind of the qdisc at a place; the kernel describes nothing where there is none but its
    /// own "no queue".
    pub fn qdisc_kind(&self, ifindex: u32, parent: u32) -> io::Result<Option<String>> {
        let answer = self.ask(RTM_GETQDISC, ifindex, [0, parent, 0])?;
        Ok(answer.map(|attributes| {
            let kind = attribute(&attributes, TCA_KIND).unwrap_or_default();
            let text = kind.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(text).into_owned()
        }))
    }

    /// The number of the program that the filter at a place runs, where it is one of BPF.
    pub fn filter_program(
        &self,
        ifindex: u32,
        parent: u32,
        priority: u16,
        handle: u32,
    ) -> io::Result<Option<u32>> {
        let info = u32::from(priority) << 16 | u32::from(ETH_P_ALL.to_be());
        let answer = self.ask(RTM_GETTFILTER, ifindex, [handle, parent, info])?;
        let id = answer.as_deref().and_then(|attributes| {
            let options = attribute(attributes, TCA_OPTIONS)?;
            attribute(options, TCA_BPF_ID)?.first_chunk().copied()
        });
        Ok(id.map(u32::from_ne_bytes))
    }

    /// The attributes of what is described, where there is such a thing. `words`: the handle, the
    /// parent and the rest of `struct tcmsg`.
    fn ask(&self, question: u16, ifindex: u32, words: [u32; 3]) -> io::Result<Option<Vec<u8>>> {
        let mut request = Vec::with_capacity(HEADER + TCMSG);
        request.extend(((HEADER + TCMSG) as u32).to_ne_bytes());
        request.extend(question.to_ne_bytes());
        request.extend((NLM_F_REQUEST | NLM_F_ACK | NLM_F_ECHO).to_ne_bytes());
        request.extend([0; 8]);
        request.extend([0; 4]);
        request.extend(ifindex.to_ne_bytes());
        request.extend(words.into_iter().flat_map(u32::to_ne_bytes));
        send(&self.0, &request, SendFlags::empty())?;
        let mut described = None;
        let mut buffer = [0; ANSWER_BYTES];
        // The description, where there is one, then the acknowledgement.
        loop {
            let (received, _) = recv(&self.0, &mut buffer, RecvFlags::empty())?;
            let answer = buffer.get(..received).unwrap_or_default();
            match u16_at(answer, 4) {
                Some(NLMSG_ERROR) => {
                    return match errno_in(answer) {
                        0 | ENOENT | EINVAL => Ok(described),
                        errno => Err(io::Error::from_raw_os_error(errno)),
                    };
                }
                Some(kind) if kind == question - NEW_FROM_GET => {
                    described = Some(answer.get(HEADER + TCMSG..).unwrap_or_default().to_vec());
                }
                _ => return Err(io::ErrorKind::InvalidData.into()),
            }
        }
    }
}

fn errno_in(answer: &[u8]) -> i32 {
    let bytes = answer.get(HEADER..).and_then(<[u8]>::first_chunk);
    bytes.map_or(0, |bytes| i32::from_ne_bytes(*bytes).saturating_neg())
}

fn attribute(mut attributes: &[u8], wanted: u16) -> Option<&[u8]> {
    loop {
        let length = usize::from(u16_at(attributes, 0)?);
        if u16_at(attributes, 2)? & NLA_TYPE_MASK == wanted {
            return attributes.get(4..length);
        }
        attributes = attributes.get(length.next_multiple_of(4).max(4)..)?;
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    let bytes = bytes.get(at..)?.first_chunk()?;
    Some(u16::from_ne_bytes(*bytes))
}
