//! `--json`: every command prints one document with the fields that machines rely on.

use serde_json::Value;

use crate::ground::WEB;
use crate::node::PontoonNode;

/// A command and paths that must be in what it prints: `a.0.b` is field `b` of the first of `a`.
type Document = (&'static str, &'static [&'static str]);

const CHANGES: &[Document] = &[
    (
        "network create blue --subnet 10.6.0.0/24 --dry-run",
        &["dry_run", "outcome.name", "outcome.bridge", "plan.0"],
    ),
    (
        "network create blue --subnet 10.6.0.0/24",
        &[
            "dry_run",
            "outcome.name",
            "outcome.bridge",
            "outcome.mtu",
            "outcome.reach",
            "outcome.subnets.0.prefix",
            "outcome.subnets.0.gateway",
            "plan.0",
        ],
    ),
    (
        "attach web a --create -p 8080:80",
        &[
            "dry_run",
            "outcome.network_name",
            "outcome.bridge",
            "outcome.name",
            "outcome.target",
            "outcome.ifname",
            "outcome.port",
            "outcome.mac",
            "outcome.addresses.1",
            "outcome.cidrs.1",
            "outcome.gateways.1",
            "outcome.publish.0",
            "plan.0",
        ],
    ),
    (
        "network ls",
        &[
            "0.name",
            "1.subnets.0.prefix",
            "1.mtu_now",
            "1.endpoints.0.name",
        ],
    ),
    (
        "network show web",
        &[
            "name",
            "subnets.1.gateway",
            "mtu_now",
            "endpoints.0.addresses.0",
        ],
    ),
    (
        "ls",
        &[
            "0.network_name",
            "0.name",
            "0.target",
            "0.addresses.0",
            "0.publish.0",
        ],
    ),
    (
        "stack a",
        &[
            "devices.1.name",
            "addresses.0.address",
            "routes.0.prefix",
            "sockets",
            "neighbours",
        ],
    ),
    (
        "stack",
        &["devices.1.kind", "chains.0.hook", "tables.1.text"],
    ),
    ("doctor", &["0.name", "0.health", "0.found"]),
    (
        "reconcile",
        &[
            "dry_run",
            "outcome.released",
            "outcome.removed_networks",
            "outcome.findings",
        ],
    ),
    (
        "detach a --delete",
        &[
            "dry_run",
            "outcome.0.network_name",
            "outcome.0.name",
            "plan.0",
        ],
    ),
    ("network rm blue", &["dry_run", "outcome.name", "plan.0"]),
];

fn at<'v>(document: &'v Value, path: &str) -> Option<&'v Value> {
    path.split('.')
        .try_fold(document, |value, part| match part.parse::<usize>() {
            Ok(index) => value.get(index),
            Err(_) => value.get(part),
        })
}

#[test]
fn every_document_has_its_fields() {
    let node = PontoonNode::new();
    node.script(WEB);
    for (line, paths) in CHANGES {
        let document = node.json(line);
        for path in *paths {
            assert!(
                at(&document, path).is_some(),
                "{line}: no {path} in {document:#}"
            );
        }
        if let Some(dry_run) = document.get("dry_run") {
            assert_eq!(*dry_run, line.contains("--dry-run"), "{line}");
        }
    }
}

#[test]
fn a_reconcile_says_what_it_found_and_released() {
    let node = PontoonNode::new();
    node.script(&format!(
        "{WEB}pontoon attach web a --create; pontoon attach web b --create"
    ));
    node.sh("ip netns del a; nft delete table bridge pontoon");
    let out = node.try_pontoon("reconcile --dry-run --json");
    assert_eq!(out.code, 10);
    for text in [out.stdout, node.pontoon("reconcile --json")] {
        let document: Value = serde_json::from_str(&text).unwrap();
        let outcome = &document["outcome"];
        assert_eq!(outcome["released"][0]["name"], "a");
        assert_eq!(outcome["released"][0]["network"], "web");
        assert_eq!(outcome["released"][0]["why"], "namespace_gone");
        let findings = outcome["findings"].as_array().unwrap();
        assert!(
            findings.contains(&"nft table bridge was missing".into()),
            "{outcome:#}"
        );
    }
}

#[test]
fn errors_are_documents_too() {
    let node = PontoonNode::new();
    node.script(&format!("{WEB}ip netns add a"));
    node.sh("mkdir /run/broken; echo nothing like it > /run/broken/records.db");
    for (line, code) in [
        ("attach nope a", 3),
        ("network create web", 4),
        ("attach web a --ip 10.5.0.1", 2),
        ("detach a", 3),
        ("stack nope", 3),
        ("--state-dir /run/broken ls", 8),
    ] {
        let out = node.try_pontoon(&format!("{line} --json"));
        assert_eq!(out.code, code, "{line}: {out}");
        assert!(out.stdout.is_empty(), "{line}: {out}");
        let document: Value = serde_json::from_str(&out.stderr).unwrap();
        assert_eq!(document["error"]["exit_code"], code, "{line}");
        assert!(document["error"]["message"].is_string(), "{line}");
    }
}
