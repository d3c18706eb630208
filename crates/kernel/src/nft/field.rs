//! Where each expression of the netstate language is found in a packet, and how wide it is:
//! the one table that `lower` and `lift` share.

use netstate::nft::Expr;

use super::expr::Source;

/// `enum nft_meta_keys`.
pub const META_PROTOCOL: u32 = 1;
pub const META_IIFTYPE: u32 = 8;
pub const META_NFPROTO: u32 = 15;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
pub const META_L4PROTO: u32 = 16;

/// `enum nft_payload_bases`.
const LINK: u32 = 0;
pub const NETWORK: u32 = 1;
const TRANSPORT: u32 = 2;

/// `enum nft_ct_keys`.
const CT_STATE: u32 = 0;
const CT_STATUS: u32 = 2;
const CT_PROTOCOL: u32 = 10;
const CT_SRC_IP6: u32 = 21;
const DIRECTION_ORIGINAL: u8 = 0;

/// `enum nft_fib_result`, `enum nft_fib_flags`.
const FIB_ADDRTYPE: u32 = 3;
const FIB_SADDR: u32 = 1;
const FIB_DADDR: u32 = 2;

const IPPROTO_FRAGMENT: u8 = 44;
/// The value is whether the header is there.
const NFT_EXTHDR_F_PRESENT: u32 = 1;

/// Every expression, for the way back from a source.
const ALL: [Expr; 26] = [
    Expr::Iifname,
    Expr::Oifname,
    Expr::EtherSaddr,
    Expr::EtherDaddr,
    Expr::EtherType,
    Expr::IpSaddr,
    Expr::IpDaddr,
    Expr::Ip6Saddr,
    Expr::Ip6Daddr,
    Expr::ArpSaddrEther,
    Expr::ArpSaddrIp,
    Expr::Icmpv6Type,
    Expr::NdTarget,
    Expr::L4proto,
    Expr::ThDport,
    Expr::UdpDport,
    Expr::VxlanVni,
    Expr::VxlanEtherSaddr,
    Expr::FragOff,
    Expr::FragExists,
    Expr::CtState,
    Expr::CtStatus,
    Expr::CtProtocol,
    Expr::CtOriginalIp6Saddr,
    Expr::FibSaddrType,
    Expr::FibDaddrType,
];

const fn payload(base: u32, offset: u32, len: u32) -> Source {
    Source::Payload { base, offset, len }
}

const fn fragment(offset: u32, len: u32, flags: u32) -> Source {
    Source::Exthdr {
        kind: IPPROTO_FRAGMENT,
        offset,
        len,
        flags,
    }
}

/// Header offsets: Ethernet II, RFC 791, RFC 8200, RFC 826, RFC 4861, RFC 7348.
pub fn source(expr: Expr) -> Source {
    let meta = |key| Source::Meta { key };
    let ct = |key, direction| Source::Ct { key, direction };
    let fib = |flags| Source::Fib {
        flags,
        result: FIB_ADDRTYPE,
    };
    match expr {
        Expr::Iifname => meta(META_IIFNAME),
        Expr::Oifname => meta(META_OIFNAME),
        Expr::EtherDaddr => payload(LINK, 0, 6),
        Expr::EtherSaddr => payload(LINK, 6, 6),
        Expr::EtherType => payload(LINK, 12, 2),
        Expr::IpSaddr => payload(NETWORK, 12, 4),
        Expr::IpDaddr => payload(NETWORK, 16, 4),
        Expr::Ip6Saddr => payload(NETWORK, 8, 16),
        Expr::Ip6Daddr => payload(NETWORK, 24, 16),
        Expr::ArpSaddrEther => payload(NETWORK, 8, 6),
        Expr::ArpSaddrIp => payload(NETWORK, 14, 4),
        Expr::Icmpv6Type => payload(TRANSPORT, 0, 1),
        Expr::NdTarget => payload(TRANSPORT, 8, 16),
        Expr::L4proto => meta(META_L4PROTO),
        Expr::ThDport | Expr::UdpDport => payload(TRANSPORT, 2, 2),
        Expr::VxlanVni => payload(TRANSPORT, 12, 3),
        Expr::VxlanEtherSaddr => payload(TRANSPORT, 22, 6),
        Expr::FragOff => fragment(2, 2, 0),
        Expr::FragExists => fragment(0, 1, NFT_EXTHDR_F_PRESENT),
        Expr::CtState => ct(CT_STATE, None),
        Expr::CtStatus => ct(CT_STATUS, None),
        Expr::CtProtocol => ct(CT_PROTOCOL, None),
        Expr::CtOriginalIp6Saddr => ct(CT_SRC_IP6, Some(DIRECTION_ORIGINAL)),
        Expr::FibSaddrType => fib(FIB_SADDR),
        Expr::FibDaddrType => fib(FIB_DADDR),
    }
}

/// Bytes of the value.
pub fn width(expr: Expr) -> u32 {
    match (source(expr), expr) {
        (Source::Payload { len, .. } | Source::Exthdr { len, .. }, _) => len,
        (_, Expr::Iifname | Expr::Oifname | Expr::CtOriginalIp6Saddr) => 16,
        (_, Expr::L4proto | Expr::CtProtocol) => 1,
        _ => 4,
    }
}

/// The expression that reads this source.
pub fn expr(wanted: Source) -> Option<Expr> {
    ALL.into_iter().find(|expr| source(*expr) == wanted)
}

/// The network protocol whose header an expression reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Network {
    Ip,
    Ip6,
    Arp,
}

impl Network {
    pub fn of(expr: Expr) -> Option<Self> {
        match expr {
            Expr::IpSaddr | Expr::IpDaddr => Some(Self::Ip),
            Expr::Ip6Saddr
            | Expr::Ip6Daddr
            | Expr::Icmpv6Type
            | Expr::FragOff
            | Expr::FragExists => Some(Self::Ip6),
            Expr::ArpSaddrEther | Expr::ArpSaddrIp => Some(Self::Arp),
            Expr::Iifname
            | Expr::Oifname
            | Expr::EtherSaddr
            | Expr::EtherDaddr
            | Expr::EtherType
            | Expr::NdTarget
            | Expr::L4proto
            | Expr::ThDport
            | Expr::UdpDport
            | Expr::VxlanVni
            | Expr::VxlanEtherSaddr
            | Expr::CtState
            | Expr::CtStatus
            | Expr::CtProtocol
            | Expr::CtOriginalIp6Saddr
            | Expr::FibSaddrType
            | Expr::FibDaddrType => None,
        }
    }

    /// `ETH_P_*` (`include/uapi/linux/if_ether.h`).
    pub fn ethertype(self) -> u16 {
        match self {
            Self::Ip => 0x0800,
            Self::Ip6 => 0x86dd,
            Self::Arp => 0x0806,
        }
    }
}
