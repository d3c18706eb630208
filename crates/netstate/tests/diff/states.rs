//! States of a node, any that can be.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{IfName, Mac, Mtu, NodeId, Target};
use netstate::nft::{
    Chain, ChainKey, Datum, DatumType, ElementKey, Hook, HookPoint, HookType, Item, NftFamily,
    NftName, Rule, Rules, SetKey, SetSpec, Statement, Verdict,
};
use netstate::{
    AddressKey, Alias, FdbKey, FloodKey, KernelState, Learning, Link, LinkKey, LinkKind,
    NeighbourKey, Netns, Peer, PortFdbKey, PortFlags, Queue, Route, RouteKey, SysctlKey, Tunnel,
    Vxlan, Way,
};
use proptest::prelude::*;

pub fn ifname(text: &str) -> IfName {
    text.parse().unwrap()
}

pub fn target(n: u8) -> Netns {
    Netns::Target(Target::Named(format!("ns{n}")))
}

pub fn inside(n: u8) -> LinkKey {
    LinkKey {
        netns: target(n),
        name: ifname("eth0"),
    }
}

pub fn alias(purpose: u8) -> Alias {
    Alias {
        node: NodeId::from_bits(1),
        purpose: format!("p{purpose}"),
    }
}

pub fn mtu(n: u8) -> Mtu {
    Mtu::try_from(1400 + u16::from(n)).unwrap()
}

prop_compose! {
    fn any_bridge()(mac in 0u8..2, m in 0u8..2, a in 0u8..2) -> Link {
        let mac = Some(Mac::ours([0, 0, 0, mac]));
        Link { mac, mtu: mtu(m), alias: alias(a), kind: LinkKind::Bridge }
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
        let mac = Some(Mac::ours([0, 0, 1, mac]));
        Link { mac, mtu: mtu(m), alias: alias(0), kind }
    }
}

/// A kind, its own attributes, and perhaps one that differs between devices of one name.
fn any_vxlan() -> impl Strategy<Value = Link> {
    let link = (0u8..2, 0u8..2, 0u8..2);
    let own = (1u32..3, 0u8..2, 4789u16..4791, any::<bool>());
    let port_of = (proptest::option::of(0u8..2), any::<bool>());
    (link, own, port_of).prop_map(
        |((mac, m, a), (vni, local, port, learns), (master, suppress))| {
            let learning = if learns {
                Learning::FromPackets
            } else {
                Learning::Never
            };
            let kind = LinkKind::Vxlan(Vxlan {
                vni: vni.try_into().unwrap(),
                local: underlay(local),
                port,
                learning,
                master: master.map(|b| ifname(&format!("br{b}"))),
                suppress,
            });
            Link {
                mac: Some(Mac::ours([2, 0, 0, mac])),
                mtu: mtu(m),
                alias: alias(a),
                kind,
            }
        },
    )
}

fn any_tunnel() -> impl Strategy<Value = Link> {
    let over_ipv4 = (1u8..3).prop_map(|n| Tunnel::Ipv4 {
        local: Ipv4Addr::new(192, 0, 2, n),
    });
    let over_ipv6 = (1u16..3, 1u16..3).prop_map(|(local, remote)| {
        let address = |n| Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, n);
        Tunnel::Ipv6 {
            local: address(local),
            remote: address(remote),
        }
    });
    (0u8..2, prop_oneof![over_ipv4, over_ipv6]).prop_map(|(m, tunnel)| Link {
        mac: None,
        mtu: mtu(m),
        alias: alias(0),
        kind: LinkKind::Tunnel(tunnel),
    })
}

/// The first is of the other family.
fn underlay(n: u8) -> IpAddr {
    match n {
        0 => "fd00::1".parse().unwrap(),
        n => IpAddr::V4(Ipv4Addr::new(192, 0, 2, n)),
    }
}

/// Two VXLAN devices, the second of which may be a bridge instead, with entries on both.
fn any_overlay() -> impl Strategy<Value = KernelState> {
    let devices = proptest::collection::btree_map(
        0u8..2,
        prop_oneof![4 => any_vxlan(), 1 => any_bridge(), 1 => any_tunnel()],
        0..3,
    );
    let neighbours = proptest::collection::btree_map((0u8..2, 0u8..3), 0u8..2, 0..4);
    let fdb = proptest::collection::btree_map((0u8..2, 0u8..3), 0u8..3, 0..4);
    let floods = proptest::collection::btree_set((0u8..2, 0u8..3), 0..4);
    let behind = proptest::collection::btree_set((0u8..2, 0u8..3), 0..4);
    let ups = proptest::collection::btree_set(0u8..2, 0..3);
    let routes = any_overlay_routes();
    let all = (devices, neighbours, fdb, floods, behind, ups, routes);
    all.prop_map(|(devices, neighbours, fdb, floods, behind, ups, routes)| {
        let mut state = KernelState::default();
        let dev = |n: u8| ifname(&format!("pv{n}"));
        let mac = |n: u8| Mac::ours([3, 0, 0, n]);
        for (n, link) in devices {
            state.links.insert(LinkKey::on_node(dev(n)), link);
        }
        for ((n, address), to) in neighbours {
            let address = underlay(address);
            let key = NeighbourKey {
                dev: dev(n),
                address,
            };
            state.neighbours.insert(key, mac(to));
        }
        for ((n, to), remote) in fdb {
            let key = FdbKey {
                dev: dev(n),
                mac: mac(to),
            };
            state.fdb.insert(key, underlay(remote));
        }
        for (n, remote) in floods {
            let remote = underlay(remote);
            let dev = dev(n);
            state.floods.insert(FloodKey { dev, remote });
        }
        for (n, at) in behind {
            let (port, mac) = (dev(n), mac(at));
            state.port_fdb.insert(PortFdbKey { port, mac });
        }
        state.up = ups.into_iter().map(|n| LinkKey::on_node(dev(n))).collect();
        state.routes = routes;
        state
    })
}

/// Through either device, or to nowhere.
fn any_overlay_routes() -> impl Strategy<Value = BTreeMap<RouteKey, Route>> {
    let option = proptest::option::of::<std::ops::Range<u8>>;
    let way = (option(1..2), option(0..3), 0u8..2, any::<bool>());
    let way = way.prop_map(|(via, source, dev, onlink)| {
        Route::Leads(Way {
            via: via.map(underlay),
            dev: ifname(&format!("pv{dev}")),
            // Of the first bridge, in some states.
            source: source.map(|host| IpAddr::V4(Ipv4Addr::new(10, 0, 0, host))),
            onlink,
        })
    });
    let route = prop_oneof![4 => way, 1 => Just(Route::Unreachable)];
    let key = (0u8..3).prop_map(|n| RouteKey {
        netns: Netns::Node,
        destination: format!("10.50.{n}.0/24").parse().unwrap(),
        metric: 100,
    });
    proptest::collection::btree_map(key, route, 0..3)
}

fn any_links() -> impl Strategy<Value = KernelState> {
    let bridges = proptest::collection::btree_map(0u8..2, any_bridge(), 0..3);
    let pairs = (0u8..3, any_pair(0), any_pair(1), any_pair(2));
    let addresses = proptest::collection::btree_set((0u8..5, 0u8..3, 24u8..26), 0..6);
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
        for (n, host, prefix_len) in addresses {
            state.addresses.insert(AddressKey {
                link: device(n),
                address: IpAddr::V4(Ipv4Addr::new(10, 0, n, host)),
                prefix_len,
            });
        }
        state.up = ups.into_iter().map(device).collect();
        for (n, via) in routes {
            let key = RouteKey {
                netns: target(n),
                destination: "0.0.0.0/0".parse().unwrap(),
                metric: 100,
            };
            let via = Some(IpAddr::V4(Ipv4Addr::new(10, 0, n, via)));
            state.routes.insert(
                key,
                Route::Leads(Way {
                    via,
                    dev: ifname("eth0"),
                    source: None,
                    onlink: false,
                }),
            );
        }
        state
    })
}

/// Three ports and the devices that what comes in by them may wait at, with queues on all.
fn any_shaping() -> impl Strategy<Value = KernelState> {
    let ifbs = proptest::collection::btree_map(0u8..3, (0u8..2, 0u8..2), 0..4);
    let queues = proptest::collection::btree_map((any::<bool>(), 0u8..3), 0u8..2, 0..5);
    let detours = proptest::collection::btree_map(0u8..3, 0u8..4, 0..4);
    (ifbs, queues, detours).prop_map(|(ifbs, queues, detours)| {
        let mut state = KernelState::default();
        let ifb = |n: u8| ifname(&format!("ifb{n}"));
        let port = |n: u8| ifname(&format!("pt{n}"));
        for (n, (m, a)) in ifbs {
            let link = Link {
                mac: None,
                mtu: mtu(m),
                alias: alias(a),
                kind: LinkKind::Ifb,
            };
            state.links.insert(LinkKey::on_node(ifb(n)), link);
        }
        for ((at_port, n), burst) in queues {
            let queue = Queue {
                rate: "1mbit".parse().unwrap(),
                burst_bytes: u32::from(burst),
                limit_bytes: 1,
            };
            state
                .queues
                .insert(if at_port { port(n) } else { ifb(n) }, queue);
        }
        // One that leads nowhere leads back.
        let through = |from: u8, to: u8| if to == 3 { port(from) } else { ifb(to) };
        state.detours = detours
            .into_iter()
            .map(|(from, to)| (port(from), through(from, to)))
            .collect();
        state
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
        if let LinkKind::Vxlan(vxlan) = &mut link.kind
            && vxlan.master.as_ref().is_none_or(|m| !bridges.contains(m))
        {
            vxlan.master = None;
            vxlan.suppress = false;
        }
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
    let is_vxlan = |key: &LinkKey| {
        let link = state.links.get(key);
        link.is_some_and(|link| matches!(link.kind, LinkKind::Vxlan(_)))
    };
    state
        .neighbours
        .retain(|key, _| is_vxlan(&key.link()) || bridges.contains(&key.dev));
    state.fdb.retain(|key, _| is_vxlan(&key.link()));
    state.floods.retain(|key| is_vxlan(&key.link()));
    let is_port = |key: &LinkKey| state.links.get(key).is_some_and(|l| l.master().is_some());
    state
        .port_fdb
        .retain(|key| is_vxlan(&key.link()) && is_port(&key.link()));
    let has = |dev: &IfName| there.contains(&LinkKey::on_node(dev.clone()));
    state.queues.retain(|dev, _| has(dev));
    state
        .detours
        .retain(|dev, through| has(dev) && has(through));
    state.routes.retain(|key, route| {
        route.link(key).is_none_or(|link| there.contains(&link))
            && has_source(&state.addresses, key, route)
    });
    state
}

/// Whether the route's source is an address of its namespace.
pub fn has_source(addresses: &BTreeSet<AddressKey>, key: &RouteKey, route: &Route) -> bool {
    let mut addresses = addresses.iter().filter(|a| a.link.netns == key.netns);
    let source = route.way().and_then(|way| way.source);
    source.is_none_or(|source| addresses.any(|a| a.address == source))
}

pub fn devices(state: &KernelState) -> BTreeSet<LinkKey> {
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
pub fn spec(n: u8, interval: bool) -> SetSpec {
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

pub fn element(n: u8, port: u16, to: u16) -> (ElementKey, Vec<Datum>) {
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

pub fn set_key(n: u8) -> SetKey {
    SetKey {
        family: NftFamily::Inet,
        name: NftName::from(format!("s{n}").as_str()),
    }
}

pub fn any_state() -> impl Strategy<Value = KernelState> {
    let sysctls = proptest::collection::btree_map(0u8..3, 0u8..2, 0..3);
    let namespaces = proptest::collection::btree_set(0u8..3, 0..3);
    let objects = (any_links(), any_overlay(), any_shaping(), any_nft());
    let all = (objects, sysctls, namespaces);
    all.prop_map(
        |((mut state, overlay, shaping, nft), sysctls, namespaces)| {
            state.extend(overlay);
            state.extend(shaping);
            let mut state = consistent(state);
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
