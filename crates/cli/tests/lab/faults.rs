//! The cluster's store stopped, cut off, set back, compacted: traffic flows on, containers come
//! and go, and all is agreed again afterwards. With the seconds that it takes.

use std::time::{Duration, Instant};

use testnet::{patient, wait_until};

use crate::ground::Ground;
use crate::pulse::{Pulse, figure};

/// An agent probes a store that is away each second, and is in step within two of its return. The
/// lab's own command, and a machine with much to do, take their time too.
const SYNC_BOUND: Duration = Duration::from_secs(4);
/// An agent waits at most 10 s before it asks again, where a store answers and yet fails.
const RESYNC_BOUND: Duration = Duration::from_secs(15);
/// A store that says nothing is given up within this time, and told.
const NOTICE_BOUND: Duration = Duration::from_secs(20);
const BOUND: Duration = Duration::from_secs(30);
const NODES: [&str; 3] = ["n1", "n2", "n3"];
const AWAY: &str = "going on with what the records say";

/// Three nodes on etcd, with a container on each of the first two, which talk.
fn lab_with_traffic(word: &str) -> (Ground, Pulse) {
    let ground = Ground::new(word);
    ground.lab("up --store etcd");
    ground.attach("n1", "web", "a");
    let to = ground.attach("n2", "web", "b");
    let pulse = Pulse::start(&ground, ("n1", "a"), ("n2", "b"), &to[0]);
    (ground, pulse)
}

/// Containers come at once, talk across nodes, at once or within a while, and go.
fn assert_life_goes_on(ground: &Ground, within: Duration) {
    let to = ground.attach("n3", "web", "fresh");
    ground.attach("n1", "web", "fresh");
    for address in &to {
        let begun = Instant::now();
        let mut said = ground.pings("n1", "fresh", address);
        while !said.success() && begun.elapsed() < patient(within) {
            said = ground.pings("n1", "fresh", address);
        }
        assert!(said.success(), "{address}: {said}");
    }
    for node in ["n1", "n3"] {
        ground.on(node, "pontoon detach fresh --delete");
    }
}

fn has_network(ground: &Ground, node: &str, network: &str) -> bool {
    !ground.node_status(node)["subnets"][network].is_null()
}

/// How long it takes until a network that is created by command is on all nodes.
fn time_to_agree(ground: &Ground, network: &str, third: u8) -> Duration {
    let line = format!("pontoon network create {network} --overlay --subnet 10.{third}.0.0/16");
    let created = || ground.try_on("n1", &line).success();
    let begun = Instant::now();
    wait_until("the network is created", RESYNC_BOUND, created);
    wait_until("the network is everywhere", RESYNC_BOUND, || {
        NODES.iter().all(|node| has_network(ground, node, network))
    });
    begun.elapsed()
}

fn wait_for_log(ground: &Ground, text: &str) -> Duration {
    let begun = Instant::now();
    wait_until(text, NOTICE_BOUND, || {
        NODES.iter().all(|node| ground.log(node).contains(text))
    });
    begun.elapsed()
}

/// A line each that the store is away, one that it is back: not one for each try. How it is away
/// may show in two ways: an open connection goes silent, a new one does not come about.
fn assert_told(ground: &Ground, ways: usize) {
    for node in NODES {
        let log = ground.log(node);
        let lines = log.matches(AWAY).count();
        assert!((1..=ways).contains(&lines), "{lines}: {log}");
        assert_eq!(log.matches("all is well again").count(), 1, "{log}");
    }
}

#[test]
fn a_store_that_stops_stops_nothing() {
    let (ground, pulse) = lab_with_traffic("stopd");
    ground.lab("stop store");
    let noticed = wait_for_log(&ground, AWAY);
    assert_life_goes_on(&ground, Duration::ZERO);
    let listed = ground.on("n1", "pontoon node ls");
    assert!(
        listed.contains("n3") && listed.contains("Connection refused"),
        "{listed}"
    );
    let said = ground.try_on(
        "n1",
        "pontoon network create green --overlay --subnet 10.60.0.0/16",
    );
    assert_eq!(said.code, 11, "{said}");
    ground.lab("heal store");
    let synced = wait_for_log(&ground, "all is well again");
    assert!(synced < patient(SYNC_BOUND), "{synced:?}");
    let agreed = time_to_agree(&ground, "green", 60);
    assert_told(&ground, 1);
    let count = pulse.assert_whole("etcd stopped");
    figure(&format!(
        "etcd stopped: noticed after {:.1} s, agents in step {:.1} s after its return, a network made {:.1} s later everywhere, {} of {} packets lost",
        noticed.as_secs_f32(),
        synced.as_secs_f32(),
        agreed.as_secs_f32(),
        count.lost,
        count.asked
    ));
}

#[test]
fn a_store_that_is_cut_off_stops_nothing() {
    let (ground, pulse) = lab_with_traffic("black");
    ground.lab("cut store");
    assert_life_goes_on(&ground, Duration::ZERO);
    let noticed = wait_for_log(&ground, AWAY);
    ground.lab("heal");
    let synced = wait_for_log(&ground, "all is well again");
    assert!(synced < patient(SYNC_BOUND), "{synced:?}");
    let agreed = time_to_agree(&ground, "green", 60);
    assert_told(&ground, 2);
    let count = pulse.assert_whole("etcd cut off");
    figure(&format!(
        "etcd black-holed: noticed after {:.1} s, agents in step {:.1} s after its return, a network made {:.1} s later everywhere, {} of {} packets lost",
        noticed.as_secs_f32(),
        synced.as_secs_f32(),
        agreed.as_secs_f32(),
        count.lost,
        count.asked
    ));
}

#[test]
fn a_store_that_is_set_back_is_told_again_who_is_there() {
    let (ground, pulse) = lab_with_traffic("back");
    let dir = format!("/run/pontoon-lab/{}/store", ground.name());
    // The past knows neither n3's subnets nor green.
    ground.lab("stop n3");
    ground.on("n1", "pontoon node rm n3");
    ground.lab(&format!(
        "exec store -- etcdctl snapshot save {dir}/past.db"
    ));
    ground.lab("heal n3");
    time_to_agree(&ground, "green", 60);
    ground.attach("n3", "green", "g");
    let subnets = |node: &str| ground.node_status(node)["subnets"]["web"].clone();
    let before = NODES.map(subnets);
    ground.lab("stop store");
    ground.node().sh(&format!(
        "rm -r {dir}/data; ETCDCTL_API=3 etcdctl snapshot restore {dir}/past.db --name store \
         --data-dir {dir}/data --initial-cluster store=http://127.0.0.1:2380 \
         --initial-advertise-peer-urls http://127.0.0.1:2380 2>/dev/null"
    ));
    ground.lab("heal store");
    let begun = Instant::now();
    wait_until("n3 is in the cluster again", RESYNC_BOUND, || {
        let keys = "exec store -- etcdctl get --prefix --keys-only /pontoon/v1/cluster/nodes/";
        ground.lab(keys).contains("nodes/n3")
    });
    let rejoined = begun.elapsed();
    // The others hear in their own time that n3 is there again.
    assert_life_goes_on(&ground, RESYNC_BOUND);
    // Nobody's subnet went to another node, and the container on what is no network any more
    // keeps its own.
    assert_eq!(NODES.map(subnets), before);
    wait_until("n3 keeps green for its container", RESYNC_BOUND, || {
        ground.log("n3").contains("kept for the endpoints on it")
    });
    assert!(has_network(&ground, "n3", "green"));
    let count = pulse.assert_whole("etcd set back");
    figure(&format!(
        "etcd restored from the past: every node in it again after {:.1} s, {} of {} packets lost",
        rejoined.as_secs_f32(),
        count.lost,
        count.asked
    ));
}

#[test]
fn what_was_compacted_while_a_node_was_away_reaches_it() {
    let (ground, pulse) = lab_with_traffic("compact");
    ground.lab("cut n3");
    ground.on(
        "n1",
        "pontoon network create green --overlay --subnet 10.60.0.0/16",
    );
    let script = "for n in 1 2 3; do etcdctl put /other $n; done >/dev/null; \
                  etcdctl compact $(etcdctl get x -w json | tr ',' '\\n' | sed -n 's/.*\"revision\":\\([0-9]*\\).*/\\1/p')";
    let mut compact = ground.command("exec store -- sh -euc");
    let said = testnet::output(compact.arg(script)).expect_success("compact");
    assert!(said.contains("compacted"), "{said}");
    wait_until("n2 has it", BOUND, || has_network(&ground, "n2", "green"));
    assert!(!has_network(&ground, "n3", "green"));
    ground.lab("heal n3");
    let begun = Instant::now();
    wait_until("n3 has it", NOTICE_BOUND, || {
        has_network(&ground, "n3", "green")
    });
    let agreed = begun.elapsed();
    let count = pulse.assert_whole("etcd compacted");
    figure(&format!(
        "etcd compacted while a node was cut off: the node agrees {:.1} s after its return, {} of {} packets lost",
        agreed.as_secs_f32(),
        count.lost,
        count.asked
    ));
}
