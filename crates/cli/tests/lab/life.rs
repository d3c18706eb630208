//! A lab's life: made, looked at, used, cut, healed, removed; and what is refused.

use std::io::Read;
use std::process::Stdio;
use std::time::Duration;

use testnet::{Netns, Transport, output, wait_until};

use crate::ground::Ground;

#[test]
fn a_lab_is_made_used_and_removed() {
    let ground = Ground::new("life");
    let before = ground.snapshot();
    let made = ground.lab("up");
    for part in [
        "n1",
        "n3",
        "192.0.2.3",
        "2001:db8::3",
        "web",
        "10.50.0.0/16",
        "Try:",
    ] {
        assert!(made.contains(part), "{made}");
    }
    let addresses = ground.attach("n2", "web", "c1");
    assert_eq!(addresses, ["10.50.2.2", "fd00:50:0:2::2"]);
    let listed = ground.lab("ls");
    assert!(listed.contains("10.50.2.2/24"), "{listed}");
    for node in ["n1", "n2", "n3"] {
        let status = ground.node_status(node);
        assert_eq!(status["link"], "up", "{status}");
        assert!(status["agent"].is_u64(), "{status}");
    }
    let removed = ground.lab("down");
    assert!(removed.contains("4 namespaces"), "{removed}");
    assert_eq!(ground.snapshot(), before);
    let again = ground.lab("down");
    assert!(again.contains("nothing to do"), "{again}");
    assert_eq!(ground.snapshot(), before);
}

#[test]
fn a_node_is_a_machine_of_its_own() {
    let ground = Ground::new("own");
    ground.node().sh("ip netns add mine");
    ground.lab("up --nodes 2");
    ground.attach("n1", "web", "c1");
    assert_eq!(ground.on("n1", "hostname; ls /run/netns"), "n1\nc1\n");
    assert_eq!(ground.on("n2", "ip netns"), "");
    let devices = ground.on("n1", "ls /sys/class/net");
    assert!(
        devices.contains("eth0") && devices.contains("pn-web"),
        "{devices}"
    );
    let endpoints = ground.on("n1", "pontoon ls --json");
    assert!(endpoints.contains("10.50.1.2"), "{endpoints}");
    assert_eq!(ground.on("n2", "pontoon ls --json"), "[]\n");
    assert_eq!(ground.on("n1", "pontoon reconcile --dry-run"), "");
    // Nothing of it shows on the machine but the names.
    let names = ground.node().sh("ls /run/netns");
    let name = ground.name();
    assert_eq!(
        names,
        format!("mine\n{name}-n1\n{name}-n2\n{name}-underlay\n")
    );
    let made = "ip -o link show type veth; ip -o link show type bridge";
    assert_eq!(ground.node().sh(made), "");
    assert_ne!(ground.node().sh("hostname"), "n1\n");
    // A node can't run the lab.
    let inside = ground.try_on("n1", &format!("pontoon lab --name {name} down"));
    assert_eq!(inside.code, 2, "{inside}");
    assert!(inside.stderr.contains("node n1"), "{inside}");
    ground.lab("down");
    assert_eq!(ground.node().sh("ls /run/netns"), "mine\n");
}

#[test]
fn a_command_on_a_node_ends_as_it_would_anywhere() {
    let ground = Ground::new("exec");
    ground.lab("up --nodes 1");
    assert_eq!(ground.try_on("n1", "exit 42").code, 42);
    assert_eq!(ground.try_on("n1", "kill -TERM $$").code, 128 + 15);
    assert_eq!(ground.try_lab("exec n1 -- no-such-command").code, 127);
    let here = std::env::current_dir().unwrap();
    assert_eq!(ground.on("n1", "pwd").trim(), here.to_str().unwrap());
    // Options behind the command are the command's.
    let out = ground.lab("exec n1 -- echo --json -v --name x");
    assert_eq!(out, "--json -v --name x\n");
    // A signal to the caller is one to the command: they are one process.
    let mut command = ground.command("exec n1 -- sh -c");
    command.arg("trap 'exit 7' TERM; echo; while :; do :; done");
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .unwrap();
    ground.node().sh(&format!("kill -TERM {}", child.id()));
    assert_eq!(child.wait().unwrap().code(), Some(7));
}

#[test]
fn ports_of_a_node_are_published_as_anywhere() {
    let ground = Ground::new("port");
    ground.lab("up --nodes 2");
    ground.lab("attach n1 web c1 --ip 10.50.1.80 -p 8080:80 -p 8081:81/udp");
    let (container, mut held) = ground.container("n1", "c1");
    let server = container.serve(Transport::Tcp, "[::]:80".parse().unwrap());
    let client = Netns::named(&format!("{}-n2", ground.name()));
    let answer = client.ask(Transport::Tcp, "192.0.2.1:8080".parse().unwrap());
    assert_eq!(answer.unwrap().ip().to_canonical().to_string(), "192.0.2.2");
    drop(server);
    held.kill().unwrap();
    held.wait().unwrap();
}

#[test]
fn mistakes_are_told_and_leave_nothing() {
    let ground = Ground::new("err");
    let before = ground.snapshot();
    for (line, code, says) in [
        ("ls", 3, "pontoon lab up"),
        ("exec n1 -- true", 3, "no lab"),
        ("up --nodes 0", 2, "1 to 16"),
        ("up --nodes 17", 2, "1 to 16"),
        ("up --underlay-mtu 1000", 2, "1280"),
        ("up --network web", 2, "NAME=CIDR"),
        ("up --network web=10.0.0.0/8:ospf", 2, "ospf"),
        (
            "up --network a=10.1.0.0/16 --network b=10.1.2.0/24",
            2,
            "overlaps",
        ),
        (
            "up --network a=10.1.0.0/16 --network a=10.2.0.0/16",
            2,
            "two networks a",
        ),
        ("up --nodes 16 --network a=10.1.0.0/24", 2, "slot 16"),
        ("up --ipv4 --ipv6", 2, "--ipv4"),
    ] {
        let said = ground.refused(line, code);
        assert!(said.contains(says), "{line}: {said}");
        assert_eq!(ground.snapshot(), before, "{line}");
    }
    // Somebody else's namespace is neither used nor removed.
    let taken = format!("{}-n2", ground.name());
    ground.node().sh(&format!("ip netns add {taken}"));
    let before = ground.snapshot();
    let said = ground.refused("up", 4);
    assert!(said.contains(&taken), "{said}");
    ground.lab("down");
    assert_eq!(ground.snapshot(), before);
}

#[test]
fn a_second_lab_needs_another_name() {
    let ground = Ground::new("two");
    ground.lab("up --nodes 1");
    let said = ground.refused("up", 4);
    assert!(said.contains("already, with 1 node"), "{said}");
    let said = ground.refused("exec n7 -- true", 3);
    assert!(said.contains("no machine n7"), "{said}");
    let other = format!("{}b", ground.name());
    let pontoon = |line: &str| {
        let mut command = ground.node().command(env!("CARGO_BIN_EXE_pontoon"));
        command.args(["lab", "--name", &other]);
        output(command.args(line.split_whitespace()))
    };
    let _ = pontoon("up --nodes 1").expect_success("another lab");
    ground.lab("down");
    let _ = pontoon("exec n1 -- pontoon ls").expect_success("the other lab goes on");
    let _ = pontoon("down").expect_success("down");
    assert_eq!(
        ground.node().sh("ls /run/netns; ls /run"),
        "netns\npontoon-test-state\n"
    );
}

#[test]
fn a_lab_takes_its_processes_along() {
    let ground = Ground::new("procs");
    let before = ground.snapshot();
    ground.lab("up --nodes 2");
    ground.attach("n1", "web", "c1");
    // In the node, in a container, in namespaces of their own; holding a mount and a directory.
    ground.on(
        "n1",
        "exec >/dev/null 2>&1 </dev/null; cd /run; setsid sleep 300 & \
         setsid ip netns exec c1 sleep 300 & setsid unshare --net --mount sleep 300 & \
         mount -t tmpfs tmpfs /run/netns/../keep 2>/dev/null || true",
    );
    ground.lab("down");
    wait_until("nothing is left", Duration::from_secs(5), || {
        ground.snapshot() == before
    });
}

#[test]
fn other_mount_namespaces_keep_nothing_of_a_lab() {
    let ground = Ground::new("copy");
    // As on a machine with systemd: mounts are shared with those who have a copy of them.
    ground.node().sh("mount --make-rshared /run");
    let before = ground.snapshot();
    ground.lab("up --nodes 2");
    let mut bystander = ground.node().command("unshare");
    bystander.args(["--mount", "--propagation", "slave", "sh", "-c"]);
    bystander.arg("echo; exec sleep 100").stdout(Stdio::piped());
    let mut bystander = bystander.spawn().unwrap();
    let mut line = [0];
    let stdout = bystander.stdout.as_mut().unwrap();
    stdout.read_exact(&mut line).unwrap();
    let has = || {
        let mounts = format!("/proc/{}/mountinfo", bystander.id());
        let mounts = std::fs::read_to_string(mounts).unwrap();
        mounts.contains(ground.name())
    };
    assert!(has());
    ground.lab("down");
    assert!(!has());
    bystander.kill().unwrap();
    bystander.wait().unwrap();
    assert_eq!(ground.snapshot(), before);
}

#[test]
fn json_tells_the_same() {
    let ground = Ground::new("json");
    let made: serde_json::Value = serde_json::from_str(&ground.lab("up --nodes 2 --json")).unwrap();
    assert_eq!(made, ground.status());
    assert_eq!(made["nodes"][1]["underlay"][0], "192.0.2.2");
    assert_eq!(made["nodes"][1]["subnets"]["web"][0], "10.50.2.0/24");
    assert_eq!(made["networks"][0]["backend"], "vxlan");
    let said = ground.refused("up --json", 4);
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    assert_eq!(said["error"]["exit_code"], 4);
    let gone: serde_json::Value = serde_json::from_str(&ground.lab("down --json")).unwrap();
    assert_eq!(gone["namespaces"].as_array().unwrap().len(), 3);
}
