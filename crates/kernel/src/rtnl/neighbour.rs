//! Neighbours (`include/uapi/linux/neighbour.h`).

use std::net::IpAddr;

use model::{Family, Mac};
use netstate::NeighbourKey;

use super::{CREATE, REPLACE, REQUEST, address_bytes, family_byte, read_address};
use crate::netlink::{Attrs, Message, read_u16, read_u32};

/// Bytes of `struct ndmsg`.
pub(super) const HEADER: usize = 12;

pub fn dump(family: Family) -> Message {
    let mut header = [0; HEADER];
    header[0] = family_byte(family);
    Message::new(libc::RTM_GETNEIGH, REQUEST, &header)
}

/// `struct ndmsg` of an entry of a family on a device.
pub(super) fn header(family: u8, index: u32, state: u16, flags: u8) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[0] = family;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    header[8..10].copy_from_slice(&state.to_ne_bytes());
    header[10] = flags;
    header
}

fn message(kind: u16, flags: u16, key: &NeighbourKey, index: u32) -> Message {
    let family = family_byte(Family::of(key.address));
    let header = header(family, index, libc::NUD_PERMANENT, 0);
    let mut message = Message::new(kind, REQUEST | flags, &header);
    message.attr(libc::NDA_DST, &address_bytes(key.address));
    message
}

/// Adds a permanent entry, or makes it of the one that is there.
pub fn set(key: &NeighbourKey, mac: Mac, index: u32) -> Message {
    let mut message = message(libc::RTM_NEWNEIGH, CREATE | REPLACE, key, index);
    message.attr(libc::NDA_LLADDR, &mac.bytes());
    message
}

pub fn del(key: &NeighbourKey, index: u32) -> Message {
    message(libc::RTM_DELNEIGH, 0, key, index)
}

/// An entry of a neighbour table.
#[derive(Debug, Clone)]
pub struct NeighbourInfo {
    pub index: u32,
    pub address: IpAddr,
    pub mac: Option<[u8; 6]>,
    /// One of the `NUD_` bits.
    pub state: u16,
}

impl NeighbourInfo {
    /// `None` for what needs no address resolution: multicast and loopback.
    pub fn read(kind: u16, payload: &[u8]) -> Option<Self> {
        let state = read_u16(payload.get(8..)?)?;
        let is_real = state != libc::NUD_NONE && state & libc::NUD_NOARP == 0;
        if kind != libc::RTM_NEWNEIGH || !is_real {
            return None;
        }
        let attrs = Attrs::behind(payload, HEADER);
        Some(Self {
            index: read_u32(payload.get(4..)?)?,
            address: read_address(attrs.get(libc::NDA_DST)?)?,
            mac: attrs
                .get(libc::NDA_LLADDR)
                .and_then(|bytes| bytes.try_into().ok()),
            state,
        })
    }
}
