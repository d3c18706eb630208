//! Publications that come and go under flows that are already tracked.

use std::time::Duration;

use testnet::{Transport, wait_until};

use crate::ground::{A, NODE, Site, TcpFlow, UdpFlow, at, both, serve, with_and_without_bridge_nf};

/// A flow of each family from outside to the published port.
fn flows(site: &Site) -> [UdpFlow; 2] {
    both(NODE, 8080).map(|to| UdpFlow::open(site.outside.netns(), to))
}

fn assert_answered(flows: &[UdpFlow]) {
    for flow in flows {
        wait_until("the flow is answered", Duration::from_secs(2), || {
            flow.is_answered()
        });
    }
}

#[test]
fn detach_stops_a_published_port_at_once() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "-p 8080:80/udp -p 8081:81");
        let inside = site.at("a");
        let server = serve(&inside, Transport::Udp, 80);
        let mut tcp = TcpFlow::open(
            site.outside.netns(),
            at(NODE[0], 8081),
            &inside,
            at(A[0], 81),
        );
        let flows = flows(&site);
        assert_answered(&flows);
        assert!(tcp.passes());
        site.node.pontoon("detach a");
        let seen = server.clients().len();
        assert!(flows.iter().all(|flow| !flow.is_answered()) && !tcp.passes());
        site.assert_silent(&both(NODE, 8080).map(|to| ("outside", to)));
        site.assert_silent(&both(NODE, 8081).map(|to| ("outside", to)));
        assert_eq!(server.clients().len(), seen);
    });
}

#[test]
fn a_tracked_flow_follows_the_port_to_its_next_endpoint() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "-p 8080:80/udp");
        let old = serve(&site.at("a"), Transport::Udp, 80);
        let flows = flows(&site);
        assert_answered(&flows);
        site.node.pontoon("detach a");
        site.attach("web", "b", 12, "-p 8080:80/udp");
        let new = serve(&site.at("b"), Transport::Udp, 80);
        let seen = old.clients().len();
        assert_answered(&flows);
        assert!(new.clients().len() >= 2);
        assert_eq!(old.clients().len(), seen);
    });
}

#[test]
fn a_tracked_flow_does_not_reach_who_has_the_address_next() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "-p 8080:80/udp");
        let old = serve(&site.at("a"), Transport::Udp, 80);
        let flows = flows(&site);
        assert_answered(&flows);
        drop(old);
        site.node.pontoon("detach a --delete");
        // The same addresses, nothing published.
        site.attach("web", "b", 10, "");
        let next = serve(&site.at("b"), Transport::Udp, 80);
        let answered = flows.iter().filter(|flow| flow.is_answered()).count();
        assert_eq!((answered, next.clients()), (0, Vec::new()));
    });
}

#[test]
fn a_flow_that_was_there_first_reaches_the_port_once_it_is_published() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "");
        let flows = flows(&site);
        assert!(flows.iter().all(|flow| !flow.is_answered()));
        site.attach("web", "b", 12, "-p 8080:80/udp");
        let _server = serve(&site.at("b"), Transport::Udp, 80);
        assert_answered(&flows);
    });
}
