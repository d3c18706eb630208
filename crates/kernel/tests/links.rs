//! Plans of devices, addresses, routes and sysctls against a real kernel.

mod common;

use common::{
    BRIDGE, alias, apply, assert_holds, bridge_key, build, endpoint, heal, ifname, inside, network,
    port, state,
};
use kernel::{ErrorKind, Kernel, KernelError};
use netstate::{KernelState, LinkKey, Plan, Step, diff};
use testnet::Node;

#[test]
fn what_is_applied_is_what_is_observed() {
    let _node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state(2);
    build(&mut kernel, &wanted);
    assert_eq!(heal(&mut kernel, &wanted), 0);
    // Another process, with nothing kept open, sees the same.
    assert_holds(&mut Kernel::open().unwrap(), &wanted);
}

/// More than one costs two grace periods; by netlink as by the printed line.
#[test]
fn a_pair_has_one_queue_at_both_ends() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let queues = || {
        let ends = "ip -d link show pt1; ip -n box1 -d link show eth0";
        let details = node.sh(ends);
        let one = |way: &str| details.matches(&format!("num{way}queues 1 ")).count();
        (one("tx"), one("rx"))
    };
    let wanted = state(1);
    build(&mut kernel, &wanted);
    assert_eq!(queues(), (2, 2));
    let key = LinkKey::on_node(port(1));
    let line = Step::AddLink(key.clone(), wanted.links[&key].clone()).to_string();
    node.sh(&format!("ip link del pt1; {line}"));
    assert_eq!(queues(), (2, 2));
}

#[test]
fn what_is_removed_leaves_nothing_behind() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state(2);
    build(&mut kernel, &wanted);
    let plan = diff(&wanted, &KernelState::default());
    let report = apply(&mut kernel, &plan);
    assert!(report.is_success(), "{report:?}");
    assert_eq!(node.sh("ip netns list"), "");
    assert_eq!(kernel.link(&ifname(BRIDGE)).unwrap(), None);
    // What is gone already is gone.
    let report = apply(&mut kernel, &plan);
    assert!(report.is_success(), "{report:?}");
}

#[test]
fn every_change_in_place_heals() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state(2);
    build(&mut kernel, &wanted);
    node.sh("ip link add other type bridge");
    for change in [
        "ip link set pt1 address 02:00:00:00:00:09",
        "ip link set pt1 mtu 1300",
        "ip link set pt1 alias 'pontoon 0123456789abcdef something else'",
        "ip link set pt1 nomaster",
        "ip link set pt1 master other",
        "bridge link set dev pt1 hairpin off",
        "ip link set pt1 down",
        "ip link set pt-web address 02:00:00:00:00:09",
        "ip link set pt-web mtu 1300",
        "ip link set pt-web down",
        "ip addr del 10.9.0.1/24 dev pt-web",
        "ip addr add 10.9.0.77/24 dev pt-web",
        "ip -6 addr flush dev pt-web scope global",
        "sysctl -qw net.ipv6.conf.pt1.disable_ipv6=0",
        "ip -n box1 link set eth0 address 02:00:00:00:00:09",
        "ip -n box1 link set eth0 mtu 1300",
        "ip -n box1 link set eth0 down",
        "ip -n box1 link set lo down",
        "ip -n box1 addr flush dev eth0 scope global",
        "ip -n box1 route del default",
        "ip -n box1 route replace default via 10.9.0.200 proto 112 metric 100",
        "ip -n box1 route replace default dev eth0 proto 112 metric 100",
        "ip -n box1 -6 route del default",
        "ip -n box1 route add 10.77.0.0/16 via 10.9.0.1 proto 112",
        "ip netns exec box1 sysctl -qw net.ipv6.conf.eth0.accept_ra=1",
    ] {
        node.sh(change);
        assert!(heal(&mut kernel, &wanted) > 0, "{change} went unseen");
    }
}

#[test]
fn a_peer_that_was_renamed_moved_or_deleted_comes_back() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state(2);
    build(&mut kernel, &wanted);
    node.sh("ip netns add elsewhere");
    // A device that is up can be renamed since Linux 6.2.
    for change in [
        "ip -n box1 link set eth0 down; ip -n box1 link set eth0 name eth9",
        "ip -n box1 link set eth0 netns elsewhere",
        "ip -n box1 link set eth0 down; ip -n box1 link set eth0 name eth7; ip -n box1 link set eth7 netns box2",
        "ip -n box1 link del eth0",
        "ip link del pt1",
        "ip link set pt1 down; ip link set pt1 name pt9",
        "ip -n box1 addr add 10.9.0.88/24 dev eth0; ip link set pt1 down; ip link set pt1 name pt9",
        "ip netns del box1",
    ] {
        node.sh(change);
        assert!(heal(&mut kernel, &wanted) > 0, "{change} went unseen");
    }
}

#[test]
fn a_deleted_bridge_comes_back_with_its_ports() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state(2);
    build(&mut kernel, &wanted);
    node.sh("ip link del pt-web");
    assert!(heal(&mut kernel, &wanted) > 0);
}

#[test]
fn a_bridge_keeps_its_mtu_when_its_last_port_goes() {
    let _node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let mut wanted = state(1);
    let jumbo = 9000.try_into().unwrap();
    for link in wanted.links.values_mut() {
        link.mtu = jumbo;
        if let netstate::LinkKind::Veth {
            peer: Some(peer), ..
        } = &mut link.kind
        {
            peer.mtu = jumbo;
        }
    }
    build(&mut kernel, &wanted);
    let report = apply(
        &mut kernel,
        &Plan {
            steps: vec![Step::DelLink(LinkKey::on_node(port(1)))],
        },
    );
    assert!(report.is_success(), "{report:?}");
    let bridge = kernel.link(&ifname(BRIDGE)).unwrap().unwrap();
    assert_eq!(bridge.mtu, 9000);
}

#[test]
fn fifty_removals_are_one_and_foreign_devices_survive() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    build(&mut kernel, &network());
    let mut pairs = KernelState::default();
    for number in 1..=50 {
        pairs.extend(endpoint(number));
    }
    let report = apply(&mut kernel, &diff(&KernelState::default(), &pairs));
    assert!(report.is_success(), "{report:?}");
    node.sh("ip link add pt77 type veth peer name pt78; ip link set pt78 group 7");
    // One has gone by itself.
    node.sh("ip link del pt13");
    let doomed = (1..=50).map(|n| Step::DelLink(LinkKey::on_node(port(n))));
    let plan = Plan {
        steps: doomed.collect(),
    };
    let mut checkpoints = 0;
    let report = kernel.apply(&plan, &mut || checkpoints += 1);
    assert!(report.is_success(), "{report:?}");
    assert_eq!((report.done.len(), checkpoints), (50, 50));
    let left = kernel.facts().unwrap().links;
    let left: Vec<&str> = left.iter().map(|link| link.name.as_str()).collect();
    assert_eq!(left, ["lo", BRIDGE, "pt78", "pt77"]);
}

#[test]
fn a_device_whose_name_is_taken_is_not_touched() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state(1);
    node.sh("ip link add pt1 type veth peer name foreign");
    let report = apply(&mut kernel, &diff(&KernelState::default(), &wanted));
    let [(_, error)] = report.failed.as_slice() else {
        panic!("{report:?}");
    };
    let key = LinkKey::on_node(port(1));
    assert!(matches!(error, KernelError::LinkExists(taken) if *taken == key));
    assert_eq!(error.kind(), ErrorKind::Exists);
    // What stands on the device was not tried; the bridge and the namespace stand.
    assert!(report.skipped.len() > 5, "{report:?}");
    let foreign = kernel.link(&port(1)).unwrap().unwrap();
    assert_eq!((foreign.alias, foreign.up), (None, false));
    assert!(kernel.link(&ifname(BRIDGE)).unwrap().is_some());
}

#[test]
fn the_number_of_a_bridge_that_is_gone_leads_nowhere() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    build(&mut kernel, &network());
    assert!(kernel.link(&ifname(BRIDGE)).unwrap().is_some());
    node.sh("ip link del pt-web; ip link add pt-web type bridge");
    let plan = diff(&KernelState::default(), &endpoint(1));
    let report = apply(&mut kernel, &plan);
    assert!(
        matches!(report.failed.as_slice(), [(_, KernelError::Step { step, .. })]
            if matches!(**step, Step::AddLink(..))),
        "{report:?}"
    );
    assert_eq!(kernel.link(&port(1)).unwrap(), None);
    // Behind the plan it is looked up anew.
    let again = diff(&state(0), &state(1));
    let again = Plan {
        steps: again
            .steps
            .into_iter()
            .filter(|step| !matches!(step, Step::AddNetns(..)))
            .collect(),
    };
    assert!(apply(&mut kernel, &again).is_success());
}

#[test]
fn a_name_taken_inside_the_target_is_told() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("ip netns add box1; ip -n box1 link add eth0 type veth peer name eth1");
    let mut wanted = state(1);
    wanted.namespaces.clear();
    let report = apply(&mut kernel, &diff(&KernelState::default(), &wanted));
    let at = inside(1, "eth0");
    assert!(
        matches!(&report.failed[0].1, KernelError::LinkExists(taken) if *taken == at),
        "{report:?}"
    );
    assert_eq!(kernel.link(&port(1)).unwrap(), None);
}

#[test]
fn links_of_other_records_are_not_observed() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state(1);
    build(&mut kernel, &wanted);
    node.sh("ip link add theirs type bridge
         ip link set theirs alias 'pontoon fedcba9876543210 network web'
         ip link add ours type veth peer name ours2
         ip link set ours alias 'a pontoon bridge'");
    assert_eq!(heal(&mut kernel, &wanted), 0);
}

#[test]
fn a_device_is_made_with_its_mark_and_of_no_group() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    build(&mut kernel, &state(1));
    let facts = kernel.link(&port(1)).unwrap().unwrap();
    assert_eq!(facts.mark(), Some(alias("endpoint web/box1")));
    assert_eq!(facts.master, Some(ifname(BRIDGE)));
    let shown = node.sh("ip link show dev pt1; ip link show dev pt-web");
    assert_eq!(shown.matches("group default").count(), 2, "{shown}");
}

#[test]
fn a_device_that_was_not_marked_in_time_is_made_anew() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state(1);
    build(&mut kernel, &wanted);
    // What a process leaves that is killed between the making of a device and its mark.
    node.sh("ip link add pt9 group 0x706f6e75 type veth peer name pt10
         ip link del pt1
         ip link add pt1 group 0x706f6e75 type veth peer name eth0 netns box1");
    assert!(heal(&mut kernel, &wanted) > 0);
    assert_eq!(heal(&mut kernel, &wanted), 0);
    assert_eq!(kernel.link(&port(9)).unwrap(), None);
    let facts = kernel.link(&port(1)).unwrap().unwrap();
    assert_eq!(facts.mark(), Some(alias("endpoint web/box1")));
}

#[test]
fn an_ipv6_address_is_usable_at_once() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state(1);
    let report = apply(&mut kernel, &diff(&KernelState::default(), &wanted));
    assert!(report.is_success(), "{report:?}");
    let shown = node
        .sh("ip -n box1 -6 addr show dev eth0 scope global; ip -6 addr show pt-web scope global");
    assert!(!shown.contains("tentative"), "{shown}");
    assert_eq!(shown.matches("inet6 fd09::").count(), 2, "{shown}");
}

#[test]
fn a_step_after_a_failed_one_that_needs_nothing_of_it_is_done() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("ip netns add box1");
    let wanted = state(2);
    let report = apply(&mut kernel, &diff(&KernelState::default(), &wanted));
    assert!(
        matches!(
            report.failed.as_slice(),
            [(_, KernelError::NetnsExists(name))] if name == "box1"
        ),
        "{report:?}"
    );
    assert!(kernel.link(&port(2)).unwrap().is_some());
    assert_eq!(kernel.link(&port(1)).unwrap(), None);
    assert!(kernel.link(&bridge_key().name).unwrap().is_some());
}

#[test]
fn a_want_of_rights_is_told_apart() {
    let _node = Node::new();
    let without = std::thread::spawn(|| {
        let mut kernel = Kernel::open().unwrap();
        let none = rustix::thread::CapabilitySets {
            effective: rustix::thread::CapabilitySet::empty(),
            permitted: rustix::thread::CapabilitySet::empty(),
            inheritable: rustix::thread::CapabilitySet::empty(),
        };
        rustix::thread::set_capabilities(None, none).unwrap();
        let report = apply(&mut kernel, &diff(&KernelState::default(), &network()));
        let (_, error) = &report.failed[0];
        assert!(error.is_permission(), "{error}");
    });
    without.join().unwrap();
}
