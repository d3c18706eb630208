//! A cluster that a file names.

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use model::{Backend, NetworkName, NodeName, Reach, Span};
use store::cluster::{ClusterError, ClusterStore, Member, Static};

use crate::contract::{NOW, QUIET, WAKE_BOUND, blue, member, texts, word};

const TWO_NODES: &str = r#"
[[node]]
name = "a"
underlay = ["192.0.2.1"]
slot = 0

[[node]]
name = "b"
underlay = ["2001:db8::2", "192.0.2.2"]
slot = 3

[[network]]
name = "blue"
subnets = ["fd00:50::/48", "10.50.0.0/16"]
vni = 4096

[[network]]
name = "green"
subnets = ["10.60.0.0/16"]
node-prefix = { ipv4 = 26 }
vni = 7
backend = "routed"
mtu = 1400
internal = true
"#;

/// A file that goes with the test, in a directory of its own.
struct File(PathBuf);

impl File {
    fn new(text: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("pontoon-cluster-{}-{count}", std::process::id());
        let dir = std::env::temp_dir().join(name);
        // One of a test that was killed, under the same process number.
        let _ = fs::remove_dir_all(&dir);
        fs::create_dir(&dir).unwrap();
        let file = Self(dir.join("cluster.toml"));
        file.write(text);
        file
    }

    fn write(&self, text: &str) {
        fs::write(&self.0, text).unwrap();
    }

    /// As an editor or a deployment does.
    fn replace(&self, text: &str) {
        let aside = self.0.with_extension("new");
        fs::write(&aside, text).unwrap();
        fs::rename(aside, &self.0).unwrap();
    }

    fn open(&self) -> Static {
        Static::new(&self.0)
    }
}

impl Drop for File {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(self.0.parent().unwrap());
    }
}

fn read_fault(text: &str) -> (usize, String) {
    let file = File::new(text);
    match file.open().read().unwrap_err() {
        ClusterError::File { line, fault, .. } => (line, fault.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_network_of_the_file_is_stretched_where_it_says_so() {
    let network = |words: &str| {
        format!("[[network]]\nname = \"blue\"\nsubnets = [\"10.50.0.0/16\"]\nvni = 4096\n{words}\n")
    };
    let span = |words: &str| {
        let cluster = File::new(&network(words)).open().read().unwrap().cluster;
        cluster.networks[&word::<NetworkName>("blue")].span
    };
    assert_eq!(span(""), Span::Node);
    assert_eq!(span("stretch = false"), Span::Node);
    assert_eq!(span("stretch = true"), Span::Stretched);
    assert_eq!(span("backend = \"ipip\""), Span::Node);
    let (line, fault) = read_fault(&network("backend = \"ipip\"\nstretch = true"));
    assert_eq!(line, 2);
    assert!(fault.contains("can't be an overlay"), "{fault}");
}

#[test]
fn the_file_is_the_cluster() {
    let file = File::new(TWO_NODES);
    let cluster = file.open().read().unwrap().cluster;
    let b = &cluster.nodes[&word::<NodeName>("b")];
    assert_eq!(
        b.underlay,
        [word::<std::net::IpAddr>("192.0.2.2"), word("2001:db8::2")]
    );
    let of = |network: &str| texts(&b.subnets[&word::<NetworkName>(network)]);
    assert_eq!(of("blue"), ["10.50.3.0/24", "fd00:50:0:3::/64"]);
    assert_eq!(of("green"), ["10.60.0.192/26"]);
    let green = &cluster.networks[&word::<NetworkName>("green")];
    assert_eq!(
        (green.backend, green.reach),
        (Backend::Routed, Reach::Internal)
    );
    assert_eq!(
        (green.mtu.to_string().as_str(), green.vni.number()),
        ("1400", 7)
    );
    assert_eq!(
        cluster.networks[&word::<NetworkName>("blue")]
            .mtu
            .to_string(),
        "auto"
    );
}

#[test]
fn who_is_in_the_file_has_joined_and_claimed() {
    let file = File::new(TWO_NODES);
    let mut store = file.open();
    let b = member("b", 2);
    let both = ["192.0.2.2".parse().unwrap(), "2001:db8::2".parse().unwrap()];
    store.join(&b, &both, NOW).unwrap();
    let subnets = store.claim(&word("green"), &b).unwrap();
    assert_eq!(texts(&subnets), ["10.60.0.192/26"]);

    let error = store.join(&b, &both[..1], NOW).unwrap_err();
    assert!(
        error.to_string().contains("says 192.0.2.2 and 2001:db8::2"),
        "{error}"
    );
    let stranger = member("c", 3);
    let error = store.join(&stranger, &both, NOW).unwrap_err();
    assert!(
        error.to_string().starts_with("there is no node c in /"),
        "{error}"
    );
    let error = store.claim(&word("red"), &b).unwrap_err();
    assert!(matches!(error, ClusterError::NetworkUnknown(_)), "{error}");
}

#[test]
fn nothing_else_changes_the_file() {
    let file = File::new(TWO_NODES);
    let mut store = file.open();
    let b: Member = member("b", 2);
    for outcome in [
        store.create_network(&blue()),
        store.remove_network(&word("blue")),
        store.release(&word("blue"), &b),
        store.remove_node(&b.name),
    ] {
        let error = outcome.unwrap_err();
        assert!(error.to_string().contains("cluster.toml"), "{error}");
        assert!(matches!(error, ClusterError::ReadOnly { .. }));
    }
    assert!(store.expire(NOW).unwrap().is_empty());
}

#[test]
fn faults_are_told_with_line_and_field() {
    let with = |from: &str, to: &str| read_fault(&TWO_NODES.replacen(from, to, 1));
    for (from, to, line, said) in [
        ("slot = 3", "slot = -1", 10, "in: slot = -1"),
        (
            "slot = 3",
            "slot = 0",
            10,
            "slot 0 of node b is that of node a",
        ),
        (
            "slot = 3",
            "slot = 256",
            10,
            "the network blue has 256 node subnets",
        ),
        ("slot = 3", "", 7, "missing field `slot`"),
        ("slot = 3", "slott = 3", 10, "unknown field `slott`"),
        ("name = \"b\"", "name = \"a\"", 8, "there are two nodes a"),
        ("name = \"b\"", "name = \"../b\"", 8, "in: name = \"../b\""),
        (
            "\"192.0.2.1\"",
            "\"192.0.2.2\"",
            9,
            "192.0.2.2 of node b is that of node a",
        ),
        (
            "\"192.0.2.1\"",
            "\"nowhere\"",
            4,
            "in: underlay = [\"nowhere\"]",
        ),
        ("[\"192.0.2.1\"]", "[]", 4, "is no underlay"),
        (
            "10.50.0.0/16",
            "10.50.0.1/16",
            14,
            "the prefix is 10.50.0.0/16",
        ),
        ("10.60.0.0/16", "10.50.4.0/24", 18, "overlaps 10.50.0.0/16"),
        ("ipv4 = 26", "ipv4 = 8", 19, "/8"),
        ("vni = 7", "vni = 0", 21, "is not a VNI"),
        (
            "vni = 7",
            "vni = 4096",
            18,
            "taken by the overlay network blue",
        ),
        ("\"routed\"", "\"gre\"", 22, "in: backend = \"gre\""),
        ("mtu = 1400", "mtu = 12", 23, "in: mtu = 12"),
        ("internal = true", "internal = 1", 24, "in: internal = 1"),
        ("[[node]]", "[[node]", 2, "in: [[node]"),
    ] {
        let (at, fault) = with(from, to);
        assert!(fault.contains(said), "{to:?}: {fault}");
        assert_eq!(at, line, "{to:?}: {fault}");
    }
}

#[test]
fn a_changed_file_ends_a_wait_and_an_untouched_one_does_not() {
    let file = File::new(TWO_NODES);
    let mut store = file.open();
    let since = store.read().unwrap().revision;
    assert!(!store.wait(&since, QUIET).unwrap());
    // Neighbours in the directory are not it, nor is the same text again.
    fs::write(file.0.with_extension("bak"), "x").unwrap();
    file.replace(TWO_NODES);
    assert!(!store.wait(&since, QUIET).unwrap());

    let more = TWO_NODES.replace("slot = 3", "slot = 4");
    thread::scope(|scope| {
        let waiting = scope.spawn(|| store.wait(&since, WAKE_BOUND).unwrap());
        file.replace(&more);
        assert!(waiting.join().unwrap());
    });
    let since = store.read().unwrap().revision;
    file.write(TWO_NODES);
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
}

#[test]
fn a_broken_file_is_told_once_and_the_whole_one_again() {
    let file = File::new(TWO_NODES);
    let mut store = file.open();
    let since = store.read().unwrap().revision;
    file.write("[[node");
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
    assert!(store.read().is_err());
    assert!(!store.wait(&since, QUIET).unwrap());
    fs::remove_file(&file.0).unwrap();
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
    let error = store.read().unwrap_err();
    assert!(matches!(error, ClusterError::ReadFile { .. }), "{error}");
    assert!(!store.wait(&since, QUIET).unwrap());
    file.replace(&TWO_NODES.replace("slot = 3", "slot = 5"));
    assert!(store.wait(&since, WAKE_BOUND).unwrap());
    store.read().unwrap();
}
