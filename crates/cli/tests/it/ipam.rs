//! `pontoon ipam audit`: who has each address, and what `--fix` frees.

use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::{
    AttachRequest, DetachRequest, Detachee, Engine, Mode, NetnsAfter, NetnsBefore, NetworkChoice,
    Settings,
};
use model::CniAttachment;
use serde_json::{Value, json};
use testnet::output;

use crate::node::PontoonNode;

const KILLED: i32 = 128 + 9;
const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";

fn web() -> PontoonNode {
    let node = PontoonNode::new();
    node.pontoon("network create web --subnet 10.5.0.0/24");
    node
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// The engine as a runtime's plugin calls it, at this time.
fn engine(dir: &Path, now_secs: u64) -> Engine {
    Engine::new(Settings {
        state_dir: dir.to_owned(),
        now_secs,
        random: 7,
        lock_wait: Duration::from_secs(30),
        announce: |_| {},
    })
}

fn attach(node: &PontoonNode, target: &str, container: &str, at: u64) {
    node.sh(&format!("ip netns add {target}"));
    let request = AttachRequest {
        network: NetworkChoice::Existing("web".parse().unwrap()),
        target: target.parse().unwrap(),
        cni: Some(CniAttachment {
            container: container.parse().unwrap(),
            list: "podman".parse().unwrap(),
        }),
        before: NetnsBefore::Exists,
        name: None,
        addresses: Vec::new(),
        mac: None,
        ifname: None,
        publish: Vec::new(),
        rates: model::Rates::default(),
        aliases: Vec::new(),
    };
    let engine = engine(node.state_dir(), at);
    engine.attach(&request, Mode::Apply).unwrap();
}

/// Kills `pontoon` at a point of its way, as debug builds can be.
fn kill(node: &PontoonNode, at: &str, line: &str) {
    let out = output(node.command(line).env("PONTOON_KILL_AT", at));
    assert_eq!(out.code, KILLED, "{line}: {out}");
}

/// What an audit prints, and its exit code.
fn audit(node: &PontoonNode, words: &str) -> (Value, i32) {
    let out = node.try_pontoon(&format!("ipam audit --json {words}"));
    let document: Value = serde_json::from_str(&out.stdout).unwrap_or_else(|_| panic!("{out}"));
    (document, out.code)
}

fn states(document: &Value) -> Vec<(String, String)> {
    let all = document["addresses"].as_array().unwrap().iter();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    all.map(|a| (text(&a["address"]), text(&a["state"])))
        .collect()
}

fn pairs(wanted: &[(&str, &str)]) -> Vec<(String, String)> {
    let owned = |(a, b): &(&str, &str)| (a.to_string(), b.to_string());
    wanted.iter().map(owned).collect()
}

/// Alive, dead, given to another namespace, two left half way, and one that rests.
fn crowd() -> PontoonNode {
    let node = web();
    node.sh("for n in alive dead moved going; do ip netns add $n; done");
    for name in ["alive", "dead", "moved", "going"] {
        node.pontoon(&format!("attach web {name}"));
    }
    node.pontoon("attach web gone --create");
    node.pontoon("detach gone --delete");
    node.sh("ip netns del dead; ip netns del moved; ip netns add moved");
    kill(&node, "1", "detach going");
    kill(&node, "1", "attach web coming --create");
    node
}

const CROWD: [(&str, &str); 6] = [
    ("10.5.0.2", "in_use"),
    ("10.5.0.3", "dead"),
    ("10.5.0.4", "dead"),
    ("10.5.0.5", "unfinished"),
    ("10.5.0.6", "resting"),
    ("10.5.0.7", "unfinished"),
];

#[test]
fn every_address_has_its_state() {
    let node = crowd();
    // Not the devices: the kernel takes away those of the dead in its own time.
    let kept = || {
        let state = node.state_dir().display();
        node.sh(&format!(
            "nft -s list ruleset; ls /run/netns; md5sum {state}/records.db {state}/records.db-wal"
        ))
    };
    let before = kept();
    let (document, code) = audit(&node, "");
    assert_eq!(code, 10);
    assert_eq!(states(&document), pairs(&CROWD));
    let all = &document["addresses"];
    for (n, owner, why) in [
        (0, "alive", Value::Null),
        (1, "dead", json!("namespace_gone")),
        (2, "moved", json!("namespace_gone")),
        (3, "going", json!("detach_unfinished")),
        (5, "coming", json!("attach_unfinished")),
    ] {
        let one = &all[n];
        assert_eq!(one["network"], "web");
        assert_eq!(
            (&one["owner"], &one["target"]),
            (&json!(owner), &json!(owner))
        );
        assert_eq!(one["why"], why, "{one}");
        assert!(one["age_secs"].as_u64().unwrap() < 60, "{one}");
        assert_eq!(one.get("container"), None);
    }
    let left = all[4]["left_secs"].as_u64().unwrap();
    assert!(
        (1..=60).contains(&left) && all[4].get("owner").is_none(),
        "{document}"
    );

    let text = node.try_pontoon("ipam audit").stdout;
    for part in [
        "NETWORK  ADDRESS",
        "in use",
        "dead: its namespace is gone",
        "unfinished: attaching it was never finished",
        "unfinished: detaching it was never finished",
        "s more",
    ] {
        assert!(text.contains(part), "no {part} in\n{text}");
    }
    // It has only looked.
    assert_eq!(kept(), before);
    assert_eq!(states(&audit(&node, "").0), pairs(&CROWD));
}

#[test]
fn fix_frees_what_is_dead_or_unfinished() {
    let node = crowd();
    let (document, code) = audit(&node, "--fix");
    assert_eq!(code, 0, "{document:#}");
    let released = document["fixed"]["released"].as_array().unwrap();
    let mut names: Vec<_> = released
        .iter()
        .map(|r| r["name"].as_str().unwrap())
        .collect();
    names.sort_unstable();
    assert_eq!(names, ["coming", "dead", "going", "moved"]);
    let after = CROWD.map(|(address, state)| match state {
        "in_use" => (address, state),
        _ => (address, "resting"),
    });
    assert_eq!(states(&document), pairs(&after));
    node.assert_settled();
    assert_eq!(audit(&node, "").1, 0);
    let (document, code) = audit(&node, "--fix");
    assert_eq!((&document["fixed"]["released"], code), (&json!([]), 0));
}

#[test]
fn fix_says_what_it_freed() {
    let node = web();
    node.pontoon("attach web a --create");
    assert!(
        node.pontoon("ipam audit --fix")
            .starts_with("nothing to free\nNETWORK")
    );
    node.sh("ip netns del a");
    let said = node.pontoon("ipam audit --fix");
    let freed = "released endpoint web/a (a): its namespace is gone\n";
    assert!(said.starts_with(freed), "{said}");
    node.pontoon("attach web b --create --ip 10.5.0.2");
}

#[test]
fn one_network_can_be_asked_for() {
    let node = web();
    node.pontoon("network create blue --subnet 10.6.0.0/24 --subnet fd00:6::/64");
    node.pontoon("attach web a --create");
    node.pontoon("attach blue b --create");
    node.sh("ip netns del a");
    let (document, code) = audit(&node, "blue");
    let both = [("10.6.0.2", "in_use"), ("fd00:6::2", "in_use")];
    assert_eq!((states(&document), code), (pairs(&both), 0));
    assert_eq!(audit(&node, "web").1, 10);
    // By network's name, then by address.
    let all = states(&audit(&node, "").0);
    assert_eq!(all[2], ("10.5.0.2".to_owned(), "dead".to_owned()));
    assert!(node.refused("ipam audit nope", 3).contains("nope"));
    assert!(node.refused("ipam audit nope --fix", 3).contains("nope"));
    node.refused("ipam audit ../x", 2);
    assert_eq!(audit(&node, "web").1, 10);
}

#[test]
fn nothing_is_held_where_there_is_nothing() {
    let node = PontoonNode::new();
    assert_eq!(audit(&node, ""), (json!({"addresses": []}), 0));
    assert_eq!(std::fs::read_dir(node.state_dir()).unwrap().count(), 0);
}

#[test]
fn containers_and_ages_are_shown() {
    let node = web();
    let id = "4f1b".repeat(16);
    attach(&node, "pod", &id, now() - 3 * 3600 - 59);
    // The clock was set back since.
    attach(&node, "early", "c2", now() + 1_000_000);
    let (document, code) = audit(&node, "");
    let [pod, early] = [0, 1].map(|n| &document["addresses"][n]);
    assert_eq!((&pod["container"], code), (&json!(id), 0));
    let age = pod["age_secs"].as_u64().unwrap();
    assert!((10_859..10_919).contains(&age), "{pod}");
    assert_eq!(
        (&early["container"], &early["age_secs"]),
        (&json!("c2"), &json!(0))
    );
    let text = node.pontoon("ipam audit");
    assert!(
        text.contains(&format!("{id}  3h ")) && text.contains(" 0s "),
        "{text}"
    );
    // Released in what is the future now: as good as rested.
    let request = DetachRequest {
        who: Detachee::Target("early".parse().unwrap()),
        network: None,
        after: NetnsAfter::Keep,
    };
    let later = engine(node.state_dir(), now() + 1_000_000);
    later.detach(&request, Mode::Apply).unwrap();
    assert_eq!(
        states(&audit(&node, "").0),
        pairs(&[("10.5.0.2", "in_use")])
    );
}

#[test]
fn what_is_on_its_way_is_not_taken_for_dead() {
    let node = web();
    let spawn = |n: usize| {
        let mut command = node.command(&format!("attach web c{n} --create"));
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let mut children: Vec<_> = (0..20).map(spawn).collect();
    while children
        .iter_mut()
        .any(|child| child.try_wait().unwrap().is_none())
    {
        let (document, code) = audit(&node, "");
        assert_eq!(code, 0, "{document:#}");
    }
    let (document, _) = audit(&node, "");
    assert_eq!(document["addresses"].as_array().unwrap().len(), 20);
}

#[test]
fn after_a_reboot_all_are_dead() {
    let node = web();
    node.pontoon("attach web a --create");
    std::fs::write("/run/boot_id", "00000000-0000-4000-8000-000000000001\n").unwrap();
    node.sh(&format!("mount --bind /run/boot_id {BOOT_ID}"));
    let (document, code) = audit(&node, "");
    assert_eq!(
        (states(&document), code),
        (pairs(&[("10.5.0.2", "dead")]), 10)
    );
    let (document, code) = audit(&node, "--fix");
    assert_eq!(
        (states(&document), code),
        (pairs(&[("10.5.0.2", "resting")]), 0)
    );
    node.pontoon("attach web b --create");
    node.assert_settled();
}

#[test]
fn in_another_namespace_the_records_refuse() {
    let node = web();
    node.pontoon("attach web a --create");
    node.sh("ip netns add other");
    let pontoon = crate::node::PONTOON;
    for words in ["", "--fix"] {
        let out = node.try_sh(&format!("ip netns exec other {pontoon} ipam audit {words}"));
        assert!(
            out.code == 4 && out.stderr.contains("another network namespace"),
            "{out}"
        );
    }
    assert_eq!(audit(&node, "").1, 0);
}

#[test]
fn no_lock_is_waited_for_unless_something_is_freed() {
    let node = web();
    node.pontoon("attach web a --create");
    let lock = store::NodeLock::acquire(node.state_dir(), Duration::from_secs(30)).unwrap();
    assert_eq!(audit(&node, "--fix --lock-wait 0").1, 0);
    node.sh("ip netns del a");
    assert_eq!(audit(&node, "--lock-wait 0").1, 10);
    node.refused("ipam audit --fix --lock-wait 0", 7);
    drop(lock);
    assert_eq!(audit(&node, "--fix").1, 0);
}
