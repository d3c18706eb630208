//! The fast path between the nodes of a lab, and what becomes of a flow while it comes and goes.

use std::net::{SocketAddr, UdpSocket};
use std::process::Child;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use testnet::{Netns, patient, wait_until};

use crate::ground::Ground;

const BOUND: Duration = Duration::from_secs(20);
/// Longer than a proof holds.
const ANSWER: Duration = Duration::from_secs(2);

/// Containers on two nodes whose fast path is on, and a flow between them.
struct Site {
    ground: Ground,
    client: UdpSocket,
    server: UdpSocket,
    held: Vec<Child>,
}

impl Site {
    fn new(word: &str, networks: &str) -> Self {
        let ground = Ground::new(word);
        ground.lab(&format!("up --nodes 2 {networks}"));
        let mut held = Vec::new();
        let mut sockets = Vec::new();
        for (node, name) in [("n1", "c1"), ("n2", "c2")] {
            let said = ground.on(node, "pontoon fastpath on");
            assert!(said.contains("to other nodes: by "), "{said}");
            // Who comes later gets it too.
            let address = ground.attach(node, "web", name).remove(0);
            let (netns, child) = ground.container(node, name);
            held.push(child);
            sockets.push(bind(&netns, &address));
        }
        let (server, client) = (sockets.remove(1), sockets.remove(0));
        client.connect(server.local_addr().unwrap()).unwrap();
        server.connect(client.local_addr().unwrap()).unwrap();
        Self {
            ground,
            client,
            server,
            held,
        }
    }

    /// Whether a datagram comes through, and back.
    fn passes(&self, number: u64) -> bool {
        let across = |from: &UdpSocket, to: &UdpSocket| {
            let mut data = [0; 8];
            let sent = number.to_be_bytes();
            from.send(&sent).is_ok() && to.recv(&mut data).is_ok_and(|n| data[..n] == sent)
        };
        across(&self.client, &self.server) && across(&self.server, &self.client)
    }

    fn status(&self, node: &str) -> Value {
        let text = self.ground.on(node, "pontoon fastpath status --json");
        serde_json::from_str(&text).unwrap()
    }

    /// What a node has sent to others fast, and received so.
    fn carried(&self, node: &str) -> [u64; 2] {
        let status = self.status(node);
        let port = &status["ports"][0];
        ["fast_packets", "arrived_packets"].map(|key| port[key].as_u64().unwrap_or(0))
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        for child in &mut self.held {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn bind(netns: &Netns, address: &str) -> UdpSocket {
    let at = SocketAddr::new(address.parse().unwrap(), 0);
    let socket = netns.run(|| UdpSocket::bind(at)).unwrap();
    socket.set_read_timeout(Some(patient(ANSWER))).unwrap();
    socket
}

#[test]
fn a_flow_between_nodes_loses_nothing_whatever_comes_and_goes() {
    assert_nothing_lost(&Site::new("fast", ""));
}

#[test]
fn a_routed_flow_between_nodes_loses_nothing_either() {
    let site = Site::new("fastroute", "--network web=10.50.0.0/16:routed");
    assert_nothing_lost(&site);
    let text = site.ground.on("n1", "pontoon fastpath status");
    assert!(text.contains("between nodes: web (routed)\n"), "{text}");
}

#[test]
fn a_stretched_flow_between_nodes_loses_nothing_either() {
    assert_nothing_lost(&Site::new(
        "faststretch",
        "--network web=10.50.0.0/16:stretch",
    ));
}

fn assert_nothing_lost(site: &Site) {
    let (stop, passed) = (AtomicBool::new(false), AtomicU64::new(0));
    thread::scope(|scope| {
        let flow = scope.spawn(|| {
            while !stop.load(Relaxed) {
                let number = passed.load(Relaxed);
                assert!(site.passes(number), "datagram {number} is lost");
                passed.fetch_add(1, Relaxed);
            }
        });
        let carried_on = |node: &str| {
            let before = site.carried(node);
            let what = format!("{node} carries the flow");
            wait_until(&what, BOUND, || {
                assert!(!flow.is_finished(), "the flow has ended");
                let now = site.carried(node);
                now[0] > before[0] + 10 && now[1] > before[1] + 10
            });
        };
        carried_on("n1");
        carried_on("n2");
        for node in ["n1", "n2"] {
            site.ground.on(node, "pontoon fastpath off");
            site.ground.on(node, "pontoon fastpath on");
            carried_on(node);
        }
        let agent = site.ground.agent("n1").unwrap();
        site.ground.node().sh(&format!("kill -9 {agent}"));
        carried_on("n1");
        stop.store(true, Relaxed);
        flow.join().unwrap();
    });
    assert!(passed.load(Relaxed) > 100);
    // What the agent hears bites without waiting for proofs to go stale, but for the dead one's.
    site.ground.on(
        "n2",
        "nft add table inet foreign
         nft add chain inet foreign c '{ type filter hook forward priority 0; }'
         nft add rule inet foreign c udp dport != 1 drop",
    );
    wait_until("the rule bites", BOUND, || !site.passes(0));
    assert!(!site.passes(1));
}
