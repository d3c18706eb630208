//! Attaching and detaching: choices, errors, and nothing left behind.

use std::collections::BTreeSet;
use std::process::Stdio;

use crate::node::PontoonNode;

fn web(node: &PontoonNode) {
    node.pontoon("network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64");
}

#[test]
fn what_was_asked_for_is_what_is_there() {
    let node = PontoonNode::new();
    web(&node);
    node.sh("ip netns add a");
    node.pontoon("attach web a --name first --ip 10.5.0.77 --ip fd00:5::77 --mac 02:00:00:00:00:77 --ifname net0");
    let addresses = node.sh("ip -n a -br addr show net0");
    for part in ["10.5.0.77/24", "fd00:5::77/64", "fe80::ff:fe00:77"] {
        assert!(addresses.contains(part), "{addresses}");
    }
    assert!(!node.sh("ip -n a addr").contains("tentative"));
    let routes = node.sh("ip -n a route; ip -n a -6 route");
    assert!(
        routes.contains("default via 10.5.0.1") && routes.contains("default via fd00:5::1"),
        "{routes}"
    );
    let ls: serde_json::Value = serde_json::from_str(&node.pontoon("ls --json")).unwrap();
    assert_eq!(ls[0]["name"], "first");
    assert_eq!(ls[0]["mac"], "02:00:00:00:00:77");
    node.assert_settled();
    node.pontoon("detach a");
    node.sh("ip netns list | grep -q ^a; [ -z \"$(ip -n a -o link show type veth)\" ]");
}

#[test]
fn a_target_is_a_name_a_path_or_a_process() {
    let node = PontoonNode::new();
    web(&node);
    node.sh("ip netns add a; ip netns add b; mkdir -p /run/x; touch /run/x/ns; mount --bind /run/netns/b /run/x/ns");
    node.pontoon("attach web a");
    node.pontoon("attach web /run/x/ns --name by-path");
    let mut child = node.bystander();
    let pid = child.id();
    node.pontoon(&format!("attach web pid:{pid} --name by-pid"));
    node.sh("ip netns exec a ping -c1 -W2 10.5.0.4");
    // The same namespaces by other names.
    node.pontoon("detach /run/netns/a");
    node.pontoon("detach b");
    node.pontoon(&format!("detach /proc/{pid}/ns/net"));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(node.pontoon("ls --json"), "[]\n");
    node.assert_settled();
}

#[test]
fn a_target_may_join_several_networks() {
    let node = PontoonNode::new();
    web(&node);
    node.pontoon("network create blue --subnet 10.6.0.0/24");
    node.pontoon("network create vault --subnet 10.7.0.0/24 --internal");
    node.pontoon("attach web a --create");
    node.pontoon("attach blue a");
    node.pontoon("attach vault a");
    let addresses = node.sh("ip -n a -br -4 addr");
    for part in ["eth0@", "eth1@", "eth2@"] {
        assert!(addresses.contains(part), "{addresses}");
    }
    assert!(node.sh("ip -n a route get 198.51.100.1").contains("eth0"));
    node.assert_settled();
    node.pontoon("detach a web");
    assert!(node.sh("ip -n a route get 198.51.100.1").contains("eth1"));
    let said = node.refused("detach a blue --delete", 4);
    assert!(said.contains("vault"), "{said}");
    node.pontoon("detach a --delete");
    assert_eq!(node.pontoon("ls --json"), "[]\n");
}

#[test]
fn errors_are_clear_and_leave_nothing() {
    let node = PontoonNode::new();
    web(&node);
    node.pontoon("network create tiny --subnet 10.6.0.0/30");
    node.pontoon("network create vault --subnet 10.7.0.0/24 --internal");
    node.sh(
        "ip netns add a; ip netns add b; ip netns add c; touch /run/netns/file; ip -n b link add eth0 type bridge",
    );
    node.pontoon("attach web a -p 8080:80 -p 9000-9100/udp");
    node.pontoon("attach tiny t --create");
    let before = node.snapshot();
    for (line, code, says) in [
        ("attach nope c", 3, "no network nope"),
        ("attach web nope", 3, "/run/netns/nope"),
        ("attach web pid:4194304", 3, "4194304"),
        ("attach web file", 2, "not a network namespace"),
        ("attach web /proc/self/ns/uts", 2, "not a network namespace"),
        ("attach web /proc/thread-self/ns/net", 2, "node's own"),
        ("attach web a", 4, "already"),
        ("attach web a --create", 4, "exists already"),
        ("attach web /x/y --create", 2, "name"),
        ("attach web c --name a", 4, "name a"),
        ("attach web c --ip 10.9.0.1", 2, "no subnet"),
        ("attach web c --ip 10.5.0.1", 2, "gateway"),
        ("attach web c --ip 10.5.0.255", 2, "10.5.0.255"),
        ("attach web c --ip 10.5.0.2", 4, "endpoint a"),
        ("attach web c --ip 10.5.0.8 --ip 10.5.0.9", 2, "one family"),
        ("attach web c --mac 02:70:0a:05:00:02", 4, "endpoint a"),
        ("attach web c --mac 01:00:00:00:00:01", 2, "unicast"),
        ("attach web b", 4, "eth0"),
        ("attach tiny u --create", 5, "10.6.0.0/30"),
        ("attach vault u --create -p 80", 2, "internal"),
        ("attach web u --create -p 8080:81", 4, "endpoint a"),
        (
            "attach web u --create -p 127.0.0.1:8080:81",
            4,
            "endpoint a",
        ),
        ("attach web u --create -p 9100:1/udp", 4, "endpoint a"),
        ("attach web u --create -p 8000-9000", 4, "endpoint a"),
        ("attach web u --create -p 80 -p 80:81", 2, "overlap"),
        ("attach web u --create -p 0", 2, "0"),
        ("detach b", 3, "b is not attached"),
        ("detach a tiny", 3, "network tiny"),
        ("detach a nope", 3, "nope"),
    ] {
        let said = node.refused(line, code);
        assert!(said.contains(says), "{line}: {said}");
    }
    assert_eq!(node.snapshot(), before);
    node.assert_settled();
}

#[test]
fn a_port_of_the_nodes_own_process_is_refused_by_name() {
    let node = PontoonNode::new();
    web(&node);
    let tcp = node
        .netns()
        .serve(testnet::Transport::Tcp, "0.0.0.0:8080".parse().unwrap());
    let udp = node
        .netns()
        .serve(testnet::Transport::Udp, "127.0.0.1:5353".parse().unwrap());
    for line in [
        "-p 8080:80",
        "-p 8000-9000",
        "-p 203.0.113.1:8080:80",
        "-p 5353:53/udp",
    ] {
        let said = node.refused(&format!("attach web a --create {line}"), 4);
        let pid = std::process::id().to_string();
        assert!(
            said.contains("process") && said.contains(&pid),
            "{line}: {said}"
        );
    }
    node.pontoon("attach web a --create -p 8080:80/udp -p 127.0.0.2:5353:53/udp");
    drop((tcp, udp));
}

#[test]
fn a_full_subnet_takes_the_next_one_after_a_detach() {
    let node = PontoonNode::new();
    node.pontoon("network create tiny --subnet 10.6.0.0/29");
    for n in 0..5 {
        node.pontoon(&format!("attach tiny c{n} --create"));
    }
    node.refused("attach tiny c5 --create", 5);
    node.pontoon("detach c2 --delete");
    node.pontoon("attach tiny c5 --create");
    let ls: serde_json::Value = serde_json::from_str(&node.pontoon("ls --json")).unwrap();
    let addresses: BTreeSet<_> = (0..5).map(|n| ls[n]["addresses"][0].to_string()).collect();
    assert_eq!(addresses.len(), 5, "{ls}");
}

#[test]
fn a_full_bridge_is_said_to_be_full() {
    let node = PontoonNode::new();
    node.pontoon("network create wide --subnet 10.6.0.0/16");
    node.sh(
        "(seq 512 | sed 's/.*/link add a& master pn-wide type veth peer name b&/'
         seq 511 | sed 's/.*/link set b& master pn-wide/') | ip -batch -",
    );
    let refused = node.refused("attach wide c1 --create", 5);
    assert!(refused.contains("network wide is full"), "{refused}");
    node.sh("! ip netns | grep c1; ip link del a7");
    node.pontoon("attach wide c1 --create");
}

#[test]
fn a_released_address_rests_while_others_are_free() {
    let node = PontoonNode::new();
    web(&node);
    node.pontoon("attach web a --create --ip 10.5.0.2");
    node.pontoon("detach a --delete");
    node.pontoon("attach web b --create");
    node.sh("ip -n b -br addr show eth0 | grep -q 10.5.0.3/24");
}

#[test]
fn a_hundred_at_once_all_succeed_with_different_addresses() {
    let node = PontoonNode::new();
    web(&node);
    let spawn = |n: usize| {
        let mut command = node.command(&format!("attach web c{n} --create -p {}:80", 2000 + n));
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let children: Vec<_> = (0..100).map(spawn).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let ls: serde_json::Value = serde_json::from_str(&node.pontoon("ls --json")).unwrap();
    let all = ls.as_array().unwrap();
    for family in 0..2 {
        let addresses: BTreeSet<_> = all
            .iter()
            .map(|e| e["addresses"][family].to_string())
            .collect();
        assert_eq!(addresses.len(), 100);
    }
    node.assert_settled();
    node.sh("ip netns exec c0 ping -c1 -W2 10.5.0.50");
    let detach = |n: usize| {
        node.command(&format!("detach c{n} --delete"))
            .stdout(Stdio::null())
            .spawn()
            .unwrap()
    };
    let children: Vec<_> = (0..100).map(detach).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    node.assert_settled();
    node.pontoon("network rm web");
    node.assert_bare();
}

#[test]
fn without_root_it_says_so() {
    let node = PontoonNode::new();
    web(&node);
    let out = node.try_sh(&format!(
        "setpriv --reuid 65534 --clear-groups --inh-caps=-all --bounding-set=-all {} attach web a --create",
        crate::node::PONTOON
    ));
    assert_eq!(out.code, 6, "{out}");
    assert!(out.stderr.contains("root"), "{out}");
}

#[test]
fn errors_are_json_where_json_is_asked_for() {
    let node = PontoonNode::new();
    let out = node.try_pontoon("--json attach nope a");
    let error: serde_json::Value = serde_json::from_str(&out.stderr).unwrap();
    assert_eq!(error["error"]["exit_code"], 3);
    assert_eq!(out.code, 3);
}
