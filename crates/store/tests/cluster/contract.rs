//! What every store that can be changed does. The adapters' crates run it too.

use std::collections::BTreeSet;
use std::str::FromStr;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant};

use model::{
    Backend, MtuSetting, Names, NetworkName, NodeId, NodeName, Overlay, OverlayPrefix, Prefix,
    Reach, Span,
};
use store::cluster::{ClusterError, ClusterStore, Member, Snapshot};

/// A moment, in seconds since 1970.
pub const NOW: u64 = 1_800_000_000;
/// How long a wait may take that is expected to end by a change.
pub const WAKE_BOUND: Duration = Duration::from_secs(20);
/// A wait that is expected to end by itself.
pub const QUIET: Duration = Duration::from_millis(200);
/// How many nodes claim at once.
const CROWD: u64 = 50;

#[path = "telling.rs"]
mod telling;

pub use telling::*;

/// A cluster that the test alone uses.
pub trait Ground: Sync {
    /// Another handle on it.
    fn open(&self) -> Box<dyn ClusterStore>;

    /// Makes the store think that `node` said nothing for the grace time, and gives the time.
    fn after_the_grace(&self, node: &NodeName) -> u64;
}

/// A test for each clause of the contract, on a fresh `$ground` each.
macro_rules! contract {
    ($ground:expr) => {
        contract!($ground;
            a_cluster_reads_back_as_it_was_made
            networks_that_clash_are_refused
            of_two_networks_made_at_once_that_clash_one_is_refused
            a_claim_is_the_same_however_often_and_from_where
            a_claim_has_a_subnet_of_each_family
            who_has_not_joined_claims_nothing
            a_crowd_at_once_gets_a_subnet_each
            a_full_network_says_so_and_what_is_freed_is_used_again
            a_network_is_removed_when_nobody_has_a_part_of_it
            a_claim_and_a_removal_at_once_leave_no_orphan
            a_removed_node_leaves_nothing_and_may_come_back
            a_name_has_one_machine
            a_silent_machine_loses_its_name_and_its_subnets
            silent_nodes_expire_and_no_others
            a_changed_underlay_is_told_and_keeps_the_subnets
            endpoints_are_told_until_others_are_or_the_part_is_released
            endpoints_of_others_are_not_told
            names_are_told_until_others_are_or_the_part_is_released
            a_network_has_names_when_somebody_says_so
            a_wait_ends_at_a_change_and_not_before
            a_sign_of_life_wakes_nobody
        );
    };
    ($ground:expr; $($clause:ident)*) => {
        $(
            #[test]
            fn $clause() {
                crate::contract::$clause(&$ground);
            }
        )*
    };
}

/// A word of `model`.
pub fn word<T: FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().unwrap()
}

pub fn member(name: &str, id: u64) -> Member {
    Member {
        name: word(name),
        id: NodeId::from_bits(id),
    }
}

pub fn overlay(name: &str, vni: u32, prefixes: &[(&str, u8)]) -> Overlay {
    let part = |(prefix, bits): &(&str, u8)| OverlayPrefix::new(word(prefix), Some(*bits)).unwrap();
    Overlay {
        name: word(name),
        prefixes: prefixes.iter().map(part).collect(),
        backend: Backend::Vxlan,
        vni: vni.try_into().unwrap(),
        mtu: MtuSetting::Auto,
        reach: Reach::Outside,
        span: Span::Node,
        names: Names::Off,
    }
}

pub fn blue() -> Overlay {
    overlay("blue", 4096, &[("10.50.0.0/16", 24)])
}

pub fn join(store: &mut dyn ClusterStore, name: &str, id: u64) -> Member {
    let member = member(name, id);
    let last = u8::try_from(id % 250).unwrap() + 1;
    let underlay = [[192, 0, 2, last].into()];
    store.join(&member, &underlay, NOW).unwrap();
    member
}

pub fn claim(store: &mut dyn ClusterStore, network: &str, member: &Member) -> Vec<Prefix> {
    store.claim(&word(network), member).unwrap()
}

pub fn texts(prefixes: &[Prefix]) -> Vec<String> {
    prefixes.iter().map(ToString::to_string).collect()
}

fn held(snapshot: &Snapshot, network: &str) -> Vec<Prefix> {
    let network: NetworkName = word(network);
    let nodes = snapshot.cluster.nodes.values();
    nodes
        .filter_map(|node| node.subnets.get(&network))
        .flatten()
        .copied()
        .collect()
}

pub fn a_cluster_reads_back_as_it_was_made(ground: &dyn Ground) {
    let mut store = ground.open();
    assert_eq!(store.read().unwrap().cluster, model::Cluster::default());
    let green = Overlay {
        backend: Backend::Routed,
        mtu: "1400".parse().unwrap(),
        reach: Reach::Internal,
        ..overlay("green", 7, &[("10.60.0.0/16", 20), ("fd00:60::/48", 64)])
    };
    store.create_network(&blue()).unwrap();
    store.create_network(&green).unwrap();
    let a = member("a", 1);
    let underlay = ["2001:db8::1".parse().unwrap(), "192.0.2.1".parse().unwrap()];
    store.join(&a, &underlay, NOW).unwrap();
    claim(&mut *store, "green", &a);

    let snapshot = ground.open().read().unwrap();
    assert!(snapshot.unreadable.is_empty());
    let networks: Vec<Overlay> = snapshot.cluster.networks.into_values().collect();
    assert_eq!(networks, [blue(), green]);
    let node = &snapshot.cluster.nodes[&a.name];
    assert_eq!((&node.name, node.id), (&a.name, Some(a.id)));
    assert_eq!(node.underlay, [underlay[1], underlay[0]]);
    assert_eq!(node.seen_at, Some(NOW));
    let subnets = &node.subnets[&word::<NetworkName>("green")];
    assert_eq!(texts(subnets), ["10.60.0.0/20", "fd00:60::/64"]);
    assert_eq!(node.subnets.len(), 1);
}

pub fn networks_that_clash_are_refused(ground: &dyn Ground) {
    let mut store = ground.open();
    store.create_network(&blue()).unwrap();
    let mut refused = |overlay| store.create_network(&overlay).unwrap_err();
    assert!(matches!(
        refused(overlay("blue", 1, &[("10.1.0.0/16", 24)])),
        ClusterError::NetworkNameTaken(_)
    ));
    assert!(matches!(
        refused(overlay("green", 4096, &[("10.1.0.0/16", 24)])),
        ClusterError::VniTaken { .. }
    ));
    assert!(matches!(
        refused(overlay("green", 1, &[("10.0.0.0/8", 24)])),
        ClusterError::PrefixTaken { .. }
    ));
    assert!(matches!(
        refused(overlay("green", 1, &[])),
        ClusterError::Overlay { .. }
    ));
    assert_eq!(store.read().unwrap().cluster.networks.len(), 1);
}

pub fn of_two_networks_made_at_once_that_clash_one_is_refused(ground: &dyn Ground) {
    let start = Barrier::new(8);
    let outcomes: Vec<Result<(), ClusterError>> = thread::scope(|scope| {
        let makers: Vec<_> = (0..8u32)
            .map(|n| {
                let start = &start;
                scope.spawn(move || {
                    let mut store = ground.open();
                    let name = format!("net{n}");
                    start.wait();
                    store.create_network(&overlay(&name, n + 1, &[("10.50.0.0/16", 24)]))
                })
            })
            .collect();
        makers.into_iter().map(|m| m.join().unwrap()).collect()
    });
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(made, 1, "{outcomes:?}");
    for error in outcomes.into_iter().filter_map(Result::err) {
        assert!(matches!(error, ClusterError::PrefixTaken { .. }), "{error}");
    }
}

pub fn a_claim_is_the_same_however_often_and_from_where(ground: &dyn Ground) {
    let mut store = ground.open();
    store.create_network(&blue()).unwrap();
    let a = join(&mut *store, "a", 1);
    let start = Barrier::new(8);
    let claims: BTreeSet<Vec<Prefix>> = thread::scope(|scope| {
        let claimers: Vec<_> = (0..8)
            .map(|_| {
                scope.spawn(|| {
                    let mut store = ground.open();
                    start.wait();
                    claim(&mut *store, "blue", &a)
                })
            })
            .collect();
        claimers.into_iter().map(|c| c.join().unwrap()).collect()
    });
    assert_eq!(claims.len(), 1, "{claims:?}");
    assert!(claims.contains(&claim(&mut *store, "blue", &a)));
    assert_eq!(held(&store.read().unwrap(), "blue").len(), 1);
}

pub fn a_claim_has_a_subnet_of_each_family(ground: &dyn Ground) {
    let mut store = ground.open();
    let prefixes = [("10.60.0.0/16", 24), ("fd00:60::/48", 64)];
    store
        .create_network(&overlay("dual", 7, &prefixes))
        .unwrap();
    let (a, b) = (join(&mut *store, "a", 1), join(&mut *store, "b", 2));
    let of_a = claim(&mut *store, "dual", &a);
    assert_eq!(texts(&of_a), ["10.60.0.0/24", "fd00:60::/64"]);
    let of_b = claim(&mut *store, "dual", &b);
    assert_eq!(texts(&of_b), ["10.60.1.0/24", "fd00:60:0:1::/64"]);
}

pub fn who_has_not_joined_claims_nothing(ground: &dyn Ground) {
    let mut store = ground.open();
    let a = member("a", 1);
    let blue: NetworkName = word("blue");
    let error = store.claim(&blue, &a).unwrap_err();
    assert!(matches!(error, ClusterError::NetworkUnknown(_)), "{error}");
    store.create_network(&self::blue()).unwrap();
    let error = store.claim(&blue, &a).unwrap_err();
    assert!(matches!(error, ClusterError::NodeUnknown(_)), "{error}");
    join(&mut *store, "a", 1);
    let namesake = member("a", 2);
    let error = store.claim(&blue, &namesake).unwrap_err();
    assert!(matches!(error, ClusterError::NodeUnknown(_)), "{error}");
    for nowhere in [
        ["0.0.0.0"].as_slice(),
        &["127.0.0.1"],
        &["192.0.2.1", "192.0.2.2"],
        &[],
    ] {
        let underlay: Vec<std::net::IpAddr> = nowhere.iter().map(|text| word(text)).collect();
        let error = store.join(&a, &underlay, NOW).unwrap_err();
        assert!(matches!(error, ClusterError::Underlay(_)), "{error}");
    }
}

pub fn a_crowd_at_once_gets_a_subnet_each(ground: &dyn Ground) {
    ground.open().create_network(&blue()).unwrap();
    let start = Barrier::new(CROWD as usize);
    let claims: Vec<Vec<Prefix>> = thread::scope(|scope| {
        let nodes: Vec<_> = (0..CROWD)
            .map(|n| {
                let start = &start;
                scope.spawn(move || {
                    let mut store = ground.open();
                    start.wait();
                    let node = join(&mut *store, &format!("node{n}"), n);
                    claim(&mut *store, "blue", &node)
                })
            })
            .collect();
        nodes.into_iter().map(|n| n.join().unwrap()).collect()
    });
    let claimed: BTreeSet<Prefix> = claims.iter().flatten().copied().collect();
    assert_eq!(claimed.len() as u64, CROWD);
    let snapshot = ground.open().read().unwrap();
    assert_eq!(snapshot.cluster.nodes.len() as u64, CROWD);
    let recorded: BTreeSet<Prefix> = held(&snapshot, "blue").into_iter().collect();
    assert_eq!(recorded, claimed);
}

pub fn a_full_network_says_so_and_what_is_freed_is_used_again(ground: &dyn Ground) {
    let mut store = ground.open();
    let small = overlay("small", 1, &[("10.50.0.0/22", 24)]);
    store.create_network(&small).unwrap();
    let nodes: Vec<Member> = (0..5)
        .map(|n| join(&mut *store, &format!("node{n}"), n))
        .collect();
    for (node, third) in nodes[..4].iter().zip(0..) {
        let subnets = claim(&mut *store, "small", node);
        assert_eq!(texts(&subnets), [format!("10.50.{third}.0/24")]);
    }
    let error = store.claim(&small.name, &nodes[4]).unwrap_err();
    assert!(
        matches!(error, ClusterError::Full { slots: 4, .. }),
        "{error}"
    );

    store.release(&small.name, &nodes[2]).unwrap();
    store.release(&small.name, &nodes[2]).unwrap();
    let subnets = claim(&mut *store, "small", &nodes[4]);
    assert_eq!(texts(&subnets), ["10.50.2.0/24"]);
}

pub fn a_network_is_removed_when_nobody_has_a_part_of_it(ground: &dyn Ground) {
    let mut store = ground.open();
    let blue = blue();
    store.create_network(&blue).unwrap();
    let a = join(&mut *store, "a", 1);
    claim(&mut *store, "blue", &a);
    let error = store.remove_network(&blue.name).unwrap_err();
    assert!(
        matches!(&error, ClusterError::NetworkInUse { node, .. } if *node == a.name),
        "{error}"
    );
    store.release(&blue.name, &a).unwrap();
    store.remove_network(&blue.name).unwrap();
    let error = store.remove_network(&blue.name).unwrap_err();
    assert!(matches!(error, ClusterError::NetworkUnknown(_)), "{error}");
    assert!(store.read().unwrap().cluster.networks.is_empty());
    store.create_network(&blue).unwrap();
}

pub fn a_claim_and_a_removal_at_once_leave_no_orphan(ground: &dyn Ground) {
    let mut store = ground.open();
    let blue = blue();
    let a = join(&mut *store, "a", 1);
    for _ in 0..10 {
        store.create_network(&blue).unwrap();
        let (claimed, removed) = thread::scope(|scope| {
            let claimed = scope.spawn(|| ground.open().claim(&blue.name, &a).is_ok());
            let removed = scope.spawn(|| ground.open().remove_network(&blue.name).is_ok());
            (claimed.join().unwrap(), removed.join().unwrap())
        });
        assert_ne!(claimed, removed, "exactly one of the two comes first");
        let snapshot = store.read().unwrap();
        assert_eq!(held(&snapshot, "blue").len(), usize::from(claimed));
        if claimed {
            store.release(&blue.name, &a).unwrap();
            store.remove_network(&blue.name).unwrap();
        }
    }
}

pub fn a_removed_node_leaves_nothing_and_may_come_back(ground: &dyn Ground) {
    let mut store = ground.open();
    store.create_network(&blue()).unwrap();
    let (a, b) = (join(&mut *store, "a", 1), join(&mut *store, "b", 2));
    claim(&mut *store, "blue", &a);
    claim(&mut *store, "blue", &b);
    store.remove_node(&a.name).unwrap();
    let error = store.remove_node(&a.name).unwrap_err();
    assert!(matches!(error, ClusterError::NodeUnknown(_)), "{error}");
    let snapshot = store.read().unwrap();
    let nodes: Vec<&NodeName> = snapshot.cluster.nodes.keys().collect();
    assert_eq!(nodes, [&b.name]);

    let c = join(&mut *store, "c", 3);
    assert_eq!(texts(&claim(&mut *store, "blue", &c)), ["10.50.0.0/24"]);
    let error = store.claim(&word("blue"), &a).unwrap_err();
    assert!(matches!(error, ClusterError::NodeUnknown(_)), "{error}");
    join(&mut *store, "a", 1);
    assert_eq!(texts(&claim(&mut *store, "blue", &a)), ["10.50.2.0/24"]);
}

pub fn a_name_has_one_machine(ground: &dyn Ground) {
    let mut store = ground.open();
    store.create_network(&blue()).unwrap();
    let first = join(&mut *store, "a", 1);
    claim(&mut *store, "blue", &first);
    let second = member("a", 2);
    let underlay = ["192.0.2.9".parse().unwrap()];
    let error = store.join(&second, &underlay, NOW).unwrap_err();
    assert!(
        matches!(&error, ClusterError::NodeNameTaken { by, .. } if *by == first.id),
        "{error}"
    );
    // Rebooted, it has the same records.
    store.join(&first, &underlay, NOW + 1).unwrap();
    store.release(&word("blue"), &second).unwrap();
    assert_eq!(held(&store.read().unwrap(), "blue").len(), 1);
}

pub fn a_silent_machine_loses_its_name_and_its_subnets(ground: &dyn Ground) {
    let mut store = ground.open();
    store.create_network(&blue()).unwrap();
    let first = join(&mut *store, "a", 1);
    claim(&mut *store, "blue", &first);
    let later = ground.after_the_grace(&first.name);
    let second = member("a", 2);
    let underlay = ["192.0.2.9".parse().unwrap()];
    store.join(&second, &underlay, later).unwrap();
    assert!(held(&store.read().unwrap(), "blue").is_empty());
    assert_eq!(
        texts(&claim(&mut *store, "blue", &second)),
        ["10.50.0.0/24"]
    );

    let error = store.join(&first, &underlay, later).unwrap_err();
    assert!(
        matches!(error, ClusterError::NodeNameTaken { .. }),
        "{error}"
    );
    let error = store.claim(&word("blue"), &first).unwrap_err();
    assert!(matches!(error, ClusterError::NodeUnknown(_)), "{error}");
}

pub fn silent_nodes_expire_and_no_others(ground: &dyn Ground) {
    let mut store = ground.open();
    store.create_network(&blue()).unwrap();
    let (a, b) = (join(&mut *store, "a", 1), join(&mut *store, "b", 2));
    claim(&mut *store, "blue", &a);
    claim(&mut *store, "blue", &b);
    assert!(store.expire(NOW).unwrap().is_empty());
    let later = ground.after_the_grace(&a.name);
    store
        .join(&b, &["192.0.2.2".parse().unwrap()], later)
        .unwrap();
    assert_eq!(store.expire(later).unwrap(), [a.name]);
    let snapshot = store.read().unwrap();
    assert_eq!(texts(&held(&snapshot, "blue")), ["10.50.1.0/24"]);
    assert!(store.expire(later).unwrap().is_empty());
}

pub fn a_changed_underlay_is_told_and_keeps_the_subnets(ground: &dyn Ground) {
    let mut store = ground.open();
    store.create_network(&blue()).unwrap();
    let a = join(&mut *store, "a", 1);
    let before = claim(&mut *store, "blue", &a);
    let revision = store.read().unwrap().revision;
    let moved = ["198.51.100.7".parse().unwrap()];
    store.join(&a, &moved, NOW + 5).unwrap();
    assert!(store.wait(&revision, WAKE_BOUND).unwrap());
    let snapshot = store.read().unwrap();
    let node = &snapshot.cluster.nodes[&a.name];
    assert_eq!(node.underlay, moved);
    assert_eq!(node.subnets[&word::<NetworkName>("blue")], before);
}

pub fn a_wait_ends_at_a_change_and_not_before(ground: &dyn Ground) {
    let mut store = ground.open();
    let mut since = store.read().unwrap().revision;
    let started = Instant::now();
    assert!(!store.wait(&since, QUIET).unwrap());
    assert!(started.elapsed() >= QUIET);

    // A change that comes between the reading and the wait, and one that comes during it.
    ground.open().create_network(&blue()).unwrap();
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
    since = store.read().unwrap().revision;
    assert!(!store.wait(&since, QUIET).unwrap());
    thread::scope(|scope| {
        let waiting = scope.spawn(|| store.wait(&since, WAKE_BOUND).unwrap());
        join(&mut *ground.open(), "a", 1);
        assert!(waiting.join().unwrap());
    });
    assert!(started.elapsed() < WAKE_BOUND);
}

pub fn a_sign_of_life_wakes_nobody(ground: &dyn Ground) {
    let mut store = ground.open();
    join(&mut *store, "a", 1);
    let since = store.read().unwrap().revision;
    let a = member("a", 1);
    let underlay = ["192.0.2.2".parse().unwrap()];
    store.join(&a, &underlay, NOW + 60).unwrap();
    assert!(!store.wait(&since, QUIET).unwrap());
    let snapshot = store.read().unwrap();
    assert_eq!(snapshot.cluster.nodes[&a.name].seen_at, Some(NOW + 60));
}
