//! A lab on etcd: made, used, stopped, started, removed, also half-made; and what is refused.

use std::path::PathBuf;
use std::time::Duration;

use testnet::{output, wait_until};

use crate::death::assert_found_after_death;
use crate::ground::Ground;

const BOUND: Duration = Duration::from_secs(20);

/// Keys of the cluster as etcdctl lists them.
const KEYS: &str = "exec store -- etcdctl get --prefix --keys-only /pontoon/v1/cluster/";

#[test]
fn a_lab_on_etcd_is_made_used_and_removed() {
    let ground = Ground::new("etcd");
    let before = ground.snapshot();
    let made = ground.lab("up --nodes 2 --store etcd");
    assert!(made.contains("etcd:http://192.0.2.254:2379"), "{made}");
    let to = ground.attach("n1", "web", "a");
    ground.attach("n2", "web", "b");
    for address in &to {
        assert!(ground.pings("n2", "b", address).success(), "{address}");
    }
    let keys = ground.lab(KEYS);
    for key in ["networks/web", "nodes/n1", "nodes/n2"] {
        assert!(keys.contains(key), "{keys}");
    }
    // A network by command, from any node, is on all of them.
    ground.on(
        "n2",
        "pontoon network create green --overlay --subnet 10.60.0.0/16",
    );
    wait_until("green is on n1", BOUND, || {
        ground.node_status("n1")["subnets"]["green"].is_array()
    });
    let status = ground.status();
    assert_eq!(status["store"]["kind"], "etcd", "{status}");
    let server = &status["store"]["server"];
    assert_eq!(server["link"], "up", "{status}");
    assert!(server["etcd"].is_u64(), "{status}");
    // Each node knows its own endpoints; the lab asks all.
    let tree = ground.lab("topology");
    let picture = ground.lab("topology --svg");
    for word in ["n1", "n2", "green", &to[0], "192.0.2.2"] {
        assert!(
            tree.contains(word) && picture.contains(word),
            "{word}: {tree}"
        );
    }
    assert_eq!(tree.matches("fd00:50:").count(), 4, "{tree}");
    assert!(picture.starts_with("<svg") && picture.ends_with("</svg>\n"));
    let removed = ground.lab("down");
    assert!(removed.contains("4 namespaces"), "{removed}");
    assert_eq!(ground.snapshot(), before);
}

#[test]
fn nodes_and_etcd_know_each_other_by_certificates_over_ipv6_too() {
    let ground = Ground::new("tls");
    let before = ground.snapshot();
    let made = ground.lab("up --nodes 2 --store etcd --tls --ipv6");
    assert!(made.contains("etcd:https://[2001:db8::fe]:2379"), "{made}");
    assert!(ground.lab(KEYS).contains("nodes/n2"));
    // Without a certificate etcd lets nobody in.
    let script = "PONTOON_CLUSTER_CERT= PONTOON_CLUSTER_KEY= \
                  env -u PONTOON_CLUSTER_CERT -u PONTOON_CLUSTER_KEY \
                  pontoon network create green --overlay --subnet 10.60.0.0/16";
    let out = ground.try_on("n1", script);
    assert_eq!(out.code, 11, "{out}");
    assert!(out.stderr.contains("certificate"), "{out}");
    ground.lab("down");
    assert_eq!(ground.snapshot(), before);
}

#[test]
fn the_store_is_stopped_cut_and_healed_like_a_node() {
    let ground = Ground::new("stop");
    ground.lab("up --nodes 1 --store etcd");
    let server = || ground.status()["store"]["server"].clone();
    let first = server()["etcd"].as_u64().unwrap();
    ground.lab("stop store");
    ground.lab("stop store");
    assert!(server()["etcd"].is_null());
    assert!(ground.lab("ls").contains("dead"));
    ground.lab("heal store");
    // It answers as soon as it is healed, and knows what it knew.
    assert!(ground.lab(KEYS).contains("nodes/n1"));
    let second = server()["etcd"].as_u64().unwrap();
    assert_ne!(first, second);
    ground.lab("cut store");
    assert_eq!(server()["link"], "cut");
    ground.lab("heal");
    assert_eq!(server()["link"], "up");
    assert_eq!(server()["etcd"].as_u64(), Some(second));
    let agent = ground.agent("n1").unwrap();
    ground.lab("stop n1");
    assert_eq!(ground.agent("n1"), None);
    ground.lab("heal");
    wait_until("another agent runs", BOUND, || {
        ground.agent("n1").is_some_and(|pid| pid != agent)
    });
}

#[test]
fn mistakes_with_the_store_are_told_and_leave_nothing() {
    let ground = Ground::new("errs");
    let before = ground.snapshot();
    for (line, code, says) in [
        ("up --tls", 2, "--store etcd"),
        ("up --store raft", 2, "static, etcd"),
        ("cut store", 3, "pontoon lab up"),
        (
            "up --store etcd --network a=10.1.0.0/16 --network b=10.1.2.0/24",
            2,
            "overlaps",
        ),
        (
            "up --store etcd --nodes 3 --network a=10.1.0.0/23",
            2,
            "slot 2",
        ),
    ] {
        let said = ground.refused(line, code);
        assert!(said.contains(says), "{line}: {said}");
        assert_eq!(ground.snapshot(), before, "{line}");
    }
    let mut command = ground.command("up --store etcd");
    let out = output(command.env("PATH", "/usr/sbin:/sbin"));
    assert_eq!(out.code, 1, "{out}");
    assert!(out.stderr.contains("apt-get install etcd-server"), "{out}");
    assert_eq!(ground.snapshot(), before);
    ground.lab("up --nodes 1");
    let said = ground.refused("stop store", 3);
    assert!(said.contains("it has n1"), "{said}");
    ground.lab("down");
    ground.lab("up --nodes 1 --store etcd");
    let said = ground.refused("attach store web c", 2);
    assert!(said.contains("store is no node"), "{said}");
    let said = ground.refused("exec n9 -- true", 3);
    assert!(said.contains("it has store; n1"), "{said}");
}

#[test]
fn others_than_root_are_told_so() {
    let ground = Ground::new("user");
    let mut command = ground.node().command("setpriv");
    let pontoon = env!("CARGO_BIN_EXE_pontoon");
    let as_nobody = ["--reuid=65534", "--regid=65534", "--clear-groups", "--"];
    command.args(as_nobody).args([pontoon, "lab", "up"]);
    let out = output(&mut command);
    assert_eq!(out.code, 6, "{out}");
    assert!(out.stderr.contains("root"), "{out}");
}

/// Things that `up` makes with an etcd, in order: it is killed as each appears.
fn moments(name: &str) -> Vec<PathBuf> {
    let lab = PathBuf::from(format!("/run/pontoon-lab/{name}"));
    vec![
        PathBuf::from(format!("/run/netns/{name}-store")),
        lab.join("store"),
        lab.join("store/tls/ca.pem"),
        lab.join("store/tls/n1.pem"),
        lab.join("store/etcd.log"),
        lab.join("store/data/member/wal"),
        lab.join("store/data/member/snap/db"),
        lab.join("n1/state/lock"),
        lab.join("n1/agent.log"),
    ]
}

#[test]
fn what_a_killed_up_has_left_of_a_store_is_found() {
    let ground = Ground::new("half");
    let up = "up --nodes 1 --store etcd --tls";
    assert_found_after_death(&ground, up, &moments(ground.name()));
}
