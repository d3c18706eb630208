//! A container's life: exit codes, signals, terminals, logs, and what commands say of it.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::process::Stdio;

use testnet::{output, wait_until};

use crate::ground::{Ground, SOON};

#[test]
fn exit_codes_are_the_commands_own_as_a_shell_counts() {
    let ground = Ground::new();
    for (script, code) in [
        ("exit 0", 0),
        ("exit 7", 7),
        ("kill -9 $$", 137),
        ("kill -15 $$", 143),
    ] {
        let out = ground.try_run("", script);
        assert_eq!(out.code, code, "{script}: {out}");
    }
    for (command, code, word) in [
        ("no-such-command", 127, "No such file"),
        ("/etc/passwd", 126, "Permission denied"),
        ("/etc", 126, "Permission denied"),
    ] {
        let out = ground.try_words(&["run", "web", "--rm", "--", command]);
        assert!(
            out.code == code && out.stderr.contains(word),
            "{command}: {out}"
        );
        assert!(out.stderr.contains(command), "{command}: {out}");
    }
    let out = ground.try_words(&["run", "no-such-network", "--", "true"]);
    assert!(
        out.code == 125 && out.stderr.contains("no-such-network"),
        "{out}"
    );
    ground.pontoon("rm --all");
    ground.assert_gone();
}

#[test]
fn the_endpoint_is_there_before_the_command_and_gone_after_it() {
    let ground = Ground::new();
    let seen = ground.run(
        "--rm --name c1 --ip 10.5.0.77",
        "ip -br addr show eth0; ip route; cat /etc/hosts; hostname; ping -c1 -W2 10.5.0.1",
    );
    for part in [
        "10.5.0.77/24",
        "fd00:5::",
        "default via 10.5.0.1",
        "10.5.0.77\tc1",
        "1 received",
    ] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    ground.assert_gone();
}

#[test]
fn a_detached_container_is_listed_publishes_logs_and_stops() {
    let ground = Ground::new();
    let script = "echo to stdout; echo to stderr >&2; exec busybox httpd -f -p 80 -h /etc";
    let said = ground.run("-d --name shop -p 8080:80", script);
    assert_eq!(said, "shop\n");
    assert_eq!(ground.state("shop"), "running");
    let listed = ground.pontoon("ps");
    assert!(
        listed.contains("shop") && listed.contains("10.5.0.2/24"),
        "{listed}"
    );
    wait_until("it answers", SOON, || {
        let asked = ground.try_sh("curl -s -m2 http://127.0.0.1:8080/hostname");
        asked.stdout.trim() == "shop"
    });
    wait_until("its log is kept", SOON, || {
        let log = ground.try_words(&["logs", "shop"]);
        log.stdout == "to stdout\n" && log.stderr == "to stderr\n"
    });
    let refused = ground.refused("rm shop", 4);
    assert!(refused.contains("--force"), "{refused}");
    ground.pontoon("stop shop");
    let listed = ground.listed("shop").unwrap();
    assert_eq!(
        (listed["state"].as_str(), listed["code"].as_u64()),
        (Some("ended"), Some(143))
    );
    assert!(!ground.pontoon("ps").contains("shop"));
    ground.pontoon("rm shop");
    ground.refused("logs shop", 3);
    ground.assert_gone();
}

#[test]
fn a_name_is_had_once() {
    let ground = Ground::new();
    ground.run("-d --name one", "sleep 3600");
    let out = ground.try_run("-d --name one", "sleep 3600");
    assert!(
        out.code == 4 && out.stderr.contains("container one already"),
        "{out}"
    );
    assert_eq!(ground.state("one"), "running");
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn commands_join_a_running_container() {
    let ground = Ground::new();
    ground.run("-d --name one --hostname inn --env A=1", "sleep 3600");
    let seen = ground.exec(
        "one",
        "hostname; echo $A; readlink /proc/1/ns/net /proc/self/ns/net; id -u",
    );
    let lines: Vec<&str> = seen.stdout.lines().collect();
    assert_eq!(&lines[..2], ["inn", "1"], "{seen}");
    assert!(seen.stdout.ends_with("\n0\n"), "{seen}");
    assert_eq!(ground.exec("one", "exit 9").code, 9);
    assert_eq!(ground.exec("one", "kill -9 $$").code, 137);
    let missing = ground.try_words(&["exec", "one", "--", "no-such"]);
    assert!(
        missing.code == 127 && missing.stderr.contains("no-such"),
        "{missing}"
    );
    let with = ground.try_words(&["exec", "one", "--env", "A=2", "--", "sh", "-c", "echo $A"]);
    assert_eq!(with.stdout, "2\n", "{with}");
    // Enclosed as the first command is.
    assert_ne!(
        ground
            .exec("one", "mount -t tmpfs none /mnt || unshare -U true")
            .code,
        0
    );
    ground.pontoon("stop one --time 1");
    let gone = ground.exec("one", "true");
    assert!(
        gone.code == 125 && gone.stderr.contains("not running"),
        "{gone}"
    );
}

#[test]
fn signals_reach_the_command() {
    for (signal, code) in [("INT", 130), ("TERM", 143), ("HUP", 129)] {
        let ground = Ground::new();
        let mut command = ground.words(&["run", "web", "--name", "one", "--", "sleep", "3600"]);
        let mut child = command.stdin(Stdio::null()).spawn().unwrap();
        wait_until("it runs", SOON, || {
            ground
                .listed("one")
                .is_some_and(|one| one["state"] == "running")
        });
        ground.sh(&format!("kill -{signal} {}", child.id()));
        let status = child.wait().unwrap();
        assert_eq!(
            (status.code(), status.signal()),
            (Some(code), None),
            "{signal}"
        );
        ground.pontoon("rm one");
        ground.assert_gone();
    }
}

#[test]
fn standard_input_is_the_commands() {
    let ground = Ground::new();
    let mut command = ground.words(&["run", "web", "--rm", "--", "tr", "a-z", "A-Z"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(b"hello").unwrap();
    let out = child.wait_with_output().unwrap();
    assert_eq!(out.stdout, b"HELLO");
}

#[test]
fn terminals_are_as_large_as_the_persons_and_resize() {
    let ground = Ground::new();
    let pontoon = crate::node::PONTOON;
    // script(1) is the person's terminal; what runs in it changes its size once the container has
    // seen the first one.
    let inner = "stty size; while [ \"$(stty size)\" != '40 90' ]; do sleep 0.05; done; \
                 stty size; tty; exit 5";
    let outer = format!(
        "stty rows 20 cols 60; \
         (while ! grep -q '20 60' {dir}/seen 2>/dev/null; do sleep 0.05; done; stty rows 40 cols 90 < /dev/tty) & \
         {pontoon} run web --rm -t -- sh -c '{quoted}' | tee {dir}/seen; ",
        dir = ground.disk(),
        quoted = inner.replace('\'', "'\\''"),
    );
    let mut command = (**ground).command("script");
    command
        .args(["-qec", &outer, "/dev/null"])
        .env("SHELL", "/bin/bash");
    let out = output(&mut command);
    assert!(
        out.stdout.contains("20 60") && out.stdout.contains("40 90"),
        "{out}"
    );
    assert!(
        out.stdout.contains("/dev/pts/0") || out.stdout.contains("/dev/console"),
        "{out}"
    );
    ground.assert_gone();
}

#[test]
fn a_log_follows_until_the_container_ends() {
    let ground = Ground::new();
    ground.run(
        "-d --name one",
        "for n in 1 2 3; do echo line $n; sleep 0.2; done",
    );
    let followed = ground.pontoon("logs --follow one");
    assert_eq!(followed, "line 1\nline 2\nline 3\n");
    ground.wait_state("one", "exited");
    let stamped = ground.pontoon("logs --timestamps one");
    assert!(
        stamped.lines().all(|line| line.contains(" line ")),
        "{stamped}"
    );
    ground.pontoon("rm one");
    ground.assert_gone();
}

#[test]
fn what_is_used_is_shown() {
    let ground = Ground::new();
    ground.run(
        "-d --name one --memory 64M",
        "ping -c3 -i0.2 10.5.0.1; while :; do :; done",
    );
    wait_until("it is busy", SOON, || {
        let stats: serde_json::Value =
            serde_json::from_str(&ground.pontoon("stats one --json")).unwrap();
        let one = &stats[0];
        one["cpu_percent"].as_u64() > Some(5)
            && one["net_sent"].as_u64() > Some(100)
            && one["memory"].as_u64() > Some(0)
            && one["memory_limit"].as_u64() == Some(64 << 20)
            && one["pids"].as_u64() == Some(2)
    });
    assert!(ground.pontoon("stats").contains("one"));
    ground.pontoon("rm --force one");
    ground.refused("stats one", 3);
}
