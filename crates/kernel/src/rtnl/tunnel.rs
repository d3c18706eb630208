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

/// The sender of a packet that does not fit hears of it, also where the device forwards it.
pub fn put(data: &mut Message, tunnel: &Tunnel) {
    data.attr(TTL, &[TUNNEL_TTL]).attr(PROTO, &[ANY_PROTO]);
    match tunnel {
        Tunnel::Ipv4 { local } => data
            .attr(LOCAL, &address_bytes((*local).into()))
            .attr(PMTUDISC, &[1]),
        Tunnel::Ipv6 { local, remote } => data
            .attr(LOCAL, &address_bytes((*local).into()))
            .attr(REMOTE, &address_bytes((*remote).into()))
            .attr(ENCAP_LIMIT, &[0])
            .attr(FLAGS, &IGN_ENCAP_LIMIT.to_ne_bytes()),
    };
}

/// The device as one of ours; `None` where it carries one family, or leads elsewhere than ours do.
pub fn read(data: Attrs<'_>) -> Option<Tunnel> {
    if data.get(PROTO) != Some(&[ANY_PROTO]) {
        return None;
    }
    let remote = data.get(REMOTE).and_then(read_address);
    let remote = remote.filter(|remote| !remote.is_unspecified());
    match (data.get(LOCAL).and_then(read_address)?, remote) {
        (IpAddr::V4(local), None) => Some(Tunnel::Ipv4 { local }),
        (IpAddr::V6(local), Some(IpAddr::V6(remote))) => Some(Tunnel::Ipv6 { local, remote }),
        (IpAddr::V4(_), Some(_)) | (IpAddr::V6(_), _) => None,
    }
}
