//! What is particular to VXLAN devices (`IFLA_VXLAN_`, `include/uapi/linux/if_link.h`).

use std::net::IpAddr;

use model::Vni;
use netstate::{Learning, Vxlan};

use super::{address_bytes, read_address};
use crate::netlink::{Attrs, Message, read_u32};

const ID: u16 = 1;
const LOCAL: u16 = 4;
const LEARNING: u16 = 7;
const PORT: u16 = 15;
const LOCAL6: u16 = 17;
const UDP_CSUM: u16 = 18;
const UDP_ZERO_CSUM6_TX: u16 = 19;

/// All that the kernel would choose otherwise, or may come to. It leaves the outer packets'
/// time to live and fragmentation to the route: a device is made for the underlay's own MTU,
/// and where a path has less, a forwarded packet's sender is not told (`ip_forward_use_pmtu`,
/// Documentation/networking/ip-sysctl.rst), so that a DF bit would lose what fragments save.
pub fn put(data: &mut Message, vxlan: &Vxlan) {
    let local = match vxlan.local {
        IpAddr::V4(_) => LOCAL,
        IpAddr::V6(_) => LOCAL6,
    };
    let learning = vxlan.learning == Learning::FromPackets;
    data.attr(ID, &vxlan.vni.number().to_ne_bytes())
        .attr(local, &address_bytes(vxlan.local))
        .attr(LEARNING, &[u8::from(learning)])
        .attr(PORT, &vxlan.port.to_be_bytes());
    // Without a checksum the receiver can't join packets (GRO).
    match vxlan.local {
        IpAddr::V4(_) => data.attr(UDP_CSUM, &[1]),
        IpAddr::V6(_) => data.attr(UDP_ZERO_CSUM6_TX, &[0]),
    };
}

/// A VXLAN device as the kernel describes it.
#[derive(Debug, Clone)]
pub struct VxlanInfo {
    pub vni: u32,
    pub local: Option<IpAddr>,
    pub port: u16,
    pub learning: Learning,
}

impl VxlanInfo {
    pub fn read(data: Attrs<'_>) -> Option<Self> {
        let local = data.get(LOCAL).or_else(|| data.get(LOCAL6));
        let learning = match data.get(LEARNING) {
            Some([0]) => Learning::Never,
            Some(_) | None => Learning::FromPackets,
        };
        Some(Self {
            vni: data.get(ID).and_then(read_u32)?,
            local: local.and_then(read_address),
            port: u16::from_be_bytes(*data.get(PORT)?.first_chunk()?),
            learning,
        })
    }

    /// As our own would be; `None` for the VNI 0.
    pub fn vni(&self) -> Option<Vni> {
        Vni::try_from(self.vni).ok()
    }
}
