//! The node as planning sees it: anybody's devices, addresses and routes.

use std::collections::{BTreeMap, BTreeSet};

use model::{Family, IfName, Mtu};
use netstate::{AddressFacts, LinkFacts, NodeFacts, RouteFacts};
use rustix::io::Errno;

use crate::error::KernelError;
use crate::namespace::Namespace;
use crate::netlink::NetlinkError;
use crate::observe::mtu_of;
use crate::rtnl;
use crate::rtnl::link_read::LinkInfo;
use crate::rtnl::route::RouteInfo;

/// The protocol number of routes learnt from router advertisements (`RTPROT_RA`,
/// `include/uapi/linux/rtnetlink.h`).
const PROTOCOL_RA: u8 = 9;

type Names = BTreeMap<u32, IfName>;

pub fn facts(node: &mut Namespace) -> Result<NodeFacts, KernelError> {
    let links = node.links()?;
    let names: Names = links
        .iter()
        .filter_map(|info| Some((info.index, info.ifname()?)))
        .collect();
    let mut routes = node.routes(0)?;
    routes.retain(|route| route.holds_prefix() && !route.is_local());
    let addresses = node.addresses()?.into_iter().filter_map(|info| {
        Some(AddressFacts {
            dev: names.get(&info.index)?.clone(),
            address: info.address,
            prefix_len: info.prefix_len,
        })
    });
    Ok(NodeFacts {
        addresses: addresses.collect(),
        default_mtu: default_mtu(&links, &routes),
        ra_uplinks: ra_uplinks(&links, &routes),
        routes: routes.iter().map(|r| route_facts(r, &names)).collect(),
        links: links
            .iter()
            .filter_map(|info| {
                let master = info.master.and_then(|index| names.get(&index));
                link_facts(info, master.cloned())
            })
            .collect(),
    })
}

fn link_facts(info: &LinkInfo, master: Option<IfName>) -> Option<LinkFacts> {
    Some(LinkFacts {
        name: info.ifname()?,
        mtu: info.mtu,
        mac: info.unicast_mac(),
        alias: info.alias.clone(),
        kind: info.kind.clone(),
        master,
        up: info.is_up(),
    })
}

fn route_facts(info: &RouteInfo, names: &Names) -> RouteFacts {
    RouteFacts {
        prefix: info.prefix,
        dev: info.index.and_then(|index| names.get(&index)).cloned(),
        via: info.via,
        protocol: info.protocol,
        metric: info.metric,
        table: info.table,
    }
}

/// The MTU of the best default route's device.
fn default_mtu(links: &[LinkInfo], routes: &[RouteInfo]) -> Mtu {
    let best = |family: Family| {
        routes
            .iter()
            .filter(|r| r.is_main() && r.prefix.is_any() && r.prefix.family() == family)
            .filter(|r| r.index.is_some())
            .min_by_key(|r| r.metric)
            .and_then(|r| r.index)
    };
    let uplink = best(Family::Ipv4).or_else(|| best(Family::Ipv6));
    uplink
        .and_then(|index| links.iter().find(|info| info.index == index))
        .map_or(Mtu::ETHERNET, mtu_of)
}

/// See [`NodeFacts::ra_uplinks`]. Most devices that software makes have `accept_ra` on and never
/// see an advertisement: they count only when they did.
fn ra_uplinks(links: &[LinkInfo], routes: &[RouteInfo]) -> Vec<IfName> {
    let learnt: BTreeSet<u32> = routes
        .iter()
        .filter(|route| route.protocol == PROTOCOL_RA)
        .filter_map(|route| route.index)
        .collect();
    links
        .iter()
        .filter(|info| info.accepts_ra && !info.forwards_ipv6)
        .filter(|info| info.master.is_none() && !info.is_loopback())
        .filter(|info| info.kind.is_none() || learnt.contains(&info.index))
        .filter_map(LinkInfo::ifname)
        .collect()
}

pub fn link(node: &mut Namespace, name: &IfName) -> Result<Option<LinkFacts>, KernelError> {
    let failed = |source| KernelError::ReadLink {
        name: name.clone(),
        source,
    };
    node.forget_index(name);
    let info = match node.route()?.get(rtnl::link::get(name), LinkInfo::read) {
        Ok(info) => info,
        Err(NetlinkError {
            errno: Errno::NODEV,
            ..
        }) => None,
        Err(source) => return Err(failed(source)),
    };
    let Some(info) = info else {
        return Ok(None);
    };
    node.remember_index(name, info.index);
    let socket = node.route()?;
    let master = match info.master {
        Some(index) => socket
            .get(rtnl::link::get_at(index), LinkInfo::read)
            .map_err(failed)?
            .and_then(|master| master.ifname()),
        None => None,
    };
    Ok(link_facts(&info, master))
}
