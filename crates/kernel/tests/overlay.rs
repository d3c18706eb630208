//! VXLAN and IP-in-IP devices, their entries and the routes into them against a real kernel.

mod common;

use common::overlay::{
    DEV, dev_key, join, mac, part, routed, stretched, tunnelled, underlay, vtep, vxlan,
};
use common::{alias, apply, assert_holds, build, heal, ifname, interest, network};
use kernel::{ErrorKind, Kernel};
use model::Family;
use netstate::{
    FdbKey, FloodKey, KernelState, Learning, LinkKind, NeighbourKey, Netns, Plan, Route, RouteKey,
    Step, Way, diff,
};
use testnet::{Node, skip_without_device};

/// Every kind of it, on both underlays.
fn all_states() -> Vec<KernelState> {
    let of = |family| [routed(family, 1), stretched(family, 1)];
    Family::BOTH.into_iter().flat_map(of).collect()
}

/// One device with all that can be on it.
fn full() -> KernelState {
    let mut state = routed(Family::Ipv4, 1);
    for host in [2, 3, 4] {
        let remote = vtep(Family::Ipv4, host);
        let dev = ifname(DEV);
        state.floods.insert(FloodKey { dev, remote });
        let (dev, mac) = (ifname(DEV), mac(host));
        state.fdb.insert(FdbKey { dev, mac }, remote);
    }
    state
}

#[test]
fn what_is_applied_is_what_is_observed() {
    let _node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    for wanted in all_states().into_iter().chain([full()]) {
        build(&mut kernel, &wanted);
        assert_eq!(heal(&mut kernel, &wanted), 0);
        assert_holds(&mut Kernel::open().unwrap(), &wanted);
        let report = apply(&mut kernel, &diff(&wanted, &KernelState::default()));
        assert!(report.is_success(), "{report:?}");
        assert_eq!(kernel.link(&ifname(DEV)).unwrap(), None);
    }
}

#[test]
fn the_text_makes_what_netlink_makes() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let shown = || {
        node.sh(
            "ip -d link show dev pv-42 | sed -E '1s/^[0-9]*: //; s/_timer +[0-9.]+//g'
             bridge fdb show dev pv-42 | sort; ip neigh show dev pv-42 | sort
             ip route show proto 112; ip -6 route show proto 112",
        )
    };
    let nothing = KernelState::default();
    for wanted in all_states().into_iter().chain([full()]) {
        build(&mut kernel, &wanted);
        let by_netlink = shown();
        let report = apply(&mut kernel, &diff(&wanted, &nothing));
        assert!(report.is_success(), "{report:?}");
        for line in diff(&nothing, &wanted).lines() {
            node.sh(&line);
        }
        assert_holds(&mut kernel, &wanted);
        assert_eq!(shown(), by_netlink);
        let mut bare = wanted.clone();
        bare.neighbours.clear();
        bare.fdb.clear();
        bare.floods.clear();
        bare.routes.clear();
        for line in diff(&wanted, &bare).lines() {
            node.sh(&line);
        }
        assert_holds(&mut kernel, &bare);
        for line in diff(&bare, &nothing).lines() {
            node.sh(&line);
        }
        assert_eq!(kernel.link(&ifname(DEV)).unwrap(), None);
    }
}

#[test]
fn outer_packets_have_a_checksum_and_what_else_the_kernel_chooses() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    for family in Family::BOTH {
        let wanted = routed(family, 1);
        build(&mut kernel, &wanted);
        let shown = node.sh("ip -d link show dev pv-42");
        let words: Vec<&str> = shown.split_whitespace().collect();
        for word in [
            "udpcsum",
            "noudp6zerocsumtx",
            "noudp6zerocsumrx",
            "nolearning",
        ] {
            assert!(words.contains(&word), "{word}: {shown}");
        }
        for pair in [["ttl", "auto"], ["id", "42"], ["dstport", "4789"]] {
            assert!(
                words.windows(2).any(|two| *two == pair),
                "{pair:?}: {shown}"
            );
        }
        assert!(!words.contains(&"external"), "{shown}");
        let report = apply(&mut kernel, &diff(&wanted, &KernelState::default()));
        assert!(report.is_success(), "{report:?}");
    }
}

#[test]
fn every_change_by_hand_heals() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = full();
    build(&mut kernel, &wanted);
    node.sh("ip link add other type bridge");
    for change in [
        "ip link set pv-42 address 02:00:00:00:00:09",
        "ip link set pv-42 mtu 1300",
        "ip link set pv-42 alias 'pontoon 0123456789abcdef something else'",
        "ip link set pv-42 master other",
        "ip link set pv-42 down",
        "ip link set pv-42 down; ip link set pv-42 up",
        "ip link set pv-42 type vxlan id 42 learning",
        "ip link set pv-42 type vxlan id 42 local 192.0.2.7",
        "ip link del pv-42",
        "ip neigh del 10.50.2.0 dev pv-42",
        "ip neigh change 10.50.2.0 lladdr 02:00:00:00:00:09 dev pv-42 nud permanent",
        "ip neigh change 10.50.2.0 dev pv-42 nud reachable",
        "ip neigh change fd50:2:: dev pv-42 nud stale",
        "ip neigh add 10.50.9.0 lladdr 02:00:00:00:00:09 dev pv-42 nud permanent",
        "ip neigh flush dev pv-42 nud permanent",
        "bridge fdb del 02:70:0a:32:00:02 dev pv-42 self",
        "bridge fdb replace 02:70:0a:32:00:02 dev pv-42 dst 192.0.2.9 self permanent",
        "bridge fdb add 02:00:00:00:00:09 dev pv-42 dst 192.0.2.9 self permanent",
        "bridge fdb del 00:00:00:00:00:00 dev pv-42 dst 192.0.2.3 self",
        "bridge fdb del 00:00:00:00:00:00 dev pv-42 self",
        "bridge fdb append 00:00:00:00:00:00 dev pv-42 dst 192.0.2.9 self permanent",
        "ip route del 10.50.2.0/24",
        "ip route del 10.50.0.0/16",
        "ip -6 route del fd50::/32",
        "ip route replace blackhole 10.50.0.0/16 proto 112 metric 1000000",
        "ip route add unreachable 10.60.0.0/16 proto 112 metric 1000000",
        "ip route replace 10.50.2.0/24 via 10.50.2.0 dev pv-42 onlink proto 112 metric 100",
        "ip route add 10.50.9.0/24 via 10.50.2.0 dev pv-42 onlink proto 112 metric 100",
        "ip -6 route replace fd50:2::/64 via fd50:2:: dev pv-42 onlink proto 112 metric 100",
        "ip addr del 10.50.1.1/24 dev pt-web",
        "ip addr del fd50:1::1/64 dev pt-web",
        "ip link del pt-web",
    ] {
        node.sh(change);
        assert!(heal(&mut kernel, &wanted) > 0, "{change} went unseen");
    }
}

#[test]
fn what_is_not_as_it_was_of_a_stretched_network_is_put_right() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = stretched(Family::Ipv4, 1);
    build(&mut kernel, &wanted);
    for change in [
        "ip link set pv-42 nomaster",
        "ip link del pv-42",
        "ip link del pt-web",
        "ip link set pt-web down; ip link set pt-web up",
        "bridge link set dev pv-42 neigh_suppress off",
        "bridge fdb del 02:70:0a:3c:00:1f dev pv-42 master",
        "bridge fdb replace 02:70:0a:3c:00:1f dev pv-42 master static",
        "bridge fdb add 02:00:00:00:00:09 dev pv-42 master static sticky",
        "bridge fdb del 02:70:0a:3c:00:1f dev pv-42 self",
        "ip neigh del 10.60.0.31 dev pt-web",
        "ip neigh change fd60::31 dev pt-web nud stale",
        "ip neigh add 10.60.0.99 lladdr 02:00:00:00:00:09 dev pt-web nud permanent",
    ] {
        node.sh(change);
        assert!(heal(&mut kernel, &wanted) > 0, "{change} went unseen");
        assert_holds(&mut kernel, &wanted);
    }
    // What is learnt, and what others fixed in another way, is left alone.
    node.sh("bridge fdb add 02:00:00:00:00:08 dev pv-42 master static
         bridge fdb add 02:00:00:00:00:07 dev pv-42 master dynamic
         ip neigh add 10.60.0.98 lladdr 02:00:00:00:00:09 dev pt-web nud reachable");
    assert_eq!(heal(&mut kernel, &wanted), 0);
}

#[test]
fn each_attribute_changes_in_place_or_with_its_device() {
    let _node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let before = full();
    let mut in_place = before.clone();
    let link = in_place.links.get_mut(&dev_key()).unwrap();
    link.mac = Some(mac(9));
    link.mtu = 1300.try_into().unwrap();
    link.alias = alias("overlay other");
    vxlan(&mut in_place).master = Some(ifname(common::BRIDGE));
    vxlan(&mut in_place).suppress = true;
    let replaced: [fn(&mut KernelState); 4] = [
        |state| vxlan(state).vni = 43.try_into().unwrap(),
        |state| vxlan(state).local = vtep(Family::Ipv4, 7),
        |state| vxlan(state).port = 4790,
        |state| vxlan(state).learning = Learning::FromPackets,
    ];
    let replaced = replaced.into_iter().map(|change| {
        let mut state = before.clone();
        change(&mut state);
        (state, true)
    });
    for (after, is_replaced) in [(in_place, false)].into_iter().chain(replaced) {
        build(&mut kernel, &before);
        let plan = diff(&before, &after);
        let makes = |step: &Step| matches!(step, Step::AddLink(..));
        assert_eq!(plan.steps.iter().any(makes), is_replaced, "{plan}");
        let report = apply(&mut kernel, &plan);
        assert!(report.is_success(), "{plan}{report:?}");
        assert_holds(&mut kernel, &after);
        let report = apply(&mut kernel, &diff(&after, &KernelState::default()));
        assert!(report.is_success(), "{report:?}");
    }
}

/// The device that the kernel must have for a tunnel over this family.
fn device_in_ip(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "sit mode any local 192.0.2.1",
        Family::Ipv6 => "ip6tnl mode any local 2001:db8::1 remote 2001:db8::2",
    }
}

#[test]
fn a_device_in_ip_is_what_was_asked_for() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let nothing = KernelState::default();
    for family in Family::BOTH {
        if skip_without_device(device_in_ip(family)) {
            continue;
        }
        let wanted = tunnelled(family, 1);
        build(&mut kernel, &wanted);
        assert_eq!(heal(&mut kernel, &wanted), 0);
        let shown = || {
            node.sh(
                "ip -d link show dev pi-nodes | sed -E '1s/^[0-9]*: //; s/ permaddr [0-9a-f:]+//'
                     ip route show proto 112; ip -6 route show proto 112",
            )
        };
        let by_netlink = shown();
        let report = apply(&mut kernel, &diff(&wanted, &nothing));
        assert!(report.is_success(), "{report:?}");
        for line in diff(&nothing, &wanted).lines() {
            node.sh(&line);
        }
        assert_holds(&mut kernel, &wanted);
        assert_eq!(shown(), by_netlink);
        for change in [
            "ip link set pi-nodes mtu 1400",
            "ip link set pi-nodes down",
            "ip link del pi-nodes",
            "ip route del 10.50.2.0/24",
            "ip -6 route del fd50:2::/64",
        ] {
            node.sh(change);
            assert!(heal(&mut kernel, &wanted) > 0, "{change} went unseen");
        }
        let report = apply(&mut kernel, &diff(&wanted, &nothing));
        assert!(report.is_success(), "{report:?}");
    }
}

#[test]
fn packets_of_both_families_go_in_ip() {
    let node = Node::new();
    underlay(&node);
    for family in Family::BOTH {
        if skip_without_device(device_in_ip(family)) {
            continue;
        }
        join(&tunnelled(family, 1), &tunnelled(family, 2));
        let size = match family {
            Family::Ipv4 => 1480,
            Family::Ipv6 => 1460,
        };
        for (to, headers) in [("10.50.2.1", 28), ("fd50:2::1", 48)] {
            let size = size - headers;
            node.sh(&format!("ping -c 2 -i 0.1 -W 2 -M do -s {size} {to}"));
        }
        part(&tunnelled(family, 1), &tunnelled(family, 2));
    }
}

#[test]
fn a_gateway_may_be_of_the_other_family() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let mut wanted = network();
    let key = RouteKey {
        netns: Netns::Node,
        destination: "10.77.0.0/16".parse().unwrap(),
        metric: 100,
    };
    let way = Way {
        via: Some("2001:db8::7".parse().unwrap()),
        dev: ifname(common::BRIDGE),
        source: None,
        onlink: true,
    };
    wanted.routes.insert(key, Route::Leads(way));
    build(&mut kernel, &wanted);
    let by_netlink = node.sh("ip route show proto 112");
    assert!(by_netlink.contains("via inet6 2001:db8::7"), "{by_netlink}");
    node.sh("ip route del 10.77.0.0/16");
    for line in diff(&network(), &wanted).lines() {
        node.sh(&line);
    }
    assert_eq!(node.sh("ip route show proto 112"), by_netlink);
    assert_holds(&mut kernel, &wanted);
}

#[test]
fn what_is_gone_already_is_removed() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = full();
    build(&mut kernel, &wanted);
    let bare = KernelState {
        links: wanted.links.clone(),
        up: wanted.up.clone(),
        ..KernelState::default()
    };
    let plan = diff(&wanted, &bare);
    for _ in 0..2 {
        let report = apply(&mut kernel, &plan);
        assert!(report.is_success(), "{report:?}");
        assert_holds(&mut kernel, &bare);
    }
    node.sh("ip link del pv-42");
    let report = apply(&mut kernel, &plan);
    assert!(report.is_success(), "{report:?}");
}

#[test]
fn entries_of_foreign_devices_are_not_seen() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = full();
    build(&mut kernel, &wanted);
    node.sh(
        "ip link add flannel.1 type vxlan id 1 local 192.0.2.1 dstport 8472 nolearning
         ip link set flannel.1 up
         ip link add theirs type vxlan id 2 local 192.0.2.1 dstport 4789 nolearning
         ip link set theirs up alias 'pontoon fedcba9876543210 overlay web'
         for dev in flannel.1 theirs pt-web; do
             ip neigh add 10.244.0.9 lladdr 02:00:00:00:00:09 dev $dev nud permanent
         done
         for dev in flannel.1 theirs; do
             bridge fdb append 02:00:00:00:00:09 dev $dev dst 192.0.2.9 self permanent
             bridge fdb append 00:00:00:00:00:00 dev $dev dst 192.0.2.9 self permanent
         done",
    );
    assert_holds(&mut kernel, &wanted);
    // A bridge's own entry for a port is not the port's.
    let stretched = stretched(Family::Ipv4, 1);
    let report = apply(&mut kernel, &diff(&wanted, &stretched));
    assert!(report.is_success(), "{report:?}");
    node.sh("bridge fdb add 02:00:00:00:00:08 dev pv-42 master permanent");
    assert_holds(&mut kernel, &stretched);
}

#[test]
fn entries_need_their_device() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("ip link add pv-42 type bridge");
    let wanted = full();
    let plan = diff(&KernelState::default(), &wanted);
    let report = apply(&mut kernel, &plan);
    assert_eq!(report.failed.len(), 1, "{report:?}");
    let on_device = |step: &&Step| {
        matches!(
            step,
            Step::AddNeighbour(..) | Step::AddFdb(..) | Step::AddFlood(_) | Step::SetRoute(..)
        )
    };
    let expected = plan.steps.iter().filter(on_device).count();
    // Setting it up was not tried either; what is unreachable needs no device.
    let unreachable = |step: &&Step| matches!(step, Step::SetRoute(_, Route::Unreachable));
    let needless = plan.steps.iter().filter(unreachable).count();
    assert_eq!(report.skipped.len(), expected - needless + 1, "{report:?}");
    assert_eq!(kernel.observe(&interest(&wanted)).unwrap().fdb.len(), 0);
}

#[test]
fn a_vni_that_another_device_has_is_told() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("ip link add theirs type vxlan id 42 local 192.0.2.9 dstport 4789");
    let plan = diff(&KernelState::default(), &full());
    let report = apply(&mut kernel, &plan);
    let [(_, error)] = report.failed.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Exists);
    assert!(error.to_string().contains("VNI already exists"), "{error}");
    assert_eq!(kernel.link(&ifname(DEV)).unwrap(), None);
}

#[test]
fn the_device_of_an_underlay_address_is_found() {
    let node = Node::new();
    underlay(&node);
    node.sh("ip link set u0 mtu 1400");
    let facts = Kernel::open().unwrap().facts().unwrap();
    for family in Family::BOTH {
        let device = facts.device_of(vtep(family, 1)).unwrap();
        assert_eq!((device.name.as_str(), device.mtu), ("u0", 1400));
        assert_eq!(facts.device_of(vtep(family, 2)), None);
    }
}

#[test]
fn the_stack_shows_vxlan_devices_and_their_entries() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let plain = kernel.stack(None).unwrap();
    assert!(plain.fdb.is_empty());
    build(&mut kernel, &stretched(Family::Ipv6, 1));
    node.sh("ip link add any type vxlan external dstport 8472");
    let stack = kernel.stack(None).unwrap();
    let device = |name: &str| {
        let found = stack.devices.iter().find(|d| d.name == name).unwrap();
        found.vxlan.as_ref().map(|v| (v.vni, v.local, v.port))
    };
    let local = Some(vtep(Family::Ipv6, 1));
    assert_eq!(device(DEV), Some((42, local, 4789)));
    assert_eq!(device("any"), Some((0, None, 8472)));
    assert_eq!(device("pt-web"), None);
    let [entry, known] = stack.fdb.as_slice() else {
        panic!("{:?}", stack.fdb);
    };
    assert_eq!(known.mac.as_deref(), Some("02:70:0a:3c:00:1f"));
    assert_eq!((entry.device.as_str(), &entry.mac), (DEV, &None));
    assert_eq!(
        (entry.remote, entry.state.as_str()),
        (vtep(Family::Ipv6, 2), "permanent")
    );
}

#[test]
fn packets_are_routed_to_the_other_node() {
    let node = Node::new();
    underlay(&node);
    for family in Family::BOTH {
        join(&routed(family, 1), &routed(family, 2));
        // With the source that the route says, and of the device's whole MTU.
        let size = node
            .sh("cat /sys/class/net/pv-42/mtu")
            .trim()
            .parse::<u32>()
            .unwrap();
        for (to, headers) in [("10.50.2.1", 28), ("fd50:2::1", 48)] {
            node.sh(&format!(
                "ping -c 2 -i 0.1 -W 2 {to}; ping -c 2 -i 0.1 -W 2 -M do -s {} {to}",
                size - headers
            ));
        }
        // No neighbour was asked for: none but the permanent ones.
        assert_eq!(node.sh("ip neigh show dev pv-42").lines().count(), 2);
        assert_holds(&mut Kernel::open().unwrap(), &routed(family, 1));
        part(&routed(family, 1), &routed(family, 2));
    }
}

#[test]
fn a_stretched_network_is_one_ethernet() {
    let node = Node::new();
    underlay(&node);
    for family in Family::BOTH {
        join(&stretched(family, 1), &stretched(family, 2));
        for to in ["10.60.0.2", "fd60::2"] {
            node.sh(&format!("ping -c 2 -i 0.1 -W 2 {to}"));
        }
        // By ARP over the wire: the answer was learnt.
        let neighbour = node.sh("ip neigh show 10.60.0.2 dev pt-web");
        assert!(neighbour.contains("02:70:0a:32:01:02"), "{neighbour}");
        part(&stretched(family, 1), &stretched(family, 2));
    }
}

#[test]
fn outer_packets_carry_a_checksum() {
    let node = Node::new();
    underlay(&node);
    for (family, udp) in [(Family::Ipv4, 14 + 20), (Family::Ipv6, 14 + 40)] {
        join(&routed(family, 1), &routed(family, 2));
        let wire = node.netns().sniff("u0");
        node.sh("ping -c 1 -W 2 10.50.2.1");
        let to_vxlan = |frame: &[u8]| {
            let ethertype: &[u8] = if udp == 34 {
                &[0x08, 0x00]
            } else {
                &[0x86, 0xdd]
            };
            frame.get(12..14) == Some(ethertype)
                && frame.get(udp + 2..udp + 4) == Some(&4789u16.to_be_bytes())
        };
        let frame = wire.expect("a VXLAN packet", to_vxlan);
        assert_ne!(frame[udp + 6..udp + 8], [0, 0]);
        part(&routed(family, 1), &routed(family, 2));
    }
}

#[test]
fn a_plan_of_nothing_but_entries_leaves_the_device_alone() {
    let _node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let before = full();
    build(&mut kernel, &before);
    let mut after = before.clone();
    let dev = ifname(DEV);
    after.neighbours.insert(
        NeighbourKey {
            dev,
            address: "10.50.2.0".parse().unwrap(),
        },
        mac(3),
    );
    after
        .fdb
        .values_mut()
        .for_each(|to| *to = vtep(Family::Ipv4, 5));
    after
        .floods
        .retain(|key| key.remote != vtep(Family::Ipv4, 3));
    let Plan { steps } = diff(&before, &after);
    let of_link = |step: &Step| matches!(step, Step::AddLink(..) | Step::SetLink(..));
    assert!(!steps.iter().any(of_link));
    let report = apply(&mut kernel, &Plan { steps });
    assert!(report.is_success(), "{report:?}");
    assert_holds(&mut kernel, &after);
    assert!(matches!(after.links[&dev_key()].kind, LinkKind::Vxlan(_)));
}
