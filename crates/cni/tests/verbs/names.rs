//! Names in ADD: what the runtime says is recorded, and whom the container asks is answered.

use serde_json::json;

use crate::driver::{ALONE, Container, List, PLUGIN};
use crate::ground::{CniNode, V4, refusal};

fn aliases(runtime: &serde_json::Value) -> Container {
    Container::named("c1").with_runtime(json!({ "aliases": runtime }))
}

/// By a plugin that has no server beside it: that nobody answers is a warning, and ADD succeeds. A
/// server would outlive the test.
fn list(node: &CniNode) -> List {
    node.sh(&format!("mkdir -p {ALONE}; cp {PLUGIN} {ALONE}"));
    List::of(
        node,
        json!({
            "type": "alone",
            "subnet": V4,
            "dns": {"search": ["svc.test"], "nameservers": ["192.0.2.9"]},
            "capabilities": {"aliases": true},
        }),
    )
}

#[test]
fn a_list_with_the_capability_has_names_and_its_gateway_is_asked() {
    let node = CniNode::with(&["c1"]);
    let container = aliases(&json!({"web": ["Db", "db", "cache"], "other": ["x_y"]}))
        .with_args("IgnoreUnknown=1;K8S_POD_NAME=shop");
    let result = list(&node).add(&container).unwrap();
    assert_eq!(result["dns"]["nameservers"], json!(["10.5.0.1"]));
    assert_eq!(result["dns"]["search"], json!(["svc.test"]));
    let endpoint = &node.endpoints()[0];
    assert_eq!(endpoint.names, model::Names::On);
    assert_eq!(endpoint.endpoint.name.as_str(), "shop");
    let recorded: Vec<&str> = endpoint
        .endpoint
        .aliases
        .iter()
        .map(model::Alias::as_str)
        .collect();
    assert_eq!(recorded, ["db", "cache"]);
}

#[test]
fn a_plain_list_of_aliases_is_taken_too() {
    let node = CniNode::with(&["c1"]);
    list(&node).add(&aliases(&json!(["db"]))).unwrap();
    assert_eq!(node.endpoints()[0].endpoint.aliases.len(), 1);
}

#[test]
fn a_network_that_was_there_gets_names_with_the_capability() {
    let node = CniNode::with(&["c0", "c1"]);
    let plain = List::of(&node, json!({"subnet": V4}));
    let result = plain.add(&Container::named("c0")).unwrap();
    assert!(result["dns"].get("nameservers").is_none(), "{result}");
    list(&node).add(&aliases(&json!(["db"]))).unwrap();
    assert!(node.endpoints().iter().all(|e| e.names == model::Names::On));
}

#[test]
fn aliases_are_refused_where_names_are_switched_off() {
    let node = CniNode::with(&["c1"]);
    let mut off = list(&node);
    off.plugins[0]["names"] = false.into();
    let (code, said) = refusal(&off.add(&aliases(&json!(["db"]))).unwrap_err());
    assert_eq!(code, 7);
    assert!(said.contains("has no names"), "{said}");
    assert!(node.endpoints().is_empty());
}

#[test]
fn the_name_of_a_pod_is_both_sandboxes_while_there_are_two() {
    let node = CniNode::with(&["c1", "c2"]);
    for id in ["c1", "c2"] {
        let pod = Container::named(id).with_args("IgnoreUnknown=1;K8S_POD_NAME=shop");
        list(&node).add(&pod).unwrap();
    }
    let second = node
        .endpoints()
        .into_iter()
        .find(|e| e.endpoint.name.as_str() == "c2");
    assert_eq!(second.unwrap().endpoint.aliases[0].as_str(), "shop");
}
