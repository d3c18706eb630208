//! Elements of sets and maps.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{IfName, Mac, PortRange, Prefix, Proto};
use serde::Serialize;

/// The type of one field of a set's key or value (nft(8), DATA TYPES).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum DatumType {
    Ifname,
    EtherAddr,
    Ipv4Addr,
    Ipv6Addr,
    InetProto,
    InetService,
    /// The source MAC of a frame in VXLAN: 6 bytes that nft only knows as raw payload too.
    VxlanEtherSaddr,
    /// The target address of a neighbour solicitation or advertisement: 16 bytes that nft 1.0.6
    /// only knows as raw payload, so that a set of them is declared with `typeof`.
    NdTarget,
}

/// One value.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Datum {
    Ifname(IfName),
    EtherAddr(Mac),
    Ipv4Addr(Ipv4Addr),
    Ipv6Addr(Ipv6Addr),
    InetProto(Proto),
    InetService(u16),
    NdTarget(Ipv6Addr),
    VxlanEtherSaddr(Mac),
}

impl Datum {
    pub fn address(address: IpAddr) -> Self {
        match address {
            IpAddr::V4(v4) => Self::Ipv4Addr(v4),
            IpAddr::V6(v6) => Self::Ipv6Addr(v6),
        }
    }

    pub fn as_address(&self) -> Option<IpAddr> {
        match self {
            Self::Ipv4Addr(v4) => Some(IpAddr::V4(*v4)),
            Self::Ipv6Addr(v6) => Some(IpAddr::V6(*v6)),
            _ => None,
        }
    }

    pub fn datum_type(&self) -> DatumType {
        match self {
            Self::Ifname(_) => DatumType::Ifname,
            Self::EtherAddr(_) => DatumType::EtherAddr,
            Self::Ipv4Addr(_) => DatumType::Ipv4Addr,
            Self::Ipv6Addr(_) => DatumType::Ipv6Addr,
            Self::InetProto(_) => DatumType::InetProto,
            Self::InetService(_) => DatumType::InetService,
            Self::NdTarget(_) => DatumType::NdTarget,
            Self::VxlanEtherSaddr(_) => DatumType::VxlanEtherSaddr,
        }
    }
}

/// One field of an element's key: a value, or in an interval set a range of them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Item {
    One(Datum),
    Ports(PortRange),
    Prefix(Prefix),
    /// From the first to the last, both of one type: where neither of the others can say it.
    Range(Datum, Datum),
}

impl Item {
    /// All addresses from `first` to `last`, of one family, as `nft list` shows them.
    pub fn addresses(first: IpAddr, last: IpAddr) -> Self {
        if first == last {
            return Self::One(Datum::address(first));
        }
        match Prefix::spanning(first, last) {
            Some(prefix) => Self::Prefix(prefix),
            None => Self::Range(Datum::address(first), Datum::address(last)),
        }
    }
}
