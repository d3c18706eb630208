//! Detaches that meet: one removes for all that wait, and a killed one is finished by the next.

use std::fs;
use std::process::{Child, Stdio};
use std::time::Duration;

use store::NodeLock;
use testnet::wait_until;

use crate::ground::{WEB, assert_same, elsewhere};
use crate::node::PontoonNode;

const MANY: usize = 12;
const KILLED: i32 = 128 + 9;
/// More crash points than a detach has.
const POINTS_MAX: u32 = 20;
const PATIENCE: Duration = Duration::from_secs(30);

fn attach_many() -> String {
    let one = |n: usize| {
        format!(
            "pontoon attach web c{n} --create --ip 10.5.0.{} -p {}:80\n",
            n + 20,
            n + 8000
        )
    };
    (0..MANY).map(one).collect()
}

/// Whether a process waits for a lock: "5: -> FLOCK  ADVISORY  WRITE PID …", proc_locks(5).
fn is_queued(child: &Child) -> bool {
    let locks = fs::read_to_string("/proc/locks").unwrap();
    let pid = format!(" {} ", child.id());
    let mut lines = locks.lines();
    lines.any(|line| line.contains("->") && line.contains(&pid))
}

/// Detaches of all targets that wait, one for the node's lock and the others for their turn.
fn waiting_detaches(node: &PontoonNode) -> Vec<Child> {
    let detach = |n: usize| {
        let mut command = node.command(&format!("detach c{n} --verbose"));
        let piped = command.stdout(Stdio::null()).stderr(Stdio::piped());
        piped.spawn().unwrap()
    };
    let children: Vec<Child> = (0..MANY).map(detach).collect();
    let all_wait = || children.iter().all(is_queued);
    wait_until("all detaches wait", PATIENCE, all_wait);
    children
}

/// What each has said of its plan.
fn plans(children: Vec<Child>) -> Vec<String> {
    let plan = |child: Child| {
        let out = child.wait_with_output().unwrap();
        let said = String::from_utf8(out.stderr).unwrap();
        assert!(out.status.success(), "{said}");
        said
    };
    children.into_iter().map(plan).collect()
}

#[test]
fn one_detach_removes_for_all_that_wait() {
    let node = PontoonNode::new();
    node.script(&format!("{WEB}{}", attach_many()));
    let lock = NodeLock::acquire(node.state_dir(), Duration::ZERO).unwrap();
    let children = waiting_detaches(&node);
    drop(lock);
    let plans = plans(children);
    let removals = |plan: &String| plan.matches("ip link del pont").count();
    let mut counts: Vec<usize> = plans.iter().map(removals).collect();
    counts.sort_unstable();
    let mut one_for_all = vec![0; MANY - 1];
    one_for_all.push(MANY);
    assert_eq!(counts, one_for_all);
    assert_eq!(node.json("ls").as_array().unwrap().len(), 0);
    node.assert_settled();
}

#[test]
fn who_is_killed_while_it_waits_is_detached_by_the_others() {
    let node = PontoonNode::new();
    node.script(&format!("{WEB}{}", attach_many()));
    let lock = NodeLock::acquire(node.state_dir(), Duration::ZERO).unwrap();
    let mut children = waiting_detaches(&node);
    for mut killed in children.drain(..MANY / 2) {
        killed.kill().unwrap();
        killed.wait().unwrap();
    }
    drop(lock);
    plans(children);
    assert_eq!(node.json("ls").as_array().unwrap().len(), 0);
    node.assert_settled();
}

#[test]
fn a_detach_killed_anywhere_is_finished_by_the_next() {
    let both = "pontoon attach web a --create --ip 10.5.0.9 -p 8080:80\n\
                pontoon attach web b --create --ip 10.5.0.8 -p 9000-9100/udp\n";
    let setup = format!("{WEB}{both}");
    let whole = elsewhere(|node| {
        node.script(&format!("{setup}pontoon detach a; pontoon detach b"));
        node.state()
    });
    let killed_at = |n: u32| {
        elsewhere(|node| {
            node.script(&setup);
            let out = node.with_env("PONTOON_KILL_AT", &n.to_string(), "detach a");
            if out.code == 0 {
                return false;
            }
            assert_eq!(out.code, KILLED, "at {n}: {out}");
            node.pontoon("detach b");
            assert_same(
                &node.state(),
                &whole,
                &format!("a killed at {n}, b detached"),
            );
            node.assert_settled();
            true
        })
    };
    let points = (1..POINTS_MAX).take_while(|n| killed_at(*n)).count();
    assert!((3..19).contains(&points), "{points} crash points");
}
