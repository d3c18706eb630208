//! A reboot: another boot id, an empty kernel, an empty `/run`, and the records of before.

use std::fs;

use crate::ground::{Saved, WEB, assert_same, elsewhere};
use crate::node::PontoonNode;

const BOOT_ID: &str = "/proc/sys/kernel/random/boot_id";
const BUSY: &str = "
    pontoon network create blue --subnet 10.6.0.0/24 --internal
    pontoon attach web a --create --ip 10.5.0.9 -p 8080:80
    pontoon attach blue a
    ip netns add b; pontoon attach web b
";

/// Runs `visit` on a machine that boots with these records, for the `boot`-th time.
fn booted<T: Send>(boot: u32, records: &Saved, visit: impl FnOnce(&PontoonNode) -> T + Send) -> T {
    elsewhere(|node| {
        let id = format!("00000000-0000-4000-8000-{boot:012}\n");
        fs::write("/run/boot_id", id).unwrap();
        node.sh(&format!("mount --bind /run/boot_id {BOOT_ID}"));
        records.put(node);
        visit(node)
    })
}

fn before() -> Saved {
    elsewhere(|node| {
        node.script(&format!("{WEB}{BUSY}"));
        Saved::of(node)
    })
}

/// Networks without endpoints, as they are when just made.
fn fresh() -> String {
    elsewhere(|node| {
        node.script(WEB);
        node.pontoon("network create blue --subnet 10.6.0.0/24 --internal");
        node.state()
    })
}

#[test]
fn networks_come_back_with_one_reconcile() {
    let fresh = fresh();
    booted(1, &before(), |node| {
        let said = node.heal();
        for line in [
            "released endpoint web/a (a): its namespace is gone",
            "released endpoint blue/a (a): its namespace is gone",
            "released endpoint web/b (b): its namespace is gone",
            "mended: bridge web0 was missing",
            "mended: nft table inet was missing",
        ] {
            assert!(said.contains(line), "no {line} in\n{said}");
        }
        assert_eq!(node.json("ls"), serde_json::json!([]));
        assert_same(&node.state(), &fresh, "after the reboot");
        node.pontoon("attach web a --create --ip 10.5.0.9 -p 8080:80");
        node.assert_settled();
    });
}

#[test]
fn networks_come_back_with_the_first_change() {
    let records = before();
    for (line, settles) in [
        (
            "attach web a --create --ip 10.5.0.9 -p 8080:80",
            "attach blue a",
        ),
        ("network create third", "network rm third"),
        ("network rm blue", "attach web a --create --ip 10.5.0.9"),
    ] {
        booted(1, &records, |node| {
            node.pontoon(line);
            node.assert_settled();
            node.pontoon(settles);
            node.assert_settled();
        });
    }
}

#[test]
fn a_dry_run_after_a_reboot_changes_nothing() {
    booted(1, &before(), |node| {
        let records = Saved::of(node);
        let bare = node.state();
        let out = node.try_pontoon("reconcile --dry-run");
        assert!(
            out.code == 10 && out.stdout.contains("ip link add web0"),
            "{out}"
        );
        node.pontoon("attach web a --create --dry-run");
        assert_same(&node.state(), &bare, "after the dry runs");
        assert!(Saved::of(node) == records);
        node.heal();
    });
}

#[test]
fn a_name_used_again_after_the_reboot_is_not_the_old_target() {
    booted(1, &before(), |node| {
        node.sh("ip netns add a");
        node.heal();
        assert_eq!(node.sh("ip -n a -o link show type veth"), "");
        node.pontoon("attach web a --ip 10.5.0.9");
        node.assert_settled();
    });
}

#[test]
fn detaching_what_the_reboot_took_finds_nothing() {
    booted(1, &before(), |node| {
        node.refused("detach a", 3);
        node.assert_settled();
        node.pontoon("network rm web");
        node.pontoon("network rm blue");
        node.assert_bare();
    });
}

#[test]
fn ten_reboots_leave_what_one_leaves() {
    let mut records = before();
    for boot in 1..=10 {
        records = booted(boot, &records, |node| {
            node.pontoon("attach web a --create --ip 10.5.0.9 -p 8080:80");
            node.pontoon("attach web b --create");
            node.assert_settled();
            assert_eq!(node.json("ls").as_array().unwrap().len(), 2);
            Saved::of(node)
        });
    }
}

#[test]
fn in_another_namespace_of_the_same_boot_the_records_refuse() {
    let records = before();
    elsewhere(|node| {
        records.put(node);
        for line in ["reconcile", "attach web a --create", "network rm web"] {
            let said = node.refused(line, 4);
            assert!(said.contains("namespace"), "{said}");
        }
        assert!(Saved::of(node) == records);
    });
}
