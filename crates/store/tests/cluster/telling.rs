//! The clauses of the contract on what nodes tell each other of their endpoints.

use std::collections::BTreeMap;

use model::{Named, Names, NetworkName, Overlay, Span, Whereabouts};
use store::cluster::{
    ClusterError, ClusterStore, ENDPOINTS_MAX, Endpoints, Member, NAMED_MAX, NamedEndpoints, Told,
};

use super::{Ground, NOW, WAKE_BOUND, blue, claim, join, member, overlay, word};

/// The blue network as one Ethernet, with a node in it.
fn stretched(store: &mut dyn ClusterStore) -> (Overlay, Member) {
    let blue = Overlay {
        span: Span::Stretched,
        ..overlay("blue", 4096, &[("10.50.0.0/16", 24), ("fd00:50::/48", 64)])
    };
    store.create_network(&blue).unwrap();
    let a = join(store, "a", 1);
    claim(store, "blue", &a);
    (blue, a)
}

/// Endpoints of the blue network.
pub fn told(endpoints: &[&[&str]]) -> Told {
    let one = |addresses: &&[&str]| {
        let addresses: Vec<_> = addresses.iter().map(|text| word(text)).collect();
        Whereabouts::new(&addresses).unwrap()
    };
    Told {
        endpoints: BTreeMap::from([(word("blue"), endpoints.iter().map(one).collect())]),
        ..Told::default()
    }
}

/// Endpoints of a network by name: a name and an address each.
pub fn named(network: &str, endpoints: &[(&str, &str)]) -> Told {
    let one = |(name, address): &(&str, &str)| {
        Named::new(word(name), vec![word("all")], vec![word(address)]).unwrap()
    };
    Told {
        named: BTreeMap::from([(word(network), endpoints.iter().map(one).collect())]),
        ..Told::default()
    }
}

pub fn endpoints_are_told_until_others_are_or_the_part_is_released(ground: &dyn Ground) {
    let mut store = ground.open();
    let (_, a) = stretched(&mut *store);
    let of_a = |store: &mut dyn ClusterStore| {
        let cluster = store.read().unwrap().cluster;
        cluster.nodes[&a.name].endpoints.clone()
    };
    let first = told(&[&["10.50.0.2", "fd00:50::2"], &["10.50.0.3"]]);
    assert!(store.tell_endpoints(&a, &first).unwrap());
    assert_eq!(of_a(&mut *ground.open()), first.endpoints);
    let before = store.read().unwrap().revision;
    assert!(!store.tell_endpoints(&a, &first).unwrap());
    assert_eq!(store.read().unwrap().revision.count, before.count);
    let second = told(&[&["10.50.0.3"]]);
    let other = ground.open().tell_endpoints(&member("a", 2), &second);
    assert!(matches!(other, Err(ClusterError::NodeUnknown(_))));
    assert!(ground.open().tell_endpoints(&a, &second).unwrap());
    assert!(store.wait(&before, WAKE_BOUND).unwrap());
    assert_eq!(of_a(&mut *store), second.endpoints);
    // What else a node says leaves them as they are.
    store.join(&a, &[word("192.0.2.77")], NOW).unwrap();
    assert_eq!(of_a(&mut *store), second.endpoints);
    store.release(&word("blue"), &a).unwrap();
    assert_eq!(of_a(&mut *store), Endpoints::new());
}

pub fn endpoints_of_others_are_not_told(ground: &dyn Ground) {
    let mut store = ground.open();
    let (_, a) = stretched(&mut *store);
    let b = join(&mut *store, "b", 2);
    claim(&mut *store, "blue", &b);
    store
        .create_network(&overlay("plain", 4097, &[("10.60.0.0/16", 24)]))
        .unwrap();
    claim(&mut *store, "plain", &a);
    let mut plain = told(&[&["10.60.0.2"]]);
    let of_blue = plain
        .endpoints
        .remove(&word::<NetworkName>("blue"))
        .unwrap();
    plain.endpoints.insert(word("plain"), of_blue);
    let many: Vec<(String, String)> = (0..=NAMED_MAX)
        .map(|n| (format!("c{n}"), format!("10.50.0.{}", n % 200)))
        .collect();
    let many: Vec<_> = many.iter().map(|(n, a)| (n.as_str(), a.as_str())).collect();
    for (claimed, says) in [
        (told(&[&["10.50.1.2"]]), "10.50.1.2 of blue"),
        (told(&[&["10.50.0.2", "fd00:50:0:1::2"]]), "fd00:50:0:1::2"),
        (told(&[&["10.50.0.2"], &["10.50.0.2"]]), "twice"),
        (told(&[&["10.50.0.2"][..]; ENDPOINTS_MAX + 1]), "at most"),
        (plain, "not stretched"),
        (named("blue", &[("c", "10.50.1.2")]), "10.50.1.2 of blue"),
        (
            named("blue", &[("c", "10.50.0.2"), ("d", "10.50.0.2")]),
            "twice",
        ),
        (named("gone", &[("c", "10.50.0.2")]), "not a network"),
        (named("blue", &many), "at most"),
    ] {
        let error = store.tell_endpoints(&a, &claimed).unwrap_err();
        assert!(matches!(error, ClusterError::Endpoints { .. }), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let cluster = store.read().unwrap().cluster;
    assert_eq!(cluster.nodes[&a.name].endpoints, Endpoints::new());
    assert_eq!(cluster.nodes[&a.name].named, NamedEndpoints::new());
}

pub fn names_are_told_until_others_are_or_the_part_is_released(ground: &dyn Ground) {
    let mut store = ground.open();
    store.create_network(&blue()).unwrap();
    let a = join(&mut *store, "a", 1);
    claim(&mut *store, "blue", &a);
    let of_a = |store: &mut dyn ClusterStore| {
        let cluster = store.read().unwrap().cluster;
        cluster.nodes[&a.name].named.clone()
    };
    let first = named("blue", &[("web", "10.50.0.2"), ("db", "10.50.0.3")]);
    assert!(store.tell_endpoints(&a, &first).unwrap());
    assert_eq!(of_a(&mut *ground.open()), first.named);
    let before = store.read().unwrap().revision;
    assert!(!store.tell_endpoints(&a, &first).unwrap());
    assert_eq!(store.read().unwrap().revision.count, before.count);
    let second = named("blue", &[("db", "10.50.0.3")]);
    assert!(ground.open().tell_endpoints(&a, &second).unwrap());
    assert!(store.wait(&before, WAKE_BOUND).unwrap());
    assert_eq!(of_a(&mut *store), second.named);
    store.join(&a, &[word("192.0.2.77")], NOW).unwrap();
    assert_eq!(of_a(&mut *store), second.named);
    store.release(&word("blue"), &a).unwrap();
    assert_eq!(of_a(&mut *store), NamedEndpoints::new());
}

pub fn a_network_has_names_when_somebody_says_so(ground: &dyn Ground) {
    let mut store = ground.open();
    store.create_network(&blue()).unwrap();
    let before = store.read().unwrap().revision;
    assert!(store.set_names(&word("blue"), Names::On).unwrap());
    assert!(ground.open().wait(&before, WAKE_BOUND).unwrap());
    let expected = Overlay {
        names: Names::On,
        ..blue()
    };
    let networks = store.read().unwrap().cluster.networks;
    assert_eq!(networks[&expected.name], expected);
    assert!(!ground.open().set_names(&word("blue"), Names::On).unwrap());
    assert!(store.set_names(&word("blue"), Names::Off).unwrap());
    assert_eq!(
        store.read().unwrap().cluster.networks[&expected.name],
        blue()
    );
    let unknown = store.set_names(&word("green"), Names::On);
    assert!(matches!(unknown, Err(ClusterError::NetworkUnknown(_))));
}
