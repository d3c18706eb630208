//! Requests about devices.

use std::os::fd::{AsRawFd, BorrowedFd};

use model::{IfName, Mac, Mtu};
use netstate::{Alias, Link, LinkKind, Peer};

use super::{CREATE, EXCL, REQUEST, tunnel, vxlan};
use crate::netlink::Message;

/// `VETH_INFO_PEER` (`include/uapi/linux/veth.h`).
const VETH_INFO_PEER: u16 = 1;
/// `IFLA_BRPORT_MODE`, which is hairpin (`include/uapi/linux/if_link.h`).
pub(super) const BRPORT_MODE: u16 = 4;
/// `IFLA_BRPORT_NEIGH_SUPPRESS`.
pub(super) const BRPORT_NEIGH_SUPPRESS: u16 = 32;
/// `NETNSA_NSID` and `NETNSA_FD` (`include/uapi/linux/net_namespace.h`).
const NETNSA_NSID: u16 = 1;
const NETNSA_FD: u16 = 3;

const LOOPBACK: &str = "lo";
/// `IFLA_BR_MULTI_BOOLOPT` and the bit of `no_linklocal_learn` in it
/// (`include/uapi/linux/if_link.h`, `if_bridge.h`).
const BR_MULTI_BOOLOPT: u16 = 46;
const NO_LINKLOCAL_LEARN: u32 = 1;
/// `IFLA_BR_MCAST_SNOOPING`.
const BR_MCAST_SNOOPING: u16 = 23;

/// `IFLA_INET6_ADDR_GEN_MODE` and `IN6_ADDR_GEN_MODE_NONE` (`include/uapi/linux/if_link.h`).
const INET6_ADDR_GEN_MODE: u16 = 8;
const ADDR_GEN_MODE_NONE: u8 = 1;

/// Leaves the counters out of answers.
const SKIP_STATS: u32 = libc::RTEXT_FILTER_SKIP_STATS as u32;

/// `struct ifinfomsg` for a device named by an attribute.
fn header(flags: u32, change: u32) -> [u8; 16] {
    let mut header = [0; 16];
    header[8..12].copy_from_slice(&flags.to_ne_bytes());
    header[12..16].copy_from_slice(&change.to_ne_bytes());
    header
}

fn request(kind: u16, flags: u16) -> Message {
    Message::new(kind, REQUEST | flags, &header(0, 0))
}

fn named(kind: u16, name: &IfName) -> Message {
    let mut message = request(kind, 0);
    message.attr_str(libc::IFLA_IFNAME, name.as_str());
    message
}

pub fn get(name: &IfName) -> Message {
    let mut message = named(libc::RTM_GETLINK, name);
    message.attr(libc::IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
    message
}

pub fn get_at(index: u32) -> Message {
    let mut header = header(0, 0);
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let mut message = Message::new(libc::RTM_GETLINK, REQUEST, &header);
    message.attr(libc::IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
    message
}

pub fn dump() -> Message {
    let mut message = request(libc::RTM_GETLINK, 0);
    message.attr(libc::IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
    message
}

/// The indexes of the master and the handle of the target that a new device refers to.
#[derive(Default)]
pub struct Refers<'a> {
    pub master: Option<u32>,
    pub target: Option<BorrowedFd<'a>>,
}

/// The device, in a group by which it is known until it has its mark.
pub fn add(name: &IfName, link: &Link, refers: &Refers<'_>, group: u32) -> Message {
    let mut create = request(libc::RTM_NEWLINK, CREATE | EXCL);
    create
        .attr_str(libc::IFLA_IFNAME, name.as_str())
        .attr(libc::IFLA_GROUP, &group.to_ne_bytes());
    if let Some(mac) = link.mac {
        create.attr(libc::IFLA_ADDRESS, &mac.bytes());
    }
    if let Some(index) = refers.master {
        create.attr(libc::IFLA_MASTER, &index.to_ne_bytes());
    }
    if link.kind != LinkKind::Bridge {
        create.attr(libc::IFLA_MTU, &mtu_bytes(link.mtu));
    }
    if let LinkKind::Veth { .. } = link.kind {
        one_queue(&mut create);
    }
    create.nest(libc::IFLA_LINKINFO, |info| {
        put_kind(info, &link.kind, refers);
    });
    create
}

/// Gives a device that was just made what the kernel takes only from one that exists, its mark
/// above all, and no group.
pub fn finish(name: &IfName, link: &Link) -> Message {
    let mut message = named(libc::RTM_NEWLINK, name);
    message
        .attr(libc::IFLA_GROUP, &0u32.to_ne_bytes())
        .attr(libc::IFLA_IFALIAS, link.alias.to_string().as_bytes());
    match &link.kind {
        // An MTU set on creation is forgotten when the last port goes (`br_mtu_auto_adjust`,
        // net/bridge/br_if.c); one set later is the administrator's.
        LinkKind::Bridge => {
            message.attr(libc::IFLA_MTU, &mtu_bytes(link.mtu));
        }
        LinkKind::Veth { .. } | LinkKind::Vxlan(_) | LinkKind::Ifb | LinkKind::Tunnel(_) => {
            speak_for_nobody(&mut message);
        }
    }
    message
}

fn put_kind(info: &mut Message, kind: &LinkKind, refers: &Refers<'_>) {
    match kind {
        LinkKind::Bridge => {
            info.attr(libc::IFLA_INFO_KIND, b"bridge");
            info.nest(libc::IFLA_INFO_DATA, |data| {
                // Frames to the link-local multicast addresses go around the firewall: the bridge
                // must not learn from them (IEEE 802.1D table 7-10).
                let (value, mask) = (NO_LINKLOCAL_LEARN, NO_LINKLOCAL_LEARN);
                let options = [value.to_ne_bytes(), mask.to_ne_bytes()].concat();
                data.attr(BR_MULTI_BOOLOPT, &options);
                // Nobody asks who listens, so it prunes nothing until a container does; and with it
                // each port that comes up sets a timer of every other (`br_port_state_selection`,
                // net/bridge/br_stp.c).
                data.attr(BR_MCAST_SNOOPING, &[0]);
            });
        }
        LinkKind::Veth { peer, .. } => {
            info.attr(libc::IFLA_INFO_KIND, b"veth");
            if let Some(peer) = peer {
                info.nest(libc::IFLA_INFO_DATA, |data| add_peer(data, peer, refers));
            }
        }
        LinkKind::Vxlan(vxlan) => {
            info.attr(libc::IFLA_INFO_KIND, b"vxlan");
            info.nest(libc::IFLA_INFO_DATA, |data| vxlan::put(data, vxlan));
        }
        LinkKind::Ifb => {
            info.attr(libc::IFLA_INFO_KIND, b"ifb");
        }
        LinkKind::Tunnel(tunnel) => {
            info.attr(libc::IFLA_INFO_KIND, tunnel.kind().as_bytes());
            info.nest(libc::IFLA_INFO_DATA, |data| tunnel::put(data, tunnel));
        }
    }
}

/// Left to choose, the kernel makes a veth device with a queue for each processor, of which it uses
/// one, and waits for two grace periods to put the others aside (`veth_init_queues`,
/// drivers/net/veth.c; `netif_set_real_num_tx_queues`, net/core/dev.c): 10 ms on a busy machine.
fn one_queue(message: &mut Message) {
    let one = 1u32.to_ne_bytes();
    message
        .attr(libc::IFLA_NUM_TX_QUEUES, &one)
        .attr(libc::IFLA_NUM_RX_QUEUES, &one);
}

/// Frames pass it, and it has none of its own: no link-local address, no reports.
fn speak_for_nobody(message: &mut Message) {
    message.nest(libc::IFLA_AF_SPEC, |families| {
        families.nest(libc::AF_INET6 as u16, |ipv6| {
            ipv6.attr(INET6_ADDR_GEN_MODE, &[ADDR_GEN_MODE_NONE]);
        });
    });
}

fn add_peer(data: &mut Message, peer: &Peer, refers: &Refers<'_>) {
    data.nest(VETH_INFO_PEER, |end| {
        end.raw(&header(0, 0))
            .attr_str(libc::IFLA_IFNAME, peer.at.name.as_str())
            .attr(libc::IFLA_ADDRESS, &peer.mac.bytes())
            .attr(libc::IFLA_MTU, &mtu_bytes(peer.mtu));
        one_queue(end);
        if let Some(target) = refers.target {
            end.attr(libc::IFLA_NET_NS_FD, &target.as_raw_fd().to_ne_bytes());
        }
    });
}

fn mtu_bytes(mtu: Mtu) -> [u8; 4] {
    u32::from(mtu.bytes()).to_ne_bytes()
}

pub fn del(name: &IfName) -> Message {
    named(libc::RTM_DELLINK, name)
}

/// Removes every device of a group at once.
pub fn del_group(group: u32) -> Message {
    let mut message = request(libc::RTM_DELLINK, 0);
    message.attr(libc::IFLA_GROUP, &group.to_ne_bytes());
    message
}

pub fn set_group(name: &IfName, group: u32) -> Message {
    let mut message = named(libc::RTM_NEWLINK, name);
    message.attr(libc::IFLA_GROUP, &group.to_ne_bytes());
    message
}

pub fn set_up(name: &IfName) -> Message {
    let up = libc::IFF_UP as u32;
    let mut message = Message::new(libc::RTM_NEWLINK, REQUEST, &header(up, up));
    message.attr_str(libc::IFLA_IFNAME, name.as_str());
    message
}

pub fn set_mac(name: &IfName, mac: Mac) -> Message {
    let mut message = named(libc::RTM_NEWLINK, name);
    message.attr(libc::IFLA_ADDRESS, &mac.bytes());
    message
}

pub fn set_mtu(name: &IfName, mtu: Mtu) -> Message {
    let mut message = named(libc::RTM_NEWLINK, name);
    message.attr(libc::IFLA_MTU, &mtu_bytes(mtu));
    message
}

/// The mark of a namespace stands on its loopback device.
pub fn set_loopback_alias(alias: &Alias) -> Message {
    let mut message = request(libc::RTM_NEWLINK, 0);
    message
        .attr_str(libc::IFLA_IFNAME, LOOPBACK)
        .attr(libc::IFLA_IFALIAS, alias.to_string().as_bytes());
    message
}

pub fn get_loopback() -> Message {
    let mut message = request(libc::RTM_GETLINK, 0);
    message
        .attr_str(libc::IFLA_IFNAME, LOOPBACK)
        .attr(libc::IFLA_EXT_MASK, &SKIP_STATS.to_ne_bytes());
    message
}

pub fn set_alias(name: &IfName, alias: &Alias) -> Message {
    let mut message = named(libc::RTM_NEWLINK, name);
    message.attr(libc::IFLA_IFALIAS, alias.to_string().as_bytes());
    message
}

/// Makes the device a port of the master with this index; 0 for of none.
pub fn set_master(name: &IfName, index: u32) -> Message {
    let mut message = named(libc::RTM_NEWLINK, name);
    message.attr(libc::IFLA_MASTER, &index.to_ne_bytes());
    message
}

pub fn set_hairpin(name: &IfName, on: bool) -> Message {
    set_port(name, BRPORT_MODE, on)
}

pub fn set_suppress(name: &IfName, on: bool) -> Message {
    set_port(name, BRPORT_NEIGH_SUPPRESS, on)
}

/// Switches an attribute of a bridge's port.
fn set_port(name: &IfName, attribute: u16, on: bool) -> Message {
    let mut message = named(libc::RTM_NEWLINK, name);
    message.nest(libc::IFLA_LINKINFO, |info| {
        info.attr(libc::IFLA_INFO_SLAVE_KIND, b"bridge")
            .nest(libc::IFLA_INFO_SLAVE_DATA, |port| {
                port.attr(attribute, &[u8::from(on)]);
            });
    });
    message
}

/// Asks for the number by which the socket's namespace knows another.
pub fn get_nsid(target: BorrowedFd<'_>) -> Message {
    // `struct rtgenmsg`: a family, none.
    let mut message = Message::new(libc::RTM_GETNSID, REQUEST, &[0]);
    message.attr(NETNSA_FD, &target.as_raw_fd().to_ne_bytes());
    message
}

/// The number; `None` where it has none.
pub fn read_nsid(kind: u16, payload: &[u8]) -> Option<i32> {
    let is_answer = kind == libc::RTM_NEWNSID;
    let bytes = crate::netlink::Attrs::behind(payload, 4).get(NETNSA_NSID)?;
    let nsid = bytes.first_chunk().map(|b| i32::from_ne_bytes(*b))?;
    (is_answer && nsid >= 0).then_some(nsid)
}
