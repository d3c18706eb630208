//! kill -9 at every step of every command: nothing is left over, and the command can be repeated.

use testnet::{Output, stride};

use crate::ground::{WEB, assert_same, elsewhere};
use crate::node::PontoonNode;

const KILLED: i32 = 128 + 9;
/// More crash points than any command here has.
const POINTS_MAX: u32 = 80;

/// What a whole command leaves, and what a killed one must leave after a reconcile.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    /// It makes something: a killed one has made nothing, or all if it died after the last step.
    Makes,
    /// It removes something: a killed one has removed it all.
    Removes,
    /// It puts something right: a killed one is finished by the next.
    Mends,
}

struct Case {
    kind: Kind,
    setup: String,
    command: &'static str,
}

fn case(kind: Kind, setup: &[&str], command: &'static str) -> Case {
    Case {
        kind,
        setup: setup.concat(),
        command,
    }
}

/// Sets a node up, kills the command at the N-th point of its way and looks; false when it
/// came to its end.
fn killed_at(n: u32, case: &Case, look: impl FnOnce(&PontoonNode, String) + Send) -> bool {
    elsewhere(|node| {
        node.script(&case.setup);
        let before = node.state();
        let out = node.with_env("PONTOON_KILL_AT", &n.to_string(), case.command);
        if out.code == 0 {
            return false;
        }
        assert_eq!(out.code, KILLED, "{} at {n}: {out}", case.command);
        look(node, before);
        true
    })
}

fn walk(case: &Case, look: impl Fn(&PontoonNode, u32, String) + Sync) {
    let mut n = 1;
    while killed_at(n, case, |node, before| look(node, n, before)) {
        n += stride();
        assert!(n < POINTS_MAX, "{} never ends", case.command);
    }
    assert!(n > 2, "{} has {} crash points", case.command, n - 1);
}

fn finished(case: &Case) -> String {
    elsewhere(|node| {
        node.script(&case.setup);
        node.pontoon(case.command);
        node.assert_settled();
        node.state()
    })
}

/// The same command ends well, or finds that all is done.
fn assert_repeatable(kind: Kind, out: &Output, was_whole: bool, context: &str) {
    let done_already = match kind {
        Kind::Makes => was_whole && out.code == 4,
        Kind::Removes => was_whole && out.code == 3,
        Kind::Mends => false,
    };
    assert!(out.code == 0 || done_already, "{context}: {out}");
}

/// Kill, look, reconcile, compare, repeat.
fn heals(case: &Case) {
    let whole = finished(case);
    walk(case, |node, n, before| {
        let context = format!("{} killed at {n}", case.command);
        node.pontoon("ls");
        node.pontoon("network ls");
        let said = node.heal();
        let context = format!("{context}, reconcile said:\n{said}");
        let now = node.state();
        let wanted = match case.kind {
            Kind::Makes if now != whole => &before,
            _ => &whole,
        };
        assert_same(&now, wanted, &context);
        let out = node.try_pontoon(case.command);
        assert_repeatable(case.kind, &out, now == whole, &context);
        assert_same(&node.state(), &whole, &format!("{context}, then repeated"));
        node.assert_settled();
    });
}

/// Kill and repeat at once, without a reconcile between.
fn repeats(case: &Case) {
    let whole = finished(case);
    walk(case, |node, n, _| {
        let context = format!("{} killed at {n} and repeated", case.command);
        let out = node.try_pontoon(case.command);
        assert_repeatable(case.kind, &out, node.state() == whole, &context);
        assert_same(&node.state(), &whole, &format!("{context}: {out}"));
        node.heal();
        assert_same(&node.state(), &whole, &format!("{context} and reconciled"));
    });
}

macro_rules! walks {
    ($($name:ident: $kind:ident, $setup:expr, $command:expr;)*) => { $(
        mod $name {
            use super::*;

            #[test]
            fn killed_anywhere_it_is_healed() {
                heals(&case(Kind::$kind, &$setup, $command));
            }

            #[test]
            fn killed_anywhere_it_can_be_repeated_at_once() {
                repeats(&case(Kind::$kind, &$setup, $command));
            }
        }
    )* };
}

const BLUE: &str = "pontoon network create blue --subnet 10.6.0.0/24\n";
const ATTACHED: &str = "pontoon attach web a --create --ip 10.5.0.9 -p 8080:80 -p 9000-9100\n";
const LIMITED: &str = "pontoon attach web a --create --ip 10.5.0.9 --rate 20mbit\n";
const GIVEN: &str = "ip netns add a; pontoon attach web a --ip 10.5.0.9\n";

walks! {
    first_network: Makes, [""],
        "network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64";
    second_network: Makes, [WEB], "network create vault --subnet 10.7.0.0/24 --internal";
    network_rm: Removes, [WEB, BLUE], "network rm web";
    last_network_rm: Removes, [WEB], "network rm web";
    attach_create: Makes, [WEB],
        "attach web a --create --ip 10.5.0.9 --ip fd00:5::9 -p 8080:80 -p 9000-9100/udp";
    attach_given: Makes, [WEB, "ip netns add a; ip -n a link set lo up"],
        "attach web a --ip 10.5.0.9 --ip fd00:5::9 -p 127.0.0.1:53:53/udp -p 9000-9100";
    second_attach: Makes, [WEB, BLUE, ATTACHED], "attach blue a --ip 10.6.0.9";
    detach: Removes, [WEB, GIVEN], "detach a";
    detach_delete: Removes, [WEB, ATTACHED], "detach a --delete";
    detach_delete_given: Removes, [WEB, GIVEN], "detach a --delete";
    detach_from_both: Removes, [WEB, BLUE, ATTACHED, "pontoon attach blue a"], "detach a";
    detach_delete_from_both: Removes, [WEB, BLUE, ATTACHED, "pontoon attach blue a"],
        "detach a --delete";
    attach_limited: Makes, [WEB],
        "attach web a --create --ip 10.5.0.9 --ip fd00:5::9 --rate 20mbit";
    detach_limited: Removes, [WEB, LIMITED], "detach a --delete";
    reconcile_limited: Mends, [WEB, LIMITED, "tc qdisc del dev pont1 root; ip link del pifb1"],
        "reconcile";
    reconcile: Mends, [WEB, ATTACHED, GIVEN_B, "nft flush ruleset; ip link del web0"],
        "reconcile";
}

const GIVEN_B: &str = "ip netns add b; pontoon attach web b\n";
