//! What keeps an endpoint to its rate is damaged, and put right; what others have put on our
//! devices stays.

use crate::ground::{WEB, assert_same};
use crate::heal::Break;
use crate::node::PontoonNode;

const LIMITED: &str = "
    pontoon attach web a --create --ip 10.5.0.9 --rate 20mbit
    pontoon attach web b --create --ip 10.5.0.8
";

const BREAKS: &[Break] = &[
    (
        "tc qdisc del dev pont1 root",
        "pont1 did not keep to 20mbit",
        1,
    ),
    (
        "tc qdisc replace dev pont1 root handle 706f: tbf rate 30mbit burst 32k limit 150k",
        "pont1 did not keep to 20mbit",
        1,
    ),
    (
        "tc qdisc replace dev pifb1 root handle 1: htb",
        "pifb1 did not keep to 20mbit",
        1,
    ),
    (
        "tc qdisc del dev pont1 ingress",
        "what comes in by pont1 did not wait at pifb1",
        1,
    ),
    (
        "tc filter del dev pont1 ingress pref 28783",
        "what comes in by pont1 did not wait at pifb1",
        1,
    ),
    (
        "tc filter del dev pont1 ingress pref 28783
         tc filter add dev pont1 ingress pref 28783 protocol all u32 match u32 0 0 \\
            action mirred egress redirect dev web0",
        "what comes in by pont1 was led elsewhere
         what comes in by pont1 did not wait at pifb1",
        2,
    ),
    (
        "tc filter del dev pont1 ingress pref 28783
         tc filter add dev pont1 ingress pref 28783 protocol all u32 match ip dst 192.0.2.1/32 \\
            action mirred egress redirect dev pifb1",
        "what comes in by pont1 was led elsewhere
         what comes in by pont1 did not wait at pifb1",
        2,
    ),
    ("ip link set pifb1 down", "pifb1 was down", 1),
    (
        "ip link del pifb1",
        "device pifb1 (endpoint web/a) was missing
         what comes in by pont1 was led elsewhere",
        5,
    ),
    (
        "tc qdisc add dev pont2 root handle 706f: tbf rate 1mbit burst 32k limit 98k",
        "pont2 had a queue that is not recorded",
        1,
    ),
];

#[test]
fn queues_and_detours_are_mended_piece_by_piece() {
    let node = PontoonNode::new();
    node.script(&format!("{WEB}{LIMITED}"));
    let whole = node.state();
    assert!(whole.contains("tbf 706f: dev pontN"), "{whole}");
    for (script, says, lines) in BREAKS {
        node.script(script);
        let plan = node.try_pontoon("reconcile --dry-run");
        assert_eq!(plan.code, 10, "{script}: {plan}");
        assert_eq!(plan.stdout.lines().count(), *lines, "{script}: {plan}");
        let wanted = says
            .lines()
            .map(|line| format!("mended: {}\n", line.trim()));
        assert_eq!(node.heal(), wanted.collect::<String>(), "{script}");
        assert_same(&node.state(), &whole, script);
    }
}

#[test]
fn queues_and_filters_of_others_stay() {
    let node = PontoonNode::new();
    node.script(&format!("{WEB}{LIMITED}"));
    node.script(
        "tc qdisc add dev pont2 root handle 1: tbf rate 1mbit burst 32k limit 98k
         tc filter add dev pont1 ingress pref 9 protocol ip u32 match ip dst 192.0.2.1/32 action mirred egress mirror dev lo
         ip link add pifb7 type ifb",
    );
    let whole = node.state();
    assert!(node.heal().starts_with("nothing to do"));
    node.script("tc filter del dev pont1 ingress pref 28783");
    node.heal();
    assert_same(&node.state(), &whole, "after a reconcile");
    node.pontoon("detach a --delete");
    node.sh("ip link show pifb7 && tc qdisc show dev pont2 | grep 'tbf 1:'");
    node.refused_exists("pifb1");
}

#[test]
fn nothing_is_left_of_a_limited_endpoint() {
    let node = PontoonNode::new();
    node.script(WEB);
    let bare = node.state();
    let ends = [
        "pontoon detach a --delete",
        "ip netns del a; pontoon reconcile",
        "ip link del $(ls /sys/class/net | grep ^pifb); pontoon detach a --delete",
        "ip link del $(ls /sys/class/net | grep ^pont); pontoon detach a --delete",
    ];
    for end in ends {
        node.script(&format!(
            "pontoon attach web a --create --rate 1gbit\n{end}"
        ));
        node.assert_settled();
        let left = node.sh("ip -o link | grep -E ': (pont|pifb)' || true");
        assert_eq!(left, "", "{end}");
        assert_same(&node.state(), &bare, end);
    }
}

impl PontoonNode {
    fn refused_exists(&self, dev: &str) {
        let out = self.try_sh(&format!("ip link show {dev}"));
        assert!(!out.success(), "{dev} is still there: {out}");
    }
}
