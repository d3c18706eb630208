//! What can be wrong with a word somebody typed.

use std::net::IpAddr;

use crate::{AddressRange, Backend, Family, Prefix};

/// Why a text is not the word it was taken for. Every variant holds the text itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    #[error(
        "{text:?} is not a name: 1 to {max} characters, first a letter or digit, then letters, digits, '-', '_' or '.'"
    )]
    Name { text: String, max: usize },
    #[error(
        "{0:?} is not an interface name: 1 to 15 bytes without '/', ':', '%' or white space, not '.' or '..'"
    )]
    IfName(String),
    #[error(
        "{0:?} is no CNI id: 1 to 255 characters, first a letter or digit, then letters, digits, '-', '_' or '.'"
    )]
    CniId(String),
    #[error(
        "{0:?} is not an alias: 1 to 63 letters, digits or '-', neither first nor last (RFC 1123)"
    )]
    Alias(String),
    #[error("more than {0} aliases of one endpoint")]
    TooManyAliases(usize),
    #[error("{0:?} is not a MAC address: six bytes in hexadecimal, as 02:00:5e:10:00:01")]
    Mac(String),
    #[error("{0} is a multicast or all-zero MAC address; an endpoint needs a unicast one")]
    MacNotUnicast(String),
    #[error("{0:?} is not an MTU: 'auto', or 68 to 65535 bytes")]
    Mtu(String),
    #[error("{0:?} is not a prefix: an address and a length, as 192.168.0.0/24 or fd00:1::/64")]
    Prefix(String),
    #[error("{text} has bits set behind its length; the prefix is {network}")]
    PrefixHostBits { text: String, network: Prefix },
    #[error("{0} holds no addresses for containers; the longest usable prefix is /30 or /126")]
    PrefixTooLong(Prefix),
    #[error("{0} is not a prefix that containers can use (loopback, link-local, multicast or /0)")]
    PrefixUnusable(Prefix),
    #[error("{address} is not an address that a device in {prefix} can have")]
    AddressUnusable { address: IpAddr, prefix: Prefix },
    #[error(
        "{0:?} is not a range of addresses: FIRST-LAST of one family, or a prefix as 10.88.0.128/25"
    )]
    AddressRange(String),
    #[error("{range} is no part of {prefix} that containers can be numbered from")]
    RangeOutside { range: AddressRange, prefix: Prefix },
    #[error(
        "{0:?} is no rate: bits a second, 8kbit to 32gbit, as 100mbit (powers of 1000, whole bytes)"
    )]
    Rate(String),
    #[error("{0:?} is not a VNI: 1 to 16777215")]
    Vni(String),
    #[error("{0:?} is no backend: vxlan, routed or ipip")]
    Backend(String),
    #[error("a network over {0} can't be stretched: frames cross in vxlan only")]
    StretchBackend(Backend),
    #[error("a stretched network needs an IPv4 subnet: MACs are made from it, and tell the node")]
    StretchFamily,
    #[error(
        "{0:?} are no addresses of an endpoint of a stretched network: one of IPv4, and one of IPv6 where it has that"
    )]
    Whereabouts(Vec<IpAddr>),
    #[error("{0:?} are no addresses of an endpoint: one, or one of IPv4 and then one of IPv6")]
    EndpointAddresses(Vec<IpAddr>),
    #[error("node subnets of /{node_bits} are no parts of {prefix} that containers can use")]
    NodePrefix { prefix: Prefix, node_bits: u8 },
    #[error("the range {0} is in none of the network's subnets")]
    RangeOfNoSubnet(AddressRange),
    #[error("two {0} subnets; a network has at most one of each family")]
    TwoSubnets(Family),
    #[error("no subnet; a network has at least one")]
    NoSubnet,
    #[error("the gateway {0} is in none of the network's subnets")]
    GatewayOutside(IpAddr),
    #[error("MTU {0} is below 1280 bytes, the least that IPv6 runs on (RFC 8200 section 5)")]
    MtuBelowIpv6(u16),
    #[error(
        "{0:?} is not a port to publish: [HOSTIP:]PORT[-PORT][:PORT[-PORT]][/tcp|udp|sctp], an IPv6 HOSTIP in brackets"
    )]
    Publish(String),
    #[error(
        "{0:?} is not a range of ports: the ports are 1 to 65535, the first not above the last"
    )]
    PortRange(String),
    #[error(
        "{text:?} maps {host} ports of the node to {container} of the container; they must be as many"
    )]
    PortCount {
        text: String,
        host: u32,
        container: u32,
    },
    #[error(
        "{0:?} is not a target: a name under /run/netns, an absolute path to a namespace, or pid:N"
    )]
    Target(String),
    #[error("{0:?} is neither 'given' nor 'made'")]
    NetnsOrigin(String),
    #[error("{0:?} is not an identifier of 16 hexadecimal digits")]
    NodeId(String),
    #[error("{0:?} is not a boot id (a UUID as in /proc/sys/kernel/random/boot_id)")]
    BootId(String),
}
