//! Targets and named namespaces against a real kernel.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::{alias, apply, interest, named, state};
use kernel::{Kernel, KernelError};
use model::Target;
use netstate::{KernelState, Plan, Step};
use testnet::Node;

/// How long a process may take to start.
const BOUND: std::time::Duration = std::time::Duration::from_secs(10);

fn path(text: &str) -> Target {
    Target::Path(text.to_owned())
}

fn add(name: &str) -> Plan {
    Plan {
        steps: vec![Step::AddNetns(name.to_owned(), alias("test"))],
    }
}

fn del(name: &str) -> Plan {
    Plan {
        steps: vec![Step::DelNetns(name.to_owned())],
    }
}

#[test]
fn only_network_namespaces_are_targets() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("cd /run
         touch plain netns/half
         ln -s nowhere dangling
         mkfifo pipe
         touch uts; unshare --uts=/run/uts true
         ip netns add box; ln -s netns/box link");
    for (text, missing) in [
        ("/run/plain", false),
        ("/run/netns/half", false),
        ("/run/netns", false),
        ("/run/pipe", false),
        ("/run/uts", false),
        ("/proc/self/ns/uts", false),
        ("/run/dangling", true),
        ("/run/nothing", true),
        ("/run/plain/below", true),
    ] {
        let error = kernel.identify(&path(text)).unwrap_err();
        match error {
            KernelError::TargetMissing(_) => assert!(missing, "{text}"),
            KernelError::TargetNotNetns(_) => assert!(!missing, "{text}"),
            error => panic!("{text}: {error}"),
        }
    }
    let boxed = kernel.identify(&named("box")).unwrap();
    assert_eq!(kernel.identify(&path("/run/link")).unwrap(), boxed);
    assert_ne!(kernel.node_netns().unwrap(), boxed);
    assert_eq!(kernel.node_netns().unwrap().boot, boxed.boot);
}

#[test]
fn the_node_itself_is_no_target() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("touch /run/netns/me; mount --bind /proc/self/ns/net /run/netns/me");
    for target in [named("me"), path("/proc/thread-self/ns/net")] {
        let error = kernel.identify(&target).unwrap_err();
        assert!(matches!(error, KernelError::TargetIsNode(_)), "{error}");
    }
}

#[test]
fn a_name_that_changed_hands_is_another_namespace() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("ip netns add box");
    let first = kernel.identify(&named("box")).unwrap();
    assert!(kernel.target_is_alive(&named("box"), &first).unwrap());
    node.sh("ip netns del box");
    assert!(!kernel.target_is_alive(&named("box"), &first).unwrap());
    node.sh("ip netns add box");
    assert!(!kernel.target_is_alive(&named("box"), &first).unwrap());
    let second = kernel.identify(&named("box")).unwrap();
    assert_ne!(first, second);
}

#[test]
fn a_named_namespace_goes_round() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    assert!(apply(&mut kernel, &add("box")).is_success());
    assert_eq!(node.sh("ip netns list").trim(), "box");
    node.sh("ip -n box link set lo up");
    let ours = kernel.identify(&named("box")).unwrap();
    assert_eq!(
        Kernel::open().unwrap().identify(&named("box")).unwrap(),
        ours
    );
    let again = apply(&mut kernel, &add("box"));
    assert!(
        matches!(&again.failed[0].1, KernelError::NetnsExists(name) if name == "box"),
        "{again:?}"
    );
    assert!(apply(&mut kernel, &del("box")).is_success());
    assert_eq!(node.sh("ip netns list; ls /run/netns"), "");
    // And what `ip netns` made, we remove; what we made, it removes.
    node.sh("ip netns add box");
    assert!(apply(&mut kernel, &del("box")).is_success());
    assert!(apply(&mut kernel, &add("box")).is_success());
    node.sh("ip netns del box");
    assert_eq!(node.sh("ls /run/netns"), "");
}

#[test]
fn the_directory_is_made_and_shared() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("rmdir /run/netns");
    assert!(apply(&mut kernel, &add("box")).is_success());
    let mounts = node.sh("cat /proc/thread-self/mountinfo");
    let shared = mounts
        .lines()
        .any(|line| line.contains(" /run/netns ") && line.contains("shared:"));
    assert!(shared, "{mounts}");
    node.sh("ip netns add other; ip netns exec box true; ip netns del box; ip netns del other");
}

#[test]
fn what_is_left_of_a_half_made_namespace_is_seen_and_removed() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("touch /run/netns/half; chmod 0 /run/netns/half");
    let mut wanted = interest(&KernelState::default());
    wanted.namespaces = BTreeSet::from(["half".to_owned(), "none".to_owned()]);
    let observed = kernel.observe(&wanted).unwrap();
    assert_eq!(observed.namespaces.keys().collect::<Vec<_>>(), ["half"]);
    assert!(kernel::netns_exists("half"));
    assert!(apply(&mut kernel, &del("half")).is_success());
    assert_eq!(node.sh("ls /run/netns"), "");
    assert!(apply(&mut kernel, &del("half")).is_success());
}

#[test]
fn only_namespaces_with_our_mark_are_seen() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("ip netns add foreign; ip -n foreign link set lo alias 'pontoon 00000000000000ff x'");
    assert!(apply(&mut kernel, &add("ours")).is_success());
    let mut wanted = interest(&KernelState::default());
    wanted.namespaces = BTreeSet::from(["foreign".to_owned(), "ours".to_owned()]);
    let observed = kernel.observe(&wanted).unwrap();
    let ours = ("ours".to_owned(), alias("test"));
    assert_eq!(observed.namespaces, BTreeMap::from([ours]));
}

#[test]
fn targets_that_are_gone_are_absent() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("ip netns add box2; touch /run/netns/box3");
    let observed = kernel.observe(&interest(&state(3))).unwrap();
    let half_made = ("box3".to_owned(), alias("half made"));
    let wanted = KernelState {
        namespaces: BTreeMap::from([half_made]),
        sysctls: observed.sysctls.clone(),
        ..KernelState::default()
    };
    assert_eq!(observed, wanted);
}

#[test]
fn more_targets_than_are_kept_open_are_observed() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state(70);
    common::build(&mut kernel, &wanted);
    assert_eq!(common::heal(&mut kernel, &wanted), 0);
    node.sh("ip -n box3 link set eth0 mtu 1300");
    assert_eq!(common::heal(&mut kernel, &wanted), 1);
}

#[test]
fn the_namespace_of_a_process_is_a_target() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("ip netns add box");
    let boxed = kernel.identify(&named("box")).unwrap();
    let holder = node
        .command("ip")
        .args(["netns", "exec", "box", "sleep", "60"])
        .spawn();
    let mut holder = holder.unwrap();
    let target = Target::Pid(holder.id());
    testnet::wait_until("the process is in its namespace", BOUND, || {
        kernel.identify(&target).is_ok_and(|id| id == boxed)
    });
    holder.kill().unwrap();
    holder.wait().unwrap();
    let error = kernel.identify(&target).unwrap_err();
    assert!(matches!(error, KernelError::TargetMissing(_)), "{error}");
}
