//! A small model of what each step does to a kernel.

use netstate::nft::{Chain, Rules};
use netstate::{KernelState, LinkChange, LinkKey, LinkKind, PortFlags, Step};

use crate::states::{devices, has_source};

/// What a kernel does on each step; panics where a real one would refuse.
pub fn apply(state: &mut KernelState, step: &Step) {
    match step {
        Step::AddNetns(name, mark) => {
            let had = state.namespaces.insert(name.clone(), mark.clone());
            assert!(had.is_none(), "{step}");
        }
        Step::DelNetns(name) => assert!(state.namespaces.remove(name).is_some(), "{step}"),
        Step::AddLink(key, link) => {
            assert!(
                link.master()
                    .is_none_or(|m| state.links.contains_key(&LinkKey::on_node(m.clone()))),
                "{step}"
            );
            let mut link = link.clone();
            match &mut link.kind {
                LinkKind::Veth { port, .. } => port.hairpin = false,
                LinkKind::Vxlan(vxlan) => vxlan.suppress = false,
                LinkKind::Bridge | LinkKind::Tunnel(_) | LinkKind::Ifb => {}
            }
            assert!(state.links.insert(key.clone(), link).is_none(), "{step}");
        }
        Step::DelLink(key) => del_link(state, key),
        Step::SetLink(key, change) => set_link(state, key, change),
        Step::SetSysctl(key, value) => {
            state.sysctls.insert(key.clone(), value.clone());
        }
        Step::AddAddress(key) => {
            assert!(devices(state).contains(&key.link), "{step}");
            assert!(state.addresses.insert(key.clone()), "{step}");
        }
        Step::DelAddress(key) => {
            assert!(state.addresses.remove(key), "{step}");
            drop_sourceless(state);
        }
        Step::SetRoute(key, route) => {
            let link = route.link(key);
            assert!(
                link.is_none_or(|link| devices(state).contains(&link)),
                "{step}"
            );
            assert!(has_source(&state.addresses, key, route), "{step}");
            state.routes.insert(key.clone(), route.clone());
        }
        Step::DelRoute(key) => assert!(state.routes.remove(key).is_some(), "{step}"),
        Step::ForgetFlows(_) | Step::ForgetEarlyFlows(_) => {}
        other => apply_entry(state, other),
    }
}

fn apply_entry(state: &mut KernelState, step: &Step) {
    match step {
        Step::AddNeighbour(key, mac) => {
            assert!(has_entries(state, &key.link()), "{step}");
            state.neighbours.insert(key.clone(), *mac);
        }
        Step::DelNeighbour(key) => assert!(state.neighbours.remove(key).is_some(), "{step}"),
        Step::AddFdb(key, remote) => {
            assert!(is_vxlan(state, &key.link()), "{step}");
            state.fdb.insert(key.clone(), *remote);
        }
        Step::DelFdb(key) => assert!(state.fdb.remove(key).is_some(), "{step}"),
        Step::AddFlood(key) => {
            assert!(is_vxlan(state, &key.link()), "{step}");
            assert!(state.floods.insert(key.clone()), "{step}");
        }
        Step::DelFlood(key) => assert!(state.floods.remove(key), "{step}"),
        Step::AddPortFdb(key) => {
            let link = state.links.get(&key.link());
            assert!(link.is_some_and(|link| link.master().is_some()), "{step}");
            assert!(state.port_fdb.insert(key.clone()), "{step}");
        }
        Step::DelPortFdb(key) => assert!(state.port_fdb.remove(key), "{step}"),
        other => apply_shaping(state, other),
    }
}

fn apply_shaping(state: &mut KernelState, step: &Step) {
    match step {
        Step::SetQueue(dev, queue) => {
            assert!(state.links.contains_key(&LinkKey::on_node(dev.clone())));
            state.queues.insert(dev.clone(), *queue);
        }
        Step::DelQueue(dev) => assert!(state.queues.remove(dev).is_some(), "{step}"),
        Step::AddDetour(dev, through) => {
            for end in [dev, through] {
                assert!(state.links.contains_key(&LinkKey::on_node(end.clone())));
            }
            let had = state.detours.insert(dev.clone(), through.clone());
            assert!(had.is_none(), "{step}");
        }
        Step::DelDetour(dev) => assert!(state.detours.remove(dev).is_some(), "{step}"),
        nft => apply_nft(state, nft),
    }
}

fn has_entries(state: &KernelState, key: &LinkKey) -> bool {
    let link = state.links.get(key);
    is_vxlan(state, key) || link.is_some_and(|link| link.kind == LinkKind::Bridge)
}

fn is_vxlan(state: &KernelState, key: &LinkKey) -> bool {
    let link = state.links.get(key);
    link.is_some_and(|link| matches!(link.kind, LinkKind::Vxlan(_)))
}

/// A route goes with its source address.
fn drop_sourceless(state: &mut KernelState) {
    let addresses = &state.addresses;
    state.routes.retain(|k, r| has_source(addresses, k, r));
}

fn del_link(state: &mut KernelState, key: &LinkKey) {
    let link = state.links.remove(key).expect("the link exists");
    for (at, other) in &mut state.links {
        if let LinkKind::Vxlan(vxlan) = &mut other.kind
            && vxlan.master.as_ref() == Some(&key.name)
        {
            vxlan.master = None;
            vxlan.suppress = false;
            state.port_fdb.retain(|k| k.link() != *at);
        }
        if let LinkKind::Veth { port, .. } = &mut other.kind
            && port.master.as_ref() == Some(&key.name)
        {
            *port = PortFlags {
                master: None,
                hairpin: false,
            };
        }
    }
    state.neighbours.retain(|k, _| k.link() != *key);
    state.fdb.retain(|k, _| k.link() != *key);
    state.floods.retain(|k| k.link() != *key);
    state.port_fdb.retain(|k| k.link() != *key);
    state.queues.remove(&key.name);
    state.detours.remove(&key.name);
    for (from, through) in &mut state.detours {
        if *through == key.name {
            through.clone_from(from);
        }
    }
    let ends = [Some(key.clone()), link.peer().map(|p| p.at.clone())];
    for end in ends.into_iter().flatten() {
        state.addresses.retain(|a| a.link != end);
        state.up.retain(|u| *u != end);
        state.routes.retain(|k, r| r.link(k).as_ref() != Some(&end));
        state
            .sysctls
            .retain(|k, _| !(k.netns == end.netns && k.device() == Some(&end.name)));
    }
    drop_sourceless(state);
}

fn set_link(state: &mut KernelState, key: &LinkKey, change: &LinkChange) {
    assert!(devices(state).contains(key), "{key:?}");
    if *change == LinkChange::Up {
        state.up.insert(key.clone());
        return;
    }
    if matches!(change, LinkChange::Mac(_)) {
        state.neighbours.retain(|k, _| k.link() != *key);
    }
    for (at, link) in &mut state.links {
        let is_peer = link.peer().is_some_and(|p| p.at == *key);
        match (&mut link.kind, change) {
            (
                LinkKind::Veth {
                    peer: Some(peer), ..
                },
                LinkChange::Mac(mac),
            ) if is_peer => peer.mac = *mac,
            (
                LinkKind::Veth {
                    peer: Some(peer), ..
                },
                LinkChange::Mtu(mtu),
            ) if is_peer => peer.mtu = *mtu,
            (_, LinkChange::Mac(mac)) if at == key => link.mac = Some(*mac),
            (_, LinkChange::Mtu(mtu)) if at == key => link.mtu = *mtu,
            (_, LinkChange::Alias(alias)) if at == key => link.alias = alias.clone(),
            (LinkKind::Vxlan(vxlan), LinkChange::Master(master)) if at == key => {
                vxlan.master.clone_from(master);
                vxlan.suppress = false;
                state.port_fdb.retain(|k| k.link() != *key);
            }
            (LinkKind::Vxlan(vxlan), LinkChange::Suppress(on)) if at == key => {
                assert!(vxlan.master.is_some() || !*on);
                vxlan.suppress = *on;
            }
            (LinkKind::Veth { port, .. }, LinkChange::Master(master)) if at == key => {
                *port = PortFlags {
                    master: master.clone(),
                    hairpin: false,
                };
            }
            (LinkKind::Veth { port, .. }, LinkChange::Hairpin(on)) if at == key => {
                port.hairpin = *on;
            }
            _ => {}
        }
    }
}

fn apply_nft(state: &mut KernelState, step: &Step) {
    match step {
        Step::AddTable(family, mark) => assert!(
            state.tables.insert(*family, mark.clone()).is_none(),
            "{step}"
        ),
        Step::DelTable(family) => {
            assert!(state.tables.remove(family).is_some(), "{step}");
            state.sets.retain(|k, _| k.family != *family);
            state.chains.retain(|k, _| k.family != *family);
            state.elements.retain(|k, _| k.set.family != *family);
        }
        Step::AddSet(key, spec) => {
            assert!(state.tables.contains_key(&key.family), "{step}");
            assert!(
                state.sets.insert(key.clone(), spec.clone()).is_none(),
                "{step}"
            );
        }
        Step::DelSet(key) => {
            assert!(state.sets.remove(key).is_some(), "{step}");
            state.elements.retain(|k, _| k.set != *key);
        }
        Step::AddChain(key, chain) => {
            let rules = if chain.rules == Rules::Admin {
                Rules::Admin
            } else {
                Rules::Ours(vec![])
            };
            let bare = Chain {
                hook: chain.hook,
                rules,
            };
            assert!(state.chains.insert(key.clone(), bare).is_none(), "{step}");
        }
        Step::FlushChain(key) => {
            state.chains.get_mut(key).expect("the chain exists").rules = Rules::Ours(vec![]);
        }
        Step::DelChain(key) => assert!(state.chains.remove(key).is_some(), "{step}"),
        Step::AddRule(key, rule) => {
            match &mut state.chains.get_mut(key).expect("the chain exists").rules {
                Rules::Ours(rules) => rules.push(rule.clone()),
                Rules::Admin => panic!("{step}: the administrator's"),
            }
        }
        Step::AddElement(key, data) => {
            assert!(state.sets.contains_key(&key.set), "{step}");
            assert!(
                state.elements.insert(key.clone(), data.clone()).is_none(),
                "{step}"
            );
        }
        Step::DelElement(key) => assert!(state.elements.remove(key).is_some(), "{step}"),
        other => panic!("{other} is not an nft step"),
    }
}
