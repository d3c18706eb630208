//! What a container's root can't send with raw sockets, and what it can. That a frame was dropped
//! is proved three times: the guard counts it, it does not arrive before a marker sent after it,
//! and the neighbours know what they knew. A control without the guard shows that each of them
//! would have arrived.

use std::time::Duration;

use testnet::frame::{self, BROADCAST, Mac};
use testnet::{Seen, Transport, wait_until};

use crate::attempts::{Attempt, FORGED, OWN, datagram, forged, legitimate};
use crate::ground::{A, LOOPBACK, PEER, Site, WEB_GATEWAY, at, with_and_without_bridge_nf};

/// Sends all attempts from `a` and names those that arrive at its peer or at the bridge.
fn arriving(site: &Site, attempts: &[Attempt]) -> Vec<&'static str> {
    let container = site.at("a");
    let sniffers = [
        site.at("peer").sniff("eth0"),
        site.node.netns().sniff("pn-web"),
    ];
    let before = dropped(site);
    for frame in attempts.iter().flat_map(|attempt| &attempt.frames) {
        container.send_frame("eth0", frame);
    }
    let marker = frame::udp(at(A[0], 1), at("10.5.0.255", 9), b"marker");
    container.send_frame("eth0", &marker.frame(BROADCAST, OWN));
    let is_marker = |frame: &[u8]| frame.ends_with(b"marker");
    let seen: Vec<_> = sniffers
        .iter()
        .flat_map(|sniffer| sniffer.until(is_marker))
        .collect();
    let arrived: Vec<_> = attempts
        .iter()
        .filter(|one| one.arrived_among(&seen))
        .collect();
    let dropped_attempts = attempts.iter().filter(|one| !one.arrived_among(&seen));
    let drops: usize = dropped_attempts.map(|one| one.drops).sum();
    if is_guarded(site) {
        let counted = || dropped(site) - before >= drops;
        wait_until(
            "the guard counts what it drops",
            Duration::from_secs(2),
            counted,
        );
    }
    arrived.into_iter().map(|one| one.name).collect()
}

fn is_guarded(site: &Site) -> bool {
    site.node.try_sh("nft list table bridge pontoon").success()
}

/// What the guard has dropped so far.
fn dropped(site: &Site) -> usize {
    let rules = site
        .node
        .sh("nft list tables | grep -q 'bridge pontoon' && nft list table bridge pontoon || true");
    let counted = |line: &str| -> Option<usize> {
        line.split("counter packets ")
            .nth(1)?
            .split(' ')
            .next()?
            .parse()
            .ok()
    };
    rules.lines().filter_map(counted).sum()
}

/// What the peer and the node hold for the addresses of the network: address and MAC.
fn neighbours(site: &Site) -> Vec<String> {
    let mut known = Vec::new();
    for (place, ifname) in [("peer", "eth0"), ("node", "pn-web")] {
        let listed = site.inside(place, &format!("ip neigh show dev {ifname}"));
        for line in listed.lines() {
            if let Some((address, mac)) = line.split_once(" lladdr ") {
                let mac = mac.split(' ').next().unwrap();
                known.push(format!("{place} {} {mac}", address.trim()));
            }
        }
    }
    known.sort();
    known
}

/// Everybody on the network has heard of everybody.
fn introduce(site: &Site) {
    for to in [A, WEB_GATEWAY].into_iter().flatten() {
        site.inside("peer", &format!("ping -c1 -W2 {to}"));
    }
    site.inside(
        "a",
        &format!(
            "ping -c1 -W2 {}; ping -c1 -W2 {}",
            WEB_GATEWAY[0], WEB_GATEWAY[1]
        ),
    );
    // By their link-local addresses too: with these they look after what they know, when it is old.
    let link_local = |place, ifname| {
        let script = format!("ip -6 -o addr show dev {ifname} scope link | tr / ' '");
        let line = site.inside(place, &script);
        line.split_whitespace().nth(3).unwrap().to_owned()
    };
    let (node, a) = (link_local("node", "pn-web"), link_local("a", "eth0"));
    for (from, to) in [("peer", &node), ("peer", &a), ("a", &node)] {
        site.inside(from, &format!("ping -c1 -W2 {to}%eth0"));
    }
}

fn assert_guarded(site: &Site) {
    introduce(site);
    let known = neighbours(site);
    assert!(known.len() >= 6, "{known:?}");
    assert_eq!(arriving(site, &forged()), [""; 0]);
    assert_eq!(neighbours(site), known);
    let wanted = legitimate();
    let names: Vec<_> = wanted.iter().map(|one| one.name).collect();
    assert_eq!(arriving(site, &wanted), names);
    let learnt = site.node.sh("bridge fdb show br pn-web");
    assert!(!learnt.contains("02:de:ad"), "{learnt}");
    let routes = site.inside("peer", "ip -6 route show default; ip -6 addr");
    assert!(
        !routes.contains("ra ") && !routes.contains("2001:db8:6"),
        "{routes}"
    );
}

#[test]
fn a_container_is_who_it_is_after_attach_reconcile_and_repair() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "");
        assert_guarded(&site);
        site.node.pontoon("reconcile");
        assert_guarded(&site);
        site.node.sh("nft flush ruleset");
        site.node.pontoon("reconcile");
        assert_guarded(&site);
    });
}

/// With a hairpin port frames come back to where they are from.
#[test]
fn a_container_that_publishes_is_who_it_is() {
    with_and_without_bridge_nf(|bridge_nf| assert_guarded(&Site::new(bridge_nf, "-p 8080:80")));
}

/// The control: each forged frame arrives where nobody guards.
#[test]
fn without_the_guard_every_forged_frame_would_arrive() {
    let site = Site::new(false, "");
    introduce(&site);
    site.node.sh("nft delete table bridge pontoon");
    let attempts = forged();
    let names: Vec<_> = attempts.iter().map(|one| one.name).collect();
    assert_eq!(arriving(&site, &attempts), names);
}

/// Frames to the addresses of link protocols go around the bridge, and enter the IP layer by the
/// port itself; others are for the node's loopback.
#[test]
fn no_frame_goes_around_the_guard_into_the_node() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "-p 8080:80");
        let node = site.node.netns();
        let servers: Vec<_> = WEB_GATEWAY
            .into_iter()
            .chain(LOOPBACK)
            .map(|ip| node.serve(Transport::Udp, at(ip, 7777)))
            .collect();
        let marked = node.serve(Transport::Udp, at(WEB_GATEWAY[0], 7778));
        let bridge = node.mac_of("pn-web");
        let attack = || {
            for last in [0x00, 0x02, 0x03, 0x0d, 0x0e, 0x0f, 0x21] {
                for family in 0..2 {
                    for source in [A[family], PEER[family]] {
                        let to: Mac = [1, 0x80, 0xc2, 0, 0, last];
                        let packet = datagram(source, WEB_GATEWAY[family]);
                        site.at("a").send_frame("eth0", &packet.frame(to, FORGED));
                    }
                }
            }
            for family in 0..2 {
                let packet = datagram(A[family], LOOPBACK[family]);
                site.at("a").send_frame("eth0", &packet.frame(bridge, OWN));
            }
            let before = marked.clients().len();
            let marker = frame::udp(at(A[0], 1111), at(WEB_GATEWAY[0], 7778), b"marker");
            site.at("a").send_frame("eth0", &marker.frame(bridge, OWN));
            let came = || marked.clients().len() > before;
            wait_until("the marker", Duration::from_secs(2), came);
            servers
                .iter()
                .map(|server| server.clients().len())
                .collect::<Vec<_>>()
        };
        assert_eq!(attack(), [0, 0, 0, 0]);
        let learnt = site.node.sh("bridge fdb show br pn-web");
        assert!(!learnt.contains("02:de:ad"), "{learnt}");
        // The control: IPv4 would have come by both ways.
        site.node.sh("nft flush ruleset");
        let came = attack();
        assert!(came[0] > 0 && came[2] > 0, "{came:?}");
    });
}

#[test]
fn with_another_mac_nothing_passes_until_it_is_back() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "");
        let pings = |expected: bool| {
            for to in [PEER, WEB_GATEWAY].into_iter().flatten() {
                let ping = format!("ping -c1 -W1 {to}");
                let outcome = site.at("a").run(|| site.node.try_sh(&ping));
                assert_eq!(outcome.success(), expected, "{to}: {outcome}");
            }
        };
        pings(true);
        site.inside("a", "ip link set eth0 address 02:de:ad:00:00:01");
        pings(false);
        let learnt = site.node.sh("bridge fdb show br pn-web");
        assert!(!learnt.contains("02:de:ad"), "{learnt}");
        site.inside("a", "ip link set eth0 address 02:00:00:00:05:0a");
        pings(true);
    });
}

/// The kernel's own detection, and an address that is not the endpoint's.
#[test]
fn detection_of_duplicates_works_and_finds_no_false_ones() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "-p 8080:80");
        site.inside(
            "a",
            "sysctl -qw net.ipv6.conf.all.accept_dad=1 net.ipv6.conf.eth0.accept_dad=1
             ip -6 addr del fd00:5::10/64 dev eth0; ip -6 addr add fd00:5::10/64 dev eth0",
        );
        let settled = || {
            site.inside("a", "ip -6 addr show dev eth0 tentative")
                .is_empty()
        };
        wait_until("the address is settled", Duration::from_secs(5), settled);
        let addresses = site.inside("a", "ip -6 addr show dev eth0");
        assert!(!addresses.contains("dadfailed"), "{addresses}");
        site.inside(
            "a",
            "ip route replace default via 10.5.0.1; ping -c1 -W2 fd00:5::1",
        );
        site.inside(
            "a",
            "ip addr add 10.5.0.99/24 dev eth0; ! ping -c1 -W1 -I 10.5.0.99 10.5.0.11",
        );
    });
}

#[test]
fn a_network_without_ipv6_carries_none() {
    let site = Site::bare(false);
    site.node
        .pontoon("network create four --subnet 10.5.0.0/24");
    for (name, number, mac) in [("a", 10, "0a"), ("peer", 11, "0b")] {
        site.node.pontoon(&format!(
            "attach four {name} --create --ip 10.5.0.{number} --mac 02:00:00:00:05:{mac}"
        ));
    }
    let container = site.at("a");
    let sniffer = site.at("peer").sniff("eth0");
    for attempt in legitimate().into_iter().chain(forged()) {
        attempt
            .frames
            .iter()
            .for_each(|frame| container.send_frame("eth0", frame));
    }
    let marker = frame::udp(at(A[0], 1), at("10.5.0.255", 9), b"marker");
    container.send_frame("eth0", &marker.frame(BROADCAST, OWN));
    for frame in sniffer.until(|frame| frame.ends_with(b"marker")) {
        let ip = Seen::ip_of(&frame);
        let spoken = ip.filter(|ip| ip.source.is_ipv6() && !ip.source.ip().is_unspecified());
        assert_eq!(spoken, None);
    }
}
