//! One node of a cluster in etcd: networks made and removed by command while the agent runs, and
//! the server that goes and comes back.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::{Child, Stdio};
use std::time::Duration;

use testnet::{Outside, wait_until};

use crate::daemon::{BOUND, Daemon};
use crate::node::PontoonNode;

const SERVER: &str = "http://127.0.0.1:2379";
const PEER: &str = "http://127.0.0.1:2380";
const CLUSTER: &str = "--cluster etcd:http://127.0.0.1:2379";
const START_BOUND: Duration = Duration::from_secs(30);

/// A node with a default route, and an etcd of its own, in memory.
struct Ground {
    node: PontoonNode,
    etcd: Child,
    _outside: Option<Outside>,
}

impl Ground {
    fn new() -> Self {
        let node = PontoonNode::new();
        let outside = Some(node.outside());
        Self::on(node, outside)
    }

    fn on(node: PontoonNode, outside: Option<Outside>) -> Self {
        let ground = Self {
            etcd: start_etcd(&node),
            node,
            _outside: outside,
        };
        ground.wait_ready();
        ground
    }

    fn wait_ready(&self) {
        wait_until("etcd answers", START_BOUND, || {
            self.node
                .try_pontoon(&format!("node ls {CLUSTER}"))
                .success()
        });
    }

    fn daemon(&self) -> Daemon {
        let line = format!("agent --node a {CLUSTER} --resync 3600");
        let daemon = Daemon::spawn(&self.node, &line);
        daemon.hear("READY=1");
        daemon
    }

    fn has(&self, device: &str) -> bool {
        self.node
            .try_sh(&format!("ip link show {device}"))
            .success()
    }
}

fn start_etcd(node: &PontoonNode) -> Child {
    let dir = node.state_dir().parent().unwrap();
    let log = File::create(dir.join("etcd.log")).unwrap();
    let mut command = std::ops::Deref::deref(node).command("etcd");
    command
        .arg("--data-dir")
        .arg(dir.join("etcd"))
        .args(["--listen-client-urls", SERVER])
        .args(["--advertise-client-urls", SERVER])
        .args(["--listen-peer-urls", PEER])
        .args(["--initial-advertise-peer-urls", PEER])
        .args(["--initial-cluster", &format!("default={PEER}")])
        .args(["--heartbeat-interval", "10", "--election-timeout", "100"])
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log);
    command
        .spawn()
        .expect("etcd can be started (does scripts/setup install it?)")
}

#[test]
fn without_a_default_route_the_underlay_is_not_guessed() {
    let ground = Ground::on(PontoonNode::new(), None);
    let line = format!("agent --node a {CLUSTER} --once");
    let said = ground.node.refused(&line, 3);
    assert!(said.contains("name one with --underlay"), "{said}");
    ground.node.assert_bare();
}

#[test]
fn networks_come_and_go_by_command() {
    let ground = Ground::new();
    let node = &ground.node;
    let daemon = ground.daemon();
    let nodes = node.pontoon(&format!("node ls {CLUSTER}"));
    assert!(
        nodes.contains("a (here)  203.0.113.1, 2001:db8:1::1"),
        "{nodes}"
    );
    let create = format!("network create blue --overlay --subnet 10.50.0.0/16 {CLUSTER}");
    let said = node.pontoon(&format!("{create} --dry-run"));
    assert!(said.contains("would create"), "{said}");
    let said = node.pontoon(&create);
    assert!(said.contains("vxlan, VNI 4096"), "{said}");
    wait_until("blue is here", BOUND, || ground.has("pv-4096"));
    daemon.wait_for_line("network blue added");
    let said = node.refused(&create, 4);
    assert!(said.contains("a network blue"), "{said}");
    node.pontoon("attach blue web --create");
    let said = node.refused(&format!("network rm blue {CLUSTER}"), 4);
    assert!(said.contains("1 endpoint"), "{said}");
    let said = node.refused("network rm blue", 2);
    assert!(said.contains("--cluster"), "{said}");
    node.pontoon("detach web --delete");
    let said = node.pontoon(&format!("network rm blue {CLUSTER}"));
    assert!(said.contains("had a part: a"), "{said}");
    wait_until("blue is gone", BOUND, || !ground.has("pn-blue"));
    daemon.wait_for_line("network blue removed");
    assert_eq!(daemon.end(node, "TERM"), Some(0));
    let said = node.pontoon(&format!("node rm a {CLUSTER}"));
    assert!(said.contains("node a removed"), "{said}");
    node.refused(&format!("node show a {CLUSTER}"), 3);
}

#[test]
fn a_server_that_is_away_stops_nothing() {
    let mut ground = Ground::new();
    ground.node.pontoon(&format!(
        "network create blue --overlay --subnet 10.50.0.0/16 {CLUSTER}"
    ));
    let daemon = ground.daemon();
    ground.etcd.kill().unwrap();
    ground.etcd.wait().unwrap();
    daemon.wait_for_line("going on with what the records say");
    ground.node.pontoon("attach blue web --create");
    ground.node.sh("ip link del pv-4096");
    daemon.wait_for_line("mended: device pv-4096");
    let page = ground.node.try_pontoon(&format!("status {CLUSTER}"));
    assert!(page.stdout.contains(", does not answer"), "{page}");
    ground.etcd = start_etcd(&ground.node);
    daemon.wait_for_line("all is well again");
    // Said once, or once for each reason: a server that goes resets a connection and refuses the next.
    let log = daemon.log();
    let told = log.lines().filter(|line| line.contains("going on with"));
    let told: Vec<&str> = told
        .filter_map(|line| line.split_once("WARN"))
        .map(|(_, said)| said)
        .collect();
    let reasons: BTreeSet<&str> = told.iter().copied().collect();
    assert!(!told.is_empty() && told.len() == reasons.len(), "{log}");
    ground.node.pontoon(&format!(
        "network create green --overlay --subnet 10.60.0.0/16 {CLUSTER}"
    ));
    daemon.wait_for_line("network green added");
    ground.node.assert_settled();
    assert_eq!(daemon.end(&ground.node, "TERM"), Some(0));
}

#[test]
fn another_machine_of_the_same_name_is_refused() {
    let ground = Ground::new();
    let node = &ground.node;
    let line = format!("agent --node a {CLUSTER} --once");
    node.pontoon(&line);
    // Its records are lost: to the cluster it is another machine.
    node.sh(&format!("rm {}/*", node.state_dir().display()));
    let said = node.refused(&line, 4);
    assert!(said.contains("the node name a is taken"), "{said}");
    node.pontoon(&format!("node rm a {CLUSTER}"));
    node.pontoon(&line);
}
