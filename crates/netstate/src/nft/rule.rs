//! Statements and expressions of rules (nft(8), STATEMENTS and EXPRESSIONS).

use std::net::Ipv6Addr;

use model::{IfName, Prefix, Vni};
use serde::Serialize;

use super::NftName;

/// What a packet is looked at for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Expr {
    Iifname,
    Oifname,
    EtherSaddr,
    EtherDaddr,
    EtherType,
    IpSaddr,
    IpDaddr,
    Ip6Saddr,
    Ip6Daddr,
    ArpSaddrEther,
    ArpSaddrIp,
    Icmpv6Type,
    /// `@th,64,128`: the target of a neighbour solicitation or advertisement (RFC 4861
    /// sections 4.3 and 4.4).
    NdTarget,
    L4proto,
    ThDport,
    /// Only to be compared with a port: a set is asked by `th dport`.
    UdpDport,
    /// `@th,96,24`: the VNI behind a UDP header (RFC 7348 section 5).
    VxlanVni,
    /// `@th,176,48`: the source MAC of the frame behind UDP and VXLAN headers.
    VxlanEtherSaddr,
    /// `frag frag-off`: the offset in an IPv6 fragment header (RFC 8200 section 4.5); no match
    /// without one.
    FragOff,
    /// `exthdr frag`: whether there is an IPv6 fragment header.
    FragExists,
    CtState,
    CtStatus,
    /// `ct protocol`: the protocol over IP of the packet's connection.
    CtProtocol,
    /// `ct original ip6 saddr`.
    CtOriginalIp6Saddr,
    /// `fib saddr type`.
    FibSaddrType,
    /// `fib daddr type`.
    FibDaddrType,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum MatchOp {
    Eq,
    Ne,
}

/// What an expression is compared with.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Right {
    Set(NftName),
    Ifname(IfName),
    /// Every interface whose name starts so: `"pt*"`.
    IfnameStart(String),
    Prefix(Prefix),
    EtherType(EtherType),
    Icmpv6Type(Icmpv6Type),
    /// Any of these.
    CtState(Vec<CtState>),
    CtStatus(CtStatus),
    /// `local` (fib type).
    FibLocal,
    /// Of `meta l4proto`.
    L4proto(L4proto),
    /// Of `udp dport`.
    Port(u16),
    Vni(Vni),
    /// `0`, of `frag frag-off`.
    FragOffZero,
    /// `exists`, of `exthdr frag`.
    Exists,
}

/// Protocols over IP that are matched by themselves (IANA, Protocol Numbers).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum L4proto {
    Icmpv6,
    /// IPv4 inside.
    Ipv4,
    /// IPv6 inside.
    Ipv6,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum EtherType {
    Ip,
    Arp,
    Ip6,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Icmpv6Type {
    MldListenerQuery,
    MldListenerReport,
    MldListenerDone,
    NdRouterAdvert,
    NdNeighborSolicit,
    NdNeighborAdvert,
    NdRedirect,
    RouterRenumbering,
    Mld2ListenerReport,
}

/// Connection tracking states, in the order of their bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CtState {
    Invalid,
    Established,
    Related,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum CtStatus {
    Dnat,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    Accept,
    Drop,
    Return,
    Jump(NftName),
    Goto(NftName),
}

/// Where a statement takes an IPv6 address from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ip6Source {
    Address(Ipv6Addr),
    /// `KEY map @MAP`.
    Map {
        key: Vec<Expr>,
        map: NftName,
    },
}

/// Which header `dnat` rewrites.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NatFamily {
    Ip,
    Ip6,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Statement {
    /// A comparison of a concatenation.
    Match {
        left: Vec<Expr>,
        op: MatchOp,
        right: Right,
    },
    Counter,
    Verdict(Verdict),
    /// `dnat ip to KEY map @MAP`: the map's value is an address, or an address and a port.
    Dnat {
        family: NatFamily,
        key: Vec<Expr>,
        map: NftName,
    },
    /// `ip6 daddr set`: rewrites a packet's destination, without connection tracking.
    SetIp6Daddr(Ip6Source),
    Masquerade,
    Notrack,
    /// A statement that none of ours is: the rule is not as we made it.
    Foreign(String),
}
