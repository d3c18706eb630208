//! What is ours in the kernel, as a [`KernelState`].

mod entries;
mod shaping;

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use model::{Family, IfName, Mtu, NodeId, Target};
use netstate::{
    AddressKey, Alias, Interest, KernelState, Link, LinkKey, LinkKind, Netns, Peer, PortFlags,
    ROUTE_PROTOCOL, Route, RouteKey, SysctlKey, Tunnel, Vxlan, Way,
};

use crate::error::{KernelError, Listed};
use crate::namespace::Namespace;
use crate::rtnl::address::AddressInfo;
use crate::rtnl::link_read::LinkInfo;
use crate::rtnl::route::RouteInfo;
use crate::steps::NEWBORN;
use crate::{Kernel, firewall, named, rtnl, sysctl};

/// The mark of a named namespace, where it is that of `node`: of one that was never finished too.
pub fn namespace_mark(
    kernel: &mut Kernel,
    name: &str,
    node: NodeId,
) -> Result<Option<Alias>, KernelError> {
    let loopback = match kernel.target(&Target::Named(name.to_owned())) {
        Ok(namespace) => namespace.loopback()?,
        Err(KernelError::TargetNotNetns(_)) if named::is_half_made(name) => {
            return Ok(Some(Alias::half_made(node)));
        }
        Err(KernelError::TargetMissing(_) | KernelError::TargetNotNetns(_)) => return Ok(None),
        Err(error) => return Err(error),
    };
    let mark = loopback.and_then(|lo| lo.alias?.parse::<Alias>().ok());
    Ok(mark.filter(|mark| mark.node == node))
}

pub fn observe(kernel: &mut Kernel, interest: &Interest) -> Result<KernelState, KernelError> {
    let mut state = firewall::observe(&mut kernel.node)?;
    for name in &interest.namespaces {
        let mark = namespace_mark(kernel, name, interest.node)?;
        state
            .namespaces
            .extend(mark.map(|mark| (name.clone(), mark)));
    }
    let mut ours = observe_node(&mut kernel.node, interest, &mut state)?;
    for target in targets_of(interest) {
        match kernel.target(target) {
            Ok(_) => observe_target(kernel, target, interest, &mut ours, &mut state)?,
            Err(
                KernelError::TargetMissing(_)
                | KernelError::TargetNotNetns(_)
                | KernelError::TargetIsNode(_),
            ) => {}
            Err(error) => return Err(error),
        }
    }
    state.links = ours.into_values().collect();
    Ok(state)
}

fn targets_of(interest: &Interest) -> BTreeSet<&Target> {
    let paired = interest.targets.iter().map(|pair| &pair.target);
    let tuned = interest.sysctls.iter().filter_map(|key| match &key.netns {
        Netns::Target(target) => Some(target),
        Netns::Node => None,
    });
    paired.chain(tuned).collect()
}

/// Our devices on the node by where their other end is: the number of its namespace as the node
/// counts, and the device's number there. What has no other end has its own number there.
type Ours = BTreeMap<(Option<i32>, u32), (LinkKey, Link)>;

fn observe_node(
    node: &mut Namespace,
    interest: &Interest,
    state: &mut KernelState,
) -> Result<Ours, KernelError> {
    let infos = node.links()?;
    let names: BTreeMap<u32, IfName> = infos
        .iter()
        .filter_map(|info| Some((info.index, info.ifname()?)))
        .collect();
    let mut ours = Ours::new();
    let mut owned = BTreeMap::new();
    for info in &infos {
        if let Some((key, link)) = our_link(info, &names, interest) {
            if info.is_up() {
                state.up.insert(key.clone());
            }
            // A tunnel has none of ours, but one that the kernel makes of its own address
            // (`sit_add_v4_addrs`, net/ipv6/addrconf.c).
            if !matches!(link.kind, LinkKind::Tunnel(_)) {
                owned.insert(info.index, key.clone());
            }
            let end = match (&link.kind, info.lower, info.lower_nsid) {
                (LinkKind::Veth { .. }, Some(there), Some(nsid)) => (Some(nsid), there),
                _ => (None, info.index),
            };
            ours.insert(end, (key, link));
        }
    }
    put_addresses(&node.addresses()?, &owned, state);
    entries::put(node, &ours, state)?;
    shaping::put(node, &owned, &names, state)?;
    put_routes(node, &names, state)?;
    put_sysctls(node, interest, state)?;
    Ok(ours)
}

/// A device that carries our mark, or was to get it from a process that was killed.
fn our_link(
    info: &LinkInfo,
    names: &BTreeMap<u32, IfName>,
    interest: &Interest,
) -> Option<(LinkKey, Link)> {
    let alias = match info.alias.as_deref() {
        Some(text) => text.parse().ok()?,
        None if info.group == NEWBORN => Alias::half_made(interest.node),
        None => return None,
    };
    if alias.node != interest.node {
        return None;
    }
    let kind = match info.kind.as_deref()? {
        "bridge" => LinkKind::Bridge,
        "vxlan" => LinkKind::Vxlan(our_vxlan(info, names)?),
        "ifb" => LinkKind::Ifb,
        "sit" | "ip6tnl" => LinkKind::Tunnel(our_tunnel(info)),
        "veth" => LinkKind::Veth {
            port: PortFlags {
                master: info.master.and_then(|index| names.get(&index)).cloned(),
                hairpin: info.hairpin,
            },
            peer: None,
        },
        _ => return None,
    };
    let mac = match kind {
        LinkKind::Tunnel(_) | LinkKind::Ifb => None,
        LinkKind::Bridge | LinkKind::Veth { .. } | LinkKind::Vxlan(_) => Some(info.unicast_mac()?),
    };
    let link = Link {
        mac,
        mtu: mtu_of(info),
        alias,
        kind,
    };
    Some((LinkKey::on_node(info.ifname()?), link))
}

fn our_vxlan(info: &LinkInfo, names: &BTreeMap<u32, IfName>) -> Option<Vxlan> {
    let seen = info.vxlan.as_ref()?;
    // Ours always have an address. One that has none is not as it was made, which "any" shows.
    let local = seen.local.unwrap_or(Family::Ipv4.unspecified());
    Some(Vxlan {
        vni: seen.vni()?,
        local,
        port: seen.port,
        learning: seen.learning,
        master: info.master.and_then(|index| names.get(&index)).cloned(),
        suppress: info.suppress,
    })
}

/// Ours have an address. One that has not, or is otherwise not as it was made, is shown with "any".
fn our_tunnel(info: &LinkInfo) -> Tunnel {
    info.tunnel.clone().unwrap_or(Tunnel::Ipv4 {
        local: Ipv4Addr::UNSPECIFIED,
    })
}

/// The kernel keeps Ethernet devices within these bounds (`ETH_MIN_MTU`, `ETH_MAX_MTU`).
pub fn mtu_of(info: &LinkInfo) -> Mtu {
    let bytes = u16::try_from(info.mtu).unwrap_or(u16::MAX);
    Mtu::try_from(bytes).unwrap_or(Mtu::ETHERNET)
}

fn observe_target(
    kernel: &mut Kernel,
    target: &Target,
    interest: &Interest,
    ours: &mut Ours,
    state: &mut KernelState,
) -> Result<(), KernelError> {
    let nsid = number_of(kernel, target)?;
    let namespace = kernel.target(target)?;
    let infos = namespace.links()?;
    let names: BTreeMap<u32, IfName> = infos
        .iter()
        .filter_map(|info| Some((info.index, info.ifname()?)))
        .collect();
    let mut inside = BTreeMap::new();
    for info in &infos {
        let Some(name) = names.get(&info.index) else {
            continue;
        };
        let key = LinkKey {
            netns: namespace.netns().clone(),
            name: name.clone(),
        };
        let pair = nsid.and_then(|nsid| ours.get_mut(&(Some(nsid), info.index)));
        let is_peer = pair.is_some();
        if let (Some((_, link)), Some(mac)) = (pair, info.unicast_mac())
            && let LinkKind::Veth { peer, .. } = &mut link.kind
        {
            let at = key.clone();
            let mtu = mtu_of(info);
            *peer = Some(Peer { at, mac, mtu });
            inside.insert(info.index, key.clone());
        }
        if info.is_up() && (is_peer || info.is_loopback()) {
            state.up.insert(key);
        }
    }
    put_addresses(&namespace.addresses()?, &inside, state);
    put_routes(namespace, &names, state)?;
    put_sysctls(namespace, interest, state)
}

/// The number by which the node's namespace knows the target's. Reading the node's devices gave
/// a number to each namespace where one of them has its other end.
fn number_of(kernel: &mut Kernel, target: &Target) -> Result<Option<i32>, KernelError> {
    let Kernel { node, targets, .. } = kernel;
    let Some(handle) = targets.get(target).and_then(Namespace::handle) else {
        return Ok(None);
    };
    let answer = node
        .route()?
        .get(rtnl::link::get_nsid(handle), rtnl::link::read_nsid);
    answer.map_err(Listed::NamespaceNumbers.failed(&Netns::Node))
}

/// Addresses that somebody gave; the kernel makes those of link scope itself.
fn put_addresses(infos: &[AddressInfo], links: &BTreeMap<u32, LinkKey>, state: &mut KernelState) {
    for info in infos.iter().filter(|info| info.is_global()) {
        if let Some(link) = links.get(&info.index) {
            state.addresses.insert(AddressKey {
                link: link.clone(),
                address: info.address,
                prefix_len: info.prefix_len,
            });
        }
    }
}

fn put_routes(
    namespace: &mut Namespace,
    names: &BTreeMap<u32, IfName>,
    state: &mut KernelState,
) -> Result<(), KernelError> {
    for info in namespace.routes(ROUTE_PROTOCOL)? {
        let is_ours = info.protocol == ROUTE_PROTOCOL && info.is_main();
        if let Some(route) = our_route(&info, names).filter(|_| is_ours) {
            let key = RouteKey {
                netns: namespace.netns().clone(),
                destination: info.prefix,
                metric: info.metric,
            };
            state.routes.insert(key, route);
        }
    }
    Ok(())
}

fn our_route(info: &RouteInfo, names: &BTreeMap<u32, IfName>) -> Option<Route> {
    if info.is_unreachable() {
        return Some(Route::Unreachable);
    }
    let dev = info.index.and_then(|index| names.get(&index))?;
    Some(Route::Leads(Way {
        via: info.via,
        dev: dev.clone(),
        source: info.source,
        onlink: info.onlink,
    }))
}

/// Reads all parameters of one namespace in one visit.
fn put_sysctls(
    namespace: &Namespace,
    interest: &Interest,
    state: &mut KernelState,
) -> Result<(), KernelError> {
    let keys: Vec<&SysctlKey> = interest
        .sysctls
        .iter()
        .filter(|key| key.netns == *namespace.netns())
        .collect();
    if keys.is_empty() {
        return Ok(());
    }
    let values = namespace.visit(|| {
        let read = keys.iter().map(|key| sysctl::read(key.path()));
        read.collect::<Vec<_>>()
    })?;
    for (key, value) in keys.into_iter().zip(values) {
        let value = value.map_err(|source| KernelError::ReadSysctl {
            key: key.clone(),
            source,
        })?;
        if let Some(value) = value {
            state.sysctls.insert(key.clone(), value);
        }
    }
    Ok(())
}
