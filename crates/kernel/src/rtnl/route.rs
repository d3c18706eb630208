//! Routes.

use std::net::IpAddr;

use model::{Family, Prefix};
use netstate::{ROUTE_PROTOCOL, RouteKey, Way};

use super::{CREATE, REPLACE, REQUEST, address_bytes, family_byte, read_address};
use crate::netlink::{Attrs, Message, read_u32};

/// Bytes of `struct rtmsg`.
const HEADER: usize = 12;
/// Where `rtm_flags` is in it, and one of them (`include/uapi/linux/rtnetlink.h`).
const FLAGS: usize = 8;
const RTNH_F_ONLINK: u32 = 4;

/// `struct rtmsg` of the main table: family, destination bits, source bits, TOS, table,
/// protocol, scope, type, flags.
fn header(key: &RouteKey, scope: u8, kind: u8) -> [u8; HEADER] {
    let family = family_byte(key.destination.family());
    let bits = key.destination.bits();
    let table = libc::RT_TABLE_MAIN;
    [
        family,
        bits,
        0,
        0,
        table,
        ROUTE_PROTOCOL,
        scope,
        kind,
        0,
        0,
        0,
        0,
    ]
}

fn put_key(message: &mut Message, key: &RouteKey) {
    if !key.destination.is_any() {
        message.attr(libc::RTA_DST, &address_bytes(key.destination.address()));
    }
    message.attr(libc::RTA_PRIORITY, &key.metric.to_ne_bytes());
}

fn new(key: &RouteKey, header: &[u8; HEADER]) -> Message {
    let mut message = Message::new(libc::RTM_NEWROUTE, REQUEST | CREATE | REPLACE, header);
    put_key(&mut message, key);
    message
}

/// As `ip` has it: without a gateway a destination is on the link. The kernel gives IPv6 no scopes.
fn scope(key: &RouteKey, way: &Way) -> u8 {
    match (key.destination.family(), way.via) {
        (Family::Ipv4, None) => libc::RT_SCOPE_LINK,
        (Family::Ipv4, Some(_)) | (Family::Ipv6, _) => libc::RT_SCOPE_UNIVERSE,
    }
}

fn put_gateway(message: &mut Message, key: &RouteKey, via: IpAddr) {
    let family = Family::of(via);
    let address = address_bytes(via);
    if family == key.destination.family() {
        message.attr(libc::RTA_GATEWAY, &address);
        return;
    }
    // `struct rtvia`.
    let family = libc::sa_family_t::from(family_byte(family)).to_ne_bytes();
    message.attr(libc::RTA_VIA, &[&family[..], &address].concat());
}

/// A route that leads by the device with this index.
pub fn set(key: &RouteKey, way: &Way, index: u32) -> Message {
    let mut header = header(key, scope(key, way), libc::RTN_UNICAST);
    if way.onlink {
        header[FLAGS..].copy_from_slice(&RTNH_F_ONLINK.to_ne_bytes());
    }
    let mut message = new(key, &header);
    if let Some(via) = way.via {
        put_gateway(&mut message, key, via);
    }
    message.attr(libc::RTA_OIF, &index.to_ne_bytes());
    if let Some(source) = way.source {
        message.attr(libc::RTA_PREFSRC, &address_bytes(source));
    }
    message
}

/// A route that refuses what is for its prefix.
pub fn set_unreachable(key: &RouteKey) -> Message {
    new(
        key,
        &header(key, libc::RT_SCOPE_UNIVERSE, libc::RTN_UNREACHABLE),
    )
}

/// Removes the route with this key and our protocol number, wherever it leads.
pub fn del(key: &RouteKey) -> Message {
    let header = header(key, libc::RT_SCOPE_NOWHERE, libc::RTN_UNSPEC);
    let mut message = Message::new(libc::RTM_DELROUTE, REQUEST, &header);
    put_key(&mut message, key);
    message
}

/// All routes of a family; of one protocol where it is given (0: of any).
pub fn dump(family: Family, protocol: u8) -> Message {
    let mut header = [0; HEADER];
    header[0] = family_byte(family);
    header[5] = protocol;
    Message::new(libc::RTM_GETROUTE, REQUEST, &header)
}

/// A route of any table.
#[derive(Debug, Clone)]
pub struct RouteInfo {
    pub prefix: Prefix,
    pub kind: u8,
    pub protocol: u8,
    pub table: u32,
    pub metric: u32,
    pub via: Option<IpAddr>,
    /// `None` for a multipath route or one that leads nowhere.
    pub index: Option<u32>,
    pub source: Option<IpAddr>,
    pub onlink: bool,
}

impl RouteInfo {
    pub fn read(kind: u16, payload: &[u8]) -> Option<Self> {
        if kind != libc::RTM_NEWROUTE {
            return None;
        }
        let [family, bits, _, _, table, protocol, _, kind] = *payload.first_chunk()?;
        let family = match libc::c_int::from(family) {
            libc::AF_INET => Family::Ipv4,
            libc::AF_INET6 => Family::Ipv6,
            _ => return None,
        };
        let attrs = Attrs::behind(payload, HEADER);
        let destination = match attrs.get(libc::RTA_DST) {
            Some(bytes) => read_address(bytes)?,
            None => family.unspecified(),
        };
        Some(Self {
            prefix: Prefix::of(destination, bits).ok()?,
            kind,
            protocol,
            table: attrs
                .get(libc::RTA_TABLE)
                .and_then(read_u32)
                .unwrap_or(u32::from(table)),
            metric: attrs
                .get(libc::RTA_PRIORITY)
                .and_then(read_u32)
                .unwrap_or(0),
            via: gateway(attrs),
            index: attrs.get(libc::RTA_OIF).and_then(read_u32),
            source: attrs.get(libc::RTA_PREFSRC).and_then(read_address),
            onlink: read_u32(payload.get(FLAGS..)?)? & RTNH_F_ONLINK != 0,
        })
    }

    /// Whether somebody claims the prefix: leads it somewhere, or keeps it from being led.
    pub fn holds_prefix(&self) -> bool {
        matches!(
            self.kind,
            libc::RTN_UNICAST | libc::RTN_BLACKHOLE | libc::RTN_UNREACHABLE | libc::RTN_PROHIBIT
        )
    }

    pub fn is_unreachable(&self) -> bool {
        self.kind == libc::RTN_UNREACHABLE
    }

    pub fn is_main(&self) -> bool {
        self.table == u32::from(libc::RT_TABLE_MAIN)
    }

    pub fn is_local(&self) -> bool {
        self.table == u32::from(libc::RT_TABLE_LOCAL)
    }
}

/// The gateway, of the route's own family or of the other one (`struct rtvia`).
fn gateway(attrs: Attrs<'_>) -> Option<IpAddr> {
    let other = || attrs.get(libc::RTA_VIA)?.get(2..);
    attrs
        .get(libc::RTA_GATEWAY)
        .or_else(other)
        .and_then(read_address)
}
