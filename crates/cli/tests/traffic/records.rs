//! Records and namespaces belong together: one set of records for one namespace.

use testnet::Transport;

use crate::ground::{A, NODE, OUTSIDE, Site, WEB_GATEWAY, at, serve};
use crate::node::PONTOON;

#[test]
fn other_records_in_the_same_namespace_are_refused_until_they_take_over() {
    let site = Site::bare(false);
    site.network("web", 5);
    site.attach("web", "a", 10, "-p 8080:80");
    let before = site.node.snapshot();
    for line in [
        "network create green --subnet 10.8.0.0/24",
        "reconcile",
        "reconcile --dry-run",
    ] {
        let said = site
            .node
            .refused(&format!("--state-dir /run/second {line}"), 4);
        assert!(said.contains("run from other records"), "{line}: {said}");
        assert!(
            said.contains("--state-dir") && said.contains("--take-over"),
            "{line}: {said}"
        );
    }
    assert_eq!(site.node.snapshot(), before);
    site.node.assert_settled();
    let _server = serve(&site.at("a"), Transport::Tcp, 80);
    site.assert_seen("outside", Transport::Tcp, at(NODE[0], 8080), OUTSIDE[0]);
}

#[test]
fn lost_records_are_replaced_by_taking_over() {
    let site = Site::bare(false);
    site.network("web", 5);
    site.attach("web", "a", 10, "-p 8080:80");
    site.node
        .sh("rm -r $PONTOON_STATE_DIR; mkdir $PONTOON_STATE_DIR");
    site.node
        .refused("network create web --subnet 10.5.0.0/24", 4);
    let plan = site.node.try_pontoon("reconcile --take-over --dry-run");
    assert!(plan.stdout.contains("pn-web"), "{plan}");
    site.node.pontoon("reconcile --take-over");
    site.node.assert_settled();
    let left = site
        .node
        .sh("ip -br link | grep -E 'pn-|pont' || true; nft list ruleset");
    assert_eq!(left, "");
    site.network("web", 5);
    site.node
        .sh("ip netns list | grep -q '^a' && ip netns del a || true");
    site.attach("web", "a", 10, "-p 8080:80");
    let _server = serve(&site.at("a"), Transport::Tcp, 80);
    site.assert_seen("outside", Transport::Tcp, at(NODE[0], 8080), OUTSIDE[0]);
    site.assert_seen("node", Transport::Tcp, at(A[0], 80), WEB_GATEWAY[0]);
    site.node.assert_settled();
}

#[test]
fn records_are_refused_in_another_namespace() {
    let site = Site::bare(false);
    site.network("web", 5);
    site.attach("web", "a", 10, "");
    let before = site.node.snapshot();
    for line in [
        "reconcile",
        "attach web b --create",
        "network rm web",
        "detach a",
    ] {
        let words: Vec<_> = ["unshare", "--net", PONTOON]
            .into_iter()
            .chain(line.split(' '))
            .collect();
        let elsewhere = site.node.run(&words);
        assert_eq!(elsewhere.code, 4, "{line}: {elsewhere}");
        let clear = elsewhere
            .stderr
            .contains("belong to another network namespace");
        assert!(
            clear && elsewhere.stderr.contains("--state-dir"),
            "{line}: {elsewhere}"
        );
    }
    assert_eq!(site.node.snapshot(), before);
    site.node.assert_settled();
}
