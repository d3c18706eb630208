//! The node's own uplink keeps what it has while the node becomes a router.

use std::net::Ipv6Addr;
use std::time::Duration;

use testnet::{Transport, frame, wait_until};

use crate::ground::{NODE, OUTSIDE, Site, at, serve};

const ROUTER: &str = "fe80::66";

/// The outside announces itself as a router.
fn announce(site: &Site, router: &str) {
    let mac = site.outside.netns().mac_of("out0");
    let source: Ipv6Addr = router.parse().unwrap();
    let packet = frame::router_advertisement((mac, source), "2001:db8:66::".parse().unwrap());
    let group = frame::multicast_mac("ff02::1".parse().unwrap());
    site.outside
        .netns()
        .send_frame("out0", &packet.frame(group, mac));
}

fn has_route_by(site: &Site, router: &str) -> bool {
    let routes = site.node.sh("ip -6 route show default");
    routes.contains(&format!("via {router}")) && routes.contains("proto ra")
}

/// A host that becomes a router forgets the default route it learnt, unless told otherwise.
#[test]
fn a_default_route_learnt_from_a_router_survives() {
    let site = Site::bare(false);
    site.node
        .sh("ip -6 route del default; sysctl -qw net.ipv6.conf.up0.accept_ra=1");
    site.outside.netns().run(|| {
        site.node
            .sh(&format!("ip -6 addr add {ROUTER}/64 dev out0 nodad"));
    });
    wait_until("the learnt route", Duration::from_secs(5), || {
        announce(&site, ROUTER);
        has_route_by(&site, ROUTER)
    });
    site.network("web", 5);
    assert!(
        has_route_by(&site, ROUTER),
        "{}",
        site.node.sh("ip -6 route")
    );
    assert_eq!(
        site.node.sh("sysctl -n net.ipv6.conf.all.forwarding"),
        "1\n"
    );
    site.attach("web", "a", 10, "");
    let _server = serve(site.outside.netns(), Transport::Tcp, 80);
    site.node.sh("ip -6 addr add 2001:db8:2::2/128 dev lo");
    site.assert_seen("a", Transport::Tcp, at(OUTSIDE[1], 80), NODE[1]);
    // It goes on listening.
    wait_until("another router", Duration::from_secs(5), || {
        announce(&site, "fe80::67");
        has_route_by(&site, "fe80::67")
    });
    site.node.pontoon("reconcile");
    site.node.pontoon("detach a --delete");
    assert!(has_route_by(&site, ROUTER));
    site.node.assert_settled();
}
