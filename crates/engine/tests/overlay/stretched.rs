//! A network stretched over all nodes: one Ethernet, in which a node speaks for its own part.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use engine::{EngineError, Mode};
use model::{Backend, Overlay, Span};
use testnet::frame::{ArpOperation, Mac, arp, neighbour_advertisement, udp};
use testnet::{Netns, Seen, patient, wait_until};

use crate::lab::{
    Lab, V4, V6, assert_published_on_all_nodes, elsewhere, overlay, patience, request, tracked,
    watch_tracked,
};

const PORT: u16 = 5000;
/// What a receiver waits for one packet, of several that are sent.
const ONE_PACKET: Duration = Duration::from_millis(300);
const EVERYBODY: Mac = [0xff; 6];

fn stretched(name: &str, number: u8) -> Overlay {
    Overlay {
        span: Span::Stretched,
        ..overlay(name, number, Backend::Vxlan)
    }
}

/// Three nodes with a container each.
pub fn wire(families: &[&str]) -> (Lab, Vec<Vec<IpAddr>>) {
    let lab = Lab::new(&[stretched("web", 50)], families);
    lab.adopt_all();
    let attach = |n: usize| lab.attach(n, "web", &format!("c{n}"));
    let addresses = (1..=3).map(attach).collect();
    (lab, addresses)
}

fn made(address: IpAddr) -> Mac {
    model::Mac::for_address(address).bytes()
}

#[test]
fn every_endpoint_is_on_one_link() {
    for families in [V4, V6] {
        elsewhere(move || {
            let (lab, addresses) = wire(families);
            watch_tracked(&lab);
            for (from, to) in (1..=3).flat_map(|a| (1..=3).map(move |b| (a, b))) {
                for address in addresses[to - 1].iter().filter(|_| from != to) {
                    // Through no router.
                    let ping = format!("ip netns exec c{from} ping -n -t 1 -c 1 -W 2 {address}");
                    lab.node.sh(&ping);
                    lab.node.sh(&format!(
                        "ip netns exec n{from} ping -n -c 1 -W 2 {address}"
                    ));
                }
            }
            let known = lab.node.sh("ip -n c1 neigh show 10.50.2.2 dev eth0");
            assert!(known.contains("02:70:0a:32:02:02"), "{known}");
            let shown = lab.node.sh("ip -n c1 addr show dev eth0; ip -n c1 route");
            for word in [
                "10.50.1.2/16",
                "fd00:50:0:1::2/48",
                "default via 10.50.1.1 ",
            ] {
                assert!(shown.contains(word), "{word}: {shown}");
            }
            assert_eq!(tracked(&lab), 0);
            assert_published_on_all_nodes(&lab);
            // What was learnt is nothing to mend.
            lab.assert_settled();
        });
    }
}

fn listen(netns: &str, bind: &str, group: Option<IpAddr>) -> UdpSocket {
    let at: IpAddr = bind.parse().unwrap();
    Netns::named(netns).run(|| {
        let socket = UdpSocket::bind((at, PORT)).unwrap();
        match group {
            None => {}
            Some(IpAddr::V4(group)) => socket
                .join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)
                .unwrap(),
            Some(IpAddr::V6(group)) => socket.join_multicast_v6(&group, 0).unwrap(),
        }
        socket.set_read_timeout(Some(patient(ONE_PACKET))).unwrap();
        socket
    })
}

/// Sends from one container until all receivers have heard it.
fn assert_heard(from: &str, own: IpAddr, to: SocketAddr, receivers: &[(&str, UdpSocket)]) {
    let sender = Netns::named(from).run(|| {
        let socket = UdpSocket::bind((own, 0)).unwrap();
        if own.is_ipv4() {
            socket.set_broadcast(true).unwrap();
        }
        socket
    });
    let mut deaf: Vec<&(&str, UdpSocket)> = receivers.iter().collect();
    wait_until("all receivers hear the sender", patience(), || {
        sender.send_to(b"to all", to).unwrap();
        deaf.retain(|(name, socket)| match socket.recv_from(&mut [0; 64]) {
            Ok((_, seen)) => {
                assert_eq!(seen.ip(), own, "{name} at {to}");
                false
            }
            Err(_) => true,
        });
        deaf.is_empty()
    });
}

#[test]
fn broadcast_and_multicast_reach_every_endpoint() {
    for families in [V4, V6] {
        elsewhere(move || {
            let (lab, addresses) = wire(families);
            lab.attach(1, "web", "near");
            for (bind, group) in [
                ("0.0.0.0", "10.50.255.255"),
                ("0.0.0.0", "255.255.255.255"),
                ("0.0.0.0", "239.1.2.3"),
                ("::", "ff05::1:3"),
            ] {
                let group: IpAddr = group.parse().unwrap();
                let join = Some(group).filter(IpAddr::is_multicast);
                let receivers = ["near", "c2", "c3"].map(|name| (name, listen(name, bind, join)));
                let own = addresses[0].iter().find(|a| a.is_ipv4() == group.is_ipv4());
                assert_heard(
                    "c1",
                    *own.unwrap(),
                    SocketAddr::new(group, PORT),
                    &receivers,
                );
            }
        });
    }
}

#[test]
fn a_network_that_is_not_stretched_floods_nothing() {
    let lab = Lab::new(
        &[overlay("web", 50, Backend::Vxlan), stretched("db", 51)],
        V4,
    );
    lab.adopt_all();
    let own = lab.attach(1, "web", "c1")[0];
    let far = lab.attach(2, "web", "c2")[0];
    lab.attach(2, "db", "db2");
    let entries = lab.node.sh("ip netns exec n1 bridge fdb show dev pv-4050");
    assert!(!entries.contains("00:00:00:00:00:00"), "{entries}");
    let flooded = lab.node.sh("ip netns exec n1 bridge fdb show dev pv-4051");
    assert!(flooded.contains("00:00:00:00:00:00"), "{flooded}");
    let [receiver, other] = ["c2", "db2"].map(|name| listen(name, "0.0.0.0", None));
    let sender = Netns::named("c1").run(|| UdpSocket::bind((own, 0)).unwrap());
    sender.set_broadcast(true).unwrap();
    for to in ["255.255.255.255", "10.50.255.255", "239.1.2.3"] {
        let _ = sender.send_to(b"to all", (to, PORT));
    }
    wait_until("what is for one arrives", patience(), || {
        sender.send_to(b"to one", (far, PORT)).unwrap();
        let mut data = [0; 64];
        match receiver.recv_from(&mut data) {
            Ok((len, _)) => {
                assert_eq!(data[..len], *b"to one");
                true
            }
            Err(_) => false,
        }
    });
    assert!(other.recv_from(&mut [0; 64]).is_err());
}

#[test]
fn an_endpoint_is_of_its_nodes_part() {
    let (lab, addresses) = wire(V4);
    let attach = |address: &str, mac: Option<&str>| {
        let mut request = request("web", "more");
        request.addresses = vec![address.parse().unwrap()];
        request.mac = mac.map(|mac| mac.parse().unwrap());
        lab.on(1, |engine| engine.attach(&request, Mode::Apply).map(drop))
    };
    for foreign in ["10.50.2.9", "10.50.200.9", "fd00:50:0:2::9"] {
        let refused = attach(foreign, None).unwrap_err();
        let outside = matches!(refused, EngineError::AddressOutside { .. });
        assert!(outside, "{foreign}: {refused}");
    }
    let refused = attach("10.50.1.9", Some("02:00:00:00:00:09")).unwrap_err();
    assert!(
        matches!(refused, EngineError::MacOfStretched { .. }),
        "{refused}"
    );
    attach("10.50.1.9", Some("02:70:0a:32:01:09")).unwrap();
    lab.node.sh(&format!(
        "ip netns exec more ping -n -t 1 -c 1 -W 2 {}",
        addresses[1][0]
    ));
    lab.assert_settled();
}

#[test]
fn a_node_speaks_for_its_own_part_only() {
    let (lab, addresses) = wire(V4);
    let (c2, c3) = (&addresses[1], &addresses[2]);
    let v4 = |address: &IpAddr| match address {
        IpAddr::V4(v4) => *v4,
        IpAddr::V6(_) => unreachable!("IPv4 comes first"),
    };
    let v6 = |address: &IpAddr| match address {
        IpAddr::V6(v6) => *v6,
        IpAddr::V4(_) => unreachable!("IPv6 comes second"),
    };
    let group = SocketAddr::new("255.255.255.255".parse().unwrap(), PORT);
    let from = |address: IpAddr| udp(SocketAddr::new(address, PORT), group, b"forged");
    let (mac2, mac3) = (made(c2[0]), made(c3[0]));
    let evil = Netns::named("n2");
    let seen = Netns::named("c1").sniff("eth0");
    let mut forged: Vec<Vec<u8>> = Vec::new();
    let mut send = |frame: Vec<u8>| {
        evil.send_frame("pv-4050", &frame);
        forged.push(frame);
    };
    // With a MAC of another node's: it would be learnt.
    send(from(c3[0]).frame(EVERYBODY, mac3));
    send(from(c2[0]).frame(EVERYBODY, [0x02, 0, 0, 0, 0, 9]));
    // With a MAC of its own and another's addresses.
    send(from(c3[0]).frame(EVERYBODY, mac2));
    let target = ([0; 6], Ipv4Addr::new(10, 50, 1, 2));
    send(arp(ArpOperation::Reply, (mac2, v4(&c3[0])), target).frame(EVERYBODY, mac2));
    send(arp(ArpOperation::Reply, (mac3, v4(&c2[0])), target).frame(EVERYBODY, mac2));
    let all = "ff02::1".parse().unwrap();
    let claim = neighbour_advertisement(v6(&c2[1]), all, (mac2, v6(&c3[1])));
    send(claim.frame([0x33, 0x33, 0, 0, 0, 1], mac2));
    // And what it may say, which comes last.
    let own = udp(SocketAddr::new(c2[0], PORT), group, b"true");
    evil.send_frame("pv-4050", &own.frame(EVERYBODY, mac2));
    let before = seen.until(|frame| frame.ends_with(b"true"));
    let is_forged = |seen: &&Vec<u8>| forged.iter().any(|frame| seen.starts_with(frame));
    let arrived: Vec<_> = before
        .iter()
        .filter(is_forged)
        .map(|f| Seen::read(f))
        .collect();
    assert_eq!(arrived, []);
    assert!(lab.dropped("n1", "inet pontoon vxlan", "sources4") >= 2);
    assert!(lab.dropped("n1", "bridge pontoon remote_ip", "drop") >= 1);
    assert!(lab.dropped("n1", "bridge pontoon remote_arp", "drop") >= 2);
    assert!(lab.dropped("n1", "bridge pontoon remote_nd6", "drop") >= 1);
    let learnt = lab.node.sh("ip netns exec n1 bridge fdb show dev pv-4050");
    assert!(
        !learnt.contains("02:70:0a:32:03:02 dst 192.0.2.2"),
        "{learnt}"
    );
    for address in c2.iter().chain(c3) {
        assert!(lab.pings("c1", *address), "{address}");
    }
}

#[test]
fn what_is_deleted_of_it_comes_back() {
    let (lab, addresses) = wire(V4);
    for breakage in [
        "ip link del pv-4050",
        "ip link set pv-4050 nomaster",
        "ip link set pv-4050 type vxlan id 4050 nolearning",
        "bridge fdb del 00:00:00:00:00:00 dev pv-4050 dst 192.0.2.2",
        "bridge fdb del 02:70:0a:32:02:01 dev pv-4050",
        "ip link del pn-web",
        "nft flush ruleset",
    ] {
        lab.node.sh(&format!("ip netns exec n1 {breakage}"));
        assert_ne!(lab.reconcile(1, Mode::Apply), [""; 0], "{breakage}");
        lab.assert_settled();
        for address in addresses[1].iter().chain(&addresses[2]) {
            wait_until("the way is back", patience(), || lab.pings("c1", *address));
        }
    }
}

#[test]
fn a_network_becomes_stretched_when_nobody_is_on_it() {
    let mut lab = Lab::new(&[overlay("web", 50, Backend::Vxlan)], V4);
    lab.adopt_all();
    lab.attach(1, "web", "c1");
    let web = "web".parse().unwrap();
    lab.cluster.networks.insert(web, stretched("web", 50));
    let stranded: Vec<model::NetworkName> = vec!["web".parse().unwrap()];
    assert_eq!(lab.adopted(1).stranded, stranded);
    for n in [2, 3] {
        let outcome = lab.adopted(n);
        assert_eq!(
            (outcome.removed, outcome.added),
            (stranded.clone(), stranded.clone())
        );
    }
    lab.attach(2, "web", "c2");
    let far = lab.attach(3, "web", "c3")[0];
    lab.node
        .sh(&format!("ip netns exec c2 ping -n -t 1 -c 1 -W 2 {far}"));
    lab.assert_settled();
}
