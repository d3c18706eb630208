//! Published ports as elements of the firewall's maps.

use std::net::IpAddr;

use model::{Endpoint, Family, HostBind, Prefix, Proto, Publish};
use netstate::nft::{Datum, ElementKey, Item, NftFamily};

use crate::firewall::{NAMES, element};

/// The map elements of one publication for one endpoint. A range whose ports keep their numbers
/// is one element a family; of any other, each port is one.
pub(crate) fn published_elements(
    endpoint: &Endpoint,
    publish: Publish,
) -> Vec<(ElementKey, Vec<Datum>)> {
    let families = Family::BOTH.into_iter();
    families
        .filter_map(|family| {
            let bind = publish.bind().address(family)?;
            Some((bind, endpoint.address(family)?))
        })
        .flat_map(|(bind, address)| of_family(publish, bind, address))
        .collect()
}

/// Whether the node's own loopback address leads to this publication.
pub(crate) fn reached_by_loopback(publish: Publish) -> bool {
    match publish.bind() {
        HostBind::Any | HostBind::AnyOf(Family::Ipv4) => true,
        HostBind::AnyOf(Family::Ipv6) => false,
        HostBind::Address(address) => address.is_ipv4() && address.is_loopback(),
    }
}

fn of_family(publish: Publish, bind: IpAddr, address: IpAddr) -> Vec<(ElementKey, Vec<Datum>)> {
    let range = publish.node_ports();
    if publish.keeps_ports() && !range.is_single() {
        return vec![kept_range(publish, bind, address)];
    }
    let offset = |port: u16| port - range.first() + publish.container_first();
    let to = |port: u16| vec![Datum::address(address), Datum::InetService(offset(port))];
    range
        .ports()
        .map(|port| (exact_key(publish.proto(), bind, port), to(port)))
        .collect()
}

fn kept_range(publish: Publish, bind: IpAddr, address: IpAddr) -> (ElementKey, Vec<Datum>) {
    let bind = if bind.is_unspecified() {
        Item::Prefix(Prefix::any(Family::of(bind)))
    } else {
        Item::One(Datum::address(bind))
    };
    let key = vec![
        bind,
        Item::One(Datum::InetProto(publish.proto())),
        Item::Ports(publish.node_ports()),
    ];
    let map = of(Family::of(address), NAMES.ranges4, NAMES.ranges6);
    (
        element(NftFamily::Inet, map, key),
        vec![Datum::address(address)],
    )
}

fn exact_key(proto: Proto, bind: IpAddr, port: u16) -> ElementKey {
    let family = Family::of(bind);
    let mut key = vec![
        Item::One(Datum::InetProto(proto)),
        Item::One(Datum::InetService(port)),
    ];
    if bind.is_unspecified() {
        let map = of(family, NAMES.ports4, NAMES.ports6);
        return element(NftFamily::Inet, map, key);
    }
    key.insert(0, Item::One(Datum::address(bind)));
    let map = of(family, NAMES.host_ports4, NAMES.host_ports6);
    element(NftFamily::Inet, map, key)
}

fn of(family: Family, ipv4: &'static str, ipv6: &'static str) -> &'static str {
    match family {
        Family::Ipv4 => ipv4,
        Family::Ipv6 => ipv6,
    }
}
