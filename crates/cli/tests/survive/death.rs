//! Targets that are gone: what `ls` shows, what a reconcile releases, and that nothing leaks.

use crate::ground::WEB;
use crate::node::PontoonNode;

const ATTACHED: &str = "pontoon attach web a --create --ip 10.5.0.9 -p 8080:80\n";

fn node(script: &str) -> PontoonNode {
    let node = PontoonNode::new();
    node.script(&format!("{WEB}{script}"));
    node
}

fn assert_free(node: &PontoonNode) {
    assert_eq!(node.json("ls"), serde_json::json!([]));
    node.assert_settled();
    assert_eq!(
        node.sh("ip -o link | grep -c '^[0-9]*: pont' || true")
            .trim(),
        "0"
    );
    node.pontoon("attach web next --create --ip 10.5.0.9 -p 8080:80");
    node.assert_settled();
}

#[test]
fn a_deleted_namespace_is_released_and_its_address_free() {
    let node = node(ATTACHED);
    node.sh("ip netns del a");
    assert_eq!(node.json("ls")[0]["name"], "a");
    let said = node.heal();
    let released = "released endpoint web/a (a): its namespace is gone\n";
    assert!(said.starts_with(released), "{said}");
    assert_free(&node);
}

#[test]
fn a_process_that_ended_is_released() {
    let node = node("");
    let mut child = node.bystander();
    let target = format!("pid:{}", child.id());
    node.pontoon(&format!(
        "attach web {target} --name app --ip 10.5.0.9 -p 8080:80"
    ));
    child.kill().unwrap();
    child.wait().unwrap();
    let said = node.heal();
    let released = format!("released endpoint web/app ({target}): its namespace is gone\n");
    assert!(said.starts_with(&released), "{said}");
    assert_free(&node);
}

#[test]
fn a_name_that_was_given_to_another_namespace_is_not_the_target_any_more() {
    let node = node(ATTACHED);
    node.sh("ip netns del a; ip netns add a");
    let before = node.sh("ip -n a -o addr; ip -n a -o link");
    let said = node.heal();
    assert!(said.contains("its namespace is gone"), "{said}");
    assert_eq!(node.sh("ip -n a -o addr; ip -n a -o link"), before);
    assert_free(&node);
}

#[test]
fn a_name_that_was_given_to_another_namespace_is_attached_without_a_reconcile() {
    let node = node(ATTACHED);
    node.sh("ip netns del a; ip netns add a");
    node.pontoon("attach web a --ip 10.5.0.9 -p 8080:80");
    node.assert_settled();
    assert_eq!(node.json("ls").as_array().unwrap().len(), 1);
}

#[test]
fn a_dead_target_can_be_detached() {
    for (death, line) in [
        ("ip netns del a", "detach a"),
        ("ip netns del a", "detach a --delete"),
        ("ip netns del a; ip netns add a", "detach a"),
    ] {
        crate::ground::elsewhere(|node| {
            node.script(&format!("{WEB}{ATTACHED}{death}"));
            node.pontoon(line);
            assert_free(node);
        });
    }
}

#[test]
fn a_dead_process_can_be_detached() {
    let node = node("");
    let mut child = node.bystander();
    let target = format!("pid:{}", child.id());
    node.pontoon(&format!("attach web {target} --ip 10.5.0.9 -p 8080:80"));
    child.kill().unwrap();
    child.wait().unwrap();
    node.pontoon(&format!("detach {target}"));
    assert_free(&node);
}

/// A process keeps the namespace after its name is gone: it can't be found by what it was
/// attached as, so it is taken off the network.
#[test]
fn a_namespace_that_outlives_its_name_loses_its_network() {
    let node = node(ATTACHED);
    let mut command = (*node).command("ip");
    let mut child = command
        .args(["netns", "exec", "a", "sleep", "60"])
        .spawn()
        .unwrap();
    let entered = || {
        let inside = node.try_sh(&format!("nsenter -t {} -n ip link show eth0", child.id()));
        inside.success()
    };
    testnet::wait_until(
        "the process is inside",
        std::time::Duration::from_secs(5),
        entered,
    );
    node.sh("ip netns del a");
    assert_eq!(node.json("ls")[0]["name"], "a");
    let said = node.heal();
    assert!(said.contains("its namespace is gone"), "{said}");
    let inside = node.sh(&format!("nsenter -t {} -n ip -o link", child.id()));
    assert!(!inside.contains("eth0"), "{inside}");
    assert_free(&node);
    child.kill().unwrap();
    child.wait().unwrap();
}
