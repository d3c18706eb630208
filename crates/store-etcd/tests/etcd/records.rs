//! Records that say nothing, or too much.

use model::{Named, NetworkName, Overlay, Span};
use store::cluster::{
    ClusterError, ClusterStore, ENDPOINTS_MAX, Endpoints, Member, NAMED_BYTES_MAX, NAMED_MAX, Told,
};

use crate::contract::{NOW, blue, claim, join, named, overlay, texts, told, word};
use crate::server::Server;

const ROOT: &str = "/pontoon/v1/cluster";

/// Two nodes with a part of `blue` each.
fn two_on_blue(store: &mut impl ClusterStore) -> (Member, Member) {
    store.create_network(&blue()).unwrap();
    let (a, b) = (join(store, "a", 1), join(store, "b", 2));
    claim(store, "blue", &a);
    claim(store, "blue", &b);
    (a, b)
}

#[test]
fn a_record_that_says_nothing_is_named_and_the_others_count() {
    let server = Server::start();
    let mut store = server.etcd();
    let (a, b) = two_on_blue(&mut store);
    let long = "x".repeat(100_000);
    for (key, value) in [
        ("nodes/a", "{"),
        ("nodes/c", r#"{"id":"01","underlay":["192.0.2.1"]}"#),
        (
            "nodes/d",
            r#"{"id":"0000000000000001","underlay":["127.0.0.1"]}"#,
        ),
        ("networks/torn", r#"{"name":"torn"}"#),
        ("networks/long", &long),
        ("subnets/blue/10.50.9.0/24", "nobody"),
    ] {
        server.ctl(&["put", &format!("{ROOT}/{key}"), value]);
    }
    server.ctl(&["put", &format!("{ROOT}/nodes/x/y"), "no key of ours"]);
    let snapshot = store.read().unwrap();
    let named: Vec<&str> = snapshot
        .unreadable
        .iter()
        .map(|record| record.key.strip_prefix(ROOT).unwrap())
        .collect();
    assert_eq!(
        named,
        [
            "/networks/long",
            "/networks/torn",
            "/nodes/a",
            "/nodes/c",
            "/nodes/d",
            "/subnets/blue/10.50.9.0/24"
        ]
    );
    assert_eq!(snapshot.cluster.networks.len(), 1);
    assert_eq!(snapshot.cluster.nodes.keys().collect::<Vec<_>>(), [&b.name]);

    // What can't be read is not overwritten either, and may be removed.
    let error = store
        .join(&a, &["192.0.2.1".parse().unwrap()], NOW)
        .unwrap_err();
    assert!(matches!(error, ClusterError::Corrupt(_)), "{error}");
    assert!(
        error.to_string().contains("/nodes/a: not the JSON"),
        "{error}"
    );
    let green = overlay("green", 1, &[("10.60.0.0/16", 24)]);
    let error = store.create_network(&green).unwrap_err();
    assert!(matches!(error, ClusterError::Corrupt(_)), "{error}");
    store.remove_node(&a.name).unwrap();
    store.remove_network(&word("torn")).unwrap();
    store.remove_network(&word("long")).unwrap();
    store.create_network(&green).unwrap();
    join(&mut store, "a", 1);
    assert_eq!(texts(&claim(&mut store, "blue", &a)), ["10.50.0.0/24"]);
}

#[test]
fn a_node_that_says_another_has_its_subnet_is_not_believed() {
    let server = Server::start();
    let mut store = server.etcd();
    let (a, b) = two_on_blue(&mut store);
    let lie = format!(
        r#"{{"id":"{}","underlay":["192.0.2.66"],"subnets":{{"blue":["10.50.0.0/24"]}}}}"#,
        b.id
    );
    server.ctl(&["put", &format!("{ROOT}/nodes/b"), &lie]);
    let snapshot = store.read().unwrap();
    let subnets = |name| {
        snapshot.cluster.nodes[name]
            .subnets
            .get(&word::<NetworkName>("blue"))
    };
    assert_eq!(texts(subnets(&a.name).unwrap()), ["10.50.0.0/24"]);
    assert_eq!(subnets(&b.name), None);
    assert!(snapshot.unreadable[0].why.contains("10.50.0.0/24 of blue"));
    store.remove_node(&b.name).unwrap();
    assert_eq!(store.read().unwrap().cluster.nodes.len(), 1);
    assert!(
        server
            .ctl(&["get", "--prefix", &format!("{ROOT}/subnets/blue/10.50.1")])
            .is_empty()
    );
}

#[test]
fn a_node_that_tells_of_what_is_not_its_own_is_told_of_and_keeps_its_part() {
    let server = Server::start();
    let mut store = server.etcd();
    let blue = Overlay {
        span: Span::Stretched,
        ..blue()
    };
    store.create_network(&blue).unwrap();
    let (a, b) = (join(&mut store, "a", 1), join(&mut store, "b", 2));
    claim(&mut store, "blue", &a);
    claim(&mut store, "blue", &b);
    let truth = told(&[&["10.50.1.2"]]);
    store.tell_endpoints(&b, &truth).unwrap();
    let lie = |endpoints: &str| {
        format!(
            r#"{{"id":"{}","underlay":["192.0.2.66"],"subnets":{{"blue":["10.50.1.0/24"]}},"endpoints":{{"blue":[{endpoints}]}}}}"#,
            b.id
        )
    };
    let many: Vec<String> = (0..=ENDPOINTS_MAX)
        .map(|_| r#"["10.50.1.2"]"#.to_owned())
        .collect();
    for (endpoints, says) in [
        (r#"["10.50.1.2"],["10.50.0.2"]"#, "10.50.0.2 of blue"),
        (r#"["10.50.1.2"],["10.50.1.2"]"#, "twice"),
        (&many.join(","), "1001 endpoints"),
        (r#"["fd00::2"]"#, "no addresses of an endpoint"),
        (r#"["10.50.1.2","nft flush ruleset"]"#, "not the JSON"),
    ] {
        server.ctl(&["put", &format!("{ROOT}/nodes/b"), &lie(endpoints)]);
        let snapshot = store.read().unwrap();
        let why = &snapshot.unreadable[0].why;
        assert!(why.contains(says), "{why}");
        // Where the rest of the record can be read, it counts.
        if let Some(b) = snapshot.cluster.nodes.get(&b.name) {
            assert_eq!(b.endpoints, Endpoints::new());
            assert_eq!(b.subnets.len(), 1);
        }
    }
    server.ctl(&["put", &format!("{ROOT}/nodes/b"), &lie(r#"["10.50.1.2"]"#)]);
    let snapshot = store.read().unwrap();
    assert_eq!(snapshot.unreadable, []);
    assert_eq!(snapshot.cluster.nodes[&b.name].endpoints, truth.endpoints);
}

#[test]
fn a_node_that_names_what_is_not_its_own_keeps_its_other_names() {
    let server = Server::start();
    let mut store = server.etcd();
    let (_, b) = two_on_blue(&mut store);
    let truth = named("blue", &[("web", "10.50.1.2")]);
    store.tell_endpoints(&b, &truth).unwrap();
    let lie = |network: &str, named: &str| {
        format!(
            r#"{{"id":"{}","underlay":["192.0.2.66"],"subnets":{{"blue":["10.50.1.0/24"]}},"named":{{"blue":[{{"name":"web","aliases":["all"],"addresses":["10.50.1.2"]}}],"{network}":[{named}]}}}}"#,
            b.id
        )
    };
    for (network, one, says) in [
        (
            "green",
            r#"{"name":"x","addresses":["10.50.1.3"]}"#,
            "not a network",
        ),
        ("red", r#"{"name":"x","addresses":["10.50.0.2"]}"#, "1 more"),
    ] {
        let twice = [one, one].join(",");
        store
            .create_network(&overlay("red", 9, &[("10.60.0.0/16", 24)]))
            .unwrap_or_default();
        server.ctl(&["put", &format!("{ROOT}/nodes/b"), &lie(network, &twice)]);
        let snapshot = store.read().unwrap();
        assert!(snapshot.unreadable[0].why.contains(says), "{snapshot:?}");
        assert_eq!(snapshot.cluster.nodes[&b.name].named, truth.named);
    }
    // Not even a word: then nothing of the record counts, and its name stays the node's.
    let torn = r#"{"name":"../x","addresses":["10.50.1.3"]}"#;
    server.ctl(&["put", &format!("{ROOT}/nodes/b"), &lie("red", torn)]);
    let snapshot = store.read().unwrap();
    assert!(
        snapshot.unreadable[0].why.contains("not the JSON"),
        "{snapshot:?}"
    );
    assert!(!snapshot.cluster.nodes.contains_key(&b.name));
}

#[test]
fn as_much_as_a_node_may_name_is_kept_and_read() {
    let server = Server::start();
    let mut store = server.etcd();
    let big = overlay("blue", 4096, &[("10.48.0.0/12", 16)]);
    store.create_network(&big).unwrap();
    let a = join(&mut store, "a", 1);
    claim(&mut store, "blue", &a);
    let name = |n: usize| format!("{n:0>62}");
    let mut told = Told::default();
    let of_blue = told.named.entry(word("blue")).or_default();
    for n in 0..NAMED_MAX {
        let address = format!("10.48.{}.{}", 1 + n / 250, n % 250);
        let aliases = vec![word(&name(n)), word(&format!("a{n}"))];
        of_blue.push(Named::new(word(&format!("c{n}")), aliases, vec![word(&address)]).unwrap());
    }
    let bytes: usize = of_blue.iter().map(Named::told_bytes).sum();
    assert!(
        bytes <= NAMED_BYTES_MAX && bytes * 2 > NAMED_BYTES_MAX,
        "{bytes}"
    );
    assert!(store.tell_endpoints(&a, &told).unwrap());
    let snapshot = store.read().unwrap();
    assert_eq!(snapshot.unreadable, []);
    assert_eq!(snapshot.cluster.nodes[&a.name].named, told.named);
}

#[test]
fn a_node_with_more_subnets_than_a_transaction_holds_is_removed() {
    let server = Server::start();
    let mut store = server.etcd();
    let a = join(&mut store, "a", 1);
    for n in 0..=100u8 {
        let name = format!("net{n}");
        let prefix = format!("10.{n}.0.0/16");
        store
            .create_network(&overlay(&name, u32::from(n) + 1, &[(&prefix, 24)]))
            .unwrap();
        claim(&mut store, &name, &a);
    }
    store.remove_node(&a.name).unwrap();
    let left = server.ctl(&["get", "--prefix", &format!("{ROOT}/subnets/")]);
    assert!(left.is_empty(), "{left}");
    assert!(store.read().unwrap().cluster.nodes.is_empty());
}
