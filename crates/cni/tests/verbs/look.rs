//! CHECK, STATUS and VERSION: they tell, and change nothing.

use serde_json::{Value, json};

use crate::driver::{Container, List, answer, bare};
use crate::ground::{CniNode, V4, V6, refusal};

fn attached(node: &CniNode) -> (List, Container, Value) {
    let list = List::of(node, json!({"subnets": [V4, V6]}));
    let ports = json!({"portMappings": [{"hostPort": 8080, "containerPort": 80}]});
    let container = Container::named("a").with_runtime(ports);
    let result = list.add(&container).unwrap();
    (list, container, result)
}

#[test]
fn what_is_whole_passes_the_check() {
    let node = CniNode::with(&["a", "b"]);
    let (list, container, result) = attached(&node);
    list.add(&Container::named("b")).unwrap();
    let before = node.state();
    assert_eq!(list.check(&container, &result), Ok(Value::Null));
    assert_eq!(
        list.clone().version("0.4.0").check(&container, &result),
        Ok(Value::Null)
    );
    assert_eq!(node.state(), before);
}

#[test]
fn each_break_is_found_by_the_check_and_healed_by_reconcile() {
    let node = CniNode::with(&["a"]);
    let (list, container, result) = attached(&node);
    for (breakage, says) in [
        ("ip -n a addr del 10.5.0.2/24 dev eth0", "10.5.0.2"),
        ("ip -n a route del default", "route"),
        ("ip -n a -6 addr flush dev eth0 scope global", "fd00:5::2"),
        ("ip -n a link set eth0 down", "eth0"),
        ("ip link del pont1", "pont1"),
        ("ip link set pont1 nomaster", "pont1"),
        ("ip link del pn-web", "pn-web"),
        (
            "nft delete element inet pontoon tcp4 '{ 8080 }' || nft flush ruleset",
            "nft",
        ),
        ("nft flush ruleset", "nft"),
        ("echo 0 > /proc/sys/net/ipv4/ip_forward", "ip_forward"),
    ] {
        node.sh(breakage);
        let (code, msg) = refusal(&list.check(&container, &result).unwrap_err());
        assert_eq!(code, 104, "{breakage}: {msg}");
        let hit = msg.contains(says) || says == "nft" && msg.contains("table");
        assert!(hit, "{breakage}: {msg}");
        node.engine()
            .reconcile(engine::TakeOver::No, engine::Mode::Apply)
            .unwrap();
        assert_eq!(
            list.check(&container, &result),
            Ok(Value::Null),
            "{breakage}"
        );
    }
}

#[test]
fn a_check_compares_what_the_runtime_was_told() {
    let node = CniNode::with(&["a"]);
    let (list, container, result) = attached(&node);
    let mut told = result.clone();
    told["ips"][0]["address"] = "10.5.0.99/24".into();
    let (code, msg) = refusal(&list.check(&container, &told).unwrap_err());
    assert_eq!((code, msg.contains("10.5.0.2/24")), (104, true), "{msg}");
    let mut told = result;
    told["interfaces"][2]["name"] = "eth9".into();
    assert_eq!(refusal(&list.check(&container, &told).unwrap_err()).0, 104);
}

#[test]
fn what_is_gone_fails_the_check() {
    let node = CniNode::with(&["a"]);
    let (list, container, result) = attached(&node);
    node.sh("ip netns del a");
    let (code, msg) = refusal(&list.check(&container, &result).unwrap_err());
    assert_eq!(code, 3, "{msg}");
    let (code, msg) = refusal(&list.check(&Container::named("b"), &result).unwrap_err());
    assert_eq!(code, 3, "{msg}");
}

#[test]
fn the_status_tells_whether_an_add_would_go() {
    let node = CniNode::with(&["a"]);
    let small = List::of(&node, json!({"subnet": "10.5.0.0/30"}));
    let before = node.state();
    assert_eq!(small.status(), Ok(Value::Null));
    assert_eq!(node.state(), before, "a network is created by ADD alone");
    small.add(&Container::named("a")).unwrap();
    let (code, msg) = refusal(&small.status().unwrap_err());
    assert_eq!((code, msg.contains("10.5.0.0/30")), (50, true), "{msg}");
    let other = List::of(&node, json!({"subnet": V4}));
    assert_eq!(refusal(&other.status().unwrap_err()).0, 50);
    std::fs::write(node.state_dir().join("records.db"), "nothing like it").unwrap();
    assert_eq!(refusal(&small.status().unwrap_err()).0, 50);
}

#[test]
fn the_versions_are_told_without_a_node() {
    let version = bare(&[("CNI_COMMAND", "VERSION")]);
    let told = answer(version, r#"{"cniVersion": "1.0.0"}"#).unwrap();
    let supported = ["0.3.1", "0.4.0", "1.0.0", "1.1.0"];
    assert_eq!(
        told,
        json!({"cniVersion": "1.0.0", "supportedVersions": supported})
    );
}

#[test]
fn verbs_of_later_versions_are_refused_in_earlier_ones() {
    let node = CniNode::with(&["a"]);
    let list = List::of(&node, json!({"subnet": V4})).version("0.3.1");
    let result = list.add(&Container::named("a")).unwrap();
    for refused in [
        list.check(&Container::named("a"), &result),
        list.gc(&[]),
        list.status(),
    ] {
        let error = refused.unwrap_err();
        assert_eq!(
            (refusal(&error).0, &error["cniVersion"]),
            (1, &json!("0.3.1"))
        );
    }
    assert_eq!(node.attached(), ["a/eth0"]);
}
