//! What the monitor takes for news, and what not. Each test has namespaces of its own.

#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "tests")]

mod common;

use std::time::{Duration, Instant};

use common::overlay::{routed, underlay};
use common::{alias, apply, build, endpoint, network, state};
use kernel::{Kernel, Monitor, News};
use model::Family;
use netstate::nft::NftFamily;
use netstate::{KernelState, Plan, Step, diff};
use testnet::Node;

/// Within this what is news must be told.
const BOUND: Duration = Duration::from_secs(5);
/// A burst of changes has ended when nothing has changed for so long.
const BURST_END: Duration = Duration::from_millis(50);
/// For so long nothing is told where nothing is to be told.
const SILENCE: Duration = Duration::from_millis(300);

/// Whether there is nothing to look for.
fn is_quiet(monitor: &mut Monitor) -> bool {
    match monitor.wait(SILENCE).unwrap() {
        News::Changed => false,
        News::OthersRules | News::Endpoints => is_quiet(monitor),
        News::Nothing => true,
    }
}

/// What was caused before is told before what is asked about.
fn wait_for_quiet(monitor: &mut Monitor) {
    let end = Instant::now() + BOUND;
    while !is_quiet(monitor) {
        assert!(Instant::now() < end, "it never becomes quiet");
    }
}

fn assert_news(node: &Node, monitor: &mut Monitor, change: &str) {
    wait_for_quiet(monitor);
    node.sh(change);
    let begin = Instant::now();
    assert_eq!(monitor.wait(BOUND).unwrap(), News::Changed, "{change}");
    println!("{} ms until {change} is told", begin.elapsed().as_millis());
}

fn assert_no_news(node: &Node, monitor: &mut Monitor, change: &str) {
    wait_for_quiet(monitor);
    node.sh(change);
    assert!(is_quiet(monitor), "{change} is no news");
}

#[test]
fn what_strangers_do_to_ours_is_news() {
    let node = Node::new();
    underlay(&node);
    let mut kernel = Kernel::open().unwrap();
    let mut monitor = Monitor::open().unwrap();
    let mut wanted = network();
    wanted.extend(routed(Family::Ipv4, 1));
    wanted.extend(endpoint(1));
    build(&mut kernel, &wanted);
    let tables = Plan {
        steps: vec![Step::AddTable(NftFamily::Inet, alias("tables").to_string())],
    };
    assert!(apply(&mut kernel, &tables).is_success());
    node.sh("ip route add default via 192.0.2.2");
    for change in [
        "nft add chain inet pontoon mine",
        "nft flush ruleset",
        "ip neigh del 10.50.2.0 dev pv-42",
        "ip neigh replace fd50:2:: lladdr 02:00:00:00:00:09 dev pv-42 nud reachable",
        "bridge fdb del $(bridge fdb show dev pv-42 | cut -d' ' -f1) dev pv-42",
        "ip route flush proto 112",
        "echo 0 > /proc/sys/net/ipv4/ip_forward",
        "echo 0 > /proc/sys/net/ipv6/conf/all/forwarding",
        "ip addr del 10.9.0.1/24 dev pt-web",
        "ip link set pt1 nomaster",
        "ip link set pt-web mtu 1300",
        "ip link set pt-web down",
        "ip link del pv-42",
        "ip link del pt1",
        "ip link del pt-web",
        "ip route del default",
        "ip link set u0 mtu 1400",
        "ip link set u0 down",
        "ip link set u0 name wan",
        "ip link set wan up",
        "ip addr del 192.0.2.1/24 dev wan",
        "ip addr add 192.0.2.7/24 dev wan",
        "ip link del wan",
    ] {
        assert_news(&node, &mut monitor, change);
    }
    wait_for_quiet(&mut monitor);
}

#[test]
fn endpoints_that_come_and_go_by_us_are_no_news() {
    let _node = Node::new();
    let mut monitor = Monitor::open().unwrap();
    let mut kernel = Kernel::open().unwrap();
    build(&mut kernel, &state(1));
    wait_for_quiet(&mut monitor);
    for number in 2..20 {
        // Another process, as far as the kernel knows.
        let mut kernel = Kernel::open().unwrap();
        let plan = diff(&KernelState::default(), &endpoint(number));
        assert!(apply(&mut kernel, &plan).is_success());
        let plan = diff(&endpoint(number), &KernelState::default());
        assert!(apply(&mut kernel, &plan).is_success());
    }
    assert!(is_quiet(&mut monitor));
    let add = diff(&KernelState::default(), &endpoint(20));
    let remove = diff(&endpoint(20), &KernelState::default());
    for plan in [add, remove] {
        assert!(apply(&mut kernel, &plan).is_success());
        let mut told = || monitor.wait(BOUND).unwrap() == News::Endpoints;
        // A device that is half made or half gone may be suspicious for a moment.
        assert!(told() || told(), "{plan}");
        wait_for_quiet(&mut monitor);
    }
}

#[test]
fn what_strangers_do_among_themselves_is_no_news() {
    let node = Node::new();
    underlay(&node);
    let mut kernel = Kernel::open().unwrap();
    build(&mut kernel, &state(1));
    let mut monitor = Monitor::open().unwrap();
    for change in [
        "for n in $(seq 40); do echo link add v$n type veth peer name w$n; \
         echo link set v$n up; echo link set w$n up; done | ip -batch -",
        "ip link add other type bridge; ip link set v1 master other; ip link set other up",
        "ip route add 10.77.0.0/16 via 192.0.2.2; ip route del 10.77.0.0/16",
        "nft add table inet other; nft add chain inet other c; nft delete table inet other",
        "ip neigh add 192.0.2.77 lladdr 02:00:00:00:00:01 dev u0; ip neigh flush dev u0",
        "ip netns add box; ip link set w2 netns box; ip netns del box",
        "for n in $(seq 3 40); do echo link del v$n; done | ip -batch -",
    ] {
        assert_no_news(&node, &mut monitor, change);
    }
}

#[test]
fn somebodys_rules_are_told_apart() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    build(&mut kernel, &state(1));
    let mut monitor = Monitor::open().unwrap();
    wait_for_quiet(&mut monitor);
    for change in [
        "nft add table inet foreign",
        "nft add chain inet foreign c",
        "nft add rule inet foreign c drop",
        "nft delete table inet foreign",
    ] {
        node.sh(change);
        let told = monitor.wait(BOUND).unwrap();
        assert_eq!(told, News::OthersRules, "{change}");
        wait_for_quiet(&mut monitor);
    }
}

#[test]
fn who_goes_on_changing_things_does_not_keep_it_from_telling() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    build(&mut kernel, &state(1));
    let mut monitor = Monitor::open().unwrap();
    let begun = Instant::now();
    let told = std::thread::scope(|scope| {
        let script = "i=0; while [ $i -lt 300 ]; do ip link set pt1 mtu $((1300 + i % 2)); \
                      i=$((i+1)); done";
        let flood = scope.spawn(|| node.sh(script));
        let mut told = 0;
        while !flood.is_finished() {
            told += u128::from(monitor.wait(SILENCE).unwrap() == News::Changed);
        }
        told
    });
    // On a slow machine each change is a burst of its own.
    let bursts = begun.elapsed().as_millis() / BURST_END.as_millis();
    println!("{told} times told of 300 changes, in the time of {bursts} bursts");
    assert!((1..=bursts).contains(&told), "{told} of {bursts}");
}

#[test]
fn too_much_to_hear_is_news_and_what_follows_is_heard() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    build(&mut kernel, &state(1));
    let mut monitor = Monitor::open().unwrap();
    // Nobody listens meanwhile: each of them is some kilobytes of the queue.
    node.sh("ip link add flood type veth peer name doolf
         for n in $(seq 9000); do echo link set flood mtu $((1000 + n % 2)); done | ip -batch -");
    assert_eq!(monitor.wait(BOUND).unwrap(), News::Changed);
    assert_news(&node, &mut monitor, "ip link set pt1 nomaster");
}
