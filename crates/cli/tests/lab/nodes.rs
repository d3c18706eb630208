//! `pontoon node` as an administrator uses it; and VXLAN from who is no node.

use std::net::UdpSocket;
use std::time::Duration;

use testnet::frame::udp;
use testnet::{Netns, silent, wait_until};

use crate::ground::Ground;

const BOUND: Duration = Duration::from_secs(20);

#[test]
fn a_node_that_is_gone_for_good_is_removed_and_its_subnet_free() {
    let ground = Ground::new("gone");
    ground.lab("up --store etcd");
    let of_n3 = ground.node_status("n3")["subnets"]["web"][0].clone();
    let of_n3 = of_n3.as_str().unwrap();
    let route = format!("ip route show {of_n3}");
    wait_until("n1 has a route", BOUND, || {
        !ground.on("n1", &route).is_empty()
    });
    ground.lab("cut n3");
    ground.lab("stop n3");
    // As long as nobody removes it, it is a node, with its subnet.
    let shown = ground.on("n1", "pontoon node show n3");
    assert!(
        shown.contains("192.0.2.3") && shown.contains(of_n3),
        "{shown}"
    );
    let said = ground.on("n1", "pontoon node rm n3");
    assert!(said.contains("node n3 removed"), "{said}");
    for (line, code, says) in [
        ("pontoon node show n3", 3, "no node n3"),
        ("pontoon node rm n3", 3, "no node n3"),
        ("pontoon node rm n_", 3, "n_"),
        ("pontoon node rm -x", 2, "-x"),
        ("pontoon node rm ../n1", 2, "../n1"),
        ("pontoon node show", 2, "NAME"),
        ("env -u PONTOON_CLUSTER pontoon node rm n2", 2, "--cluster"),
    ] {
        let out = ground.try_on("n1", line);
        assert_eq!(out.code, code, "{line}: {out}");
        assert!(out.stderr.contains(says), "{line}: {out}");
    }
    wait_until("n1 has no route", BOUND, || {
        ground.on("n1", &route).is_empty()
    });
    let listed = ground.on("n2", "pontoon node ls");
    assert!(!listed.contains("n3"), "{listed}");
    let keys = ground.lab("exec store -- etcdctl get --prefix --keys-only /pontoon/");
    assert!(!keys.contains(of_n3) && !keys.contains("n3"), "{keys}");
    // It was not gone for good: it joins anew, and what is on it talks.
    ground.lab("heal");
    ground.attach("n1", "web", "a");
    wait_until("n3 is back", BOUND, || {
        ground.on("n1", "pontoon node ls").contains("n3")
    });
    let to = ground.attach("n3", "web", "c");
    wait_until("n3 answers", BOUND, || {
        ground.pings("n1", "a", &to[0]).success()
    });
}

#[test]
fn nodes_of_a_file_are_removed_in_the_file() {
    let ground = Ground::new("file");
    ground.lab("up --nodes 2");
    let out = ground.try_on("n1", "pontoon node rm n2");
    assert_eq!(out.code, 2, "{out}");
    assert!(out.stderr.contains("cluster.toml"), "{out}");
}

/// The packets that the rules for VXLAN have dropped on n1.
fn dropped(ground: &Ground) -> u64 {
    let text = ground.on("n1", "nft -j list chain inet pontoon vxlan");
    let listed: serde_json::Value = serde_json::from_str(&text).unwrap();
    let rules = listed["nftables"].as_array().unwrap().iter();
    let parts = rules.filter_map(|object| object["rule"]["expr"].as_array());
    let counters = parts.flatten().map(|part| &part["counter"]["packets"]);
    counters.filter_map(serde_json::Value::as_u64).sum()
}

#[test]
fn vxlan_from_who_is_no_node_is_dropped_and_counted() {
    let ground = Ground::new("forge");
    ground.lab("up --nodes 2 --store etcd --ipv4");
    let to = ground.attach("n1", "web", "a");
    let from = ground.attach("n2", "web", "b");
    let (victim, mut held) = ground.container("n1", "a");
    let listener = victim.run(|| UdpSocket::bind("0.0.0.0:5005").unwrap());
    listener
        .set_read_timeout(Some(silent(Duration::from_millis(400))))
        .unwrap();
    // A datagram from the container on n2, as n2 would pack it.
    let mac = Netns::named(&format!("{}-n1", ground.name())).mac_of("pv-100");
    let inner = |words: &[u8]| {
        let source = format!("{}:5006", from[0]).parse().unwrap();
        let destination = format!("{}:5005", to[0]).parse().unwrap();
        udp(source, destination, words).frame(mac, [2, 0, 0, 0, 0, 9])
    };
    // RFC 7348 section 5: the VNI is valid, and 100.
    let vxlan = |words: &[u8]| [&[8, 0, 0, 0, 0, 0, 100, 0][..], &inner(words)].concat();
    let send = |machine: &str, words: &[u8]| {
        let netns = Netns::named(&format!("{}-{machine}", ground.name()));
        netns.run(|| {
            let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
            socket.send_to(&vxlan(words), "192.0.2.1:4789").unwrap();
        });
    };
    let mut heard = [0; 64];
    let mut hear = || listener.recv(&mut heard).ok().map(|n| heard[..n].to_vec());
    // The packet is good: from a node it arrives.
    send("n2", b"node");
    assert_eq!(hear().as_deref(), Some(&b"node"[..]));
    let before = dropped(&ground);
    for _ in 0..5 {
        send("store", b"forged");
    }
    wait_until("they are counted", BOUND, || dropped(&ground) >= before + 5);
    assert_eq!(hear(), None);
    let status = ground.on("n1", "pontoon status || test $? = 10");
    let line = status
        .lines()
        .find(|line| line.contains("VXLAN packet(s) for web"));
    assert!(
        line.is_some_and(|line| line.contains("no node's")),
        "{status}"
    );
    let json = ground.on("n1", "pontoon --json status || test $? = 10");
    let json: serde_json::Value = serde_json::from_str(&json).unwrap();
    let forged = &json["networks"][0]["forged"];
    assert!(forged.as_u64().is_some_and(|count| count >= 5), "{json}");
    held.kill().unwrap();
    held.wait().unwrap();
}
