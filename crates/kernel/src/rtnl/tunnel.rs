//! What is particular to IP-in-IP devices (`IFLA_IPTUN_`, `include/uapi/linux/if_tunnel.h`), of
//! the kinds `sit` (net/ipv6/sit.c) and `ip6tnl` (net/ipv6/ip6_tunnel.c).

use std::net::IpAddr;

use netstate::{TUNNEL_TTL, Tunnel};

use super::{address_bytes, read_address};
use crate::netlink::{Attrs, Message};

const LOCAL: u16 = 2;
const REMOTE: u16 = 3;
const TTL: u16 = 4;
const ENCAP_LIMIT: u16 = 6;
const FLAGS: u16 = 8;
const PROTO: u16 = 9;
const PMTUDISC: u16 = 10;

/// Packets of both families (`IPPROTO_IP`, which stands for any here).
const ANY_PROTO: u8 = 0;
/// `IP6_TNL_F_IGN_ENCAP_LIMIT` (`include/uapi/linux/ip6_tunnel.h`): without the destination
/// option that would take 8 bytes of each packet (RFC 2473 section 4.1.1).
const IGN_ENCAP_LIMIT: u32 = 1;

/// Without a remote address: each packet goes to the gateway of its route. The sender of one that
/// does not fit hears of it, also where the device forwards it.
pub fn put(data: &mut Message, tunnel: &Tunnel) {
    data.attr(LOCAL, &address_bytes(tunnel.local))
        .attr(TTL, &[TUNNEL_TTL])
        .attr(PROTO, &[ANY_PROTO]);
    match tunnel.local {
        IpAddr::V4(_) => data.attr(PMTUDISC, &[1]),
        IpAddr::V6(_) => data
            .attr(ENCAP_LIMIT, &[0])
            .attr(FLAGS, &IGN_ENCAP_LIMIT.to_ne_bytes()),
    };
}

/// The device as one of ours; `None` where it leads to one address alone, or carries one family:
/// ours never do.
pub fn read(data: Attrs<'_>) -> Option<Tunnel> {
    let remote = data.get(REMOTE).and_then(read_address);
    let is_open = remote.is_none_or(|remote| remote.is_unspecified());
    let of_any = data.get(PROTO) == Some(&[ANY_PROTO]);
    let local = data.get(LOCAL).and_then(read_address)?;
    (is_open && of_any).then_some(Tunnel { local })
}
