//! Records that can't be read or written: a clear error, the file kept, the kernel as it was.

use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use model::NodeId;
use store::{NodeLock, OpenMode, Records};
use testnet::wait_until;

use crate::ground::{Saved, WEB, assert_same, elsewhere};
use crate::node::PontoonNode;

const ATTACHED: &str = "ip netns add b; pontoon attach web a --create --ip 10.5.0.9 -p 8080:80\n";
/// Commands that change something, and work where the records do.
const CHANGES: &[&str] = &[
    "network create blue",
    "attach web b --ip 10.5.0.8",
    "detach a",
    "network rm web",
    "reconcile",
];

fn attached_node() -> PontoonNode {
    let node = PontoonNode::new();
    node.script(&format!("{WEB}{ATTACHED}"));
    node
}

/// The database alone, with all that was committed in it.
fn whole_database(dir: &Path) -> Vec<u8> {
    let mut records = Records::open(dir, OpenMode::ReadWrite, NodeId::from_bits(1)).unwrap();
    records.checkpoint().unwrap();
    drop(records);
    for log in ["records.db-wal", "records.db-shm"] {
        let _ = fs::remove_file(dir.join(log));
    }
    fs::read(dir.join("records.db")).unwrap()
}

/// What is done to the file, and what the error says of it.
type Damage = (fn(&mut Vec<u8>), &'static str);
const DAMAGES: &[Damage] = &[
    (|file| file.fill(b'x'), "damaged"),
    (|file| file.truncate(file.len() / 2), "damaged"),
    (|file| file.truncate(100), "damaged"),
    // The version and the application's number, fileformat2.html of SQLite, 1.3.
    (|file| file[60..64].copy_from_slice(&[0, 0, 0, 99]), "newer"),
    (|file| file[68..72].fill(7), "damaged"),
];

#[test]
fn damaged_and_newer_records_are_kept_as_they_are() {
    for (n, (damage, says)) in DAMAGES.iter().enumerate() {
        elsewhere(|node| {
            node.script(&format!("{WEB}{ATTACHED}"));
            let mut file = whole_database(node.state_dir());
            damage(&mut file);
            fs::write(node.state_dir().join("records.db"), &file).unwrap();
            let before = node.state();
            for line in CHANGES
                .iter()
                .chain(&["ls", "network ls", "reconcile --dry-run"])
            {
                let said = node.refused(line, 8);
                assert!(
                    said.contains("records.db") && said.contains(says),
                    "{n} {line}: {said}"
                );
                assert!(said.contains("left as it is"), "{n} {line}: {said}");
                let now = fs::read(node.state_dir().join("records.db")).unwrap();
                assert!(now == file, "{n} {line} changed the file");
            }
            let doctor = node.try_pontoon("doctor");
            assert_eq!(doctor.code, 10, "{doctor}");
            assert!(doctor.stdout.contains(says), "{doctor}");
            assert_same(&node.state(), &before, says);
        });
    }
}

#[test]
fn what_is_no_file_or_no_directory_is_named() {
    let node = attached_node();
    let before = node.state();
    node.sh("mkdir -p /run/x/records.db; touch /run/file");
    for (dir, codes) in [("/run/x", 8), ("/run/file", 8), ("/run/file/deeper", 8)] {
        for line in CHANGES {
            let said = node.refused(&format!("--state-dir {dir} {line}"), codes);
            assert!(said.contains(dir), "{line}: {said}");
        }
    }
    assert_same(&node.state(), &before, "no records");
}

#[test]
fn a_directory_that_may_not_be_read_asks_for_root() {
    let node = attached_node();
    let out = node.try_script(
        "chmod 700 $PONTOON_STATE_DIR; setpriv --reuid 65534 --clear-groups --inh-caps=-all \
         --bounding-set=-all $(command -v pontoon) ls",
    );
    assert_eq!(out.code, 6, "{out}");
    assert!(out.stderr.contains("root"), "{out}");
}

/// A node whose records are on a small file system of their own.
fn node_on_small_disk() -> PontoonNode {
    let node = PontoonNode::new();
    node.sh("mount -t tmpfs -o size=512k tmpfs $PONTOON_STATE_DIR");
    node.script(&format!("{WEB}{ATTACHED}"));
    node
}

#[test]
fn on_a_read_only_file_system_nothing_changes() {
    let node = node_on_small_disk();
    let (records, state) = (Saved::of(&node), node.state());
    node.sh("mount -o remount,ro $PONTOON_STATE_DIR");
    for line in CHANGES {
        let said = node.refused(line, 8);
        assert!(said.contains("read-only"), "{line}: {said}");
    }
    assert_eq!(node.json("ls")[0]["name"], "a");
    assert!(Saved::of(&node) == records);
    assert_same(&node.state(), &state, "read-only");
    node.sh("mount -o remount,rw $PONTOON_STATE_DIR");
    node.pontoon("attach web b --ip 10.5.0.8");
    node.pontoon("detach a --delete");
    node.assert_settled();
}

#[test]
fn on_a_full_disk_nothing_changes_and_once_freed_all_works() {
    let node = node_on_small_disk();
    let state = node.state();
    node.try_sh("cat /dev/zero > $PONTOON_STATE_DIR/fill");
    for line in ["network create blue", "attach web b --ip 10.5.0.8"] {
        let said = node.refused(line, 8);
        assert!(said.contains("no space"), "{line}: {said}");
        assert_same(&node.state(), &state, line);
    }
    assert_eq!(node.json("ls")[0]["name"], "a");
    node.assert_settled();
    // The log is copied while the kernel removes the device, which makes room, unless that was
    // slower: then the kernel is done, and what is done can't be written down yet.
    let out = node.try_pontoon("detach a");
    assert!(
        out.code == 0 || out.code == 8 && out.stderr.contains("no space"),
        "{out}"
    );
    node.sh("rm $PONTOON_STATE_DIR/fill");
    if out.code == 8 {
        node.pontoon("detach a");
    }
    for line in ["network create blue", "attach web b --ip 10.5.0.8"] {
        node.pontoon(line);
        node.assert_settled();
    }
}

/// The disk fills at each page that an attach or detach writes.
#[test]
fn a_disk_that_fills_on_the_way_leaves_nothing_half_done() {
    let node = node_on_small_disk();
    node.pontoon("detach a --delete");
    node.sh("ip -n b link set lo up");
    let state = node.state();
    let mut done = 0;
    for pages in 0..40 {
        let mut codes = Vec::new();
        for line in ["attach web b --ip 10.5.0.8 -p 8080:80", "detach b"] {
            node.try_sh("cat /dev/zero > $PONTOON_STATE_DIR/fill");
            node.sh(&format!(
                "truncate -s -{}K $PONTOON_STATE_DIR/fill",
                4 * pages
            ));
            let out = node.try_pontoon(line);
            assert!([0, 8].contains(&out.code), "{line}, {pages} pages: {out}");
            assert!(out.code == 0 || out.stderr.contains("no space"), "{out}");
            codes.push(out.code);
            node.sh("rm $PONTOON_STATE_DIR/fill");
            node.heal();
            if codes == [8] {
                assert_same(&node.state(), &state, line);
                node.pontoon("attach web b --ip 10.5.0.8 -p 8080:80");
            }
        }
        if codes[1] == 8 {
            // Begun or not: it can be repeated, if the reconcile has not finished it.
            let again = node.try_pontoon("detach b");
            assert!([0, 3].contains(&again.code), "{again}");
        }
        assert_same(&node.state(), &state, "after the detach");
        if codes == [0, 0] {
            done += 1;
        }
        if done == 2 {
            return;
        }
    }
    panic!("the disk was always full");
}

#[test]
fn a_lock_that_another_process_holds_is_waited_for_and_named() {
    let node = attached_node();
    let lock = NodeLock::acquire(node.state_dir(), Duration::ZERO).unwrap();
    let holder = format!("held by process {} (survive", std::process::id());
    for line in CHANGES {
        let said = node.refused(&format!("{line} --lock-wait 0"), 7);
        assert!(said.contains(&holder), "{line}: {said}");
    }
    node.pontoon("ls");
    node.pontoon("reconcile --dry-run");
    let mut command = node.command("attach web b --ip 10.5.0.8");
    let mut waiting = command.stdout(Stdio::null()).spawn().unwrap();
    // "5: -> FLOCK  ADVISORY  WRITE PID …", proc_locks(5).
    let queued = || {
        let locks = fs::read_to_string("/proc/locks").unwrap();
        let pid = format!(" {} ", waiting.id());
        locks
            .lines()
            .any(|line| line.contains("->") && line.contains(&pid))
    };
    wait_until("the attach waits", Duration::from_secs(10), queued);
    drop(lock);
    assert!(waiting.wait().unwrap().success());
    node.assert_settled();
}
