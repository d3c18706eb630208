//! A stretched network on a lab: nodes tell each other of their endpoints by the store, and nobody
//! asks over the underlay for what is told. What a node may not tell is refused.

use std::time::{Duration, Instant};

use testnet::{Netns, wait_until};

use crate::ground::Ground;
use crate::pulse::figure;

const BOUND: Duration = Duration::from_secs(20);
const STRETCHED: &str = "--network web=10.50.0.0/16,fd00:50::/48:stretch";
/// Before the inner frame: outer Ethernet, IPv4, UDP and VXLAN headers.
const OUTER: usize = 14 + 20 + 8 + 8;

/// What a node knows of its own accord about an address.
fn known(ground: &Ground, node: &str, address: &str) -> String {
    ground.on(node, &format!("ip neigh show {address} nud permanent"))
}

fn wait_to_know(ground: &Ground, node: &str, address: &str) {
    wait_until(&format!("{node} knows {address}"), BOUND, || {
        !known(ground, node, address).is_empty()
    });
}

fn wait_to_forget(ground: &Ground, node: &str, address: &str) {
    wait_until(&format!("{node} forgets {address}"), BOUND, || {
        known(ground, node, address).is_empty()
    });
}

/// The type of the frame inside VXLAN.
fn inner_type(frame: &[u8]) -> Option<&[u8]> {
    let is_vxlan = frame.get(12..14) == Some(&[0x08, 0x00])
        && frame.get(23) == Some(&17)
        && frame.get(36..38) == Some(&4789u16.to_be_bytes());
    frame.get(OUTER + 12..OUTER + 14).filter(|_| is_vxlan)
}

/// Whether n1's container has to ask over the underlay for this address.
fn asks(ground: &Ground, container: &str, address: &str) -> bool {
    let flush = format!("ip -n {container} neigh flush all");
    ground.on("n1", &flush);
    let wire = Netns::named(&format!("{}-n2", ground.name())).sniff("eth0");
    let answer = ground.pings("n1", container, address);
    assert!(answer.success(), "{address}: {answer}");
    let before = wire.until(|frame| inner_type(frame) == Some(&[0x08, 0x00]));
    let to_all = |frame: &[u8]| frame.get(OUTER) == Some(&0xff);
    let mut arps = before
        .iter()
        .filter(|f| inner_type(f) == Some(&[0x08, 0x06]));
    arps.any(|frame| to_all(frame))
}

#[test]
fn a_lab_has_stretched_networks_by_a_file_too() {
    let ground = Ground::new("wide");
    ground.lab(&format!("up --nodes 2 --ipv4 {STRETCHED}"));
    let to = ground.attach("n1", "web", "a");
    ground.attach("n2", "web", "b");
    for address in &to {
        // Through no router.
        let ping = format!("ip netns exec b ping -n -t1 -c1 -W2 {address}");
        ground.on("n2", &ping);
    }
    let shown = ground.on("n1", "ip netns exec a ip -4 -o addr show dev eth0");
    assert!(shown.contains("/16"), "{shown}");
    // A file knows no endpoints: they are learnt.
    assert!(asks(&ground, "a", "10.50.2.2"));
    assert_eq!(known(&ground, "n2", &to[0]), "");
    ground.lab("down");
    let said = ground.refused("up --network web=fd00:50::/48:stretch", 2);
    assert!(said.contains("IPv4"), "{said}");
}

#[test]
fn endpoints_are_told_by_the_store_and_nobody_asks_for_them() {
    let ground = Ground::new("known");
    ground.lab(&format!("up --nodes 3 --store etcd --ipv4 {STRETCHED}"));
    let own = ground.attach("n1", "web", "a");
    let begun = Instant::now();
    let far = ground.attach("n2", "web", "b");
    for node in ["n1", "n3"] {
        wait_to_know(&ground, node, &far[0]);
        wait_to_know(&ground, node, &far[1]);
    }
    let took = begun.elapsed().as_secs_f32();
    figure(&format!(
        "a new endpoint is known on all nodes after {took:.1} s"
    ));
    wait_to_know(&ground, "n2", &own[0]);
    assert!(!asks(&ground, "a", &far[0]));
    // Nothing is told while the store is away, and everything goes on.
    ground.lab("stop store");
    let late = ground.attach("n2", "web", "late");
    assert!(asks(&ground, "a", &late[0]));
    assert!(!asks(&ground, "a", &far[0]));
    ground.lab("heal store");
    wait_to_know(&ground, "n1", &late[0]);
    assert!(!asks(&ground, "a", &late[0]));
    ground.on("n2", "pontoon detach late --delete");
    wait_to_forget(&ground, "n1", &late[0]);
    assert!(!known(&ground, "n1", &far[0]).is_empty());
    refuses_a_lie(&ground, &own[0], &far[0]);
}

/// A node that tells of another's address is told of itself, and nothing of what it tells counts.
fn refuses_a_lie(ground: &Ground, own: &str, far: &str) {
    let script = format!(
        "key=/pontoon/v1/cluster/nodes/n2; \
         etcdctl put $key \"$(etcdctl get --print-value-only $key | sed 's/{far}/{own}/')\""
    );
    ground.lab("stop n2");
    let mut lie = ground.command("exec store -- sh -euc");
    let _ = testnet::output(lie.arg(&script)).expect_success("a lie");
    wait_to_forget(ground, "n1", far);
    let says = format!("{own} of web, which is not of its part");
    wait_until("it is said", BOUND, || ground.log("n1").contains(&says));
    assert!(ground.pings("n1", "a", far).success());
    // The true one's stays.
    assert!(!known(ground, "n3", own).is_empty());
    // Who tells the truth again is believed again.
    ground.lab("heal n2");
    wait_to_know(ground, "n1", far);
}
