//! Killed anywhere: `pontoon ps` tells the truth, and nothing stays behind.

use std::process::Stdio;
use std::thread;
use std::time::Duration;

use testnet::{fewer, patient, wait_until};

use crate::ground::{Ground, SOON};

/// How long a container takes to start.
const START: Duration = Duration::from_millis(72);

#[test]
fn a_container_dies_with_its_supervisor_and_is_cleaned_up() {
    let ground = Ground::new();
    ground.run("-d --name one", "sleep 3600");
    let (pid, supervisor) = (ground.pid("one"), ground.supervisor("one"));
    ground.sh(&format!("kill -9 {supervisor}"));
    wait_until("the command is dead", SOON, || {
        !ground.try_sh(&format!("kill -0 {pid}")).success()
    });
    ground.wait_state("one", "lost");
    assert_eq!(ground.pontoon("ls --json").trim(), "[]");
    ground.pontoon("rm one");
    ground.assert_gone();
}

#[test]
fn a_killed_first_process_is_an_end_like_any_other() {
    let ground = Ground::new();
    ground.run("-d --name one", "sleep 3600");
    ground.sh(&format!("kill -9 {}", ground.pid("one")));
    ground.wait_state("one", "exited");
    assert_eq!(ground.listed("one").unwrap()["code"], 137);
    ground.pontoon("rm one");
    ground.assert_gone();
}

#[test]
fn killed_at_any_moment_of_its_start_a_container_leaves_nothing() {
    let ground = Ground::new();
    let steps = fewer(12);
    for step in 0..steps {
        let mut command = ground.words(&["run", "web", "--name", "one", "--", "sleep", "3600"]);
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // Moments, not conditions: where it dies is left to chance.
        thread::sleep(patient(START) * step / steps);
        child.kill().unwrap();
        child.wait().unwrap();
        let out = ground.try_words(&["ps"]);
        assert!(
            out.success() && !out.stdout.contains("running"),
            "step {step}: {out}"
        );
        ground.pontoon("rm --force --all");
        ground.assert_gone();
    }
}

#[test]
fn reconcile_cleans_up_too() {
    let ground = Ground::new();
    ground.run("-d --rm --name one", "sleep 3600");
    ground.sh(&format!("kill -9 {}", ground.supervisor("one")));
    // Until the kernel has ended it, the supervisor is one.
    wait_until("reconcile finds it dead", SOON, || {
        // One that meets its namespace dying says that it was gone; the next one cleans up.
        ground.try_words(&["reconcile"]);
        ground.pontoon("ls --json").trim() == "[]"
    });
    ground.assert_gone();
    assert!(ground.listed("one").is_none());
}

#[test]
fn a_full_disk_stops_no_container_and_starts_none_by_halves() {
    let ground = Ground::new();
    ground.sh("mkdir -p /run/pontoon; mount -t tmpfs -o size=192k,mode=711 tmpfs /run/pontoon");
    ground.run(
        "-d --name one",
        "head -c 2M /dev/zero | tr '\\0' 'x' | fold -w 99; echo done > /tmp/done; sleep 3600",
    );
    let waited = ground.exec(
        "one",
        "while [ ! -e /tmp/done ]; do sleep 0.05; done; echo it goes on",
    );
    assert!(
        waited.stdout.contains("it goes on") || waited.stderr.contains("No space"),
        "{waited}"
    );
    assert_eq!(ground.state("one"), "running");
    let second = ground.try_run("-d --name two", "sleep 3600");
    assert!(
        !second.success() && second.stderr.contains("No space"),
        "{second}"
    );
    assert!(ground.listed("two").is_none());
    ground.pontoon("rm --force one");
    assert_eq!(ground.pontoon("ls --json").trim(), "[]");
    ground.sh("umount -l /run/pontoon");
}

#[test]
fn a_reboot_leaves_no_container() {
    let ground = Ground::new();
    ground.run("-d --name one", "sleep 3600");
    let files = ground
        .sh("ls -d /run/pontoon/containers/*/one")
        .trim()
        .to_owned();
    // What a machine finds that keeps /run: files of another boot, and numbers that are others'.
    ground.sh(&format!("cp -r {files} /run/kept"));
    ground.pontoon("rm --force one");
    ground.sh(&format!(
        "mv /run/kept {files}; sed -i 's/\"boot\": \"[^\"]*\"/\"boot\": \"another\"/' {files}/*.json"
    ));
    assert_eq!(ground.state("one"), "lost");
    ground.pontoon("rm one");
    ground.assert_gone();
}
