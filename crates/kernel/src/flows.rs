//! Connection tracking: ending the connections that lead to an address
//! (`include/uapi/linux/netfilter/nfnetlink_conntrack.h`).

use std::net::IpAddr;

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
const CTA_FILTER_REPLY_FLAGS: u16 = 2;
/// `CTA_FILTER_F_CTA_IP_SRC` (net/netfilter/nf_internals.h).
const FILTER_IP_SRC: u32 = 1;
const NESTED: u16 = 0x8000;
const REQUEST: u16 = 1;
/// Bytes of `struct nfgenmsg`.
const HEADER: usize = 4;

/// One connection, as the kernel names it.
struct Flow {
    original: Vec<u8>,
    id: Vec<u8>,
}

/// Ends every connection whose replies come from `address`. One that ends by itself meanwhile is
/// ended; a kernel without ctnetlink has nothing to end.
pub fn forget(socket: &mut Socket, address: IpAddr) -> Result<(), NetlinkError> {
    let flows = match socket.dump(&list(address), |kind, payload| read(kind, payload, address)) {
        Err(error) if matches!(error.errno, Errno::OPNOTSUPP | Errno::INVAL) => return Ok(()),
        flows => flows?,
    };
    for flow in flows {
        match socket.request(delete(address, &flow)) {
            Err(error) if error.errno == Errno::NOENT => {}
            result => result?,
        }
    }
    Ok(())
}

fn message(kind: u16, address: IpAddr) -> Message {
    let family = match address {
        IpAddr::V4(_) => libc::AF_INET,
        IpAddr::V6(_) => libc::AF_INET6,
    };
    Message::new(kind, REQUEST, &[family as u8, 0, 0, 0])
}

/// Lists the connections with replies from `address`. Kernels before 5.8 list all of the family.
/// IPv6 is not filtered: the kernel would list exactly those of other addresses
/// (`ctnetlink_filter_match_tuple` in net/netfilter/nf_conntrack_netlink.c, from 5.8 to 6.18).
fn list(address: IpAddr) -> Message {
    let mut message = message(GET, address);
    if address.is_ipv6() {
        return message;
    }
    message.nest(CTA_TUPLE_REPLY, |tuple| {
        tuple.nest(CTA_TUPLE_IP, |ip| {
            ip.attr(source_attr(address), &octets(address));
        });
    });
    message.nest(CTA_FILTER, |filter| {
        filter.attr(CTA_FILTER_REPLY_FLAGS, &FILTER_IP_SRC.to_ne_bytes());
    });
    message
}

/// `CTA_IP_V4_SRC` or `CTA_IP_V6_SRC`.
fn source_attr(address: IpAddr) -> u16 {
    if address.is_ipv4() { 1 } else { 3 }
}

fn octets(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

fn read(kind: u16, payload: &[u8], address: IpAddr) -> Option<Flow> {
    let attrs = Attrs::behind(payload, HEADER);
    let source = attrs
        .nested(CTA_TUPLE_REPLY)
        .nested(CTA_TUPLE_IP)
        .get(source_attr(address));
    let wanted = kind == NEW && source == Some(octets(address).as_slice());
    let flow = || {
        Some(Flow {
            original: attrs.get(CTA_TUPLE_ORIG)?.to_vec(),
            id: attrs.get(CTA_ID)?.to_vec(),
        })
    };
    wanted.then(flow).flatten()
}

fn delete(address: IpAddr, flow: &Flow) -> Message {
    let mut message = message(DELETE, address);
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
            let _ = read(NEW, &bytes, IpAddr::from([10, 0, 0, 2]));
        }
    }
}
