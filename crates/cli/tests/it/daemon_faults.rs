//! The agent that is killed, started twice, or started on a machine that has booted anew.

#![allow(clippy::print_stdout, reason = "figures")]

use std::fs;
use std::time::Instant;

use testnet::wait_until;

use crate::cluster::{BLUE, Member};
use crate::daemon::{BOUND, Daemon};

#[test]
fn a_killed_agent_costs_no_packet_and_its_successor_neither() {
    let member = Member::new(BLUE);
    let node = &member.node;
    let daemon = Daemon::start(&member);
    daemon.hear("READY=1");
    node.pontoon("attach blue one --create");
    node.pontoon("attach blue two --create");
    let counted = node.state_dir().join("pings");
    let flood = format!(
        "ip netns exec one ping -q -i 0.005 -c 600 10.50.0.3 > {0}.new; mv {0}.new {0}",
        counted.display()
    );
    std::thread::scope(|scope| {
        let traffic = scope.spawn(|| node.sh(&flood));
        assert_eq!(daemon.end(node, "KILL"), None);
        let begin = Instant::now();
        let next = Daemon::start(&member);
        next.hear("READY=1");
        println!(
            "{} ms from the start to agreeing again",
            begin.elapsed().as_millis()
        );
        assert!(!traffic.is_finished(), "the traffic ended too early");
        assert_eq!(next.end(node, "KILL"), None);
        traffic.join().unwrap();
    });
    let said = fs::read_to_string(counted).unwrap();
    assert!(said.contains("600 received, 0% packet loss"), "{said}");
    println!(
        "{}",
        said.lines().find(|line| line.contains("loss")).unwrap()
    );
    node.assert_settled();
}

#[test]
fn the_second_agent_of_a_node_is_refused() {
    let member = Member::new(BLUE);
    let daemon = Daemon::start(&member);
    daemon.hear("READY=1");
    let said = member.node.refused(&member.agent(""), 7);
    assert!(
        said.contains("an agent runs on these records already"),
        "{said}"
    );
    // The one that was refused took nothing away from the first.
    let page = member.node.pontoon("status");
    assert!(page.contains("agent     runs for "), "{page}");
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
}

#[test]
fn a_node_that_has_booted_anew_is_back_by_its_name() {
    let member = Member::new(BLUE);
    let node = &member.node;
    let daemon = Daemon::start(&member);
    daemon.hear("READY=1");
    node.pontoon("attach blue web --create");
    assert_eq!(daemon.end(node, "KILL"), None);
    // The kernel forgets everything, and its boot has another name.
    node.sh(
        "ip netns del web; ip link del pn-blue; ip link del pv-4096; nft flush ruleset
         echo 00000000-0000-4000-8000-000000000001 > /run/boot_id
         mount --bind /run/boot_id /proc/sys/kernel/random/boot_id",
    );
    let begin = Instant::now();
    let daemon = Daemon::start(&member);
    let ready = daemon.hear("READY=1");
    println!(
        "{} ms from the start to all networks",
        begin.elapsed().as_millis()
    );
    assert!(ready.contains("a: 3 node(s), 1 network(s)"), "{ready}");
    assert!(member.ways().contains("10.50.1.0/24"));
    wait_until("the dead endpoint is gone", BOUND, || {
        !node.pontoon("ls").contains("web")
    });
    node.pontoon("attach blue web --create");
    assert_eq!(daemon.end(node, "TERM"), Some(0));
    node.assert_settled();
    node.sh("umount /proc/sys/kernel/random/boot_id");
}
