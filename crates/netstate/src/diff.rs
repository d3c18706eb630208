//! The difference of two states, as the steps that lead from one to the other.
//!
//! Removals come first, from the outside in: nft, routes, entries, addresses, links, namespaces. An
//! address must go before its successor comes: the kernel removes the secondary addresses of a
//! subnet together with the primary one (`inet_del_ifa`, net/ipv4/devinet.c). Additions come in
//! the opposite order.

mod entries;
mod shaping;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::flows;
use crate::nft::{Chain, ChainKey, ElementKey, NftFamily, Rules, SetKey};
use crate::{
    KernelState, Link, LinkChange, LinkKey, LinkKind, Netns, Peer, Plan, PortFlags, Step, Vxlan,
};

/// The plan that makes `observed` what is `desired`.
pub fn diff(observed: &KernelState, desired: &KernelState) -> Plan {
    let mut steps = Vec::new();
    let rebuilt = tables_to_rebuild(observed, desired);
    remove_nft(observed, desired, &rebuilt, &mut steps);
    let replaced = links_to_replace(observed, desired);
    let doomed: Vec<&LinkKey> = gone(&observed.links, &desired.links)
        .chain(replaced.iter().copied())
        .collect();
    remove_from_links(observed, desired, &doomed, &mut steps);
    remove_links(observed, doomed, &mut steps);
    let namespaces = gone(&observed.namespaces, &desired.namespaces);
    steps.extend(namespaces.cloned().map(Step::DelNetns));
    add_links(observed, desired, &replaced, &mut steps);
    let fresh = fresh_links(observed, desired, &replaced);
    add_on_links(observed, desired, &fresh, &mut steps);
    entries::add(observed, desired, &fresh, &mut steps);
    shaping::add(observed, desired, &fresh, &mut steps);
    add_routes(observed, desired, &fresh, &mut steps);
    add_nft(observed, desired, &rebuilt, &mut steps);
    Plan { steps }
}

/// A set can't change its types nor a base chain its hook while rules stand, so that their
/// table is made anew, in the same transaction.
fn tables_to_rebuild(observed: &KernelState, desired: &KernelState) -> BTreeSet<NftFamily> {
    let sets = desired.sets.iter().filter_map(|(key, spec)| {
        let seen = observed.sets.get(key)?;
        (seen != spec).then_some(key.family)
    });
    let chains = desired.chains.iter().filter_map(|(key, chain)| {
        let seen = observed.chains.get(key)?;
        (seen.hook != chain.hook).then_some(key.family)
    });
    let marks = desired.tables.iter().filter_map(|(family, mark)| {
        let seen = observed.tables.get(family)?;
        (seen != mark).then_some(*family)
    });
    sets.chain(chains).chain(marks).collect()
}

/// Keys that are only on the left.
fn gone<'a, K: Ord, A, B>(
    observed: &'a BTreeMap<K, A>,
    desired: &'a BTreeMap<K, B>,
) -> impl DoubleEndedIterator<Item = &'a K> {
    observed.keys().filter(|key| !desired.contains_key(key))
}

fn remove_nft(
    observed: &KernelState,
    desired: &KernelState,
    rebuilt: &BTreeSet<NftFamily>,
    steps: &mut Vec<Step>,
) {
    let dropped: BTreeSet<NftFamily> = gone(&observed.tables, &desired.tables)
        .chain(rebuilt)
        .copied()
        .collect();
    let stands = |family: NftFamily| !dropped.contains(&family);
    let stale_elements = observed
        .elements
        .iter()
        .filter(|(key, data)| desired.elements.get(key) != Some(data))
        .map(|(key, _)| key)
        .filter(|key| stands(key.set.family));
    steps.extend(stale_elements.clone().cloned().map(Step::DelElement));
    for (key, chain) in &observed.chains {
        let flush = match desired.chains.get(key) {
            Some(wanted) => wanted.rules != chain.rules,
            None => true,
        };
        if stands(key.family) && flush && chain.rules != Rules::Ours(Vec::new()) {
            steps.push(Step::FlushChain(key.clone()));
        }
    }
    let stale_chains = gone(&observed.chains, &desired.chains).filter(|key| stands(key.family));
    steps.extend(stale_chains.cloned().map(Step::DelChain));
    let stale_sets = gone(&observed.sets, &desired.sets).filter(|key| stands(key.family));
    steps.extend(stale_sets.cloned().map(Step::DelSet));
    steps.extend(dropped.into_iter().map(Step::DelTable));
    steps.extend(flows::forget(observed, desired));
}

/// What is on a device goes with the device, and needs no step of its own.
fn remove_from_links(
    observed: &KernelState,
    desired: &KernelState,
    doomed: &[&LinkKey],
    steps: &mut Vec<Step>,
) {
    let ends = |key: &&LinkKey| observed.links.get(*key).and_then(Link::peer);
    let peers = doomed.iter().filter_map(ends).map(|peer| &peer.at);
    let doomed: BTreeSet<&LinkKey> = doomed.iter().copied().chain(peers).collect();
    for (key, route) in observed.routes.iter().rev() {
        if !desired.routes.contains_key(key) && !stands_on(route.link(key), &doomed) {
            steps.push(Step::DelRoute(key.clone()));
        }
    }
    entries::remove(observed, desired, &doomed, steps);
    shaping::remove(observed, desired, &doomed, steps);
    let stale = observed.addresses.difference(&desired.addresses);
    let stale = stale.filter(|key| !doomed.contains(&key.link));
    steps.extend(stale.cloned().map(Step::DelAddress));
}

fn stands_on(link: Option<LinkKey>, doomed: &BTreeSet<&LinkKey>) -> bool {
    link.is_some_and(|link| doomed.contains(&link))
}

/// Ports go before the bridges they are on.
fn remove_links(observed: &KernelState, mut doomed: Vec<&LinkKey>, steps: &mut Vec<Step>) {
    let is_bridge = |key: &LinkKey| {
        let link = observed.links.get(key);
        link.is_some_and(|link| link.kind == LinkKind::Bridge)
    };
    doomed.sort_by_key(|key| (is_bridge(key), *key));
    steps.extend(doomed.into_iter().cloned().map(Step::DelLink));
}

/// The devices that can't become what they should be.
fn links_to_replace<'a>(observed: &'a KernelState, desired: &KernelState) -> BTreeSet<&'a LinkKey> {
    let differs = |(key, seen): &(&LinkKey, &Link)| {
        let wanted = desired.links.get(*key);
        wanted.is_some_and(|wanted| seen.alias.is_half_made() || !can_become(seen, wanted))
    };
    let links = observed.links.iter().filter(differs);
    links.map(|(key, _)| key).collect()
}

/// Whether a device can be changed in place: a pair's ends stay where they were made.
fn can_become(seen: &Link, wanted: &Link) -> bool {
    match (&seen.kind, &wanted.kind) {
        (LinkKind::Bridge, LinkKind::Bridge) | (LinkKind::Ifb, LinkKind::Ifb) => true,
        (LinkKind::Veth { peer: seen, .. }, LinkKind::Veth { peer: wanted, .. }) => {
            seen.as_ref().map(|peer| &peer.at) == wanted.as_ref().map(|peer| &peer.at)
        }
        (LinkKind::Vxlan(seen), LinkKind::Vxlan(wanted)) => {
            let moved = Vxlan {
                master: wanted.master.clone(),
                suppress: wanted.suppress,
                ..seen.clone()
            };
            moved == *wanted
        }
        (LinkKind::Tunnel(seen), LinkKind::Tunnel(wanted)) => seen == wanted,
        (
            LinkKind::Bridge
            | LinkKind::Veth { .. }
            | LinkKind::Vxlan(_)
            | LinkKind::Tunnel(_)
            | LinkKind::Ifb,
            _,
        ) => false,
    }
}

fn add_links(
    observed: &KernelState,
    desired: &KernelState,
    replaced: &BTreeSet<&LinkKey>,
    steps: &mut Vec<Step>,
) {
    for (name, mark) in &desired.namespaces {
        if !observed.namespaces.contains_key(name) {
            steps.push(Step::AddNetns(name.clone(), mark.clone()));
        }
    }
    let mut wanted: Vec<_> = desired.links.iter().collect();
    wanted.sort_by_key(|(key, link)| (link.master().is_some(), *key));
    for (key, link) in wanted {
        match observed.links.get(key).filter(|_| !replaced.contains(key)) {
            Some(seen) => change_link(key, seen, link, steps),
            None => add_link(key, link, steps),
        }
    }
}

fn add_link(key: &LinkKey, link: &Link, steps: &mut Vec<Step>) {
    steps.push(Step::AddLink(key.clone(), link.clone()));
    let set = |change| Step::SetLink(key.clone(), change);
    match &link.kind {
        LinkKind::Veth { port, .. } if port.hairpin => {
            steps.push(set(LinkChange::Hairpin(true)));
        }
        LinkKind::Vxlan(vxlan) if vxlan.suppress => steps.push(set(LinkChange::Suppress(true))),
        LinkKind::Bridge
        | LinkKind::Veth { .. }
        | LinkKind::Vxlan(_)
        | LinkKind::Tunnel(_)
        | LinkKind::Ifb => {}
    }
}

fn change_link(key: &LinkKey, seen: &Link, wanted: &Link, steps: &mut Vec<Step>) {
    let mut set = |at: &LinkKey, differs: bool, change: LinkChange| {
        if differs {
            steps.push(Step::SetLink(at.clone(), change));
        }
    };
    if let Some(mac) = wanted.mac {
        set(key, seen.mac != Some(mac), LinkChange::Mac(mac));
    }
    set(key, seen.mtu != wanted.mtu, LinkChange::Mtu(wanted.mtu));
    set(
        key,
        seen.alias != wanted.alias,
        LinkChange::Alias(wanted.alias.clone()),
    );
    let moved = seen.master() != wanted.master();
    set(key, moved, LinkChange::Master(wanted.master().cloned()));
    if let (Some(seen), Some(wanted)) = (port_of(seen), port_of(wanted)) {
        // A port that joins a bridge starts without hairpin.
        let hairpin = if moved {
            wanted.hairpin
        } else {
            seen.hairpin != wanted.hairpin
        };
        set(key, hairpin, LinkChange::Hairpin(wanted.hairpin));
    }
    if let (LinkKind::Vxlan(seen), LinkKind::Vxlan(wanted)) = (&seen.kind, &wanted.kind) {
        // As hairpin; and where there is no bridge, there is none to answer.
        let seen = seen.suppress && !moved;
        let suppress = LinkChange::Suppress(wanted.suppress);
        set(key, seen != wanted.suppress, suppress);
    }
    if let (Some(seen), Some(wanted)) = (seen.peer(), wanted.peer()) {
        let Peer { at, mac, mtu } = wanted;
        set(at, seen.mac != *mac, LinkChange::Mac(*mac));
        set(at, seen.mtu != *mtu, LinkChange::Mtu(*mtu));
    }
}

fn port_of(link: &Link) -> Option<&PortFlags> {
    match &link.kind {
        LinkKind::Veth { port, .. } => Some(port),
        LinkKind::Bridge | LinkKind::Vxlan(_) | LinkKind::Tunnel(_) | LinkKind::Ifb => None,
    }
}

/// Devices that are made, with their other ends: they start with nothing on them, whatever was
/// observed on those they replace.
fn fresh_links(
    observed: &KernelState,
    desired: &KernelState,
    replaced: &BTreeSet<&LinkKey>,
) -> BTreeSet<LinkKey> {
    let mut fresh = BTreeSet::new();
    for (key, link) in &desired.links {
        if replaced.contains(key) || !observed.links.contains_key(key) {
            let end = link.peer().map(|peer| &peer.at);
            fresh.extend(end.into_iter().chain([key]).cloned());
        }
    }
    fresh
}

/// Sysctls, addresses, up.
fn add_on_links(
    observed: &KernelState,
    desired: &KernelState,
    fresh: &BTreeSet<LinkKey>,
    steps: &mut Vec<Step>,
) {
    for (key, value) in &desired.sysctls {
        let on_fresh = key.device().is_some_and(|name| {
            fresh.contains(&LinkKey {
                netns: key.netns.clone(),
                name: name.clone(),
            })
        });
        if on_fresh || observed.sysctls.get(key) != Some(value) {
            steps.push(Step::SetSysctl(key.clone(), value.clone()));
        }
    }
    for key in &desired.addresses {
        if fresh.contains(&key.link) || !observed.addresses.contains(key) {
            steps.push(Step::AddAddress(key.clone()));
        }
    }
    for key in &desired.up {
        if fresh.contains(key) || !observed.up.contains(key) {
            steps.push(Step::SetLink(key.clone(), LinkChange::Up));
        }
    }
}

/// A route whose source address goes away goes with it, or loses it, also when the address comes
/// back (`fib_sync_down_addr`, net/ipv4/fib_semantics.c; `fib6_remove_prefsrc`,
/// net/ipv6/route.c).
fn add_routes(
    observed: &KernelState,
    desired: &KernelState,
    fresh: &BTreeSet<LinkKey>,
    steps: &mut Vec<Step>,
) {
    let moved = observed.addresses.iter();
    let moved = moved.filter(|key| fresh.contains(&key.link) || !desired.addresses.contains(*key));
    let moved: BTreeSet<(&Netns, IpAddr)> = moved.map(|k| (&k.link.netns, k.address)).collect();
    for (key, route) in &desired.routes {
        let source = route.way().and_then(|way| way.source);
        let lost = route.link(key).is_some_and(|link| fresh.contains(&link))
            || source.is_some_and(|source| moved.contains(&(&key.netns, source)));
        if lost || observed.routes.get(key) != Some(route) {
            steps.push(Step::SetRoute(key.clone(), route.clone()));
        }
    }
}

fn add_nft(
    observed: &KernelState,
    desired: &KernelState,
    rebuilt: &BTreeSet<NftFamily>,
    steps: &mut Vec<Step>,
) {
    let stands = |family: NftFamily| !rebuilt.contains(&family);
    for (family, mark) in &desired.tables {
        if !(stands(*family) && observed.tables.contains_key(family)) {
            steps.push(Step::AddTable(*family, mark.clone()));
        }
    }
    for (key, spec) in &desired.sets {
        if !(stands(key.family) && observed.sets.contains_key(key)) {
            steps.push(Step::AddSet(key.clone(), spec.clone()));
        }
    }
    let seen_chain = |key: &ChainKey| observed.chains.get(key).filter(|_| stands(key.family));
    for (key, chain) in &desired.chains {
        if seen_chain(key).is_none() {
            steps.push(Step::AddChain(key.clone(), chain.clone()));
        }
    }
    for (key, chain) in &desired.chains {
        if seen_chain(key).is_none_or(|seen| seen.rules != chain.rules) {
            steps.extend(rules_of(key, chain));
        }
    }
    let present = |key: &ElementKey| {
        let set: &SetKey = &key.set;
        observed.elements.get(key).filter(|_| stands(set.family))
    };
    for (key, data) in &desired.elements {
        if present(key) != Some(data) {
            steps.push(Step::AddElement(key.clone(), data.clone()));
        }
    }
    steps.extend(flows::forget_early(observed, desired));
}

fn rules_of<'a>(key: &'a ChainKey, chain: &'a Chain) -> impl Iterator<Item = Step> + 'a {
    let rules = match &chain.rules {
        Rules::Ours(rules) => rules.as_slice(),
        Rules::Admin => &[],
    };
    rules
        .iter()
        .map(|rule| Step::AddRule(key.clone(), rule.clone()))
}
