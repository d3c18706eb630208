//! The agent and the kernel: what is lost is back at once though nobody looks for an hour, and
//! what others do costs the agent little.

#![allow(clippy::print_stdout, reason = "figures")]

use std::thread;
use std::time::{Duration, Instant};

use testnet::wait_until;

use crate::cluster::{BLUE, GREEN, Member};
use crate::daemon::{BOUND, Daemon};
use crate::daemon_api::Asked;

/// Nothing but news makes it look.
const NEWS_ALONE: &str = "--resync 3600";

/// Does a damage, and waits until what is looked for is there again.
fn assert_back(member: &Member, damage: &str, look: &str) {
    // What is about to be lost is there.
    member.node.sh(look);
    member.node.sh(damage);
    let begin = Instant::now();
    wait_until(damage, BOUND, || member.node.try_sh(look).success());
    println!(
        "{} ms until `{look}` after `{damage}`",
        begin.elapsed().as_millis()
    );
}

#[test]
fn what_is_lost_is_back_at_once() {
    let member = Member::new(BLUE);
    let daemon = Daemon::with(&member, NEWS_ALONE);
    daemon.hear("READY=1");
    member
        .node
        .pontoon("attach blue web --create -p 8080:80 --rate 100mbit");
    for (damage, look) in [
        ("nft flush ruleset", "nft list table bridge pontoon"),
        (
            "nft flush table inet pontoon",
            "nft list table inet pontoon | grep -q masquerade",
        ),
        (
            "ip link del pv-4096",
            "bridge fdb show dev pv-4096 | grep 192.0.2.3",
        ),
        (
            "ip link del pn-blue",
            "ip route show dev pn-blue | grep 10.50.0.0/24",
        ),
        ("ip route del 10.50.1.0/24", "ip route | grep 10.50.1.0/24"),
        (
            "ip neigh del 10.50.1.0 dev pv-4096",
            "ip neigh show nud permanent | grep '10.50.1.0 '",
        ),
        (
            "bridge fdb del $(bridge fdb show dev pv-4096 | sed -n 's/ dst 192.0.2.2.*//p') dev pv-4096",
            "bridge fdb show dev pv-4096 | grep 192.0.2.2",
        ),
        (
            "ip addr del 10.50.0.1/24 dev pn-blue",
            "ip addr show pn-blue | grep 10.50.0.1/24",
        ),
        (
            "echo 0 > /proc/sys/net/ipv4/ip_forward",
            "grep 1 /proc/sys/net/ipv4/ip_forward",
        ),
        (
            "ip link set pn-blue down",
            "ip link show up | grep pn-blue:",
        ),
        ("tc qdisc del dev pont1 root", "tc qdisc | grep tbf.*pont1"),
        (
            "tc filter del dev pont1 ingress",
            "tc filter show dev pont1 ingress | grep pifb1",
        ),
        (
            "ip link del $(ls /sys/class/net | grep ^pont)",
            "ip -n web addr show eth0 | grep 10.50.0.2/24; ls /sys/class/net | grep ^pont",
        ),
    ] {
        assert_back(&member, damage, look);
    }
    wait_until("all is as it was", BOUND, || {
        member.node.try_pontoon("reconcile --dry-run").success()
    });
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
    member.node.assert_settled();
}

#[test]
fn the_underlay_is_followed() {
    let member = Member::new(&format!("{BLUE}{GREEN}"));
    let daemon = Daemon::with(&member, NEWS_ALONE);
    daemon.hear("READY=1");
    let inner = |mtu: u32| format!("ip link show pn-blue | grep 'mtu {mtu} '");
    let routed = |dev: &str| format!("ip route | grep '10.60.1.0/24 via 192.0.2.2 dev {dev} '");
    member.node.sh(&inner(1450));
    for (change, look) in [
        ("ip link set up0 mtu 1400", inner(1350)),
        ("ip link set up0 mtu 9000", inner(8950)),
        ("ip link set up0 down; ip link set up0 up", routed("up0")),
        (
            "ip link set up0 down; ip link set up0 name wan; ip link set wan up",
            routed("wan"),
        ),
    ] {
        member.node.sh(change);
        let begin = Instant::now();
        wait_until(change, BOUND, || member.node.try_sh(&look).success());
        println!(
            "{} ms until it follows `{change}`",
            begin.elapsed().as_millis()
        );
    }
    member.node.sh("ip addr del 192.0.2.1/24 dev wan");
    daemon.wait_for_line("going on with what the records say");
    member.node.sh("ip addr add 192.0.2.1/24 dev wan");
    daemon.wait_for_line("all is well again");
    wait_until("the routes are back", BOUND, || {
        member.node.try_sh(&routed("wan")).success()
    });
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
    member.node.assert_settled();
}

mod heavy {
    use super::*;

    #[test]
    fn what_others_do_costs_the_agent_little() {
        let member = Member::new(BLUE);
        let daemon = Daemon::with(&member, NEWS_ALONE);
        daemon.hear("READY=1");
        let asked = Asked::new(&member.node);
        let spent = |what: &str, act: &dyn Fn()| {
            let (before, begin) = (asked.numbers(), Instant::now());
            act();
            let (after, secs) = (asked.numbers(), begin.elapsed().as_secs_f64());
            let cpu = after.cpu_secs - before.cpu_secs;
            let looks = after.looks - before.looks;
            println!(
                "{what}: {looks} looks, {cpu:.2} s of a processor in {secs:.1} s ({:.1} %), {:.1} MB",
                100.0 * cpu / secs,
                after.resident_bytes / 1e6
            );
            (looks, cpu / secs)
        };
        let (looks, share) = spent("100 containers of other processes", &|| {
            for n in 0..100 {
                member.node.pontoon(&format!("attach blue c{n} --create"));
                member.node.pontoon(&format!("detach c{n} --delete"));
            }
        });
        assert!(looks < 10.0 && share < 0.1, "{looks} looks, {share}");
        let (looks, _) = spent("500 devices of strangers", &|| {
            let line = "link add v$n type veth peer name w$n";
            member.node.sh(&format!(
                "for n in $(seq 500); do echo {line}; echo link set v$n up; done | ip -batch -"
            ));
        });
        assert!(looks < 10.0, "{looks} looks");
        let (looks, share) = spent("somebody who goes on changing our bridge", &|| {
            let line = "link set pn-blue mtu $((1300 + n % 2))";
            member.node.sh(&format!(
                "for n in $(seq 3000); do echo {line}; done | ip -batch -"
            ));
        });
        assert!(looks < 60.0, "{looks} looks, {share}");
        wait_until("all is well", BOUND, || {
            member.node.try_pontoon("status").success()
        });
        // The last looks at what was before end first; how long they take is the machine's affair.
        let mut seen = asked.numbers().looks;
        wait_until("it looks no more", BOUND, || {
            thread::sleep(Duration::from_secs(1));
            let before = std::mem::replace(&mut seen, asked.numbers().looks);
            before == seen
        });
        let (looks, share) = spent("nobody does anything", &|| {
            thread::sleep(Duration::from_secs(3));
        });
        assert!(looks < 1.0 && share < 0.1, "{looks} looks, {share}");
        assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
    }
}
