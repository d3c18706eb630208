//! Addresses.

use std::net::IpAddr;

use model::Family;
use netstate::AddressKey;

use super::{CREATE, EXCL, REQUEST, address_bytes, family_byte, read_address};
use crate::netlink::{Attrs, Message, read_u32};

/// Bytes of `struct ifaddrmsg`.
const HEADER: usize = 8;
/// `IFA_FLAGS` (`include/uapi/linux/if_addr.h`).
const IFA_FLAGS: u16 = 8;

fn message(kind: u16, flags: u16, key: &AddressKey, index: u32) -> Message {
    let mut header = [0; HEADER];
    header[0] = family_byte(Family::of(key.address));
    header[1] = key.prefix_len;
    header[3] = libc::RT_SCOPE_UNIVERSE;
    header[4..8].copy_from_slice(&index.to_ne_bytes());
    let bytes = address_bytes(key.address);
    let mut message = Message::new(kind, REQUEST | flags, &header);
    message
        .attr(libc::IFA_LOCAL, &bytes)
        .attr(libc::IFA_ADDRESS, &bytes);
    message
}

/// An IPv6 address is usable at once: nobody else can have it, so that detecting duplicates
/// (RFC 4862 section 5.4) only costs a second.
pub fn add(key: &AddressKey, index: u32) -> Message {
    let mut message = message(libc::RTM_NEWADDR, CREATE | EXCL, key, index);
    if key.address.is_ipv6() {
        message.attr(IFA_FLAGS, &libc::IFA_F_NODAD.to_ne_bytes());
    }
    message
}

pub fn del(key: &AddressKey, index: u32) -> Message {
    message(libc::RTM_DELADDR, 0, key, index)
}

/// All addresses of both families.
pub fn dump() -> Message {
    Message::new(libc::RTM_GETADDR, REQUEST, &[0; HEADER])
}

/// An address on a device.
#[derive(Debug, Clone)]
pub struct AddressInfo {
    pub index: u32,
    pub address: IpAddr,
    pub prefix_len: u8,
    pub scope: u8,
    pub flags: u32,
}

impl AddressInfo {
    pub fn read(kind: u16, payload: &[u8]) -> Option<Self> {
        if kind != libc::RTM_NEWADDR {
            return None;
        }
        let [_, prefix_len, flags, scope] = *payload.first_chunk()?;
        let attrs = Attrs::behind(payload, HEADER);
        // On a point-to-point device IFA_ADDRESS is the other end's.
        let bytes = attrs
            .get(libc::IFA_LOCAL)
            .or_else(|| attrs.get(libc::IFA_ADDRESS))?;
        Some(Self {
            index: read_u32(payload.get(4..)?)?,
            address: read_address(bytes)?,
            prefix_len,
            scope,
            flags: attrs
                .get(IFA_FLAGS)
                .and_then(read_u32)
                .unwrap_or(u32::from(flags)),
        })
    }

    pub fn is_global(&self) -> bool {
        self.scope == libc::RT_SCOPE_UNIVERSE
    }
}
