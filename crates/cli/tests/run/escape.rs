//! Ways out: each is tried, by root inside, and none leads anywhere.

use crate::ground::Ground;

/// A name, and a script that prints OUT where it got somewhere.
const TRIES: &[(&str, &str)] = &[
    (
        "mount",
        "mkdir /tmp/m; mount -t tmpfs none /tmp/m && echo OUT",
    ),
    (
        "bind mount",
        "mkdir /tmp/m; mount --bind /usr /tmp/m && echo OUT",
    ),
    (
        "remount",
        "mount -o remount,rw / && echo OUT; mount -o remount,rw,bind /usr && echo OUT",
    ),
    (
        "unmount",
        "umount /tmp && echo OUT; umount /proc/sys && echo OUT",
    ),
    (
        "a user namespace",
        "unshare -U true && echo OUT; unshare -Urm true && echo OUT",
    ),
    (
        "a namespace",
        "unshare -n true && echo OUT; unshare -p -f true && echo OUT",
    ),
    (
        "setns",
        "nsenter -t 1 -n true && echo OUT; nsenter -t 1 -m true && echo OUT",
    ),
    (
        "a device made",
        "mknod /tmp/d b 254 0 && echo OUT; mknod /tmp/c c 1 1 && echo OUT",
    ),
    (
        "the disk",
        "head -c1 /dev/vda >/dev/null 2>&1 && echo OUT; head -c1 /dev/sda >/dev/null 2>&1 && echo OUT",
    ),
    (
        "memory",
        "head -c1 /dev/mem && echo OUT; head -c1 /proc/kcore | grep -q . && echo OUT",
    ),
    (
        "kernel settings",
        "echo 1 > /proc/sys/kernel/sysrq && echo OUT; echo '|/x' > /proc/sys/kernel/core_pattern && echo OUT; echo 1 > /proc/sys/net/ipv4/ip_forward && echo OUT",
    ),
    ("sysrq", "echo h > /proc/sysrq-trigger && echo OUT"),
    (
        "sysfs",
        "touch /sys/x && echo OUT; echo x > /sys/class/net/eth0/ifalias && echo OUT",
    ),
    (
        "ptrace of the first process",
        "timeout 20 strace -p 1 -o /dev/null 2>/dev/null; test $? = 124 && echo OUT",
    ),
    (
        "the first process's program",
        "cat /proc/1/exe >/dev/null && echo OUT; ls -l /proc/1/fd/ | grep -q pontoon && echo OUT; ls /proc/1/root/ >/dev/null && echo OUT",
    ),
    (
        "secrets",
        "cat /etc/shadow | grep -q root && echo OUT; ls /etc/ssh | grep -q . && echo OUT",
    ),
    ("the machine's name", "hostname x && echo OUT"),
    ("the clock", "date -s 2001-01-01 >/dev/null && echo OUT"),
    (
        "new privileges",
        "grep -q 'NoNewPrivs:.*1' /proc/self/status || echo OUT; grep -q 'Seccomp:.*2' /proc/self/status || echo OUT",
    ),
    (
        "capabilities",
        "grep -q 'CapBnd:.*000000000004..eb$' /proc/self/status && echo OUT; grep -Eq 'Cap(Inh|Amb):.*[1-9a-f]' /proc/self/status && echo OUT",
    ),
    (
        "network settings",
        "ip link set eth0 down && echo OUT; ip addr add 10.5.0.99/24 dev eth0 && echo OUT; ip link add v type veth && echo OUT",
    ),
    ("cgroups", "ls /sys/fs/cgroup | grep -q . && echo OUT"),
    ("reboot", "reboot -f && echo OUT"),
];

fn try_all(options: &str) {
    let ground = Ground::new();
    ground.run(&format!("-d --name one {options}"), "sleep 3600");
    let mut out = Vec::new();
    for (name, script) in TRIES {
        let said = ground.exec("one", &format!("exec 2>&1; {script}; true"));
        if said.stdout.lines().any(|line| line == "OUT") {
            out.push(format!("{name}: {said}"));
        }
    }
    assert!(out.is_empty(), "{}", out.join("\n"));
    assert_eq!(ground.state("one"), "running");
}

#[test]
fn no_way_leads_out_of_a_container() {
    try_all("");
}

#[test]
fn no_way_leads_out_of_a_container_with_the_machines_users() {
    try_all("--user-ns host");
}

#[test]
fn signals_and_looks_stay_inside() {
    let ground = Ground::new();
    let mut outsider = ground.bystander();
    let pid = outsider.id();
    let out = ground.try_run(
        "--rm --user-ns host",
        &format!("kill -9 {pid}; kill -0 {pid}; ls /proc/{pid}; kill -9 -1; echo survived"),
    );
    assert!(
        !out.stdout.contains("survived") || out.stderr.contains("No such"),
        "{out}"
    );
    assert!(outsider.try_wait().unwrap().is_none(), "it was killed");
    outsider.kill().unwrap();
    outsider.wait().unwrap();
}

#[test]
fn the_nodes_records_are_hidden() {
    let ground = Ground::new();
    let state = format!("{}/state", ground.disk());
    let records = ground.state_dir().display().to_string();
    // As Pontoon makes its directory, and as somebody made it before.
    for mode in ["700", "755"] {
        ground.sh(&format!(
            "rm -rf {state}; cp -r {records} {state}; chmod {mode} {state}; chmod a+r {state}/*"
        ));
        for users in ["auto", "host"] {
            let look = "ls -A \"$0\" | wc -l";
            let line = [
                "--state-dir",
                &state,
                "run",
                "web",
                "--rm",
                "--user-ns",
                users,
            ];
            let line = [&line[..], &["--", "sh", "-c", look, &state]].concat();
            let out = ground.try_words(&line);
            assert_eq!(out.stdout.trim(), "0", "{mode} {users}: {out}");
            assert_eq!(out.stderr, "", "{mode} {users}");
        }
    }
}
