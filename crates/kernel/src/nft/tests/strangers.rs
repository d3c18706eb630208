//! What others put into our tables is seen, and goes.

use netstate::diff;
use netstate::nft::{ChainKey, NftFamily, Rules, Statement};

use super::super::{Ruleset, observe, transaction};
use super::fixture::{self, chain_key, set_key};
use super::kernel::{as_state, in_fresh_netns, install, list, nft};
use NftFamily::{Bridge, Inet};

#[test]
fn what_a_stranger_adds_is_seen() {
    in_fresh_netns(|socket| {
        install(socket);
        let rules = [
            ("inet", "next", "tcp dport 22 accept"),
            ("inet", "on_raw", "meta mark set 7"),
            ("inet", "on_snat", "masquerade random"),
            ("inet", "on_dnat", "meta l4proto tcp dnat ip to 10.0.0.1:80"),
            (
                "inet",
                "forward1000",
                "ip saddr { 10.0.0.1, 10.0.0.3 } limit rate 5/second log drop",
            ),
            ("inet", "input", "ct state vmap { invalid : drop }"),
            ("bridge", "port", "ip saddr & 255.0.255.0 == 10.0.1.0 drop"),
            ("bridge", "next", "iifname \"x\" meta mark set 1"),
        ];
        for (family, chain, rule) in rules {
            nft(&["add", "rule", family, "pontoon", chain, rule], "");
        }
        nft(
            &[
                "add",
                "rule",
                "inet",
                "pontoon",
                "admin",
                "tcp dport 22 accept",
            ],
            "",
        );
        let seen = observe(socket).unwrap();
        for (family, chain, _) in rules {
            let family = if family == "inet" { Inet } else { Bridge };
            let last = last_statements(&seen, &chain_key(family, chain));
            assert!(
                matches!(last.as_slice(), [Statement::Foreign(_)]),
                "{chain}: {last:?}"
            );
        }
        let plan = diff(&as_state(seen), &fixture::state());
        transaction(socket, &plan.steps).unwrap();
        assert_eq!(as_state(observe(socket).unwrap()), fixture::state());
        assert!(
            list(Inet).contains("tcp dport 22 accept"),
            "the admin's rule stays"
        );
    });
}

fn last_statements(seen: &Ruleset, chain: &ChainKey) -> Vec<Statement> {
    match &seen.chains[chain].rules {
        Rules::Ours(rules) => rules.last().unwrap().0.clone(),
        Rules::Admin => Vec::new(),
    }
}

#[test]
fn strange_sets_elements_and_hooks_differ_from_ours() {
    in_fresh_netns(|socket| {
        install(socket);
        let commands = [
            "add set inet pontoon timed { type ipv4_addr; timeout 1h; }",
            "add set inet pontoon marks { type mark; }",
            "add map inet pontoon verdicts { type ipv4_addr : verdict; }",
            "add element inet pontoon prefixes4 { 10.50.0.1-10.50.0.7 }",
            "add element inet pontoon ranges4 { 1.1.1.1 . 6-7 . 5 : 10.1.0.2 }",
            "add element bridge pontoon addrs4 { \"pt0a\" . 01:00:5e:00:00:01 . 10.0.0.1 }",
            "add chain inet pontoon closed { type filter hook forward priority 5; policy drop; }",
            "add table ip pontoon",
            "add set ip pontoon bridges { type ifname; }",
        ];
        nft(&["-f", "-"], &commands.join("\n"));
        let seen = observe(socket).unwrap();
        for name in ["timed", "marks", "verdicts", "ranges4"] {
            assert!(seen.sets[&set_key(Inet, name)].key.is_empty(), "{name}");
        }
        assert!(seen.sets[&set_key(Bridge, "addrs4")].key.is_empty());
        let hook = seen.chains[&chain_key(Inet, "closed")].hook.unwrap();
        assert_eq!(hook.kind, netstate::nft::HookType::Foreign);
        let plan = diff(&as_state(seen), &fixture::state());
        transaction(socket, &plan.steps).unwrap();
        assert_eq!(as_state(observe(socket).unwrap()), fixture::state());
    });
}

#[test]
fn a_table_without_our_mark_is_told_apart() {
    in_fresh_netns(|socket| {
        nft(&["add", "table", "inet", "pontoon"], "");
        nft(&["add table bridge pontoon { comment \"mine\" ; }"], "");
        let seen = observe(socket).unwrap();
        assert_eq!(seen.tables[&Inet], None);
        assert_eq!(seen.tables[&Bridge].as_deref(), Some("mine"));
    });
}
