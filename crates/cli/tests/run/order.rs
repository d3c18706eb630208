//! What is made beside each other at the start of a container, and what waits for what.

use std::process::{Child, Stdio};

use testnet::wait_until;

use crate::ground::{Ground, SOON};

/// Holds the node's lock, so that nothing is attached, until its input is closed.
fn hold_lock(ground: &Ground) -> Child {
    let lock = format!("{}/lock", ground.state_dir().display());
    let mut command = ground.program("flock");
    command.args([&lock, "cat"]);
    let held = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn();
    wait_until("the lock is held", SOON, || {
        !ground.try_sh(&format!("flock -n {lock} true")).success()
    });
    held.unwrap()
}

/// Whether the library has made all that it makes.
fn is_made(ground: &Ground) -> bool {
    let own = ground.sh("ls /run/pontoon/containers | grep -v lock || true");
    let own = own.trim();
    let state = format!("/run/pontoon/containers/{own}/one/runtime/one/state.json");
    !own.is_empty() && ground.try_sh(&format!("grep -q created {state}")).success()
}

#[test]
fn a_command_waits_for_its_endpoint_when_all_else_is_made() {
    let ground = Ground::new();
    let mark = format!("{}/mark", ground.disk());
    let mut held = hold_lock(&ground);
    let mount = format!("{0}:{0}", ground.disk());
    let script = format!("ip -br addr show eth0 >{mark}");
    let words = [
        "run",
        "web",
        "--rm",
        "--name",
        "one",
        "--ip",
        "10.5.0.77",
        "--mount",
        &mount,
        "--",
        "sh",
        "-c",
        &script,
    ];
    let mut running = ground.words(&words).spawn().unwrap();
    wait_until("all else is made", SOON, || is_made(&ground));
    assert!(running.try_wait().unwrap().is_none());
    assert!(!ground.try_sh(&format!("test -e {mark}")).success());
    drop(held.stdin.take());
    held.wait().unwrap();
    assert!(running.wait().unwrap().success());
    let seen = ground.sh(&format!("cat {mark}"));
    assert!(
        seen.contains("UP") && seen.contains("10.5.0.77/24"),
        "{seen}"
    );
    ground.assert_gone();
}

#[test]
fn an_endpoint_that_is_refused_leaves_nothing_of_what_is_made_beside_it() {
    let ground = Ground::new();
    let mark = format!("{}/mark", ground.disk());
    let mount = format!("--mount {0}:{0}", ground.disk());
    for (options, code) in [("--rm", 125), ("--rm -t", 125), ("-d", 2)] {
        let options = format!("{options} {mount} --ip 10.5.0.1");
        let refused = ground.try_run(&options, &format!("touch {mark}"));
        assert_eq!(refused.code, code, "{options}: {refused}");
        assert!(refused.stderr.contains("10.5.0.1"), "{refused}");
        assert!(!ground.try_sh(&format!("test -e {mark}")).success());
        ground.assert_gone();
    }
}

#[test]
fn what_the_library_refuses_leaves_no_endpoint() {
    let ground = Ground::new();
    let root = ground.disk();
    // A root that no file system can be mounted in: its /proc is a link to nowhere.
    ground.sh(&format!(
        "mkdir {root}/image; ln -s /nowhere {root}/image/proc"
    ));
    let refused = ground.try_run(&format!("--rm --rootfs {root}/image"), "true");
    assert_eq!(refused.code, 125, "{refused}");
    ground.assert_gone();
}

#[test]
fn killed_while_its_endpoint_is_awaited_a_container_leaves_nothing() {
    let ground = Ground::new();
    let mut held = hold_lock(&ground);
    let words = ["run", "web", "--rm", "--name", "one", "--", "sleep", "3600"];
    let mut running = ground.words(&words).stderr(Stdio::null()).spawn().unwrap();
    wait_until("all else is made", SOON, || is_made(&ground));
    running.kill().unwrap();
    running.wait().unwrap();
    drop(held.stdin.take());
    held.wait().unwrap();
    wait_until("nothing is left", SOON, || {
        ground.pontoon("reconcile");
        ground.pontoon("ls --json").trim() == "[]"
    });
    ground.assert_gone();
}
