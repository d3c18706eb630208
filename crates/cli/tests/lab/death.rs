//! A lab whose maker was killed: `down` finds all that is there of it.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

use testnet::wait_until;

use crate::ground::Ground;

const BOUND: Duration = Duration::from_secs(20);

/// Things that `up` makes, in order: it is killed as each appears.
fn moments(name: &str) -> Vec<PathBuf> {
    let dir = PathBuf::from("/run/pontoon-lab");
    let lab = dir.join(name);
    let netns = |word: &str| PathBuf::from(format!("/run/netns/{name}-{word}"));
    vec![
        dir,
        lab.clone(),
        lab.join("lab.json"),
        lab.join("cluster.toml"),
        netns("underlay"),
        lab.join("n1/run"),
        netns("n1"),
        lab.join("n1/uts"),
        lab.join("n1/keeper"),
        netns("n2"),
        netns("n3"),
        lab.join("n3/uts"),
        lab.join("n1/agent.log"),
        lab.join("n3/agent.log"),
        lab.join("n2/state/lock"),
    ]
}

/// Kills `up` as each of these appears: `down` finds all that is there.
pub fn assert_found_after_death(ground: &Ground, up: &str, moments: &[PathBuf]) {
    let before = ground.snapshot();
    for moment in moments {
        let mut up = ground.command(up);
        let up = up.stdout(Stdio::null()).stderr(Stdio::null());
        let mut up = up.spawn().unwrap();
        let deadline = Instant::now() + BOUND;
        while !moment.exists() {
            assert!(Instant::now() < deadline, "{} never came", moment.display());
        }
        up.kill().unwrap();
        up.wait().unwrap();
        ground.lab("down");
        let what = format!("killed at {}", moment.display());
        // A process that makes namespaces ends by itself when its starter is gone.
        wait_until(&what, BOUND, || ground.snapshot() == before);
    }
}

#[test]
fn what_a_killed_up_has_left_is_found() {
    let ground = Ground::new("kill");
    assert_found_after_death(&ground, "up", &moments(ground.name()));
}

#[test]
fn a_killed_up_stands_in_the_way_of_the_next() {
    let ground = Ground::new("half");
    let before = ground.snapshot();
    let mut up = ground.command("up").stdout(Stdio::null()).spawn().unwrap();
    let sign = PathBuf::from(format!("/run/pontoon-lab/{}/n2/uts", ground.name()));
    wait_until("n2 is there", BOUND, || sign.exists());
    up.kill().unwrap();
    up.wait().unwrap();
    let said = ground.refused("up", 4);
    assert!(said.contains("pontoon lab down"), "{said}");
    // It can be looked at all the same.
    let listed = ground.lab("ls");
    assert!(listed.contains("n3"), "{listed}");
    ground.lab("down");
    // What the killed one had started may need a moment to end.
    wait_until("nothing is left", BOUND, || ground.snapshot() == before);
    ground.lab("up --nodes 1");
}

#[test]
fn a_killed_down_is_finished_by_the_next() {
    let ground = Ground::new("undone");
    let before = ground.snapshot();
    let name = ground.name();
    let removals: [&dyn Fn() -> bool; 3] = [
        &|| !PathBuf::from(format!("/run/netns/{name}-n1")).exists(),
        &|| !PathBuf::from(format!("/run/netns/{name}-underlay")).exists(),
        &|| !PathBuf::from(format!("/run/pontoon-lab/{name}/lab.json")).exists(),
    ];
    for removed in removals {
        ground.lab("up --nodes 2");
        let mut down = ground
            .command("down")
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        let deadline = Instant::now() + BOUND;
        while !removed() {
            assert!(Instant::now() < deadline, "it is never removed");
        }
        down.kill().unwrap();
        down.wait().unwrap();
        ground.lab("down");
        assert_eq!(ground.snapshot(), before);
    }
}

#[test]
fn a_lab_outlives_its_processes() {
    let ground = Ground::new("alive");
    let before = ground.snapshot();
    ground.lab("up --nodes 2");
    for node in ["n1", "n2"] {
        let pid = ground.agent(node).unwrap();
        ground.node().sh(&format!("kill -KILL {pid}"));
    }
    ground.attach("n1", "web", "a");
    let to = ground.attach("n2", "web", "b");
    assert!(ground.pings("n1", "a", &to[0]).success());
    ground.lab("down");
    assert_eq!(ground.snapshot(), before);
}

#[test]
fn a_node_without_its_keeper_is_told_and_removed() {
    let ground = Ground::new("keeper");
    let before = ground.snapshot();
    ground.lab("up --nodes 2");
    let keeper = format!("/run/pontoon-lab/{}/n1/keeper", ground.name());
    ground.node().sh(&format!("kill -KILL $(cat {keeper})"));
    wait_until("the node is dead", BOUND, || {
        ground.node_status("n1")["alive"] == false
    });
    assert!(ground.lab("ls").contains("node dead"));
    let said = ground.refused("exec n1 -- true", 3);
    assert!(said.contains("pontoon lab down"), "{said}");
    ground.on("n2", "pontoon ls");
    ground.lab("down");
    assert_eq!(ground.snapshot(), before);
}
