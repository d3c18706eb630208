//! A server that goes, comes back, forgets, or answers no more.

use std::thread;
use std::time::{Duration, Instant};

use store::cluster::{ClusterError, ClusterStore, SILENT_GRACE_SECS};
use store_etcd::{Etcd, EtcdSettings};
use testnet::wait_until;

use crate::contract::{NOW, QUIET, WAKE_BOUND, blue, claim, join, member, overlay, word};
use crate::server::{ADDRESS, OTHER_ADDRESS, Server, start_pair};

/// How long it may take to notice that a server answers no more, and to ask another.
const NOTICE_BOUND: Duration = Duration::from_secs(15);

#[test]
fn a_server_that_is_down_is_told_and_forgiven() {
    let server = Server::start();
    let mut store = server.etcd();
    store.create_network(&blue()).unwrap();
    let a = join(&mut store, "a", 1);
    let before = claim(&mut store, "blue", &a);
    let since = store.read().unwrap().revision;

    server.kill();
    let started = Instant::now();
    for error in [
        store.read().map(drop).unwrap_err(),
        store.wait(&since, WAKE_BOUND).map(drop).unwrap_err(),
        store.claim(&word("blue"), &a).map(drop).unwrap_err(),
        store
            .join(&a, &["192.0.2.2".parse().unwrap()], NOW)
            .unwrap_err(),
    ] {
        assert!(
            matches!(error, ClusterError::Unavailable { .. }),
            "{error:?}"
        );
        assert!(error.is_passing());
    }
    assert!(started.elapsed() < NOTICE_BOUND, "{:?}", started.elapsed());

    server.restart(|| server.etcd());
    assert_eq!(claim(&mut store, "blue", &a), before);
    assert!(!store.wait(&since, QUIET).unwrap());
    let mut other = server.etcd();
    join(&mut other, "b", 2);
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
}

#[test]
fn a_wait_ends_when_its_server_does() {
    let server = Server::start();
    let mut store = server.etcd();
    let since = store.read().unwrap().revision;
    thread::scope(|scope| {
        let waiting = scope.spawn(|| store.wait(&since, WAKE_BOUND * 3));
        wait_until("the watch is there", WAKE_BOUND, || watchers(&server) == 1);
        let started = Instant::now();
        server.kill();
        let outcome = waiting.join().unwrap();
        assert!(matches!(outcome, Ok(true)), "{outcome:?}");
        assert!(started.elapsed() < WAKE_BOUND);
    });
    assert!(store.read().unwrap_err().is_passing());
}

/// How many watches the server has.
fn watchers(server: &Server) -> u32 {
    let url = format!("http://{ADDRESS}/metrics");
    let metrics = server.node.sh(&format!("curl -sf {url}"));
    let line = metrics
        .lines()
        .find_map(|line| line.strip_prefix("etcd_debugging_mvcc_watcher_total "));
    line.unwrap().parse().unwrap()
}

#[test]
fn what_was_compacted_away_wakes_who_did_not_see_it() {
    let server = Server::start();
    let mut store = server.etcd();
    let mut since = store.read().unwrap().revision;
    server.etcd().create_network(&blue()).unwrap();
    for n in ["1", "2", "3"] {
        server.ctl(&["put", "/other", n]);
    }
    server.ctl(&["compact", &server.revision()]);
    let started = Instant::now();
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
    assert!(started.elapsed() < WAKE_BOUND);
    since = store.read().unwrap().revision;
    assert!(!store.wait(&since, QUIET).unwrap());
    join(&mut server.etcd(), "a", 1);
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
}

#[test]
fn a_server_restored_from_the_past_wakes_and_is_believed() {
    let server = Server::start();
    let mut store = server.etcd();
    store.create_network(&blue()).unwrap();
    let a = join(&mut store, "a", 1);
    server.ctl(&["snapshot", "save", "/run/past.db"]);
    let b = join(&mut store, "b", 2);
    let of_b = claim(&mut store, "blue", &b);
    let since = store.read().unwrap().revision;

    server.kill();
    server.restore("/run/past.db");
    server.restart(|| server.etcd());
    let started = Instant::now();
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
    assert!(started.elapsed() < WAKE_BOUND);
    let nodes = store.read().unwrap().cluster.nodes;
    assert_eq!(nodes.keys().collect::<Vec<_>>(), [&a.name]);
    // Who is still there says so, and claims again.
    let error = store.claim(&word("blue"), &b).unwrap_err();
    assert!(matches!(error, ClusterError::NodeUnknown(_)), "{error}");
    join(&mut store, "b", 2);
    assert_eq!(claim(&mut store, "blue", &b), of_b);
}

#[test]
fn a_server_that_answers_no_more_is_left_for_another() {
    let server = Server::start();
    let endpoints = vec![ADDRESS.to_owned(), OTHER_ADDRESS.to_owned()];
    let mut store = Etcd::new(EtcdSettings::new(endpoints)).unwrap();
    let since = store.read().unwrap().revision;
    let mut waiting = Etcd::new(server.settings()).unwrap();
    thread::scope(|scope| {
        let wait = scope.spawn(|| {
            let started = Instant::now();
            let outcome = waiting.wait(&since, NOTICE_BOUND * 3);
            (outcome, started.elapsed())
        });
        wait_until("the watch is there", WAKE_BOUND, || watchers(&server) == 1);
        server.node.sh(
            "nft 'table inet hole { chain in { type filter hook input priority 0; \
             ip daddr 127.0.0.1 tcp dport 2379 drop; }; }'",
        );
        let started = Instant::now();
        store.read().unwrap();
        assert!(started.elapsed() < NOTICE_BOUND, "{:?}", started.elapsed());
        let (outcome, took) = wait.join().unwrap();
        assert!(matches!(outcome, Ok(true)), "{outcome:?}");
        assert!(took < NOTICE_BOUND, "{took:?}");
    });
    // The good one is asked first from now on.
    let started = Instant::now();
    store.read().unwrap();
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[test]
fn a_server_that_hangs_is_told_within_a_bound() {
    let server = Server::start();
    let mut store = server.etcd();
    let since = store.read().unwrap().revision;
    server.signal("STOP");
    let started = Instant::now();
    let error = store.read().unwrap_err();
    assert!(
        matches!(error, ClusterError::Unavailable { .. }),
        "{error:?}"
    );
    let error = store.wait(&since, QUIET).unwrap_err();
    assert!(
        matches!(error, ClusterError::Unavailable { .. }),
        "{error:?}"
    );
    assert!(started.elapsed() < NOTICE_BOUND, "{:?}", started.elapsed());
    server.signal("CONT");
    store.read().unwrap();
}

#[test]
fn a_server_without_the_others_says_so() {
    let (server, mut second) = start_pair();
    let mut store = server.etcd();
    store.create_network(&blue()).unwrap();
    let since = store.read().unwrap().revision;
    thread::scope(|scope| {
        let mut waiting = server.etcd();
        let wait = scope.spawn(move || waiting.wait(&since, NOTICE_BOUND * 3));
        wait_until("the watch is there", WAKE_BOUND, || watchers(&server) == 1);
        let started = Instant::now();
        second.kill();
        let error = store.read().unwrap_err();
        assert!(
            matches!(error, ClusterError::Unavailable { .. }),
            "{error:?}"
        );
        let outcome = wait.join().unwrap();
        assert!(matches!(outcome, Ok(true)), "{outcome:?}");
        assert!(started.elapsed() < NOTICE_BOUND, "{:?}", started.elapsed());
    });
    assert!(store.wait(&since, QUIET).unwrap_err().is_passing());
}

#[test]
fn a_node_without_a_sign_of_life_expires_by_the_servers_clock() {
    let server = Server::start();
    let settings = EtcdSettings {
        silent_grace: Duration::from_secs(2),
        ..server.settings()
    };
    let mut short = Etcd::new(settings).unwrap();
    let mut store = server.etcd();
    join(&mut short, "brief", 1);
    join(&mut store, "steady", 2);
    // Whatever this node's clock says.
    assert!(
        store
            .expire(NOW + 10 * SILENT_GRACE_SECS)
            .unwrap()
            .is_empty()
    );
    let mut expired = Vec::new();
    wait_until("the lease's end", WAKE_BOUND, || {
        expired.extend(store.expire(NOW).unwrap());
        !expired.is_empty()
    });
    assert_eq!(expired, [word("brief")]);
}

#[test]
fn a_lost_lease_is_granted_anew() {
    let server = Server::start();
    let mut store = server.etcd();
    let a = join(&mut store, "a", 1);
    let leases = server.ctl(&["lease", "list"]);
    let lease = leases.lines().last().unwrap();
    server.ctl(&["lease", "revoke", lease]);
    let underlay = ["192.0.2.2".parse().unwrap()];
    store.join(&a, &underlay, NOW + 7).unwrap();
    store.join(&a, &underlay, NOW + 8).unwrap();
    let snapshot = store.read().unwrap();
    assert_eq!(snapshot.cluster.nodes[&a.name].seen_at, Some(NOW + 8));
    assert_ne!(server.ctl(&["lease", "list"]), leases);
}

#[test]
fn two_clusters_in_one_etcd_know_nothing_of_each_other() {
    let server = Server::start();
    let within = |prefix: &str| {
        let settings = EtcdSettings {
            prefix: prefix.to_owned(),
            ..server.settings()
        };
        Etcd::new(settings).unwrap()
    };
    let (mut one, mut other) = (within("/pontoon"), within("/pontoon/b/"));
    one.create_network(&blue()).unwrap();
    let since = one.read().unwrap().revision;
    other
        .create_network(&overlay("blue", 4096, &[("10.50.0.0/15", 24)]))
        .unwrap();
    let (mine, theirs) = (join(&mut one, "a", 1), join(&mut other, "a", 2));
    let of_one = claim(&mut one, "blue", &mine);
    assert_eq!(claim(&mut other, "blue", &theirs), of_one);
    assert_eq!(one.read().unwrap().cluster.nodes.len(), 1);
    assert!(one.read().unwrap().unreadable.is_empty());

    let since_all = one.read().unwrap().revision;
    other.remove_node(&member("a", 2).name).unwrap();
    assert!(!one.wait(&since_all, QUIET).unwrap());
    assert!(one.wait(&since, QUIET).unwrap());
}
