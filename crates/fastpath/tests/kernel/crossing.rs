//! Flows between two nodes, with a fast path on both, on one, and while it comes and goes.

use std::thread;
use std::time::Duration;

use testnet::wait_until;

use crate::ground::{self, BOUND, Datagrams};
use crate::nodes::{Backend, FAR, NEAR, Nodes, Side, datagrams, stream};

/// How long nothing arrives when nothing comes any more.
const SILENCE: Duration = Duration::from_millis(400);
const ROUNDS: u64 = 200;

/// Where the kernel can't take these packets out, those that arrive go its way, and say why.
fn assert_carried(nodes: &Nodes, family: usize, before: [[u64; 2]; 2], sent: u64) {
    let cpus = thread::available_parallelism().unwrap().get() as u64;
    let least = sent - 2 * cpus;
    for (side, before) in [NEAR, FAR].into_iter().zip(before) {
        let now = nodes.carried(side);
        let [sent, arrived] = [now[0] - before[0], now[1] - before[1]];
        let status = nodes.status(side);
        assert!(sent >= least, "{sent} of {least}: {status:?}");
        match nodes.takes_out(family) {
            true => assert!(arrived >= least, "{arrived} of {least}: {status:?}"),
            false => {
                assert_eq!(arrived, 0, "{status:?}");
                let slow = nodes.slow_arrivals(side, "family");
                assert!(slow >= least, "{slow} of {least}");
            }
        }
    }
}

fn counted(nodes: &Nodes) -> [[u64; 2]; 2] {
    [NEAR, FAR].map(|side| nodes.carried(side))
}

fn each(test: impl Fn(Backend) + Sync) {
    for backend in Backend::ALL {
        thread::scope(|scope| scope.spawn(|| test(backend)).join()).unwrap();
    }
}

#[test]
fn datagrams_cross_nodes() {
    each(|backend| {
        let nodes = Nodes::on(backend);
        for family in [0, 1] {
            let flow = datagrams(family);
            assert!(flow.passes(b"the first goes the kernel's way"));
            assert!(flow.passes(b"the first goes the kernel's way"));
            let before = counted(&nodes);
            for n in 0..ROUNDS {
                assert!(flow.passes(format!("datagram {n}").as_bytes()));
            }
            assert_carried(&nodes, family, before, ROUNDS);
        }
    });
}

#[test]
fn connections_cross_nodes() {
    each(|backend| {
        let nodes = Nodes::on(backend);
        for family in [0, 1] {
            let mut flow = stream(family);
            assert!(flow.passes());
            let before = counted(&nodes);
            for _ in 0..ROUNDS {
                assert!(flow.passes());
            }
            assert_carried(&nodes, family, before, ROUNDS);
            flow.carry(8 << 20);
            let (sent, arrived) = (nodes.status(NEAR), nodes.status(FAR));
            assert!(sent.fast_bytes > 7 << 20, "{sent:?}");
            let all_fast = arrived.arrived_bytes > 7 << 20;
            assert!(all_fast || !nodes.takes_out(family), "{arrived:?}");
        }
    });
}

/// Checksums that no device leaves open are checked by the other node's kernel.
#[test]
fn the_kernel_of_the_other_node_finds_nothing_wrong() {
    each(|backend| {
        let nodes = Nodes::new(backend);
        nodes.turn_on(NEAR);
        for family in [0, 1] {
            for offloads in ["tx off", "tx on tso off gso off", "tx on tso on gso on"] {
                nodes.node.sh(&format!(
                    "ip netns exec n1 ethtool -K up0 {offloads} >/dev/null"
                ));
                let flow = datagrams(family);
                let before = nodes.status(NEAR).fast_packets;
                for n in 0..ROUNDS {
                    let data = vec![n as u8; n as usize * 7];
                    assert!(flow.passes(&data), "datagram {n}, {offloads}");
                }
                stream(family).carry(1 << 20);
                let carried = nodes.status(NEAR).fast_packets - before;
                assert!(carried > ROUNDS, "{carried}, {offloads}");
            }
        }
        let errors = nodes
            .node
            .sh("ip netns exec n2 cat /proc/net/snmp /proc/net/snmp6");
        let lines: Vec<&str> = errors.lines().collect();
        for pair in lines.chunks(2).filter(|pair| pair[0].starts_with("Udp: ")) {
            let names = pair[0].split(' ').zip(pair[1].split(' '));
            let wrong = names.filter(|(name, _)| name.ends_with("Errors"));
            wrong.for_each(|(name, count)| assert_eq!(count, "0", "{name}"));
        }
        assert!(
            lines.iter().all(|line| {
                let mut words = line.split_whitespace();
                let name = words.next().unwrap();
                !(name.starts_with("Udp6") && name.ends_with("Errors"))
                    || words.next().unwrap() == "0"
            }),
            "{errors}"
        );
    });
}

fn assert_nothing_lost(nodes: &Nodes, change: impl FnOnce()) {
    ground::assert_nothing_lost((datagrams(0), stream(1)), change);
    assert!(nodes.running().passes(b"and goes on"));
}

pub fn wait_for_more(nodes: &Nodes, side: Side) {
    let before = nodes.carried(side);
    wait_until("it is fast", BOUND, || {
        let now = nodes.carried(side);
        now[0] > before[0] + 10 && now[1] > before[1] + 10
    });
}

#[test]
fn nothing_is_lost_between_nodes_while_it_goes_off_and_on() {
    each(|backend| {
        let nodes = Nodes::on(backend);
        assert_nothing_lost(&nodes, || {
            for side in [NEAR, FAR, NEAR, FAR] {
                nodes.turn_off(side);
                // With and without mix.
                wait_until("the other sends fast", BOUND, {
                    let before = nodes.carried(side.other())[0];
                    let nodes = &nodes;
                    move || nodes.carried(side.other())[0] > before + 10
                });
                nodes.turn_on(side);
                wait_for_more(&nodes, side);
            }
        });
    });
}

fn arrives(flow: &Datagrams) -> bool {
    flow.client.send(b"again").unwrap();
    flow.server.recv(&mut [0; 64]).is_ok()
}

const EGRESS: &str = "hook egress device up0";
/// Where a packet of the flow passes on both nodes, by what is inside and by what is around.
const OF_VXLAN: [(Side, &str, &str); 5] = [
    (NEAR, "hook forward", "ip saddr 10.50.1.10"),
    (NEAR, "hook output", "udp dport 4789"),
    (NEAR, EGRESS, "udp dport 4789"),
    (FAR, "hook input", "udp dport 4789"),
    (FAR, "hook forward", "ip daddr 10.50.2.10"),
];
const OF_ROUTED: [(Side, &str, &str); 4] = [
    (NEAR, "hook forward", "ip saddr 10.50.1.10"),
    (NEAR, EGRESS, "ip saddr 10.50.1.10"),
    (FAR, "hook prerouting", "ip saddr 10.50.1.10"),
    (FAR, "hook forward", "ip daddr 10.50.2.10"),
];

fn assert_rule_bites(backend: Backend, (side, hook, what): (Side, &str, &str)) {
    let nodes = Nodes::on(backend);
    let flow = nodes.running();
    flow.server.set_read_timeout(Some(SILENCE)).unwrap();
    let family = if hook == EGRESS { "netdev" } else { "inet" };
    side.node().run(|| {
        nodes.node.sh(&format!(
            "nft add table {family} foreign
             nft add chain {family} foreign c '{{ type filter {hook} priority 0; }}'
             nft add rule {family} foreign c {what} drop"
        ))
    });
    nodes.bump(side);
    assert!(!arrives(&flow), "it went around: {hook}");
    assert!(!arrives(&flow), "it went around later: {hook}");
}

fn assert_rules_bite(backend: Backend, rules: &[(Side, &str, &str)]) {
    for rule in rules {
        thread::scope(|scope| scope.spawn(|| assert_rule_bites(backend, *rule)).join()).unwrap();
    }
}

#[test]
fn a_new_rule_on_either_node_bites_at_the_next_packet_after_a_bump() {
    assert_rules_bite(Backend::Vxlan4, &OF_VXLAN);
}

#[test]
fn a_new_rule_bites_where_packets_are_routed_too() {
    assert_rules_bite(Backend::Routed, &OF_ROUTED);
}

#[test]
fn a_flow_between_nodes_stays_fast_and_nothing_comes_twice() {
    let nodes = Nodes::on(Backend::Vxlan4);
    let flow = nodes.running();
    let before = counted(&nodes);
    let begun = std::time::Instant::now();
    let mut sent = 0;
    while begun.elapsed() < Duration::from_millis(2_500) {
        assert!(flow.passes(b"again"));
        sent += 1;
    }
    assert_carried(&nodes, 0, before, sent);
    for end in [&flow.client, &flow.server] {
        end.set_nonblocking(true).unwrap();
        let more = end.recv(&mut [0; 64]);
        assert!(more.is_err(), "a copy that renews a proof was delivered");
    }
}

#[test]
fn a_port_that_steps_aside_comes_back_by_itself() {
    let nodes = Nodes::on(Backend::Vxlan4);
    let flow = nodes.running();
    nodes.step_aside(FAR, Duration::from_millis(700));
    assert!(nodes.status(FAR).aside);
    let seen = FAR.node().sniff("pont1");
    let before = nodes.carried(FAR);
    for _ in 0..20 {
        assert!(flow.passes(b"to be seen"));
    }
    assert_eq!(nodes.carried(FAR), before);
    let is_of_flow = |frame: &[u8]| frame.ends_with(b"to be seen");
    assert!(seen.first(BOUND, is_of_flow).is_some());
    wait_until("it is fast again", BOUND * 2, || {
        assert!(flow.passes(b"again"));
        let now = nodes.carried(FAR);
        now[0] > before[0] && now[1] > before[1]
    });
    assert!(!nodes.status(FAR).aside);
}
