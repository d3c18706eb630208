//! Neighbours: read only.

use std::net::IpAddr;

use model::Family;

use super::{REQUEST, family_byte, read_address};
use crate::netlink::{Attrs, Message, read_u16, read_u32};

/// Bytes of `struct ndmsg`.
const HEADER: usize = 12;

pub fn dump(family: Family) -> Message {
    let mut header = [0; HEADER];
    header[0] = family_byte(family);
    Message::new(libc::RTM_GETNEIGH, REQUEST, &header)
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
