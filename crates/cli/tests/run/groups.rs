//! The control group of a container: who is in it, in which hierarchies, and who is not.

use crate::ground::Ground;

/// The hierarchies of a process that it is below `/pontoon` in: of v1 by controller, of v2 `""`.
fn ours(ground: &Ground, pid: &str) -> Vec<String> {
    let table = ground.sh(&format!("cat /proc/{pid}/cgroup"));
    let lines = table.lines().filter_map(|line| {
        let mut fields = line.splitn(3, ':').skip(1);
        let (kinds, path) = (fields.next()?, fields.next()?);
        path.starts_with("/pontoon/").then_some(kinds)
    });
    let mut all: Vec<String> = lines
        .flat_map(|kinds| kinds.split(','))
        .map(str::to_owned)
        .collect();
    all.sort();
    all
}

fn is_unified(ground: &Ground) -> bool {
    ground
        .try_sh("test -e /sys/fs/cgroup/cgroup.controllers")
        .success()
}

#[test]
fn a_container_is_in_the_hierarchies_that_limit_or_count_it_and_in_no_other() {
    let ground = Ground::new();
    let counted = ["blkio", "cpuacct", "devices", "memory", "pids"];
    let all = [
        "blkio", "cpu", "cpuacct", "cpuset", "devices", "memory", "pids",
    ];
    for (options, v1) in [("", &counted[..]), ("--cpus 0.5 --cpuset 0", &all)] {
        ground.run(&format!("-d --name one {options}"), "sleep 100");
        let wanted = if is_unified(&ground) { &[""] } else { v1 };
        assert_eq!(ours(&ground, &ground.pid("one")), wanted, "{options}");
        assert!(ours(&ground, &ground.supervisor("one")).is_empty());
        ground.pontoon("rm --force one");
        ground.assert_gone();
    }
}

#[test]
fn what_is_run_later_is_in_the_group_too_and_sees_no_other() {
    let ground = Ground::new();
    ground.run("-d --name one --cpuset 0", "sleep 100");
    let out = ground.exec(
        "one",
        "cat /proc/self/cgroup; grep -c cgroup /proc/mounts; sleep 100 >/dev/null 2>&1 &",
    );
    assert!(
        !out.stdout.contains("pontoon") && out.stdout.ends_with("\n0\n"),
        "{out}"
    );
    // What exec left behind in the container is counted and ends with it.
    let root = if is_unified(&ground) { "" } else { "pids/" };
    let group = ground.group("one");
    let procs = ground.sh(&format!("cat /sys/fs/cgroup/{root}{group}/cgroup.procs"));
    assert!(procs.lines().count() >= 3, "{procs}");
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn the_supervisor_has_no_other_child_than_the_container() {
    let ground = Ground::new();
    ground.run("-d --name one", "sleep 100");
    let children = ground.sh(&format!("ps -o pid= --ppid {}", ground.supervisor("one")));
    assert_eq!(children.trim(), ground.pid("one"));
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn one_process_is_enough_where_one_is_allowed() {
    let ground = Ground::new();
    let out = ground.try_words(&[
        "run", "web", "--rm", "--pids", "1", "--cpus", "0.05", "--", "id", "-u",
    ]);
    assert_eq!((out.code, &*out.stdout), (0, "0\n"), "{out}");
    ground.assert_gone();
}

#[test]
fn the_machines_groups_are_shown_to_who_asks_for_them() {
    let ground = Ground::new();
    let seen = ground.run(
        "--rm --memory 32M --mount /sys/fs/cgroup:/groups:ro",
        "find /groups -name 'cgroup.procs' | head -1",
    );
    assert!(seen.contains("cgroup.procs"), "{seen}");
    ground.assert_gone();
}

#[test]
fn devices_that_are_not_named_are_closed() {
    let ground = Ground::new();
    ground.run("-d --name one --user-ns host", "sleep 100");
    if is_unified(&ground) {
        testnet::skip("cgroup v2 has no controller for devices");
        ground.pontoon("rm --force one");
        return;
    }
    let group = ground.group("one");
    let list = ground.sh(&format!("cat /sys/fs/cgroup/devices/{group}/devices.list"));
    assert!(
        list.contains("c 1:3 rwm") && !list.contains("*:*"),
        "{list}"
    );
    assert!(ground.exec("one", "head -c 1 /dev/urandom | wc -c").stdout == "1\n");
    ground.pontoon("rm --force one");
    ground.assert_gone();
}
