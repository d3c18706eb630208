//! Forwarding entries of VXLAN devices (`vxlan_fdb_add`, drivers/net/vxlan/vxlan_core.c), and of
//! bridges for a VXLAN device that is a port of theirs (`br_fdb_add`, net/bridge/br_fdb.c).

use std::net::IpAddr;

use netstate::{FdbKey, FloodKey, PortFdbKey};

use super::neighbour::{HEADER, header};
use super::{CREATE, REPLACE, REQUEST, address_bytes, read_address};
use crate::netlink::{Attrs, Message, read_u16, read_u32};

/// `NLM_F_APPEND` (`include/uapi/linux/netlink.h`): beside the other destinations of the MAC.
const APPEND: u16 = libc::NLM_F_APPEND as u16;
/// `NTF_SELF`: the device's own entry, not that of the bridge it is a port of.
const NTF_SELF: u8 = libc::NTF_SELF;
/// `NTF_MASTER`: an entry of the bridge. `NTF_STICKY`: no frame moves it to another port.
const NTF_MASTER: u8 = libc::NTF_MASTER;
const NTF_STICKY: u8 = 0x40;
/// The bridge that an entry is of (`NDA_MASTER`, `include/uapi/linux/neighbour.h`).
pub const NDA_MASTER: u16 = 9;
const FAMILY: u8 = libc::AF_BRIDGE as u8;
/// The MAC of the entries that lead what no other entry does.
const NO_MAC: [u8; 6] = [0; 6];

fn message(kind: u16, flags: u16, mac: [u8; 6], index: u32) -> Message {
    let header = header(FAMILY, index, libc::NUD_PERMANENT, NTF_SELF);
    let mut message = Message::new(kind, REQUEST | flags, &header);
    message.attr(libc::NDA_LLADDR, &mac);
    message
}

fn to(mut message: Message, remote: IpAddr) -> Message {
    message.attr(libc::NDA_DST, &address_bytes(remote));
    message
}

/// Adds the entry of a MAC, or leads the one that is there to `remote`.
pub fn set(key: &FdbKey, remote: IpAddr, index: u32) -> Message {
    let kind = libc::RTM_NEWNEIGH;
    to(
        message(kind, CREATE | REPLACE, key.mac.bytes(), index),
        remote,
    )
}

/// Removes the entry of a MAC, wherever it leads.
pub fn del(key: &FdbKey, index: u32) -> Message {
    message(libc::RTM_DELNEIGH, 0, key.mac.bytes(), index)
}

pub fn add_flood(key: &FloodKey, index: u32) -> Message {
    let kind = libc::RTM_NEWNEIGH;
    to(message(kind, CREATE | APPEND, NO_MAC, index), key.remote)
}

pub fn del_flood(key: &FloodKey, index: u32) -> Message {
    to(message(libc::RTM_DELNEIGH, 0, NO_MAC, index), key.remote)
}

fn of_bridge(kind: u16, flags: u16, key: &PortFdbKey, index: u32) -> Message {
    let header = header(FAMILY, index, libc::NUD_NOARP, NTF_MASTER | NTF_STICKY);
    let mut message = Message::new(kind, REQUEST | flags, &header);
    message.attr(libc::NDA_LLADDR, &key.mac.bytes());
    message
}

/// Has the bridge know a MAC behind a port.
pub fn set_behind(key: &PortFdbKey, index: u32) -> Message {
    of_bridge(libc::RTM_NEWNEIGH, CREATE | REPLACE, key, index)
}

pub fn del_behind(key: &PortFdbKey, index: u32) -> Message {
    of_bridge(libc::RTM_DELNEIGH, 0, key, index)
}

/// The MAC that a bridge was told to be behind this port for good; `None` of any other entry.
pub fn read_behind(kind: u16, payload: &[u8], port: u32) -> Option<[u8; 6]> {
    let flags = *payload.get(10)?;
    let is_sticky = flags & NTF_STICKY != 0 && flags & NTF_SELF == 0;
    let is_static = read_u16(payload.get(8..)?)? & libc::NUD_NOARP != 0;
    let is_of_port = read_u32(payload.get(4..)?)? == port;
    if kind != libc::RTM_NEWNEIGH || payload[0] != FAMILY {
        return None;
    }
    let attrs = Attrs::behind(payload, HEADER);
    attrs.get(NDA_MASTER)?;
    let mac = attrs.get(libc::NDA_LLADDR)?.try_into().ok()?;
    (is_sticky && is_static && is_of_port).then_some(mac)
}

/// The entries of one device, and those of its bridge for it.
pub fn dump(index: u32) -> Message {
    Message::new(libc::RTM_GETNEIGH, REQUEST, &header(FAMILY, index, 0, 0))
}

/// An entry that leads to a node.
#[derive(Debug, Clone)]
pub struct FdbInfo {
    pub index: u32,
    /// `None` for the entry of what no other leads.
    pub mac: Option<[u8; 6]>,
    pub remote: IpAddr,
    /// The `NUD_` bits.
    pub state: u16,
}

impl FdbInfo {
    pub fn is_permanent(&self) -> bool {
        self.state & libc::NUD_PERMANENT != 0
    }

    /// `None` for a bridge's own entries, and for those that lead to no address.
    pub fn read(kind: u16, payload: &[u8]) -> Option<Self> {
        let state = read_u16(payload.get(8..)?)?;
        let is_own = *payload.get(10)? & NTF_SELF != 0;
        if kind != libc::RTM_NEWNEIGH || payload[0] != FAMILY || !is_own {
            return None;
        }
        let attrs = Attrs::behind(payload, HEADER);
        let mac: [u8; 6] = attrs.get(libc::NDA_LLADDR)?.try_into().ok()?;
        Some(Self {
            index: read_u32(payload.get(4..)?)?,
            mac: Some(mac).filter(|mac| *mac != NO_MAC),
            remote: read_address(attrs.get(libc::NDA_DST)?)?,
            state,
        })
    }
}
