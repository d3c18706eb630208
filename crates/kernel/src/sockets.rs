//! Sockets that hold ports (sock_diag(7), `include/uapi/linux/inet_diag.h`), and who has them.

use std::net::Ipv4Addr;
use std::path::Path;

use model::{Family, Proto};
use netstate::Listener;

use crate::error::{KernelError, Listed};
use crate::namespace::{Namespace, or_nothing};
use crate::netlink::{Attrs, Message, read_u16, read_u32};
use crate::rtnl::{REQUEST, family_byte, read_address};

/// `SOCK_DIAG_BY_FAMILY`.
const BY_FAMILY: u16 = 20;
/// Bytes of `struct inet_diag_req_v2` and `struct inet_diag_msg`.
const REQUEST_BYTES: usize = 56;
const ANSWER_BYTES: usize = 72;
/// `INET_DIAG_SKV6ONLY`.
const SKV6ONLY: u16 = 11;
/// `TCP_CLOSE` and `TCP_LISTEN` (`include/net/tcp_states.h`): an unconnected UDP socket is in the
/// former.
const STATE_CLOSE: u32 = 7;
const STATE_LISTEN: u32 = 10;

/// A socket as the kernel tells it.
pub struct Bound {
    pub listener: Listener,
    /// Whether it also takes IPv4, being bound to `::`.
    pub takes_both: bool,
}

/// TCP sockets that listen or UDP ones that are bound and not connected; sorted.
pub fn bound(namespace: &mut Namespace, proto: Proto) -> Result<Vec<Bound>, KernelError> {
    let netns = namespace.netns().clone();
    let states = match proto {
        Proto::Tcp => 1 << STATE_LISTEN,
        Proto::Udp => 1 << STATE_CLOSE,
        // Its sockets have no one address.
        Proto::Sctp => return Ok(Vec::new()),
    };
    let mut all = Vec::new();
    for family in Family::BOTH {
        let answer = namespace
            .sock_diag()?
            .dump(&request(family, proto, states), read);
        all.extend(or_nothing(answer).map_err(Listed::Sockets.failed(&netns))?);
    }
    all.sort_by(|a: &Bound, b| a.listener.cmp(&b.listener));
    Ok(all)
}

pub fn listeners(namespace: &mut Namespace, proto: Proto) -> Result<Vec<Listener>, KernelError> {
    let mut listeners = Vec::new();
    for Bound {
        listener,
        takes_both,
    } in bound(namespace, proto)?
    {
        if takes_both {
            let address = Ipv4Addr::UNSPECIFIED.into();
            let also = Listener {
                address,
                ..listener.clone()
            };
            listeners.push(also);
        }
        listeners.push(listener);
    }
    listeners.sort();
    Ok(listeners)
}

fn request(family: Family, proto: Proto, states: u32) -> Message {
    let mut header = [0; REQUEST_BYTES];
    header[0] = family_byte(family);
    header[1] = proto.number();
    header[4..8].copy_from_slice(&states.to_ne_bytes());
    Message::new(BY_FAMILY, REQUEST, &header)
}

fn read(kind: u16, payload: &[u8]) -> Option<Bound> {
    if kind != BY_FAMILY {
        return None;
    }
    let is_v6 = *payload.first()? == family_byte(Family::Ipv6);
    let port = u16::from_be(read_u16(payload.get(4..)?)?);
    let address = read_address(payload.get(8..if is_v6 { 24 } else { 12 })?)?;
    let inode = read_u32(payload.get(68..)?)?;
    let only_v6 = Attrs::behind(payload, ANSWER_BYTES).get(SKV6ONLY) == Some(&[1]);
    let takes_both = is_v6 && address.is_unspecified() && !only_v6;
    let listener = Listener {
        // An IPv4 address that an IPv6 socket is bound to is that IPv4 address.
        address: address.to_canonical(),
        port,
        inode,
    };
    (port != 0).then_some(Bound {
        listener,
        takes_both,
    })
}

/// Looks for the process that has the socket with this inode, through all of `/proc`: for an
/// error message. Answers its number and the name of its program, at most 15 bytes
/// (proc_pid_comm(5)); `None` where it is not to be seen.
pub fn socket_owner(inode: u32) -> Option<(u32, String)> {
    let wanted = format!("socket:[{inode}]");
    let processes = std::fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let pid = pids.find(|pid| has_descriptor(&format!("/proc/{pid}/fd"), &wanted))?;
    let comm = std::fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some((pid, comm.trim_end().to_owned()))
}

/// Whether a word of a process's command line is just this (proc_pid_cmdline(5)).
pub fn was_told(pid: u32, word: &str) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    line.split(|byte| *byte == 0)
        .any(|told| told == word.as_bytes())
}

fn has_descriptor(dir: &str, wanted: &str) -> bool {
    let Ok(descriptors) = std::fs::read_dir(dir) else {
        return false;
    };
    descriptors
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.path()).ok())
        .any(|leads_to| leads_to == Path::new(wanted))
}
