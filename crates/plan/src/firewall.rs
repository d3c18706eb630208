//! The firewall's two tables: declarations and rules. What an endpoint adds are elements. What a
//! network adds are elements too; some rules depend on how the networks cross to other nodes and,
//! while these are few, on what their devices are called (`crossing`).
//!
//! `inet pontoon` translates published ports, hides containers behind the node, and keeps
//! networks apart. `bridge pontoon` guards each port: a container sends what it is, and nothing
//! else. Packets that touch no bridge of ours pass through both untouched: every base chain
//! accepts what no rule of it names.

mod crossing;
mod forward;
mod guard;
mod node;
mod reason;
mod rules;

use model::NodeId;
use netstate::nft::{ChainKey, DatumType, ElementKey, Item, NftFamily, NftName, SetKey, SetSpec};
use netstate::{Alias, KernelState};

pub use crossing::{Crossing, Passage, Way};
pub use reason::reason;

/// What the names of our ports begin with; the guard knows them by it, so that a port without
/// elements passes nothing.
pub const PORT_START: &str = "pont";

/// Names of sets and maps.
#[derive(Debug)]
pub(crate) struct Names {
    /// Every network's bridge.
    pub bridges: &'static str,
    /// Bridges of internal networks.
    pub internal: &'static str,
    /// Pairs of a bridge and itself: the way of packets between a network's endpoints, where
    /// `br_netfilter` shows them to us.
    pub bridged: &'static str,
    /// Endpoints by bridge and MAC: what is sent to one of them over the bridge needs no
    /// connection tracking.
    pub local: &'static str,
    /// Networks' prefixes, over all nodes, with the bridge they are behind.
    pub inside4: &'static str,
    pub inside6: &'static str,
    /// By the device that a packet comes in by: where it comes from and goes to when it stays in its
    /// network on the way between nodes, and needs no connection tracking.
    pub across4: &'static str,
    pub across6: &'static str,
    /// Other nodes' subnets, where packets cross as they are or in IP.
    pub elsewhere4: &'static str,
    pub elsewhere6: &'static str,
    /// The same with the device that leads there and the bridge whose network they are of.
    pub remote4: &'static str,
    pub remote6: &'static str,
    /// Other nodes' addresses in the underlay, where packets cross in VXLAN or in IP.
    pub vteps4: &'static str,
    pub vteps6: &'static str,
    /// Of stretched networks: the same with the MACs that frames come from there.
    pub sources4: &'static str,
    pub sources6: &'static str,
    /// The node's IPv6 address on each bridge.
    pub gateway6: &'static str,
    /// Published ports at any address of the node, at one address, and ranges that keep their
    /// ports.
    pub ports4: &'static str,
    pub ports6: &'static str,
    pub host_ports4: &'static str,
    pub host_ports6: &'static str,
    pub ranges4: &'static str,
    pub ranges6: &'static str,
    /// By port: the MAC, addresses and neighbour discovery targets that it may claim.
    pub macs: &'static str,
    pub addrs4: &'static str,
    pub addrs6: &'static str,
    pub targets6: &'static str,
    /// The same of what comes from other nodes, by the device of a stretched network.
    pub remotes4: &'static str,
    pub remotes6: &'static str,
    pub remote_targets6: &'static str,
}

pub(crate) const NAMES: Names = Names {
    bridges: "bridges",
    internal: "internal",
    bridged: "bridged",
    local: "local",
    inside4: "inside4",
    inside6: "inside6",
    across4: "across4",
    across6: "across6",
    elsewhere4: "elsewhere4",
    elsewhere6: "elsewhere6",
    remote4: "remote4",
    remote6: "remote6",
    vteps4: "vteps4",
    vteps6: "vteps6",
    sources4: "sources4",
    sources6: "sources6",
    gateway6: "gateway6",
    ports4: "ports4",
    ports6: "ports6",
    host_ports4: "hostports4",
    host_ports6: "hostports6",
    ranges4: "ranges4",
    ranges6: "ranges6",
    macs: "macs",
    addrs4: "addrs4",
    addrs6: "addrs6",
    targets6: "targets6",
    remotes4: "remotes4",
    remotes6: "remotes6",
    remote_targets6: "remotetargets6",
};

/// Both tables, without elements, marked as this node's.
pub fn ruleset(node: NodeId, crossing: &Crossing) -> KernelState {
    let mut state = KernelState::default();
    let mark = Alias {
        node,
        purpose: "tables".to_owned(),
    };
    for family in [NftFamily::Inet, NftFamily::Bridge] {
        state.tables.insert(family, mark.to_string());
    }
    for (family, name, spec) in declarations() {
        let name = NftName::from(name);
        state.sets.insert(SetKey { family, name }, spec);
    }
    let inet = node::chains(crossing)
        .into_iter()
        .map(|chain| (NftFamily::Inet, chain));
    let bridge = guard::chains(crossing)
        .into_iter()
        .map(|chain| (NftFamily::Bridge, chain));
    for (family, (name, chain)) in inet.chain(bridge) {
        let name = NftName::from(name);
        state.chains.insert(ChainKey { family, name }, chain);
    }
    state
}

/// The key of an element of one of our sets.
pub(crate) fn element(family: NftFamily, set: &str, key: Vec<Item>) -> ElementKey {
    let name = NftName::from(set);
    ElementKey {
        set: SetKey { family, name },
        key,
    }
}

/// The types of a set's key, as it is declared.
pub(crate) fn declared_key(family: NftFamily, name: &str) -> Option<Vec<DatumType>> {
    let mut all = declarations().into_iter();
    all.find(|(f, n, _)| *f == family && *n == name)
        .map(|(_, _, spec)| spec.key)
}

fn declarations() -> Vec<(NftFamily, &'static str, SetSpec)> {
    use DatumType::{
        EtherAddr as Mac, Ifname, InetProto as Proto, InetService as Port, Ipv4Addr as Ip4,
        Ipv6Addr as Ip6, NdTarget, VxlanEtherSaddr,
    };
    let hash = |key: &[DatumType], data: &[DatumType]| SetSpec {
        key: key.to_vec(),
        data: data.to_vec(),
        interval: false,
    };
    let interval = |key: &[DatumType], data: &[DatumType]| SetSpec {
        interval: true,
        ..hash(key, data)
    };
    let inet = [
        (NAMES.bridges, hash(&[Ifname], &[])),
        (NAMES.internal, hash(&[Ifname], &[])),
        (NAMES.bridged, hash(&[Ifname, Ifname], &[])),
        (NAMES.local, hash(&[Ifname, Mac], &[])),
        (NAMES.inside4, interval(&[Ip4, Ifname], &[])),
        (NAMES.inside6, interval(&[Ip6, Ifname], &[])),
        (NAMES.across4, interval(&[Ifname, Ip4, Ip4], &[])),
        (NAMES.across6, interval(&[Ifname, Ip6, Ip6], &[])),
        (NAMES.elsewhere4, interval(&[Ip4], &[])),
        (NAMES.elsewhere6, interval(&[Ip6], &[])),
        (NAMES.remote4, interval(&[Ip4, Ifname, Ifname], &[])),
        (NAMES.remote6, interval(&[Ip6, Ifname, Ifname], &[])),
        (NAMES.vteps4, hash(&[Ip4], &[])),
        (NAMES.vteps6, hash(&[Ip6], &[])),
        (NAMES.sources4, interval(&[Ip4, VxlanEtherSaddr], &[])),
        (NAMES.sources6, interval(&[Ip6, VxlanEtherSaddr], &[])),
        (NAMES.gateway6, hash(&[Ifname], &[Ip6])),
        (NAMES.ports4, hash(&[Proto, Port], &[Ip4, Port])),
        (NAMES.ports6, hash(&[Proto, Port], &[Ip6, Port])),
        (NAMES.host_ports4, hash(&[Ip4, Proto, Port], &[Ip4, Port])),
        (NAMES.host_ports6, hash(&[Ip6, Proto, Port], &[Ip6, Port])),
        (NAMES.ranges4, interval(&[Ip4, Proto, Port], &[Ip4])),
        (NAMES.ranges6, interval(&[Ip6, Proto, Port], &[Ip6])),
    ];
    let bridge = [
        (NAMES.macs, hash(&[Ifname, Mac], &[])),
        (NAMES.addrs4, hash(&[Ifname, Mac, Ip4], &[])),
        (NAMES.addrs6, hash(&[Ifname, Mac, Ip6], &[])),
        (NAMES.targets6, hash(&[Ifname, Mac, NdTarget], &[])),
        (NAMES.remotes4, interval(&[Ifname, Mac, Ip4], &[])),
        (NAMES.remotes6, interval(&[Ifname, Mac, Ip6], &[])),
        (
            NAMES.remote_targets6,
            interval(&[Ifname, Mac, NdTarget], &[]),
        ),
    ];
    let inet = inet.map(|(name, spec)| (NftFamily::Inet, name, spec));
    let bridge = bridge.map(|(name, spec)| (NftFamily::Bridge, name, spec));
    inet.into_iter().chain(bridge).collect()
}
