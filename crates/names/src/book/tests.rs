//! Who sees what.

use std::net::IpAddr;

use model::{
    Backend, Cluster, ClusterNode, CniAttachment, MtuSetting, Names, Overlay, OverlayPrefix, Reach,
    Span,
};
use proptest::prelude::*;
use store::{EndpointLife, NetworkLife};

use super::*;
use crate::fixture::{endpoint, network};

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Of a runtime's container with this id.
fn of_container(mut record: EndpointRecord, id: &str) -> EndpointRecord {
    record.endpoint.cni = Some(CniAttachment {
        container: id.parse().unwrap(),
        list: "podman".parse().unwrap(),
    });
    record
}

/// `web` and `db`, a container on each and one on both; `vault` is internal, `plain` has no names.
fn book() -> Book {
    let networks = [
        network(1, "web", Names::On, Reach::Outside),
        network(2, "db", Names::On, Reach::Outside),
        network(3, "vault", Names::On, Reach::Internal),
        network(4, "plain", Names::Off, Reach::Outside),
    ];
    let endpoints = [
        endpoint(1, 2, "front", &["shop"]),
        endpoint(1, 3, "both", &["shop"]),
        endpoint(2, 3, "both", &[]),
        endpoint(2, 4, "back", &[]),
        endpoint(3, 5, "safe", &[]),
        endpoint(4, 6, "mute", &[]),
    ];
    Book::new(&networks, &endpoints, None)
}

#[test]
fn a_container_sees_the_networks_it_is_on_and_no_other() {
    let book = book();
    let front = book.asker(ip("10.1.0.2"), ip("10.1.0.1")).unwrap();
    let both = book.asker(ip("fd00:2::3"), ip("fd00:2::1")).unwrap();
    let back = book.asker(ip("10.2.0.4"), ip("10.2.0.1")).unwrap();
    for (asker, sees, not) in [
        (
            front,
            &["front", "both", "shop"][..],
            &["back", "safe", "mute"][..],
        ),
        (both, &["front", "both", "shop", "back"], &["safe", "mute"]),
        (back, &["back", "both"], &["front", "shop", "safe", "mute"]),
    ] {
        for name in sees {
            assert!(book.addresses(asker, name).is_some(), "{name}");
        }
        for name in not {
            assert_eq!(book.addresses(asker, name), None, "{name}");
        }
    }
}

#[test]
fn an_alias_is_all_of_its_endpoints() {
    let book = book();
    let front = book.asker(ip("10.1.0.2"), ip("10.1.0.1")).unwrap();
    let shop = book.addresses(front, "shop").unwrap();
    assert!(shop.far.is_empty());
    assert_eq!(
        shop.near,
        ["10.1.0.2", "fd00:1::2", "10.1.0.3", "fd00:1::3"].map(ip)
    );
}

#[test]
fn who_is_no_endpoint_is_nobody_but_the_node() {
    let book = book();
    for (source, gateway) in [
        ("10.1.0.9", "10.1.0.1"),
        ("203.0.113.7", "10.1.0.1"),
        ("127.0.0.1", "10.1.0.1"),
        // An endpoint at the gateway of a network that it is not on; the node by another's address.
        ("10.1.0.2", "10.2.0.1"),
        ("10.2.0.1", "10.1.0.1"),
        // Without names: nobody listens there.
        ("10.4.0.6", "10.4.0.1"),
        ("10.4.0.6", "10.1.0.1"),
    ] {
        assert_eq!(book.asker(ip(source), ip(gateway)), None, "{source}");
    }
    let node = book.asker(ip("10.1.0.1"), ip("10.1.0.1")).unwrap();
    assert_eq!(node.others, Others::Refused);
    assert!(book.addresses(node, "front").is_some());
    assert_eq!(book.addresses(node, "back"), None);
}

#[test]
fn only_who_reaches_the_outside_has_others_asked() {
    let book = book();
    let others = |source, gateway| book.asker(ip(source), ip(gateway)).unwrap().others;
    assert_eq!(others("10.1.0.2", "10.1.0.1"), Others::Forwarded);
    assert_eq!(others("10.3.0.5", "10.3.0.1"), Others::Missing);
}

#[test]
fn what_leaves_or_never_came_has_no_name() {
    let mut leaving = endpoint(1, 2, "gone", &["old"]);
    leaving.life = EndpointLife::Detaching;
    let mut coming = endpoint(1, 3, "new", &[]);
    coming.life = EndpointLife::Attaching;
    let web = network(1, "web", Names::On, Reach::Outside);
    let book = Book::new(&[web], &[leaving, coming], None);
    assert!(book.listed()[0].names.is_empty());
    let mut web = network(1, "web", Names::On, Reach::Outside);
    web.life = NetworkLife::Removing;
    assert!(Book::new(&[web], &[], None).listed().is_empty());
}

#[test]
fn the_short_id_of_a_container_is_a_name() {
    let web = network(1, "web", Names::On, Reach::Outside);
    let id = "0123456789abcdef0123456789abcdef";
    let one = of_container(endpoint(1, 2, "Web_One", &["Db"]), id);
    // That of `pontoon run` is no id that people see.
    let run = of_container(endpoint(1, 3, "two", &[]), "run.two");
    let book = Book::new(&[web], &[one, run], None);
    let names: Vec<&String> = book.listed()[0].names.keys().collect();
    assert_eq!(names, ["0123456789ab", "db", "two", "web_one"]);
}

#[test]
fn addresses_are_called_by_their_owners_names() {
    let book = book();
    let front = book.asker(ip("10.1.0.2"), ip("10.1.0.1")).unwrap();
    let owner = |address| book.owner(front, ip(address));
    assert_eq!(owner("fd00:1::3"), Owner::Named("both"));
    assert_eq!(owner("10.1.0.77"), Owner::Nobody);
    // Another network's, with names and without.
    assert_eq!(owner("10.2.0.4"), Owner::Nobody);
    assert_eq!(owner("10.4.0.6"), Owner::Nobody);
    assert_eq!(owner("192.0.2.1"), Owner::Elsewhere);
}

/// Networks `web` and `db` over nodes `here` and `there`: each has a /24 of `10.N.0.0/16`, and
/// `there` names `far` and one of `all` on both.
fn over_nodes(names: Names) -> (Vec<NetworkRecord>, Membership) {
    let mut cluster = Cluster::default();
    let mut records = Vec::new();
    let node = |name: &str| ClusterNode {
        name: name.parse().unwrap(),
        id: None,
        underlay: Vec::new(),
        subnets: BTreeMap::new(),
        endpoints: BTreeMap::new(),
        named: BTreeMap::new(),
        seen_at: None,
    };
    let mut there = node("there");
    for (id, name) in [(1, "web"), (2, "db")] {
        let mut record = network(id, name, Names::On, Reach::Outside);
        record.network.kind = NetworkKind::Overlay;
        let whole = format!("10.{id}.0.0/16").parse().unwrap();
        let overlay = Overlay {
            name: record.network.name.clone(),
            prefixes: vec![OverlayPrefix::new(whole, Some(24)).unwrap()],
            backend: Backend::Vxlan,
            vni: (4096 + id).try_into().unwrap(),
            mtu: MtuSetting::Auto,
            reach: Reach::Outside,
            span: Span::Node,
            names,
        };
        let named = |name: &str, host: u32| {
            let address = ip(&format!("10.{id}.7.{host}"));
            Named::new(
                name.parse().unwrap(),
                vec!["all".parse().unwrap()],
                vec![address],
            )
            .unwrap()
        };
        let told = vec![named("far", 2), named("Other", 3)];
        there.named.insert(overlay.name.clone(), told);
        cluster.networks.insert(overlay.name.clone(), overlay);
        records.push(record);
    }
    let mut here = node("here");
    // What this node told once is in its records as they are now, or nowhere.
    here.named.clone_from(&there.named);
    for node in [here, there] {
        cluster.nodes.insert(node.name.clone(), node);
    }
    let me = "here".parse().unwrap();
    (records, Membership { me, cluster })
}

#[test]
fn what_other_nodes_tell_is_found_behind_what_is_here() {
    let (networks, known) = over_nodes(Names::On);
    let near = endpoint(1, 2, "near", &["all"]);
    let book = Book::new(&networks, &[near], Some(&known));
    let asker = book.asker(ip("10.1.0.2"), ip("10.1.0.1")).unwrap();
    let all = book.addresses(asker, "all").unwrap();
    assert_eq!(all.near, ["10.1.0.2", "fd00:1::2"].map(ip));
    assert_eq!(all.far, ["10.1.7.2", "10.1.7.3"].map(ip));
    let other = book.addresses(asker, "other").unwrap();
    assert_eq!((other.near.len(), other.far), (0, vec![ip("10.1.7.3")]));
    assert_eq!(book.owner(asker, ip("10.1.7.2")), Owner::Named("far"));
    // Of the network's whole prefix, and nobody's; of a network that the asker is not on.
    assert_eq!(book.owner(asker, ip("10.1.200.9")), Owner::Nobody);
    assert_eq!(book.owner(asker, ip("10.2.7.2")), Owner::Nobody);
    // Who is on another node asks that one.
    assert_eq!(book.asker(ip("10.1.7.2"), ip("10.1.0.1")), None);
}

#[test]
fn nobody_is_told_of_names_that_the_cluster_has_no_more() {
    let near = || endpoint(1, 2, "near", &["all"]);
    let (networks, mut known) = over_nodes(Names::Off);
    let far = |known: &Membership| {
        let book = Book::new(&networks, &[near()], Some(known));
        let asker = book.asker(ip("10.1.0.2"), ip("10.1.0.1")).unwrap();
        book.addresses(asker, "all").unwrap().far
    };
    assert!(far(&known).is_empty());
    for overlay in known.cluster.networks.values_mut() {
        overlay.names = Names::On;
    }
    assert_eq!(far(&known).len(), 2);
    let there = "there".parse::<NodeName>().unwrap();
    known.cluster.nodes.remove(&there);
    assert!(far(&known).is_empty());
    known.cluster.networks.clear();
    assert!(far(&known).is_empty());
}

proptest! {
    /// Containers are put on networks at random: each sees exactly what is on its own ones.
    #[test]
    fn nobody_sees_across_networks(places in prop::collection::btree_set((1_u32..5, 2_u32..20), 1..40)) {
        let networks: Vec<_> = (1..5)
            .map(|id| network(id, &format!("n{id}"), Names::On, Reach::Outside))
            .collect();
        let endpoints: Vec<_> = places
            .iter()
            .map(|(network, host)| endpoint(*network, *host, &format!("c{host}"), &["all"]))
            .collect();
        let book = Book::new(&networks, &endpoints, None);
        for (network, host) in &places {
            let gateway = ip(&format!("10.{network}.0.1"));
            let asker = book.asker(ip(&format!("10.{network}.0.{host}")), gateway).unwrap();
            let on = |n: u32| places.contains(&(n, *host));
            let expected: BTreeSet<IpAddr> = endpoints
                .iter()
                .filter(|e| on(e.endpoint.network.0))
                .flat_map(|e| e.endpoint.addresses.clone())
                .collect();
            let seen = book.addresses(asker, "all").unwrap();
            prop_assert_eq!(seen.near.into_iter().collect::<BTreeSet<_>>(), expected);
        }
    }
}
