//! Namespaces that die while a reconcile runs: alive when it looked, gone when it acts.

#![allow(clippy::unwrap_used)]

use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use engine::{Engine, Mode, NewNetwork, Reconciled, Settings, SubnetChoice, TakeOver, Why};
use model::{MtuSetting, Names, Reach};
use netstate::Plan;
use testnet::Node;

#[path = "overlay/request.rs"]
mod request;

use request::request;

fn engine(node: &Node, announce: fn(&Plan)) -> Engine {
    Engine::new(Settings {
        state_dir: PathBuf::from(node.state_dir()),
        now_secs: 1_800_000_000,
        random: 7,
        lock_wait: Duration::from_secs(10),
        announce,
    })
}

/// A node with three endpoints, all of which need mending.
fn broken() -> Node {
    let node = Node::new();
    let engine = engine(&node, |_| {});
    let network = NewNetwork {
        name: "web".parse().unwrap(),
        subnets: SubnetChoice::Given(vec!["10.5.0.0/24".parse().unwrap()]),
        gateways: Vec::new(),
        ranges: Vec::new(),
        bridge: None,
        mtu: MtuSetting::Auto,
        reach: Reach::Outside,
        names: Names::Off,
    };
    engine.create_network(&network, Mode::Apply).unwrap();
    for name in ["c1", "c2", "c3"] {
        engine.attach(&request("web", name), Mode::Apply).unwrap();
        node.sh(&format!("ip -n {name} addr flush dev eth0"));
    }
    node
}

/// What anybody else may do between a plan and its steps. What is gone already stays so.
fn delete(name: &str) {
    let mut command = Command::new("ip");
    let _ = command.args(["netns", "del", name]).output().unwrap();
}

/// Reconciles, and asserts that nothing is left to do and that the last endpoint was mended.
fn reconciled(node: &Node, announce: fn(&Plan)) -> Reconciled {
    let outcome = engine(node, announce).reconcile(TakeOver::No, Mode::Apply);
    let outcome = outcome.unwrap().outcome;
    let engine = engine(node, |_| {});
    let again = engine.reconcile(TakeOver::No, Mode::DryRun).unwrap();
    assert!(again.plan.is_empty(), "{:?}", again.plan.lines());
    assert!(again.outcome.released.is_empty(), "{:?}", again.outcome);
    assert!(node.sh("ip -n c3 addr show eth0").contains("10.5.0."));
    outcome
}

fn released(outcome: &Reconciled) -> Vec<String> {
    let released = outcome.released.iter();
    released
        .inspect(|one| assert_eq!(one.why, Why::NamespaceGone))
        .map(|one| one.target.to_string())
        .collect()
}

#[test]
fn what_dies_between_plan_and_steps_is_gone_and_the_others_are_mended() {
    let node = broken();
    let outcome = reconciled(&node, |_| delete("c1"));
    assert_eq!(released(&outcome), ["c1"]);
    assert_eq!(node.sh("ip -o link show type veth").lines().count(), 2);
}

#[test]
fn what_dies_whenever_reconcile_looks_again_is_gone_too() {
    let node = broken();
    // One at each plan: the second dies while what is left of the first is removed.
    let outcome = reconciled(&node, |_| {
        let first_is_there = PathBuf::from("/run/netns/c1").exists();
        delete(if first_is_there { "c1" } else { "c2" });
    });
    assert_eq!(released(&outcome), ["c1", "c2"]);
    assert_eq!(node.sh("ip -o link show type veth").lines().count(), 1);
}

#[test]
fn a_device_that_went_with_its_namespace_is_no_failure() {
    let node = broken();
    // The port is gone too, as when the kernel has cleaned up: steps on it fail.
    let outcome = reconciled(&node, |_| {
        let _ = Command::new("ip")
            .args(["-n", "c1", "link", "del", "eth0"])
            .output()
            .unwrap();
        delete("c1");
    });
    assert_eq!(released(&outcome), ["c1"]);
}
