//! Properties of the difference of two states, held against a small model of what each step
//! does to a kernel.

#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use model::{IfName, Mac, Mtu, NodeId, Target};
use netstate::nft::{
    Chain, ChainKey, Datum, DatumType, ElementKey, Hook, HookPoint, HookType, Item, NftFamily,
    NftName, Rule, Rules, SetKey, SetSpec, Statement, Verdict,
};
use netstate::{
    AddressKey, Alias, KernelState, Link, LinkChange, LinkKey, LinkKind, Netns, Peer, PortFlags,
    Route, RouteKey, Step, SysctlKey, diff,
};
use proptest::prelude::*;

fn ifname(text: &str) -> IfName {
    text.parse().unwrap()
}

fn target(n: u8) -> Netns {
    Netns::Target(Target::Named(format!("ns{n}")))
}

fn inside(n: u8) -> LinkKey {
    LinkKey {
        netns: target(n),
        name: ifname("eth0"),
    }
}

fn alias(purpose: u8) -> Alias {
    Alias {
        node: NodeId::from_bits(1),
        purpose: format!("p{purpose}"),
    }
}

fn mtu(n: u8) -> Mtu {
    Mtu::try_from(1400 + u16::from(n)).unwrap()
}

prop_compose! {
    fn any_bridge()(mac in 0u8..2, m in 0u8..2, a in 0u8..2) -> Link {
        Link { mac: Mac::ours([0, 0, 0, mac]), mtu: mtu(m), alias: alias(a), kind: LinkKind::Bridge }
    }
}

prop_compose! {
    fn any_pair(n: u8)(
        mac in 0u8..2,
        m in 0u8..2,
        master in proptest::option::of(0u8..2),
        hairpin: bool,
        peer in proptest::option::of((0u8..2, 0u8..2, any::<bool>())),
    ) -> Link {
        let peer = peer.map(|(mac, m, elsewhere)| Peer {
            at: if elsewhere { inside(n + 10) } else { inside(n) },
            mac: Mac::ours([1, 0, 0, mac]),
            mtu: mtu(m),
        });
        let port = PortFlags { master: master.map(|b| ifname(&format!("br{b}"))), hairpin };
        let kind = LinkKind::Veth { port, peer };
        Link { mac: Mac::ours([0, 0, 1, mac]), mtu: mtu(m), alias: alias(0), kind }
    }
}

fn any_links() -> impl Strategy<Value = KernelState> {
    let bridges = proptest::collection::btree_map(0u8..2, any_bridge(), 0..3);
    let pairs = (0u8..3, any_pair(0), any_pair(1), any_pair(2));
    let addresses = proptest::collection::btree_set((0u8..5, 0u8..3), 0..6);
    let ups = proptest::collection::btree_set(0u8..5, 0..5);
    let routes = proptest::collection::btree_map(0u8..3, 0u8..2, 0..3);
    (bridges, pairs, addresses, ups, routes).prop_map(|(bridges, pairs, addresses, ups, routes)| {
        let mut state = KernelState::default();
        for (n, link) in bridges {
            state
                .links
                .insert(LinkKey::on_node(ifname(&format!("br{n}"))), link);
        }
        let (count, a, b, c) = pairs;
        for (n, link) in [a, b, c].into_iter().take(usize::from(count)).enumerate() {
            state
                .links
                .insert(LinkKey::on_node(ifname(&format!("pt{n}"))), link);
        }
        let device = |n: u8| {
            if n < 2 {
                LinkKey::on_node(ifname(&format!("br{n}")))
            } else {
                inside(n - 2)
            }
        };
        for (n, host) in addresses {
            state.addresses.insert(AddressKey {
                link: device(n),
                address: IpAddr::V4(Ipv4Addr::new(10, 0, n, host)),
                prefix_len: 24,
            });
        }
        state.up = ups.into_iter().map(device).collect();
        for (n, via) in routes {
            let key = RouteKey {
                netns: target(n),
                destination: "0.0.0.0/0".parse().unwrap(),
                metric: 100,
            };
            let via = IpAddr::V4(Ipv4Addr::new(10, 0, n, via));
            state.routes.insert(
                key,
                Route {
                    via,
                    dev: ifname("eth0"),
                },
            );
        }
        consistent(state)
    })
}

/// Drops what can't exist: what is on devices that don't, ports of bridges that don't.
fn consistent(mut state: KernelState) -> KernelState {
    let bridges: BTreeSet<IfName> = state
        .links
        .iter()
        .filter(|(_, l)| l.kind == LinkKind::Bridge)
        .map(|(k, _)| k.name.clone())
        .collect();
    for link in state.links.values_mut() {
        if let LinkKind::Veth { port, .. } = &mut link.kind
            && port.master.as_ref().is_none_or(|m| !bridges.contains(m))
        {
            *port = PortFlags {
                master: None,
                hairpin: false,
            };
        }
    }
    let there = devices(&state);
    state.addresses.retain(|key| there.contains(&key.link));
    state.up.retain(|key| there.contains(key));
    state
        .routes
        .retain(|key, route| there.contains(&on(key, route)));
    state
}

fn on(key: &RouteKey, route: &Route) -> LinkKey {
    LinkKey {
        netns: key.netns.clone(),
        name: route.dev.clone(),
    }
}

fn devices(state: &KernelState) -> BTreeSet<LinkKey> {
    let peers = state
        .links
        .values()
        .filter_map(Link::peer)
        .map(|p| p.at.clone());
    state.links.keys().cloned().chain(peers).collect()
}

fn any_nft() -> impl Strategy<Value = KernelState> {
    let verdicts = proptest::collection::vec(any::<bool>(), 0..3);
    let chains = proptest::collection::btree_map(0u8..3, (0i32..2, verdicts), 0..4);
    let sets = proptest::collection::btree_map(0u8..3, any::<bool>(), 0..4);
    let elements = proptest::collection::btree_map((0u8..3, 0u16..4), 0u16..2, 0..6);
    let table = proptest::option::of(0u8..2);
    (table, chains, sets, elements).prop_map(|(table, chains, sets, elements)| {
        let mut state = KernelState::default();
        let Some(mark) = table else { return state };
        state.tables.insert(NftFamily::Inet, format!("mark{mark}"));
        for (n, (priority, verdicts)) in chains {
            let (key, chain) = chain(n, priority, &verdicts);
            state.chains.insert(key, chain);
        }
        let there = |n| sets.contains_key(n);
        let elements = elements.iter().filter(|((n, _), _)| there(n));
        state.elements = elements
            .map(|((n, port), to)| element(*n, *port, *to))
            .collect();
        state.sets = sets
            .iter()
            .map(|(n, interval)| (set_key(*n), spec(*n, *interval)))
            .collect();
        state
    })
}

/// The third chain is the administrator's, with no hook.
fn chain(n: u8, priority: i32, verdicts: &[bool]) -> (ChainKey, Chain) {
    let key = ChainKey {
        family: NftFamily::Inet,
        name: NftName::from(format!("c{n}").as_str()),
    };
    if n == 2 {
        return (
            key,
            Chain {
                hook: None,
                rules: Rules::Admin,
            },
        );
    }
    let verdict = |accept: &bool| {
        if *accept {
            Verdict::Accept
        } else {
            Verdict::Drop
        }
    };
    let rule = |accept: &bool| Rule(vec![Statement::Verdict(verdict(accept))]);
    let hook = Hook {
        kind: HookType::Filter,
        point: HookPoint::Forward,
        priority,
    };
    let rules = Rules::Ours(verdicts.iter().map(rule).collect());
    (
        key,
        Chain {
            hook: Some(hook),
            rules,
        },
    )
}

/// The first set is no map.
fn spec(n: u8, interval: bool) -> SetSpec {
    let data = if n == 0 {
        vec![]
    } else {
        vec![DatumType::InetService]
    };
    SetSpec {
        key: vec![DatumType::InetService],
        data,
        interval,
    }
}

fn element(n: u8, port: u16, to: u16) -> (ElementKey, Vec<Datum>) {
    let key = ElementKey {
        set: set_key(n),
        key: vec![Item::One(Datum::InetService(port))],
    };
    let data = if n == 0 {
        vec![]
    } else {
        vec![Datum::InetService(to)]
    };
    (key, data)
}

fn set_key(n: u8) -> SetKey {
    SetKey {
        family: NftFamily::Inet,
        name: NftName::from(format!("s{n}").as_str()),
    }
}

fn any_state() -> impl Strategy<Value = KernelState> {
    let sysctls = proptest::collection::btree_map(0u8..3, 0u8..2, 0..3);
    let namespaces = proptest::collection::btree_set(0u8..3, 0..3);
    (any_links(), any_nft(), sysctls, namespaces).prop_map(
        |(mut state, nft, sysctls, namespaces)| {
            state.extend(nft);
            let there = devices(&state);
            for (n, value) in sysctls {
                let key = inside(n);
                if there.contains(&key) {
                    let key = SysctlKey::of_device(
                        key.netns,
                        model::Family::Ipv6,
                        &key.name,
                        "accept_ra",
                    );
                    state.sysctls.insert(key, value.to_string());
                }
            }
            state.namespaces = namespaces
                .into_iter()
                .map(|n| (format!("made{n}"), alias(9)))
                .collect();
            state
        },
    )
}

/// What a kernel does on each step; panics where a real one would refuse.
fn apply(state: &mut KernelState, step: &Step) {
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
            if let LinkKind::Veth { port, .. } = &mut link.kind {
                port.hairpin = false;
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
        Step::DelAddress(key) => assert!(state.addresses.remove(key), "{step}"),
        Step::SetRoute(key, route) => {
            assert!(devices(state).contains(&on(key, route)), "{step}");
            state.routes.insert(key.clone(), route.clone());
        }
        Step::DelRoute(key) => assert!(state.routes.remove(key).is_some(), "{step}"),
        Step::ForgetFlows(_) | Step::ForgetEarlyFlows(_) => {}
        nft => apply_nft(state, nft),
    }
}

fn del_link(state: &mut KernelState, key: &LinkKey) {
    let link = state.links.remove(key).expect("the link exists");
    for other in state.links.values_mut() {
        if let LinkKind::Veth { port, .. } = &mut other.kind
            && port.master.as_ref() == Some(&key.name)
        {
            *port = PortFlags {
                master: None,
                hairpin: false,
            };
        }
    }
    let ends = [Some(key.clone()), link.peer().map(|p| p.at.clone())];
    for end in ends.into_iter().flatten() {
        state.addresses.retain(|a| a.link != end);
        state.up.retain(|u| *u != end);
        state.routes.retain(|k, r| on(k, r) != end);
        state
            .sysctls
            .retain(|k, _| !(k.netns == end.netns && k.device() == Some(&end.name)));
    }
}

fn set_link(state: &mut KernelState, key: &LinkKey, change: &LinkChange) {
    assert!(devices(state).contains(key), "{key:?}");
    if *change == LinkChange::Up {
        state.up.insert(key.clone());
        return;
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
            (_, LinkChange::Mac(mac)) if at == key => link.mac = *mac,
            (_, LinkChange::Mtu(mtu)) if at == key => link.mtu = *mtu,
            (_, LinkChange::Alias(alias)) if at == key => link.alias = alias.clone(),
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_plan_leads_from_one_state_to_the_other(a in any_state(), b in any_state()) {
        let mut state = a.clone();
        for step in diff(&a, &b).steps {
            apply(&mut state, &step);
        }
        // Never unset and never taken down, only gone with their devices.
        state.sysctls.retain(|key, _| b.sysctls.contains_key(key));
        state.up.retain(|key| b.up.contains(key));
        prop_assert_eq!(state, b);
    }

    #[test]
    fn nothing_differs_from_itself(a in any_state()) {
        prop_assert!(diff(&a, &a).is_empty());
    }

    #[test]
    fn every_step_prints_as_one_line(a in any_state(), b in any_state()) {
        for line in diff(&a, &b).lines() {
            prop_assert!(!line.contains('\n') && line.len() > 5, "{line:?}");
        }
    }
}

#[test]
fn a_moved_address_is_removed_before_the_right_one_is_added() {
    let link = LinkKey::on_node(ifname("br0"));
    let with = |host: u8| {
        let mut state = KernelState::default();
        let bridge = Link {
            mac: Mac::ours([0; 4]),
            mtu: Mtu::ETHERNET,
            alias: alias(0),
            kind: LinkKind::Bridge,
        };
        state.links.insert(link.clone(), bridge);
        let address = IpAddr::V4(Ipv4Addr::new(10, 0, 0, host));
        state.addresses.insert(AddressKey {
            link: link.clone(),
            address,
            prefix_len: 24,
        });
        state
    };
    let lines = diff(&with(99), &with(1)).lines();
    assert_eq!(
        lines,
        [
            "ip addr del 10.0.0.99/24 dev br0",
            "ip addr add 10.0.0.1/24 dev br0"
        ]
    );
}

#[test]
fn what_is_missing_as_a_whole_is_found_once() {
    let mut wanted = KernelState::default();
    let key = LinkKey::on_node(ifname("br0"));
    let bridge = Link {
        mac: Mac::ours([0; 4]),
        mtu: Mtu::ETHERNET,
        alias: alias(0),
        kind: LinkKind::Bridge,
    };
    wanted.links.insert(key.clone(), bridge);
    wanted.up.insert(key);
    wanted.tables.insert(NftFamily::Inet, "mark".to_owned());
    wanted.sets.insert(set_key(0), spec(0, false));
    wanted.elements.extend([element(0, 1, 0)]);
    let whole = diff(&KernelState::default(), &wanted).findings();
    assert_eq!(
        whole,
        ["bridge br0 was missing", "nft table inet was missing"]
    );
    let mut observed = wanted.clone();
    observed.elements.clear();
    let part = diff(&observed, &wanted).findings();
    assert_eq!(part, ["nft set inet s0 lacked an element"]);
}
