//! Each limit, by hitting it.

use std::time::{Duration, Instant};

use testnet::{patient, skip};

use crate::ground::{Ground, copied_in};

#[test]
fn beyond_its_memory_a_command_is_killed_and_that_is_said() {
    let ground = Ground::new();
    let begun = Instant::now();
    let out = ground.try_words(&[
        "run",
        "web",
        "--name",
        "fat",
        "--memory",
        "32M",
        "--",
        "tail",
        "/dev/zero",
    ]);
    assert_eq!(out.code, 137, "{out}");
    assert!(begun.elapsed() < patient(Duration::from_secs(60)));
    assert_eq!(ground.state("fat"), "out-of-memory");
    assert!(ground.pontoon("ps --all").contains("out of memory (137)"));
    // What fits is not killed.
    ground.run(
        "--rm --memory 32M",
        "head -c 8M /dev/zero | tail -c 8M | wc -c",
    );
    ground.pontoon("rm fat");
    ground.assert_gone();
}

#[test]
fn cpu_time_is_a_share() {
    let ground = Ground::new();
    let script = "read begun _ < /proc/uptime
        timeout 3 sh -c 'while :; do :; done'
        read ended _ < /proc/uptime
        times; echo $begun $ended";
    let out = ground.run("--rm --cpus 0.25", script);
    let lines: Vec<&str> = out.lines().collect();
    let [_, of_children, clock] = lines[..] else {
        panic!("{out}");
    };
    // As times(1) has it: 0m0.752s 0m0.000s. On a slow machine the three seconds are more.
    let spent: f64 = of_children.split_whitespace().map(seconds).sum();
    let (begun, ended) = clock.split_once(' ').unwrap();
    let passed = ended.parse::<f64>().unwrap() - begun.parse::<f64>().unwrap();
    assert!(
        (0.015..=0.37).contains(&(spent / passed)),
        "{spent} s of {passed} at a quarter: {out}"
    );
}

fn seconds(text: &str) -> f64 {
    let (minutes, seconds) = text.trim_end_matches('s').split_once('m').unwrap();
    minutes.parse::<f64>().unwrap() * 60.0 + seconds.parse::<f64>().unwrap()
}

#[test]
fn commands_run_on_the_cpus_they_are_given() {
    let ground = Ground::new();
    let online = ground.sh("cat /sys/devices/system/cpu/online");
    let last = online.trim().rsplit([',', '-']).next().unwrap();
    let seen = ground.run(
        &format!("--rm --cpuset {last}"),
        "grep Cpus_allowed_list /proc/self/status",
    );
    assert_eq!(seen.split_whitespace().last(), Some(last), "{seen}");
    let refused = ground.try_run("--rm --cpuset 4000", "true");
    assert!(
        refused.code == 125 && refused.stderr.contains("--cpuset"),
        "{refused}"
    );
}

#[test]
fn there_are_no_more_processes_than_allowed() {
    let ground = Ground::new();
    let script = "for n in 1 2 3 4 5 6 7 8 9; do sleep 5 & done; echo all";
    let out = ground.try_run("--rm --pids 5", script);
    assert!(
        out.stderr.contains("fork") && !out.stdout.contains("all"),
        "{out}"
    );
    let within = ground.run(
        "--rm --pids 12",
        "for n in 1 2 3 4 5; do sleep 0.1 & done; wait; echo all",
    );
    assert_eq!(within, "all\n");
}

#[test]
fn reads_and_writes_are_as_fast_as_allowed() {
    let ground = Ground::new();
    let disk = ground.disk().to_owned();
    let Some(about) = ground.disk_option() else {
        return skip("/var/tmp is on no disk");
    };
    ground.sh(&format!(
        "dd if=/dev/zero of={disk}/file bs=64k count=48 oflag=direct; chmod 666 {disk}/file"
    ));
    let mount = format!("--rm --mount {disk}:/data");
    let read = "dd if=/data/file of=/dev/null bs=64k iflag=direct 2>&1";
    let write = "dd if=/dev/zero of=/data/file bs=64k count=48 oflag=direct conv=notrunc 2>&1";
    for (option, script) in [("--io-read 1M", read), ("--io-write 1M", write)] {
        let script = format!("LC_ALL=C {script}");
        let free = copied_in(&ground.run(&mount, &script));
        let limited = copied_in(&ground.run(&format!("{mount} {option} {about}"), &script));
        // 3 MiB at 1 MiB/s, of which a burst passes at once.
        let least = Duration::from_millis(1800);
        assert!(limited > least, "{option}: {limited:?}, {free:?} without");
        assert!(limited > free, "{option}: {limited:?}, {free:?} without");
    }
}

#[test]
fn what_can_not_be_enforced_is_refused_by_name_before_anything_is_made() {
    let ground = Ground::new();
    for option in [
        "--net-prio 3",
        "--net-class 7",
        "--io-read 1M --io-device /dev/null",
    ] {
        let refused = ground.try_run(&format!("-d --name no {option}"), "true");
        assert_ne!(refused.code, 0, "{option}");
        let name = option.split(' ').next().unwrap();
        assert!(refused.stderr.contains(name), "{option}: {refused}");
        assert!(ground.listed("no").is_none());
    }
    let most = ground.try_run("--rm --best-effort --net-prio 3 --memory 32M", "echo ran");
    assert!(
        most.stdout == "ran\n" && most.stderr.contains("left out: "),
        "{most}"
    );
    ground.sh("umount /sys/fs/cgroup/pids 2>/dev/null || true");
    ground.assert_gone();
}

/// An option for each limit; `--net-rate` is the endpoint's and another check's.
const OPTIONS: [&str; 8] = [
    "--memory 32M",
    "--cpus 1",
    "--cpuset 0",
    "--pids 20",
    "--io-read 10M",
    "--io-write 10M",
    "--net-class 7",
    "--net-prio 3",
];

#[test]
fn what_doctor_calls_refused_is_refused_and_all_else_is_not() {
    let ground = Ground::new();
    let said = ground.try_words(&["doctor", "--json"]).stdout;
    let checks: serde_json::Value = serde_json::from_str(&said).unwrap();
    let mut checks = checks.as_array().unwrap().iter();
    let check = checks.find(|check| check["name"] == "limits").unwrap();
    let found = check["found"].as_str().unwrap();
    assert!(found.starts_with("cgroup v"), "{found}");
    for option in OPTIONS {
        let ran = ground.try_run(&format!("--rm {option}"), "true");
        let name = option.split(' ').next().unwrap();
        let is_refused = found.contains(&format!("{name} is refused"));
        assert_eq!(ran.success(), !is_refused, "{option}: {found}: {ran}");
    }
    ground.assert_gone();
}
