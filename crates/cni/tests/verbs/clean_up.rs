//! DEL and GC: everything goes, whatever is gone already, and nothing that is somebody else's.

use serde_json::{Value, json};

use crate::driver::{Container, List};
use crate::ground::{CniNode, V4, V6, refusal};

fn list(node: &CniNode) -> List {
    List::of(node, json!({"subnets": [V4, V6]}))
}

#[test]
fn a_del_takes_everything_back() {
    let node = CniNode::with(&["a", "b"]);
    let list = list(&node);
    list.add(&Container::named("a")).unwrap();
    let before = node.state();
    let ports =
        json!({"portMappings": [{"hostPort": 8080, "containerPort": 80, "protocol": "udp"}]});
    let b = Container::named("b").with_runtime(ports);
    let result = list.add(&b).unwrap();
    assert_eq!(list.del(&b, &result), Ok(Value::Null));
    // But for the kernel's own loopback addresses: the target's `lo` stays up.
    node.sh("ip -n b link set lo down");
    assert_eq!(node.state(), before);
    node.assert_settled();
}

#[test]
fn a_del_succeeds_again_and_again() {
    let node = CniNode::with(&["a"]);
    let list = list(&node);
    let a = Container::named("a");
    // Before anything was ever attached, too.
    assert_eq!(list.del(&a, &Value::Null), Ok(Value::Null));
    list.add(&a).unwrap();
    for _ in 0..3 {
        assert_eq!(list.del(&a, &Value::Null), Ok(Value::Null));
    }
    assert_eq!(node.attached(), [""; 0]);
}

#[test]
fn a_del_needs_no_namespace() {
    for netns in ["", "/var/run/netns/a", "/proc/4194304/ns/net"] {
        let node = CniNode::with(&["a"]);
        let list = list(&node);
        let mut a = Container::named("a");
        list.add(&a).unwrap();
        node.sh("ip netns del a");
        netns.clone_into(&mut a.netns);
        assert_eq!(list.del(&a, &Value::Null), Ok(Value::Null), "{netns}");
        assert_eq!(node.attached(), [""; 0], "{netns}");
        node.assert_settled();
    }
}

#[test]
fn a_del_lets_another_namespace_of_the_name_alone() {
    let node = CniNode::with(&["a", "b"]);
    let list = list(&node);
    let a = Container::named("a");
    list.add(&a).unwrap();
    // A runtime that uses the name again: the first container's DEL comes late.
    node.sh("ip netns del a; ip netns add a");
    let mut second = Container::named("a");
    "second".clone_into(&mut second.id);
    list.add(&second).unwrap();
    assert_eq!(list.del(&a, &Value::Null), Ok(Value::Null));
    assert_eq!(node.attached(), ["second/eth0"]);
    node.assert_settled();
}

#[test]
fn a_del_works_with_a_configuration_that_is_wrong_by_now() {
    let node = CniNode::with(&["a"]);
    list(&node).add(&Container::named("a")).unwrap();
    let edited = List::of(
        &node,
        json!({"subnet": "no prefix", "vlan": 7, "whatever": true}),
    );
    let a = Container::named("a").with_args("nonsense");
    assert_eq!(edited.del(&a, &Value::Null), Ok(Value::Null));
    assert_eq!(node.attached(), [""; 0]);
}

#[test]
fn a_del_works_where_the_records_are_lost() {
    let node = CniNode::with(&["a"]);
    let list = list(&node);
    list.add(&Container::named("a")).unwrap();
    std::fs::remove_dir_all(node.state_dir()).unwrap();
    assert_eq!(
        list.del(&Container::named("a"), &Value::Null),
        Ok(Value::Null)
    );
}

#[test]
fn a_del_of_records_that_cannot_be_read_is_to_be_repeated() {
    let node = CniNode::with(&["a"]);
    let list = list(&node);
    list.add(&Container::named("a")).unwrap();
    let file = node.state_dir().join("records.db");
    node.sh(&format!(
        "cd {}; mkdir /run/kept; mv records.db* /run/kept",
        node.state_dir().display()
    ));
    std::fs::write(&file, "nothing like it").unwrap();
    let (code, msg) = refusal(&list.del(&Container::named("a"), &Value::Null).unwrap_err());
    assert_eq!((code, msg.contains("records.db")), (5, true), "{msg}");
    node.sh(&format!("mv /run/kept/* {}", node.state_dir().display()));
    assert_eq!(
        list.del(&Container::named("a"), &Value::Null),
        Ok(Value::Null)
    );
    assert_eq!(node.attached(), [""; 0]);
}

#[test]
fn gc_removes_what_the_runtime_has_forgotten_and_no_more() {
    let node = CniNode::with(&["a", "b", "c", "d", "e"]);
    let list = list(&node);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(Container::named);
    for one in [&a, &b] {
        list.add(one).unwrap();
    }
    // Another runtime on the same network, and somebody without one.
    let other = list.clone().named("other").then_network("web");
    other.add(&c).unwrap();
    attach_by_hand(&node, "d");
    let before = node.attached();
    assert_eq!(before, ["a/eth0", "b/eth0", "by hand/eth0", "c/eth0"]);
    assert_eq!(list.gc(&[&a, &b, &d]), Ok(Value::Null));
    assert_eq!(node.attached(), before);
    // A container is known by its interface too.
    let mut elsewhere = a.clone();
    "eth1".clone_into(&mut elsewhere.ifname);
    assert_eq!(list.gc(&[&elsewhere, &b]), Ok(Value::Null));
    assert_eq!(node.attached(), ["b/eth0", "by hand/eth0", "c/eth0"]);
    assert_eq!(other.gc(&[]), Ok(Value::Null));
    assert_eq!(node.attached(), ["b/eth0", "by hand/eth0"]);
    node.assert_settled();
}

#[test]
fn gc_without_a_list_of_the_living_is_refused() {
    let node = CniNode::with(&["a"]);
    let list = list(&node);
    list.add(&Container::named("a")).unwrap();
    let (code, msg) = refusal(&list.gc_with(json!({})).unwrap_err());
    assert_eq!(code, 7, "{msg}");
    assert_eq!(node.attached(), ["a/eth0"]);
}

#[test]
fn gc_takes_back_what_a_killed_add_left() {
    let node = CniNode::with(&["a"]);
    let list = list(&node);
    for n in 1.. {
        let mut a = Container::named("a");
        a.env = vec![("PONTOON_KILL_AT", n.to_string())];
        let done = list.add(&a);
        list.gc(&[]).unwrap();
        assert_eq!(node.attached(), [""; 0], "killed at {n}");
        node.assert_settled();
        if done.is_ok() {
            assert!(n > 5, "{n} crash points");
            break;
        }
    }
}

fn attach_by_hand(node: &CniNode, name: &str) {
    use engine::{AttachRequest, Mode, NetnsBefore, NetworkChoice};
    let request = AttachRequest {
        network: NetworkChoice::Existing("web".parse().unwrap()),
        target: name.parse().unwrap(),
        cni: None,
        before: NetnsBefore::Exists,
        name: None,
        addresses: Vec::new(),
        mac: None,
        ifname: None,
        publish: Vec::new(),
        rates: model::Rates::default(),
        aliases: Vec::new(),
    };
    node.engine().attach(&request, Mode::Apply).unwrap();
}
