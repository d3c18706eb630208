//! Devices as the kernel describes them.

use model::{IfName, Mac};
use netstate::Tunnel;

use super::link::{BRPORT_MODE, BRPORT_NEIGH_SUPPRESS};
use super::tunnel;
use super::vxlan::VxlanInfo;
use crate::netlink::{Attrs, read_u32};

/// Bytes of `struct ifinfomsg`.
const HEADER: usize = 16;
/// `IFLA_INET6_CONF` (`include/uapi/linux/if_link.h`): the device's `net.ipv6.conf` values as
/// integers, and the places of two of them (`DEVCONF_`, `include/uapi/linux/ipv6.h`).
const INET6_CONF: u16 = 2;
const CONF_FORWARDING: usize = 0;
const CONF_ACCEPT_RA: usize = 3;

/// One device.
#[derive(Debug, Clone)]
pub struct LinkInfo {
    pub index: u32,
    pub name: String,
    pub flags: u32,
    pub mac: Option<[u8; 6]>,
    pub mtu: u32,
    pub group: u32,
    pub master: Option<u32>,
    /// The index of the device at the other end or underneath, and the number of its namespace
    /// where that is another one.
    pub lower: Option<u32>,
    pub lower_nsid: Option<i32>,
    pub alias: Option<String>,
    pub kind: Option<String>,
    pub hairpin: bool,
    /// `neigh_suppress` of a bridge's port.
    pub suppress: bool,
    pub vxlan: Option<VxlanInfo>,
    pub tunnel: Option<Tunnel>,
    pub accepts_ra: bool,
    pub forwards_ipv6: bool,
}

impl LinkInfo {
    pub fn read(kind: u16, payload: &[u8]) -> Option<Self> {
        if kind != libc::RTM_NEWLINK {
            return None;
        }
        let attrs = Attrs::behind(payload, HEADER);
        let info = attrs.nested(libc::IFLA_LINKINFO);
        let port = info.nested(libc::IFLA_INFO_SLAVE_DATA);
        let is_bridge_port = info.text(libc::IFLA_INFO_SLAVE_KIND) == Some("bridge");
        let is_of = |kind: &str| info.text(libc::IFLA_INFO_KIND) == Some(kind);
        let (is_vxlan, is_tunnel) = (is_of("vxlan"), is_of("sit") || is_of("ip6tnl"));
        let conf = attrs
            .nested(libc::IFLA_AF_SPEC)
            .nested(libc::AF_INET6 as u16)
            .get(INET6_CONF)
            .unwrap_or_default();
        Some(Self {
            index: read_u32(payload.get(4..)?)?,
            flags: read_u32(payload.get(8..)?)?,
            name: attrs.text(libc::IFLA_IFNAME)?.to_owned(),
            mac: attrs
                .get(libc::IFLA_ADDRESS)
                .and_then(|bytes| bytes.try_into().ok()),
            mtu: attrs.get(libc::IFLA_MTU).and_then(read_u32)?,
            group: attrs.get(libc::IFLA_GROUP).and_then(read_u32)?,
            master: attrs.get(libc::IFLA_MASTER).and_then(read_u32),
            lower: attrs.get(libc::IFLA_LINK).and_then(read_u32),
            lower_nsid: attrs
                .get(libc::IFLA_LINK_NETNSID)
                .and_then(read_u32)
                .map(u32::cast_signed),
            alias: attrs.text(libc::IFLA_IFALIAS).map(str::to_owned),
            kind: info.text(libc::IFLA_INFO_KIND).map(str::to_owned),
            hairpin: is_bridge_port && port.get(BRPORT_MODE) == Some(&[1]),
            suppress: is_bridge_port && port.get(BRPORT_NEIGH_SUPPRESS) == Some(&[1]),
            vxlan: VxlanInfo::read(info.nested(libc::IFLA_INFO_DATA)).filter(|_| is_vxlan),
            tunnel: tunnel::read(info.nested(libc::IFLA_INFO_DATA)).filter(|_| is_tunnel),
            accepts_ra: conf_value(conf, CONF_ACCEPT_RA) == Some(1),
            forwards_ipv6: conf_value(conf, CONF_FORWARDING).is_some_and(|value| value != 0),
        })
    }

    pub fn is_loopback(&self) -> bool {
        self.flags & libc::IFF_LOOPBACK as u32 != 0
    }

    pub fn is_up(&self) -> bool {
        self.flags & libc::IFF_UP as u32 != 0
    }

    pub fn has_carrier(&self) -> bool {
        self.flags & libc::IFF_LOWER_UP as u32 != 0
    }

    /// `None` for a name that we would not give.
    pub fn ifname(&self) -> Option<IfName> {
        self.name.parse().ok()
    }

    /// `None` for the loopback device's, and for those that are no Ethernet.
    pub fn unicast_mac(&self) -> Option<Mac> {
        self.mac.and_then(|bytes| Mac::from_bytes(bytes).ok())
    }
}

fn conf_value(conf: &[u8], place: usize) -> Option<u32> {
    conf.get(place * 4..).and_then(read_u32)
}

/// The index alone: all that most requests need.
pub fn read_index(kind: u16, payload: &[u8]) -> Option<u32> {
    (kind == libc::RTM_NEWLINK)
        .then(|| read_u32(payload.get(4..)?))
        .flatten()
}
