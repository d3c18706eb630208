//! Connection tracking: ending the connections that a change of published ports leaves wrong
//! (`include/uapi/linux/netfilter/nfnetlink_conntrack.h`).

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{Family, Proto};
use netstate::NodePorts;
use rustix::io::Errno;

use crate::netlink::{Attrs, Message, NetlinkError, Socket};

/// `NFNL_SUBSYS_CTNETLINK` with `IPCTNL_MSG_CT_GET` and `IPCTNL_MSG_CT_DELETE`.
const GET: u16 = 0x101;
const DELETE: u16 = 0x102;
/// What a dump answers with: `IPCTNL_MSG_CT_NEW`.
const NEW: u16 = 0x100;
const CTA_TUPLE_ORIG: u16 = 1;
const CTA_TUPLE_REPLY: u16 = 2;
const CTA_ID: u16 = 12;
const CTA_FILTER: u16 = 25;
const CTA_TUPLE_IP: u16 = 1;
const CTA_TUPLE_PROTO: u16 = 2;
const CTA_IP_V4_SRC: u16 = 1;
const CTA_IP_V4_DST: u16 = 2;
const CTA_IP_V6_SRC: u16 = 3;
const CTA_IP_V6_DST: u16 = 4;
const CTA_PROTO_NUM: u16 = 1;
const CTA_PROTO_DST_PORT: u16 = 3;
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// `CTA_FILTER_F_CTA_IP_SRC` (net/netfilter/nf_internals.h).
const FILTER_IP_SRC: u32 = 1;
const NESTED: u16 = 0x8000;
const REQUEST: u16 = 1;
/// Bytes of `struct nfgenmsg`.
const HEADER: usize = 4;

/// One connection: how the kernel names it, and what it is.
struct Flow {
    original: Vec<u8>,
    id: Vec<u8>,
    proto: u8,
    /// Where the first packet went, and where the answers come from: the same unless translated.
    destination: IpAddr,
    port: u16,
    answers_from: IpAddr,
}

/// Ends every connection whose answers come from `address`.
pub fn forget(socket: &mut Socket, address: IpAddr) -> Result<(), NetlinkError> {
    let filter = list(Family::of(address), Some(address));
    end(socket, &filter, |flow| flow.answers_from == address)
}

/// Ends the UDP connections to these ports that are translated to nowhere. `local` tells the
/// node's own addresses: what only passes through is none of ours.
pub fn forget_early(
    socket: &mut Socket,
    at: &NodePorts,
    local: &BTreeSet<IpAddr>,
) -> Result<(), NetlinkError> {
    let is_local = |address: IpAddr| address.is_loopback() || local.contains(&address);
    let is_bound = |address: IpAddr| at.bind.is_unspecified() || at.bind == address;
    end(socket, &list(Family::of(at.bind), None), |flow| {
        flow.proto == Proto::Udp.number()
            && at.ports.contains(flow.port)
            && flow.answers_from == flow.destination
            && is_bound(flow.destination)
            && is_local(flow.destination)
    })
}

/// Ends the listed connections that are meant. One that ends by itself meanwhile is ended; a
/// kernel without ctnetlink has nothing to end.
fn end(
    socket: &mut Socket,
    list: &Message,
    is_meant: impl Fn(&Flow) -> bool,
) -> Result<(), NetlinkError> {
    let read = |kind, payload: &[u8]| read(kind, payload).filter(|flow| is_meant(flow));
    let flows = match socket.dump(list, read) {
        Err(error) if matches!(error.errno, Errno::OPNOTSUPP | Errno::INVAL) => return Ok(()),
        flows => flows?,
    };
    for flow in flows {
        match socket.request(delete(&flow)) {
            Err(error) if error.errno == Errno::NOENT => {}
            result => result?,
        }
    }
    Ok(())
}

fn message(kind: u16, family: Family) -> Message {
    let family = match family {
        Family::Ipv4 => libc::AF_INET,
        Family::Ipv6 => libc::AF_INET6,
    };
    Message::new(kind, REQUEST, &[family as u8, 0, 0, 0])
}

/// Lists a family's connections: those with answers from `address` where it is given. Kernels
/// before 5.8 list all of the family, and so we ask where it is IPv6: the kernel's filter by IPv6
/// address gives those that differ (`ctnetlink_filter_match_tuple`,
/// net/netfilter/nf_conntrack_netlink.c, 6.18).
fn list(family: Family, answers_from: Option<IpAddr>) -> Message {
    let mut message = message(GET, family);
    if let Some(IpAddr::V4(address)) = answers_from {
        message.nest(CTA_TUPLE_REPLY, |tuple| {
            tuple.nest(CTA_TUPLE_IP, |ip| {
                ip.attr(CTA_IP_V4_SRC, &address.octets());
            });
        });
        message.nest(CTA_FILTER, |filter| {
            filter.attr(CTA_FILTER_REPLY_FLAGS, &FILTER_IP_SRC.to_ne_bytes());
        });
    }
    message
}

fn read(kind: u16, payload: &[u8]) -> Option<Flow> {
    let attrs = Attrs::behind(payload, HEADER);
    let original = attrs.nested(CTA_TUPLE_ORIG);
    let proto = original.nested(CTA_TUPLE_PROTO);
    let (_, destination) = addresses(original)?;
    let (answers_from, _) = addresses(attrs.nested(CTA_TUPLE_REPLY))?;
    let port = proto
        .get(CTA_PROTO_DST_PORT)
        .and_then(|bytes| bytes.first_chunk());
    (kind == NEW).then_some(Flow {
        original: attrs.get(CTA_TUPLE_ORIG)?.to_vec(),
        id: attrs.get(CTA_ID)?.to_vec(),
        proto: *proto.get(CTA_PROTO_NUM)?.first()?,
        destination,
        port: port.map_or(0, |port| u16::from_be_bytes(*port)),
        answers_from,
    })
}

/// Source and destination of a tuple.
fn addresses(tuple: Attrs<'_>) -> Option<(IpAddr, IpAddr)> {
    let ip = tuple.nested(CTA_TUPLE_IP);
    let v4 = |kind| ip.get(kind)?.first_chunk::<4>().map(|b| IpAddr::from(*b));
    let v6 = |kind| ip.get(kind)?.first_chunk::<16>().map(|b| IpAddr::from(*b));
    let both = v4(CTA_IP_V4_SRC).zip(v4(CTA_IP_V4_DST));
    both.or_else(|| v6(CTA_IP_V6_SRC).zip(v6(CTA_IP_V6_DST)))
}

fn delete(flow: &Flow) -> Message {
    let mut message = message(DELETE, Family::of(flow.destination));
    message
        .attr(CTA_TUPLE_ORIG | NESTED, &flow.original)
        .attr(CTA_ID, &flow.id);
    message
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(bytes: Vec<u8>) {
            let _ = read(NEW, &bytes);
        }
    }
}
