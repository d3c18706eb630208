//! Endpoints of a stretched network that their nodes tell of: who asks for one is answered at home,
//! and what is for one goes to its node alone. Of those that nobody tells, all is learnt as before.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use engine::{DetachRequest, Detachee, Mode, NetnsAfter};
use testnet::{Netns, wait_until};

use crate::lab::{Lab, NODES, V4, V6, elsewhere, patience, request};
use crate::stretched::wire;

/// What ends a look at the wire.
const MARKER: &[u8] = b"the end of the look";
/// Bytes before the inner frame: outer Ethernet, IP, UDP and VXLAN headers.
const OUTER_V4: usize = 14 + 20 + 8 + 8;
const OUTER_V6: usize = 14 + 40 + 8 + 8;

/// Has every node know what the others tell, as the cluster's store does.
fn tell_all(lab: &mut Lab) {
    for n in 1..=NODES {
        let name = format!("n{n}").parse().unwrap();
        let told = lab.on(n, |engine| engine.whereabouts().unwrap());
        lab.cluster.nodes.get_mut(&name).unwrap().endpoints = told;
    }
    lab.adopt_all();
}

/// Whether a frame in VXLAN asks everybody for a neighbour: ARP to all, or a neighbour
/// solicitation to a group.
fn is_question(outer: &[u8], headers: usize) -> bool {
    let Some(frame) = outer.get(headers..) else {
        return false;
    };
    let to_group = frame.first().is_some_and(|byte| byte & 1 == 1);
    let ethertype = frame.get(12..14);
    let arp = ethertype == Some(&[0x08, 0x06]);
    let solicitation = ethertype == Some(&[0x86, 0xdd])
        && frame.get(20) == Some(&58)
        && frame.get(54) == Some(&135);
    to_group && (arp || solicitation)
}

/// The questions that two nodes send to others while one's container pings all of these addresses,
/// of which the last one is the other's.
fn questions(lab: &Lab, to: &[IpAddr], headers: usize) -> usize {
    let wires = [1, 2].map(|n| Netns::named("switch").sniff(&format!("p{n}")));
    for container in ["c1", "c2"] {
        lab.node.sh(&format!("ip -n {container} neigh flush all"));
    }
    for address in to {
        assert!(lab.pings("c1", *address), "{address}");
    }
    let (first, second) = ("c1", "c2");
    for (from, to) in [(first, second), (second, first)] {
        let address = lab.node.sh(&format!(
            "ip -n {to} -4 -o addr show dev eth0 | sed -E 's/.*inet ([0-9.]+).*/\\1/'"
        ));
        let at = SocketAddr::new(address.trim().parse().unwrap(), 9);
        let socket = Netns::named(from).run(|| UdpSocket::bind("0.0.0.0:0").unwrap());
        socket.send_to(MARKER, at).unwrap();
    }
    let seen = wires.iter().flat_map(|wire| {
        wire.until(|frame| frame.windows(MARKER.len()).any(|part| part == MARKER))
    });
    seen.filter(|frame| is_question(frame, headers)).count()
}

#[test]
fn nobody_asks_other_nodes_for_what_is_known() {
    for (families, headers) in [(V4, OUTER_V4), (V6, OUTER_V6)] {
        elsewhere(move || {
            let (mut lab, addresses) = wire(families);
            assert!(questions(&lab, &addresses[1], headers) >= 2, "{families:?}");
            tell_all(&mut lab);
            assert_eq!(questions(&lab, &addresses[1], headers), 0, "{families:?}");
            let macs = lab.node.sh("ip -n c1 neigh show dev eth0");
            assert_eq!(macs.matches("02:70:0a:32:02:02").count(), 2, "{macs}");
            // Its node's own address is always known, and so is each endpoint's link-local one.
            let gateways = ["10.50.2.1", "fd00:50:0:2::1"].map(|a| a.parse().unwrap());
            assert_eq!(questions(&lab, &gateways, headers), 0, "{families:?}");
            let link_local: IpAddr = "fe80::70:aff:fe32:202".parse().unwrap();
            lab.node.sh(&format!(
                "ip netns exec c1 ping -n -c 1 -W 2 {link_local}%eth0"
            ));
            lab.assert_settled();
        });
    }
}

#[test]
fn what_is_not_known_yet_is_flooded_and_learnt() {
    let (mut lab, _) = wire(V4);
    tell_all(&mut lab);
    let late = lab.attach(2, "web", "late");
    assert!(questions(&lab, &late, OUTER_V4) >= 2);
    for (from, to) in [("late", "10.50.1.2"), ("late", "10.50.3.2")] {
        assert!(lab.pings(from, to.parse().unwrap()), "{from} to {to}");
    }
    tell_all(&mut lab);
    assert_eq!(questions(&lab, &late, OUTER_V4), 0);
    lab.assert_settled();
}

/// What a node knows beforehand of this endpoint.
fn entries(lab: &Lab, node: &str, address: &str, mac: &str) -> String {
    lab.node.sh(&format!(
        "ip -n {node} neigh show {address} dev pn-web nud permanent
         ip netns exec {node} bridge fdb show dev pv-4050 | grep {mac} | grep -E 'static|permanent' \
         || true"
    ))
}

fn detach(lab: &Lab) {
    let request = DetachRequest {
        who: Detachee::Target("c2".parse().unwrap()),
        network: None,
        after: NetnsAfter::Delete,
    };
    lab.on(2, |engine| {
        engine.detach(&request, Mode::Apply).map(drop).unwrap();
    });
}

/// With the addresses that it had.
fn attach(lab: &Lab, addresses: &[IpAddr]) {
    let mut request = request("web", "c2");
    request.addresses = addresses.to_vec();
    lab.on(2, |engine| {
        engine.attach(&request, Mode::Apply).map(drop).unwrap();
    });
}

#[test]
fn what_is_detached_is_forgotten_and_may_come_back() {
    let (mut lab, addresses) = wire(V4);
    tell_all(&mut lab);
    let of_c2 = |lab: &Lab| entries(lab, "n1", "10.50.2.2", "02:70:0a:32:02:02");
    let known = of_c2(&lab);
    // A bridge that knows VLANs keeps an entry for its own as well.
    let lines = known.lines().filter(|line| !line.contains(" vlan 1 "));
    assert_eq!(lines.count(), 3, "{known}");
    for word in ["sticky", "dst 192.0.2.2", "PERMANENT"] {
        assert!(known.contains(word), "{known}");
    }
    detach(&lab);
    // Nobody has told: who asks gets the old answer, and no echo.
    assert!(!lab.pings("c1", addresses[1][0]));
    // Back before anybody was told: all of it still holds.
    attach(&lab, &addresses[1]);
    assert!(lab.pings("c1", addresses[1][0]));
    detach(&lab);
    tell_all(&mut lab);
    assert_eq!(of_c2(&lab), "");
    attach(&lab, &addresses[1]);
    wait_until("it is learnt", patience(), || {
        lab.pings("c1", addresses[1][0])
    });
    lab.assert_settled();
}

#[test]
fn what_is_known_follows_its_node_and_outlives_the_store() {
    let (mut lab, addresses) = wire(V4);
    tell_all(&mut lab);
    lab.node
        .sh("ip -n n2 addr del 192.0.2.2/24 dev up0; ip -n n2 addr add 192.0.2.22/24 dev up0");
    let n2 = lab.cluster.nodes.get_mut(&"n2".parse().unwrap()).unwrap();
    n2.underlay = vec!["192.0.2.22".parse().unwrap()];
    lab.adopt_all();
    let known = entries(&lab, "n1", "10.50.2.2", "02:70:0a:32:02:02");
    assert!(known.contains("dst 192.0.2.22"), "{known}");
    assert_eq!(questions(&lab, &addresses[1], OUTER_V4), 0);
    // By the records alone, whatever was lost.
    for breakage in [
        "ip link del pv-4050",
        "ip link set pv-4050 nomaster",
        "ip link del pn-web",
        "bridge link set dev pv-4050 neigh_suppress off",
        "bridge fdb del 02:70:0a:32:02:02 dev pv-4050 master",
        "bridge fdb del 02:70:0a:32:02:02 dev pv-4050 self",
        "ip neigh flush dev pn-web nud permanent",
        "ip neigh replace 10.50.2.2 dev pn-web lladdr 02:00:00:00:00:09 nud permanent",
    ] {
        lab.node.sh(&format!("ip netns exec n1 {breakage}"));
        assert_ne!(lab.reconcile(1, Mode::Apply), [""; 0], "{breakage}");
        lab.assert_settled();
        wait_until("the way is back", patience(), || {
            lab.pings("c1", addresses[1][0])
        });
        assert_eq!(questions(&lab, &addresses[1], OUTER_V4), 0, "{breakage}");
    }
}
