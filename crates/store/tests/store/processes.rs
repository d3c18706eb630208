//! Several processes at once, and processes that die.
//!
//! A child is this test program again, running one ignored test. What it tells is a line on
//! its standard output that starts with `>`; the test harness prints the others.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use model::{Family, NodeId};
use rusqlite::Connection;
use store::{Durability, NodeLock, OpenMode, Records, Resting, StoreError};

use crate::fixture::{NOW, StateDir, add_endpoint, add_network, endpoint, netns, word};

const DIR: &str = "STORE_TEST_DIR";
/// Longer than any child takes; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(60);

/// The state directory that the parent named.
pub fn child_dir() -> PathBuf {
    std::env::var_os(DIR).expect("a child's directory").into()
}

/// Tells the parent.
pub fn tell(line: &str) {
    let mut out = std::io::stdout().lock();
    writeln!(out, "\n>{line}").unwrap();
    out.flush().unwrap();
}

/// A running child; killed when dropped.
pub struct Running {
    child: Child,
    out: BufReader<ChildStdout>,
}

impl Running {
    /// The next line that the child tells; `None` when it told all.
    fn hear(&mut self) -> Option<String> {
        let mut line = String::new();
        while self.out.read_line(&mut line).unwrap() > 0 {
            if let Some(told) = line.trim_end().strip_prefix('>') {
                return Some(told.to_owned());
            }
            line.clear();
        }
        None
    }

    /// Hears all, and that it succeeded.
    pub fn finish(mut self) -> Vec<String> {
        let told = std::iter::from_fn(|| self.hear()).collect();
        assert!(self.child.wait().unwrap().success());
        told
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn spawn(wrapper: &[&str], test: &str, dir: &Path) -> Running {
    let program = std::env::current_exe().unwrap();
    let mut command = match wrapper {
        [] => Command::new(program),
        [first, rest @ ..] => {
            let mut command = Command::new(first);
            command.args(rest).arg(program);
            command
        }
    };
    let mut child = command
        .args(["--ignored", "--exact", "--nocapture", test])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let out = BufReader::new(child.stdout.take().unwrap());
    Running { child, out }
}

pub fn run_child(test: &str, dir: &Path) -> Running {
    spawn(&[], test, dir)
}

/// Runs a child to its end by way of another program.
pub fn run_child_in(wrapper: &[&str], test: &str, dir: &Path) {
    spawn(wrapper, test, dir).finish();
}

fn open(dir: &Path) -> Records {
    Records::open(dir, OpenMode::ReadWrite, NodeId::from_bits(1)).unwrap()
}

#[test]
fn what_a_killed_writer_was_told_is_committed_is_there() {
    assert_kept_of_the_killed("processes::writer_child");
}

#[test]
fn what_a_killed_writer_was_told_is_there_also_where_it_kept_others_out() {
    assert_kept_of_the_killed("processes::lone_writer_child");
}

fn assert_kept_of_the_killed(writer: &str) {
    let dir = StateDir::new();
    add_network(&mut dir.open(), "web");
    let mut acknowledged = BTreeSet::new();
    for round in 0..20u32 {
        let mut child = run_child(writer, dir.path());
        // Spread over the log's growth and its copying; the child is at work meanwhile.
        for _ in 0..1 + round * 7 % 23 {
            acknowledged.insert(child.hear().unwrap());
        }
        child.kill();
        // Told before it died, heard only now.
        acknowledged.extend(std::iter::from_fn(|| child.hear()));
        let recorded: BTreeSet<String> = dir
            .open()
            .endpoints()
            .unwrap()
            .into_iter()
            .map(|record| record.endpoint.name.to_string())
            .collect();
        assert!(recorded.is_superset(&acknowledged), "round {round}");
        let unheard = recorded.len() - acknowledged.len();
        assert!(unheard <= 1, "round {round}: {unheard} untold");
        acknowledged = recorded;
    }
    let sound: String = Connection::open(dir.file())
        .unwrap()
        .query_row("PRAGMA integrity_check", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sound, "ok");
}

#[test]
#[ignore = "runs as a child of another test"]
fn writer_child() {
    write_for_ever(open(&child_dir()));
}

#[test]
#[ignore = "runs as a child of another test"]
fn lone_writer_child() {
    let alone = Records::open(&child_dir(), OpenMode::Alone, NodeId::from_bits(1));
    write_for_ever(alone.unwrap());
}

fn write_for_ever(mut records: Records) -> ! {
    let web = records.network_by_name(&word("web")).unwrap().unwrap();
    loop {
        let added = add_endpoint(&mut records, web.network.id, |record| {
            // Every port of an endpoint's own, in no order: many pages in one commit.
            let id = record.endpoint.id.0;
            let port = |n: u32| word(&format!("{}", 1 + (id * 16 + n) * 7919 % 65521));
            record.endpoint.publish = (0..16).map(port).collect();
        });
        tell(added.unwrap().endpoint.name.as_str());
    }
}

#[test]
fn parallel_processes_get_different_addresses() {
    let dir = StateDir::new();
    let web = add_network(&mut dir.open(), "web").network;
    let children: Vec<_> = (0..8)
        .map(|_| run_child("processes::attach_child", dir.path()))
        .collect();
    let told: Vec<String> = children.into_iter().flat_map(Running::finish).collect();
    let addresses: BTreeSet<IpAddr> = told.iter().map(|text| word(text)).collect();
    assert_eq!((told.len(), addresses.len()), (400, 400));
    let records = dir.open();
    assert_eq!(records.count_endpoints(web.id).unwrap(), 200);
    let all = records.endpoints().unwrap();
    let recorded: BTreeSet<IpAddr> = all.into_iter().flat_map(|r| r.endpoint.addresses).collect();
    assert_eq!(recorded, addresses);
}

#[test]
#[ignore = "runs as a child of another test"]
fn attach_child() {
    let dir = child_dir();
    for _ in 0..25 {
        let _lock = NodeLock::acquire(&dir, PATIENCE).unwrap();
        let mut records = open(&dir);
        let web = records.network_by_name(&word("web")).unwrap().unwrap();
        let attached = records.transaction(Durability::Process, |records| {
            let mut record = endpoint(records.next_endpoint_id()?, web.network.id);
            record.endpoint.addresses.clear();
            for subnet in &web.network.subnets {
                let last = records.last_allocated(web.network.id, subnet.prefix.family())?;
                let free = ipam::next_free(subnet, last, |from| {
                    records.taken_from(web.network.id, from, NOW, Resting::Avoid)
                })?;
                record.endpoint.addresses.push(free.unwrap());
            }
            records.insert_endpoint(&record)?;
            Ok::<_, StoreError>(record)
        });
        let attached = attached.unwrap().endpoint;
        let namespace = netns(u64::from(attached.id.0));
        records.set_attached(attached.id, &namespace).unwrap();
        for family in Family::BOTH {
            tell(&attached.address(family).unwrap().to_string());
        }
    }
}

#[test]
fn who_waits_too_long_for_the_lock_learns_who_has_it() {
    let dir = StateDir::new();
    let mut child = run_child("processes::lock_child", dir.path());
    let pid = child.hear().unwrap();
    let wait = Duration::from_millis(20);
    let error = NodeLock::acquire(dir.path(), wait).unwrap_err();
    let StoreError::LockTimeout { holder, .. } = &error else {
        panic!("{error:?}");
    };
    assert_eq!(holder.as_ref().unwrap().pid.to_string(), pid);
    let text = error.to_string();
    assert!(text.contains("processes::lock_child"), "{text}");

    // One that waits gets it when the holder dies.
    let path = dir.path().to_owned();
    let waiting = std::thread::spawn(move || NodeLock::acquire(&path, PATIENCE).map(drop));
    child.kill();
    waiting.join().unwrap().unwrap();
}

#[test]
#[ignore = "runs as a child of another test"]
fn lock_child() {
    let _lock = NodeLock::acquire(&child_dir(), PATIENCE).unwrap();
    tell(&std::process::id().to_string());
    // Until it is killed, or its parent is gone for long.
    std::thread::park_timeout(PATIENCE);
}

#[test]
fn a_lock_that_came_too_late_is_given_back() {
    let dir = StateDir::new();
    let held = NodeLock::acquire(dir.path(), Duration::ZERO).unwrap();
    let late = NodeLock::acquire(dir.path(), Duration::ZERO);
    assert!(matches!(late, Err(StoreError::LockTimeout { .. })));
    drop(held);
    // The late one's thread may get it first, and closes the file at once.
    let started = Instant::now();
    NodeLock::acquire(dir.path(), PATIENCE).unwrap();
    assert!(started.elapsed() < PATIENCE);
}
