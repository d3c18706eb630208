//! The fast path between the nodes of a lab, and what becomes of a flow while it comes and goes.

use std::fs;
use std::io::{Write, stderr};
use std::net::{SocketAddr, UdpSocket};
use std::panic::{self, AssertUnwindSafe};
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
        self.passes_within(1, number)
    }

    /// The same, waiting so many times as long: a machine that stood still is not to blame the flow for.
    fn passes_within(&self, times: usize, number: u64) -> bool {
        let across = |from: &UdpSocket, to: &UdpSocket| {
            let mut data = [0; 8];
            let sent = number.to_be_bytes();
            let mut heard = || to.recv(&mut data).is_ok_and(|n| data[..n] == sent);
            from.send(&sent).is_ok() && (0..times).any(|_| heard())
        };
        across(&self.client, &self.server) && across(&self.server, &self.client)
    }

    fn status(&self, node: &str) -> Value {
        let text = self.ground.on(node, "pontoon fastpath status --json");
        serde_json::from_str(&text).unwrap()
    }

    /// What counts packets on both nodes and in their containers, and where the programs are:
    /// whoever lost one, or does not carry any, is among them.
    fn counters(&self) -> String {
        let of_node = |node| {
            let seen = self.ground.try_on(
                node,
                "ip -s -s link; ip neigh; nft -n list ruleset | grep 'packets [1-9]' || true
                 pontoon fastpath status; grep ^Udp: /proc/net/snmp; tc qdisc show
                 for dev in $(ls /sys/class/net); do
                     tc filter show dev $dev ingress; tc filter show dev $dev egress
                 done 2>/dev/null
                 for c in $(ls /run/netns); do
                     ip -n $c -s -s link; ip netns exec $c grep ^Udp: /proc/net/snmp
                 done",
            );
            format!("{node}:\n{seen}\nits agents:\n{}", self.ground.log(node))
        };
        ["n1", "n2"].map(of_node).concat()
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
        if thread::panicking() {
            // A machine too busy to tell is no reason to leave the lab behind.
            let counters = panic::catch_unwind(AssertUnwindSafe(|| self.counters()));
            let _ = writeln!(stderr(), "{}", counters.unwrap_or_default());
        }
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
    while_a_flow_loses_nothing(site, |carried_on| change_all(site, carried_on));
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

/// What the processors' queues had no room for, of all namespaces: whoever floods them is in
/// everybody's way (`net.core.netdev_max_backlog`, `/proc/net/softnet_stat`).
fn dropped_by_the_machine() -> u64 {
    let text = fs::read_to_string("/proc/net/softnet_stat").unwrap();
    let of_line = |line: &str| u64::from_str_radix(line.split(' ').nth(1).unwrap(), 16).unwrap();
    text.lines().map(of_line).sum()
}

/// The fast path of each node goes and comes, and an agent dies.
fn change_all(site: &Site, carried_on: &dyn Fn(&str)) {
    for node in ["n1", "n2"] {
        site.ground.on(node, "pontoon fastpath off");
        site.ground.on(node, "pontoon fastpath on");
        carried_on(node);
    }
    let agent = site.ground.agent("n1").unwrap();
    site.ground.node().sh(&format!("kill -9 {agent}"));
    wait_until("the agent is gone", BOUND, || {
        site.ground.agent("n1").is_none()
    });
    carried_on("n1");
}

/// Tells a thread to end, also where this one panics.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Relaxed);
    }
}

/// `job` is told how to wait until a node carries the flow.
fn while_a_flow_loses_nothing(site: &Site, job: impl FnOnce(&dyn Fn(&str))) {
    let (stop, passed) = (AtomicBool::new(false), AtomicU64::new(0));
    let dropped_before = dropped_by_the_machine();
    thread::scope(|scope| {
        let flow = scope.spawn(|| {
            while !stop.load(Relaxed) {
                let number = passed.load(Relaxed);
                assert!(
                    site.passes_within(3, number),
                    "datagram {number} is lost; the machine's queues dropped {}",
                    dropped_by_the_machine() - dropped_before
                );
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
        let stop = StopAtEnd(&stop);
        carried_on("n1");
        carried_on("n2");
        job(&carried_on);
        drop(stop);
        flow.join().unwrap();
    });
    assert!(passed.load(Relaxed) > 100);
}

mod heavy {
    //! For as long as it takes: `PONTOON_SOAK=N` makes it N times as long, as `make soak` does.

    use std::env;
    use std::time::{Duration, Instant};

    use super::{Site, change_all, while_a_flow_loses_nothing};

    /// Of a soak of one.
    const LENGTH: Duration = Duration::from_secs(5);

    #[test]
    fn a_flow_loses_nothing_however_often_agents_die_and_the_fast_path_goes() {
        let times = env::var("PONTOON_SOAK").map_or(1, |n| n.parse().unwrap());
        let site = Site::new("fastsoak", "");
        let begun = Instant::now();
        while_a_flow_loses_nothing(&site, |carried_on| {
            loop {
                change_all(&site, carried_on);
                site.ground.lab("heal n1");
                if begun.elapsed() >= LENGTH * times {
                    break;
                }
            }
        });
    }
}
