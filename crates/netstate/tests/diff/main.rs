//! Properties of the difference of two states, held against a small model of what each step
//! does to a kernel.

#![allow(clippy::unwrap_used)]

mod applied;
mod states;

use std::net::{IpAddr, Ipv4Addr};

use model::{Mac, Mtu};
use netstate::nft::NftFamily;
use netstate::{
    AddressKey, FdbKey, FloodKey, KernelState, Learning, Link, LinkKey, LinkKind, NeighbourKey,
    Netns, Route, RouteKey, Vxlan, Way, diff,
};
use proptest::prelude::*;

use applied::apply;
use states::{alias, any_state, element, ifname, set_key, spec};

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
            mac: Some(Mac::ours([0; 4])),
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

/// A node with one VXLAN device that leads to another node, and a route into it.
fn overlay() -> KernelState {
    let mut state = KernelState::default();
    let key = LinkKey::on_node(ifname("pv-42"));
    let kind = LinkKind::Vxlan(Vxlan {
        vni: 42.try_into().unwrap(),
        local: "192.0.2.1".parse().unwrap(),
        port: 4789,
        learning: Learning::Never,
        master: None,
        suppress: false,
    });
    let link = Link {
        mac: Some(Mac::ours([0; 4])),
        mtu: 1450.try_into().unwrap(),
        alias: alias(0),
        kind,
    };
    state.links.insert(key.clone(), link);
    state.up.insert(key);
    let (dev, mac) = (ifname("pv-42"), Mac::ours([0, 0, 0, 2]));
    let (remote, address) = ("192.0.2.2".parse().unwrap(), "10.50.2.0".parse().unwrap());
    let on = dev.clone();
    state
        .neighbours
        .insert(NeighbourKey { dev: on, address }, mac);
    let on = dev.clone();
    state.fdb.insert(FdbKey { dev: on, mac }, remote);
    let on = dev.clone();
    state.floods.insert(FloodKey { dev: on, remote });
    let route = Route::Leads(Way {
        via: Some(address),
        dev,
        source: Some("10.50.1.1".parse().unwrap()),
        onlink: true,
    });
    let key = RouteKey {
        netns: Netns::Node,
        destination: "10.50.2.0/24".parse().unwrap(),
        metric: 100,
    };
    state.routes.insert(key, route);
    state
}

#[test]
fn an_overlay_reads_as_a_person_would_type_it() {
    let (none, all) = (KernelState::default(), overlay());
    assert_eq!(
        diff(&none, &all).lines(),
        [
            "ip link add pv-42 address 02:70:00:00:00:00 mtu 1450 type vxlan id 42 \
             local 192.0.2.1 dstport 4789 nolearning udpcsum \
             && ip link set pv-42 addrgenmode none alias 'pontoon 0000000000000001 p0'",
            "ip link set pv-42 up",
            "ip neigh replace 10.50.2.0 lladdr 02:70:00:00:00:02 dev pv-42 nud permanent",
            "bridge fdb replace 02:70:00:00:00:02 dev pv-42 dst 192.0.2.2 self permanent",
            "bridge fdb append 00:00:00:00:00:00 dev pv-42 dst 192.0.2.2 self permanent",
            "ip route replace 10.50.2.0/24 via 10.50.2.0 dev pv-42 onlink src 10.50.1.1 \
             proto 112 metric 100",
        ]
    );
    let device = KernelState {
        links: all.links.clone(),
        up: all.up.clone(),
        ..KernelState::default()
    };
    assert_eq!(
        diff(&all, &device).lines(),
        [
            "ip route del 10.50.2.0/24 proto 112 metric 100",
            "bridge fdb del 00:00:00:00:00:00 dev pv-42 dst 192.0.2.2 self",
            "bridge fdb del 02:70:00:00:00:02 dev pv-42 self",
            "ip neigh del 10.50.2.0 dev pv-42",
        ]
    );
    assert_eq!(diff(&all, &none).lines(), ["ip link del pv-42"]);
}

/// The source address of the route stands on a bridge, in a prefix of this length.
fn with_source(prefix_len: u8) -> KernelState {
    let mut state = overlay();
    let link = LinkKey::on_node(ifname("br0"));
    let bridge = Link {
        mac: Some(Mac::ours([0; 4])),
        mtu: Mtu::ETHERNET,
        alias: alias(0),
        kind: LinkKind::Bridge,
    };
    state.links.insert(link.clone(), bridge);
    state.addresses.insert(AddressKey {
        link,
        address: "10.50.1.1".parse().unwrap(),
        prefix_len,
    });
    state
}

#[test]
fn a_route_whose_source_moves_is_set_again() {
    let (a, b) = (with_source(24), with_source(16));
    let mut state = a.clone();
    for step in diff(&a, &b).steps {
        apply(&mut state, &step);
    }
    assert_eq!(state, b);
}

#[test]
fn what_an_overlay_lacks_is_found_by_its_name() {
    let all = overlay();
    let none = KernelState::default();
    assert_eq!(
        diff(&none, &all).findings(),
        ["device pv-42 (p0) was missing"]
    );
    let device = KernelState {
        links: all.links.clone(),
        up: all.up.clone(),
        ..KernelState::default()
    };
    assert_eq!(
        diff(&device, &all).findings(),
        [
            "pv-42 lacked the MAC of 10.50.2.0",
            "pv-42 did not lead 02:70:00:00:00:02 to 192.0.2.2",
            "pv-42 did not flood to 192.0.2.2",
            "the route to 10.50.2.0/24 by pv-42 was missing",
        ]
    );
    assert_eq!(
        diff(&all, &device).findings(),
        [
            "the route to 10.50.2.0/24 was left over",
            "pv-42 flooded to 192.0.2.2",
            "pv-42 led 02:70:00:00:00:02 to a node",
            "pv-42 had a MAC for 10.50.2.0",
        ]
    );
}

#[test]
fn what_is_missing_as_a_whole_is_found_once() {
    let mut wanted = KernelState::default();
    let key = LinkKey::on_node(ifname("br0"));
    let bridge = Link {
        mac: Some(Mac::ours([0; 4])),
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
