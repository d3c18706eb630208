//! Other limits for a container that runs: each is hit after the change, and all or none change.

use std::time::{Duration, Instant};

use serde_json::Value;
use testnet::{skip, wait_until};

use crate::ground::{Ground, SOON, copied_in};

/// 96 MiB that stay in use until the container ends: in memory, and with no swap to go to.
const HOLD: &str = "head -c 96M /dev/zero >/tmp/held; touch /tmp/done; exec sleep 3600";

fn is_unified(ground: &Ground) -> bool {
    ground
        .try_sh("test -e /sys/fs/cgroup/cgroup.controllers")
        .success()
}

/// A file of the container's group: of a hierarchy of v1, or of the unified one.
fn group_file(ground: &Ground, (controller, v1): (&str, &str), v2: &str) -> String {
    let group = ground.group("one");
    let file = match is_unified(ground) {
        true => format!("{group}/{v2}"),
        false => format!("{controller}/{group}/{v1}"),
    };
    let read = ground.try_sh(&format!("cat /sys/fs/cgroup/{file}"));
    read.stdout.trim().to_owned()
}

fn quota(ground: &Ground) -> String {
    group_file(ground, ("cpu", "cpu.cfs_quota_us"), "cpu.max")
}

fn processes(ground: &Ground) -> String {
    group_file(ground, ("pids", "cgroup.procs"), "cgroup.procs")
}

fn limits(ground: &Ground) -> Value {
    ground.listed("one").unwrap()["limits"].clone()
}

#[test]
fn less_memory_is_less_from_now_on_and_more_is_more() {
    let ground = Ground::new();
    ground.run("-d --name one --memory 128M", "sleep 3600");
    let take = "head -c 64M /dev/zero | tail -c 64M | wc -c";
    assert!(ground.exec("one", take).success());
    ground.pontoon("limit one --memory 32M");
    let killed = ground.exec("one", take);
    assert!(!killed.stdout.contains("67108864"), "{killed}");
    assert_eq!(limits(&ground)["memory"], 32 << 20);
    let used: Value = serde_json::from_str(&ground.pontoon("stats one --json")).unwrap();
    assert_eq!(used[0]["memory_limit"], 32 << 20);
    assert!(ground.pontoon("stack one").contains("32.0M"));
    ground.pontoon("limit one --memory 256M");
    let fits = ground.exec("one", take);
    assert!(fits.stdout.contains("67108864"), "{fits}");
    assert_eq!(ground.state("one"), "running");
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn memory_that_is_in_use_is_not_taken_and_nothing_else_is_changed() {
    let ground = Ground::new();
    ground.run("-d --name one --cpus 0.9 --pids 50", HOLD);
    wait_until("it holds its memory", SOON, || {
        ground.exec("one", "test -e /tmp/done").success()
    });
    let (before, quota_before) = (limits(&ground), quota(&ground));
    let refused = ground.refused("limit one --cpus 0.3 --cpuset 0 --pids 40 --memory 16M", 4);
    assert!(
        refused.contains("--memory") && refused.contains("in use"),
        "{refused}"
    );
    assert!(refused.contains("nothing was changed"), "{refused}");
    assert_eq!((limits(&ground), quota(&ground)), (before, quota_before));
    let pids = group_file(&ground, ("pids", "pids.max"), "pids.max");
    assert_eq!(pids, "51");
    assert_eq!(ground.state("one"), "running");
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn cpu_time_is_a_share_of_what_runs_already() {
    let ground = Ground::new();
    ground.run("-d --name one", "while :; do :; done & while :; do :; done");
    ground.pontoon("limit one --cpus 0.20");
    let used = || {
        let stack: Value = serde_json::from_str(&ground.pontoon("stack one --json")).unwrap();
        let micros = stack["container"]["usage"]["cpu_micros"].as_f64().unwrap();
        (micros / 1e6, Instant::now())
    };
    let before = used();
    let mut after = used();
    while after.1 - before.1 < Duration::from_secs(3) {
        after = used();
    }
    let share = (after.0 - before.0) / (after.1 - before.1).as_secs_f64();
    assert!((0.01..=0.3).contains(&share), "{share} of a CPU at a fifth");
    assert!(ground.pontoon("stack one").contains("0.20"));
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn what_runs_moves_to_the_cpus_it_is_given() {
    let ground = Ground::new();
    ground.run("-d --name one", "sleep 3600 & sleep 3600");
    wait_until("it has forked", SOON, || {
        processes(&ground).lines().count() > 2
    });
    ground.pontoon("limit one --cpuset 0");
    let pids = processes(&ground);
    assert!(pids.lines().count() > 2, "{pids}");
    for pid in pids.lines() {
        let status = ground.sh(&format!("cat /proc/{pid}/status"));
        assert!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    }
    let later = ground.exec("one", "grep Cpus_allowed_list /proc/self/status");
    assert_eq!(later.stdout.split_whitespace().last(), Some("0"), "{later}");
    let refused = ground.refused("limit one --cpuset 4000", 9);
    assert!(refused.contains("--cpuset"), "{refused}");
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn there_are_no_more_processes_than_allowed_now() {
    let ground = Ground::new();
    ground.run("-d --name one", "sleep 3600 & sleep 3600 & sleep 3600");
    wait_until("it has forked", SOON, || {
        processes(&ground).lines().count() > 3
    });
    let refused = ground.refused("limit one --pids 2", 4);
    assert!(refused.contains("processes"), "{refused}");
    ground.pontoon("limit one --pids 8");
    let script = "for n in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all";
    let out = ground.exec("one", script);
    assert!(
        out.stderr.contains("fork") && !out.stdout.contains("all"),
        "{out}"
    );
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn a_disk_is_read_as_fast_as_allowed_now() {
    let ground = Ground::new();
    let disk = ground.disk().to_owned();
    let Some(about) = ground.disk_option() else {
        return skip("/var/tmp is on no disk");
    };
    ground.sh(&format!(
        "dd if=/dev/zero of={disk}/file bs=64k count=48 oflag=direct; chmod 666 {disk}/file"
    ));
    ground.run(&format!("-d --name one --mount {disk}:/data"), "sleep 3600");
    let timed = || {
        let read = "LC_ALL=C dd if=/data/file of=/dev/null bs=64k iflag=direct";
        copied_in(&ground.exec("one", read).stderr)
    };
    let free = timed();
    ground.pontoon(&format!("limit one --io-read 1M {about}"));
    let limited = timed();
    // 3 MiB at 1 MiB/s, of which a burst passes at once.
    let least = Duration::from_millis(1800);
    assert!(
        limited > least && limited > free,
        "{limited:?}, {free:?} without"
    );
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn a_dry_run_says_what_it_would_write_and_writes_nothing() {
    let ground = Ground::new();
    ground.run("-d --name one --memory 64M", "sleep 3600");
    let before = limits(&ground);
    let line = "limit one --memory 32M --cpus 0.5 --net-rate 10mbit --dry-run";
    let plan = ground.pontoon(line);
    for part in ["33554432", "50000", "pifb"] {
        assert!(plan.contains(part), "{part}: {plan}");
    }
    let json: Value = serde_json::from_str(&ground.pontoon(&format!("{line} --json"))).unwrap();
    assert_eq!(json["dry_run"], true);
    assert_eq!(json["outcome"]["limits"]["memory"], 32 << 20);
    assert!(
        json["plan"]["limits"].as_array().unwrap().len() > 1,
        "{json}"
    );
    assert_eq!(limits(&ground), before);
    assert_eq!(ground.sh("ip -o link | grep pifb || true"), "");
    let memory = group_file(&ground, ("memory", "memory.limit_in_bytes"), "memory.max");
    assert_eq!(memory, (64 << 20).to_string());
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn only_what_runs_is_limited_and_something_must_be_named() {
    let ground = Ground::new();
    ground.refused("limit none --memory 32M", 3);
    ground.run("--name over", "true");
    ground.refused("limit over --memory 32M", 3);
    ground.refused("limit over", 2);
    ground.pontoon("rm over");
    ground.assert_gone();
}
