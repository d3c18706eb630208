//! Containers on different nodes talk as on one network, whatever is under it.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::process::Stdio;
use std::thread;
use std::time::Duration;

use testnet::wait_until;

use crate::ground::Ground;

const NETWORKS: &str = "--network web=10.50.0.0/16,fd00:50::/48 \
                        --network flat=10.51.0.0/16,fd00:51::/48:routed";
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const HEAL_BOUND: Duration = Duration::from_secs(15);
/// More than all buffers on the way hold.
const MUCH: usize = 32 << 20;

/// Attaches a container on every node, and has each ask all others.
fn assert_all_pairs(ground: &Ground, network: &str, is_asked: fn(&IpAddr) -> bool) {
    let mut all: Vec<(&str, String, IpAddr)> = Vec::new();
    for node in NODES {
        let container = format!("{network}-{node}");
        for address in ground.attach(node, network, &container) {
            all.push((node, container.clone(), address.parse().unwrap()));
        }
    }
    let mut asked = 0;
    for node in NODES {
        let container = format!("{network}-{node}");
        let others = all.iter().filter(|(at, _, to)| *at != node && is_asked(to));
        for (at, other, to) in others {
            let answer = ground.pings(node, &container, &to.to_string());
            assert!(
                answer.success(),
                "{container} to {other} ({to}) on {at}: {answer}"
            );
            asked += 1;
        }
    }
    assert!(asked >= 6, "{network}: {asked} pairs");
}

/// The MTU of a container's interface, in bytes.
fn mtu(ground: &Ground, node: &str, container: &str) -> String {
    let script = format!("ip netns exec {container} cat /sys/class/net/eth0/mtu");
    ground.on(node, &script).trim().to_owned()
}

#[test]
fn every_pair_of_containers_talks_over_both_families() {
    let ground = Ground::new("both");
    ground.lab(&format!("up {NETWORKS}"));
    assert_all_pairs(&ground, "web", |_| true);
    assert_all_pairs(&ground, "flat", |_| true);
    assert_eq!(mtu(&ground, "n1", "web-n1"), "1450");
    assert_eq!(mtu(&ground, "n1", "flat-n1"), "1500");
    for node in NODES {
        assert_eq!(ground.on(node, "pontoon reconcile --dry-run"), "");
    }
}

#[test]
fn every_pair_of_containers_talks_over_ipv4_alone() {
    let ground = Ground::new("four");
    ground.lab(&format!("up --ipv4 {NETWORKS}"));
    assert_all_pairs(&ground, "web", |_| true);
    // A routed network has no way for packets that the underlay does not carry.
    assert_all_pairs(&ground, "flat", IpAddr::is_ipv4);
    assert_eq!(mtu(&ground, "n1", "web-n1"), "1450");
}

#[test]
fn every_pair_of_containers_talks_over_ipv6_alone() {
    let ground = Ground::new("six");
    ground.lab(&format!("up --ipv6 {NETWORKS}"));
    assert_all_pairs(&ground, "web", |_| true);
    assert_all_pairs(&ground, "flat", IpAddr::is_ipv6);
    assert_eq!(mtu(&ground, "n1", "web-n1"), "1430");
}

#[test]
fn networks_are_apart_also_across_nodes() {
    let ground = Ground::new("apart");
    ground.lab(&format!("up --nodes 2 {NETWORKS}"));
    ground.attach("n1", "web", "w");
    for to in ground.attach("n2", "flat", "f") {
        let answer = ground.pings("n1", "w", &to);
        assert!(!answer.success(), "{to}: {answer}");
    }
}

/// Sends much from one container to another and back, and counts.
fn assert_much_passes(ground: &Ground, from: (&str, &str), to: (&str, &str), address: &str) {
    let (client, mut held_client) = ground.container(from.0, from.1);
    let (server, mut held_server) = ground.container(to.0, to.1);
    let address = SocketAddr::new(address.parse().unwrap(), 5000);
    let listener = server.run(|| TcpListener::bind(address).unwrap());
    let serving = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        bounded(&stream);
        let mut all = Vec::new();
        stream.read_to_end(&mut all).unwrap();
        stream.write_all(&all).unwrap();
        all.len()
    });
    let bound = Duration::from_secs(10);
    let mut stream = client.run(|| TcpStream::connect_timeout(&address, bound).unwrap());
    bounded(&stream);
    stream.write_all(&vec![7; MUCH]).unwrap();
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut back = Vec::new();
    stream.read_to_end(&mut back).unwrap();
    assert_eq!((serving.join().unwrap(), back.len()), (MUCH, MUCH));
    for held in [&mut held_client, &mut held_server] {
        held.kill().unwrap();
        held.wait().unwrap();
    }
}

fn bounded(stream: &TcpStream) {
    let bound = Some(Duration::from_secs(20));
    stream.set_read_timeout(bound).unwrap();
    stream.set_write_timeout(bound).unwrap();
}

#[test]
fn much_passes_where_the_underlay_is_narrow() {
    let ground = Ground::new("narrow");
    ground.lab(&format!("up --nodes 2 --underlay-mtu 1400 {NETWORKS}"));
    for (network, bytes) in [("web", "1350"), ("flat", "1400")] {
        let (here, there) = (format!("{network}-a"), format!("{network}-b"));
        ground.attach("n1", network, &here);
        let addresses = ground.attach("n2", network, &there);
        assert_eq!(mtu(&ground, "n1", &here), bytes);
        for address in addresses {
            assert_much_passes(&ground, ("n1", &here), ("n2", &there), &address);
        }
    }
}

#[test]
fn a_node_that_is_cut_off_talks_inside_and_comes_back() {
    let ground = Ground::new("cut");
    ground.lab("up --nodes 2");
    let [near, _] = &ground.attach("n1", "web", "near")[..] else {
        panic!("two addresses");
    };
    ground.attach("n2", "web", "far");
    let beside = ground.attach("n2", "web", "beside");
    assert!(ground.pings("n2", "far", near).success());
    ground.lab("cut n2");
    ground.lab("cut n2");
    assert_eq!(ground.node_status("n2")["link"], "cut");
    for address in &beside {
        let answer = ground.pings("n2", "far", address);
        assert!(answer.success(), "{address}: {answer}");
    }
    assert!(!ground.pings("n2", "far", near).success());
    // Containers come and go meanwhile.
    ground.attach("n2", "web", "new");
    assert!(ground.pings("n2", "new", &beside[0]).success());
    ground.lab("heal");
    wait_until("n2 is back", HEAL_BOUND, || {
        ground.pings("n2", "new", near).success()
    });
    assert_eq!(ground.node_status("n2")["link"], "up");
}

#[test]
fn a_killed_agent_changes_nothing_for_traffic() {
    let ground = Ground::new("agent");
    ground.lab("up --nodes 2");
    ground.attach("n1", "web", "a");
    let to = ground.attach("n2", "web", "b");
    let mut ping = ground.command("exec n1 -- ip netns exec a ping -n -q -i0.01 -c150");
    let ping = ping.arg(&to[0]).stdout(Stdio::piped()).spawn().unwrap();
    let killed = ground.agent("n1").unwrap();
    ground.node().sh(&format!("kill -KILL {killed}"));
    wait_until("the agent is dead", HEAL_BOUND, || {
        ground.agent("n1").is_none()
    });
    // What the agent did for others, commands do without it.
    ground.attach("n1", "web", "c");
    assert!(ground.pings("n1", "c", &to[1]).success());
    ground.lab("heal n1");
    wait_until("another agent runs", HEAL_BOUND, || {
        ground.agent("n1").is_some_and(|pid| pid != killed)
    });
    let said = ping.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&said.stdout).into_owned();
    assert!(said.contains(" 0% packet loss"), "{said}");
    // One that runs is left alone.
    let runs = ground.agent("n1");
    ground.lab("heal");
    assert_eq!(ground.agent("n1"), runs);
}
