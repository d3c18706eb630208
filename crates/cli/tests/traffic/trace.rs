//! `pontoon trace`: a packet's way, who stopped it, and that nothing is left of looking.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use testnet::{Transport, wait_until};

use crate::ground::{A, NODE, OTHER, OUTSIDE, PEER, Site, serve, with_and_without_bridge_nf};

const FOUND: i32 = 10;
const BOUND: Duration = Duration::from_secs(10);

/// What `trace` prints with these words; it must find an obstacle.
fn stopped(site: &Site, words: &str) -> String {
    let out = site.node.try_pontoon(&format!("trace {words}"));
    assert_eq!(out.code, FOUND, "trace {words}: {out}");
    out.stdout
}

fn assert_no_trace_is_left(site: &Site) {
    let tables = site.node.sh("nft list tables");
    assert!(!tables.contains("trace"), "{tables}");
}

#[test]
fn an_answer_is_followed_both_ways() {
    with_and_without_bridge_nf(|bridge_nf| {
        let site = Site::new(bridge_nf, "");
        for (from, to) in [("a", PEER), ("a", OUTSIDE), ("node", A), ("a", NODE)] {
            for address in to {
                let text = site.node.pontoon(&format!("trace {from} {address}"));
                assert!(text.contains("answered after"), "{from} {address}: {text}");
                let ways = text.contains("The way there") && text.contains("The way back");
                assert!(ways, "{from} {address}: {text}");
            }
        }
        let text = site.node.pontoon("trace a peer --tcp 9");
        assert!(text.contains("refused after"), "{text}");
        assert!(
            text.contains("(web/a)") && text.contains("(web/peer)"),
            "{text}"
        );
        assert_no_trace_is_left(&site);
        site.node.assert_settled();
    });
}

#[test]
fn a_rule_of_ours_that_stops_it_is_shown_with_its_reason() {
    let site = Site::new(true, "");
    for (words, rule) in [
        ("a other", "oifname @bridges counter drop"),
        ("a other --tcp 80", "oifname @bridges counter drop"),
        ("a other --udp 53", "oifname @bridges counter drop"),
    ] {
        let text = stopped(&site, words);
        assert!(text.contains(rule), "{words}: {text}");
        assert!(
            text.contains("because networks are kept apart"),
            "{words}: {text}"
        );
    }
    for address in OTHER {
        let text = stopped(&site, &format!("a {address}"));
        assert!(
            text.contains("chain networks of table inet pontoon"),
            "{text}"
        );
    }
    // A second address, which is none of the endpoint's; its ARP would be dropped before.
    site.inside(
        "a",
        "ip addr add 10.5.0.99/24 dev eth0
         ip route replace 10.5.0.11 dev eth0 src 10.5.0.99
         ip neigh replace 10.5.0.11 lladdr 02:00:00:00:05:0b dev eth0 nud permanent",
    );
    let text = stopped(&site, "a peer");
    assert!(
        text.contains("because an endpoint sends from its own"),
        "{text}"
    );
}

#[test]
fn anothers_rule_and_policy_are_named() {
    let site = Site::new(true, "");
    site.node.sh("nft -f - <<'END'
table inet theirs {
	chain forward {
		type filter hook forward priority filter; policy drop;
		ct state established,related accept
	}
	chain input {
		type filter hook input priority filter; policy accept;
		icmp type echo-request drop
	}
}
END");
    let text = stopped(&site, &format!("a {}", OUTSIDE[0]));
    let policy = "the policy of chain forward of table inet theirs, which is not Pontoon's";
    assert!(text.contains(policy), "{text}");
    let text = stopped(&site, &format!("a {}", NODE[0]));
    let rule = "'icmp type echo-request drop' in chain input of table inet theirs";
    assert!(text.contains(rule), "{text}");
}

#[test]
fn where_nobody_stops_it_the_last_place_is_told() {
    let site = Site::new(false, "");
    let text = stopped(&site, "a 10.5.0.77");
    assert!(
        text.contains("nobody answers for 10.5.0.77 at eth0"),
        "{text}"
    );
    // The outside swallows it.
    site.inside("outside", "nft 'add table inet deaf; add chain inet deaf in { type filter hook input priority 0 ; policy drop ; }'");
    let text = stopped(&site, &format!("a {} --tcp 443", OUTSIDE[0]));
    assert!(
        text.contains("left by up0, and nothing came back"),
        "{text}"
    );
    site.inside("peer", "ip link set eth0 down");
    let text = stopped(&site, "peer a");
    assert!(text.contains("Network is unreachable"), "{text}");
}

#[test]
fn its_plan_is_what_nft_takes_and_it_dies_with_its_process() {
    let site = Site::new(false, "");
    for words in [
        "a peer",
        "a peer --tcp 80",
        "a fd00:5::11",
        "192.0.2.9 a --udp 53",
        "2001:db8::9 a",
    ] {
        let plan = site.node.pontoon(&format!("trace {words} --dry-run"));
        let script: String = plan
            .lines()
            .map(|line| format!("{}\n", line.strip_prefix("nft ").unwrap()))
            .collect();
        site.node.sh(&format!("nft -f - <<'END'\n{script}END"));
        assert_no_trace_is_left(&site);
    }
    let mut command = site.node.command("trace a 10.5.0.77 --wait 30");
    let mut child = command.stdout(Stdio::null()).spawn().unwrap();
    wait_until("the table is there", BOUND, || {
        site.node.sh("nft list tables").contains("pontoon-trace-")
    });
    child.kill().unwrap();
    child.wait().unwrap();
    assert_no_trace_is_left(&site);
    site.node.assert_settled();
}

#[test]
fn anothers_packet_is_followed_when_it_comes() {
    let site = Site::new(false, "-p 8080:80");
    for (client, server) in OUTSIDE.into_iter().zip(NODE) {
        let ask = |blocked: &str| {
            let line = format!("trace {client} a --tcp 8080 --wait 20");
            let mut command = site.node.command(&line);
            let child = command.stdout(Stdio::piped()).spawn().unwrap();
            wait_until("the table is there", BOUND, || {
                site.node.sh("nft list tables").contains("pontoon-trace-")
            });
            let to = SocketAddr::new(server.parse().unwrap(), 8080);
            let outcome = site.at("outside").ask(Transport::Tcp, to);
            assert_eq!(outcome.is_err(), !blocked.is_empty(), "{outcome:?}");
            let out = child.wait_with_output().unwrap();
            (out.status.code(), String::from_utf8(out.stdout).unwrap())
        };
        let serving = serve(&site.at("a"), Transport::Tcp, 80);
        let (code, text) = ask("");
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains("answered: a connection"), "{text}");
        assert!(text.contains("dnat"), "{text}");
        drop(serving);
        site.node.sh("nft add rule inet pontoon admin counter drop");
        let (code, text) = ask("blocked");
        assert_eq!(code, Some(FOUND), "{text}");
        assert!(text.contains("the administrator's own rule"), "{text}");
        site.node.sh("nft flush chain inet pontoon admin");
    }
    let text = stopped(&site, &format!("{} a --udp 9", OUTSIDE[0]));
    assert!(text.contains("nothing of it came to the node"), "{text}");
}

#[test]
fn what_can_not_be_traced_is_refused() {
    let site = Site::new(false, "");
    let message = site.node.refused("trace nobody peer", 3);
    assert!(
        message.contains("no endpoint is called nobody"),
        "{message}"
    );
    site.node.refused("trace a blue/peer", 3);
    site.node.refused("trace a peer --tcp 0", 2);
    site.node.refused("trace a peer --tcp 1 --udp 1", 2);
    site.node.refused("trace a peer --wait 0", 2);
    site.node.refused("trace a not/an/endpoint", 2);
}
