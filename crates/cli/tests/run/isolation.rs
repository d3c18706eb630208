//! Each namespace, by what a process in it can and can't see.

use crate::ground::Ground;

#[test]
fn processes_of_others_are_not_there() {
    let ground = Ground::new();
    let seen = ground.run(
        "--rm",
        "ls /proc | grep -c '^[0-9]'; cat /proc/1/comm; echo $$",
    );
    let lines: Vec<&str> = seen.lines().collect();
    // The first process, the shell, ls and grep.
    assert!(lines[0].parse::<u32>().unwrap() <= 5, "{seen}");
    assert_eq!(lines[1..], ["pontoon-init", "2"], "{seen}");
}

#[test]
fn the_host_name_is_its_own() {
    let ground = Ground::new();
    let before = ground.sh("hostname");
    let seen = ground.run(
        "--rm --hostname inn",
        "hostname; cat /etc/hostname; uname -n",
    );
    assert_eq!(seen, "inn\ninn\ninn\n");
    assert_eq!(ground.sh("hostname"), before);
}

#[test]
fn ipc_objects_are_its_own() {
    let ground = Ground::new();
    ground.run("-d --name one", "ipcmk -Q && touch /tmp/made && sleep 3600");
    let made = ground.exec(
        "one",
        "while [ ! -e /tmp/made ]; do sleep 0.02; done; ipcs -q | grep -c 0x",
    );
    assert_eq!(made.stdout, "1\n", "{made}");
    let other = ground.run("--rm", "ipcs -q | grep -c 0x || true");
    assert_eq!(other, "0\n");
}

#[test]
fn files_are_the_machines_to_read_and_its_own_to_write() {
    let ground = Ground::new();
    let seen = ground.run(
        "--rm",
        "cd /root && touch own /tmp/own /run/own && cd /home && touch own && ls /usr/bin/env; \
         for d in /usr /etc /var /; do touch $d/x 2>&1 && echo WRITTEN; done; \
         ls /tmp /home",
    );
    assert!(
        seen.contains("/usr/bin/env") && !seen.contains("WRITTEN"),
        "{seen}"
    );
    assert_eq!(seen.matches("Read-only file system").count(), 4, "{seen}");
    assert!(
        seen.trim_end().ends_with("/tmp:\nown") || seen.contains("/home:\nown"),
        "{seen}"
    );
    assert!(
        ground
            .sh("ls /tmp/own /run/own ~/own 2>/dev/null || true")
            .is_empty()
    );
}

#[test]
fn mounts_show_what_was_asked_for_and_no_more() {
    let ground = Ground::new();
    let disk = ground.disk().to_owned();
    ground.sh(&format!("echo hello > {disk}/file; chmod 666 {disk}/file"));
    let both = format!("--rm --mount {disk}:/data --mount {disk}:/tmp/look:ro");
    let seen = ground.run(
        &both,
        "cat /data/file /tmp/look/file; echo more >> /data/file; touch /tmp/look/x 2>&1 || true",
    );
    assert!(
        seen.starts_with("hello\nhello\n") && seen.contains("Read-only"),
        "{seen}"
    );
    assert_eq!(ground.sh(&format!("cat {disk}/file")), "hello\nmore\n");
    let missing = ground.try_run(&format!("--rm --mount {disk}:/usr/no/such"), "true");
    assert!(
        missing.code == 125 && missing.stderr.contains("/usr/no/such"),
        "{missing}"
    );
    let outside = ground.try_run(&format!("--rm --mount {disk}:/tmp/../x"), "true");
    assert_eq!(outside.code, 125, "{outside}");
    ground.assert_gone();
}

#[test]
fn its_root_is_nobody_on_the_machine_and_nobody_elses() {
    let ground = Ground::new();
    ground.run("-d --name one", "sleep 3600");
    ground.run("-d --name two", "sleep 3600");
    let first = |name: &str| {
        let pid = ground.pid(name);
        let map = ground.sh(&format!("cat /proc/{pid}/uid_map"));
        let fields: Vec<u32> = map.split_whitespace().map(|f| f.parse().unwrap()).collect();
        assert_eq!((fields[0], fields[2]), (0, 65_536), "{map}");
        let owner = ground.sh(&format!("grep ^Uid /proc/{pid}/status"));
        assert!(owner.contains(&fields[1].to_string()), "{owner}");
        fields[1]
    };
    let (one, two) = (first("one"), first("two"));
    assert!(
        one >= 0x7000_0000 && one.abs_diff(two) >= 65_536,
        "{one} {two}"
    );
    assert_eq!(
        ground.exec("one", "stat -c %u /tmp/. /usr").stdout,
        "0\n65534\n"
    );
    let host = ground.run(
        "--rm --user-ns host",
        "cat /proc/self/uid_map; stat -c %u /usr",
    );
    assert!(
        host.contains("4294967295") && host.ends_with("\n0\n"),
        "{host}"
    );
}

#[test]
fn devices_are_the_harmless_ones() {
    let ground = Ground::new();
    let seen = ground.run(
        "--rm",
        "find /dev -type b; cd /dev; for f in *; do [ -c $f ] && [ ! -L $f ] && echo $f; done | sort | tr '\\n' ' '",
    );
    assert_eq!(seen.trim(), "full null random tty urandom zero", "{seen}");
}

#[test]
fn the_network_is_an_endpoint_and_a_loopback() {
    let ground = Ground::new();
    // Where the kernel has tunnels, each namespace is born with one of each kind.
    let seen = ground.run(
        "--rm",
        "ls /sys/class/net | grep -vxE 'sit0|tunl0|ip6tnl0' | tr '\\n' ' '",
    );
    assert_eq!(seen.trim(), "eth0 lo");
}

#[test]
fn a_root_of_ones_own_is_all_there_is() {
    let ground = Ground::new();
    let disk = ground.disk().to_owned();
    ground.sh(&format!(
        "mkdir -p {disk}/root/bin && cp /bin/busybox {disk}/root/bin/ && ln -s busybox {disk}/root/bin/sh"
    ));
    let seen = ground.run(
        &format!("--rm --name own --rootfs {disk}/root"),
        "busybox ls /; busybox hostname; busybox ip addr show eth0; echo x > /tmp/x && echo wrote",
    );
    for part in ["bin", "own", "10.5.0.", "wrote"] {
        assert!(seen.contains(part), "{part}: {seen}");
    }
    assert!(!seen.contains("usr"), "{seen}");
}
