//! The administrator's chain: it has the first word, and it is nobody else's.

use testnet::Transport;

use crate::ground::{
    A, NODE, OTHER, OUTSIDE, Site, TcpFlow, UdpFlow, at, both, serve, serve_all,
    with_and_without_bridge_nf,
};

fn add(site: &Site, rule: &str) {
    site.node
        .sh(&format!("nft add rule inet pontoon admin {rule}"));
}

fn clear(site: &Site) {
    site.node.sh("nft flush chain inet pontoon admin");
}

#[test]
fn a_drop_there_cuts_what_is_published_and_what_is_established() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "-p 8080:80 -p 8080:80/udp -p 8081:81 -p 8082:80");
        let inside = site.at("a");
        let _servers = serve_all(&inside, &[80]);
        for family in 0..2 {
            let port = |port| at(NODE[family], port);
            let outside = site.outside.netns();
            let mut tcp = TcpFlow::open(outside, port(8081), &inside, at(A[family], 81));
            let udp = UdpFlow::open(outside, port(8080));
            assert!(tcp.passes() && udp.is_answered());
            let ip = ["ip", "ip6"][family];
            add(&site, &format!("{ip} saddr {} drop", OUTSIDE[family]));
            assert!(!udp.is_answered() && !tcp.passes());
            site.assert_silent(&[("outside", port(8080)), ("outside", port(8082))]);
            site.assert_seen("other", Transport::Tcp, port(8080), OTHER[family]);
            clear(&site);
            assert!(udp.is_answered());
            // By the port that the client asked for.
            add(&site, "meta l4proto tcp ct original proto-dst 8082 drop");
            site.assert_silent(&[("outside", port(8082))]);
            site.assert_seen("outside", Transport::Tcp, port(8080), OUTSIDE[family]);
            clear(&site);
        }
    });
}

#[test]
fn an_accept_there_lets_through_what_would_have_been_dropped() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "");
        let _server = serve(&site.at("a"), Transport::Tcp, 80);
        let asked = both(A, 80).map(|to| ("other", to));
        site.assert_silent(&asked);
        add(&site, "iifname pn-blue oifname pn-web accept");
        for family in 0..2 {
            site.assert_seen("other", Transport::Tcp, at(A[family], 80), OTHER[family]);
        }
        clear(&site);
        site.assert_silent(&asked);
    });
}

#[test]
fn no_command_touches_it() {
    let site = Site::new(false, "");
    add(
        &site,
        "ip saddr 198.51.100.0/24 counter drop comment \"mine\"",
    );
    add(&site, "ip6 daddr fd00:99::/64 meta mark set 7");
    let listed = || site.node.sh("nft -a list chain inet pontoon admin");
    let before = listed();
    for line in [
        "attach web b --create -p 8085:80",
        "reconcile",
        "network create green --subnet 10.8.0.0/24",
        "detach b --delete",
        "network rm green",
    ] {
        site.node.pontoon(line);
        assert_eq!(listed(), before, "{line}");
    }
    // Something else of the table needs repair.
    site.node
        .sh("nft flush chain inet pontoon networks; nft flush set inet pontoon bridges");
    site.node.pontoon("reconcile");
    assert_eq!(listed(), before);
    site.node.assert_settled();
}
