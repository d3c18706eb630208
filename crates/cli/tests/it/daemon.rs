//! `pontoon agent` as a daemon: it notifies, heals, follows, ends, and comes back.

use std::fs;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Stdio};
use std::time::Duration;

use testnet::{patient, wait_until};

use crate::cluster::{BLUE, Member};
use crate::node::PontoonNode;

/// Long against a resync of a second on a busy machine.
pub const BOUND: Duration = Duration::from_secs(20);

/// An agent that runs, and the service manager it tells of itself.
pub struct Daemon {
    child: Child,
    manager: UnixDatagram,
    log: std::path::PathBuf,
}

impl Daemon {
    pub fn start(member: &Member) -> Self {
        Self::with(member, "--resync 1")
    }

    pub fn with(member: &Member, words: &str) -> Self {
        Self::spawn(&member.node, &member.agent(words))
    }

    pub fn spawn(node: &PontoonNode, line: &str) -> Self {
        let dir = node.state_dir().parent().unwrap();
        let socket = dir.join("notify");
        let _ = fs::remove_file(&socket);
        let manager = UnixDatagram::bind(&socket).unwrap();
        manager.set_read_timeout(Some(patient(BOUND))).unwrap();
        let log = dir.join("agent.log");
        let mut command = node.command(line);
        command
            .env("NOTIFY_SOCKET", &socket)
            .env("WATCHDOG_USEC", "200000")
            .stdin(Stdio::null())
            .stderr(fs::File::create(&log).unwrap());
        Self {
            child: command.spawn().unwrap(),
            manager,
            log,
        }
    }

    /// Waits for a message of the agent that begins so.
    pub fn hear(&self, start: &str) -> String {
        let mut room = [0; 4096];
        loop {
            let bytes = self.manager.recv(&mut room);
            let bytes = bytes.unwrap_or_else(|error| panic!("no {start}: {error}\n{}", self.log()));
            let text = String::from_utf8_lossy(&room[..bytes]).into_owned();
            if text.starts_with(start) {
                return text;
            }
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap()
    }

    pub fn wait_for_line(&self, line: &str) {
        wait_until(line, BOUND, || self.log().contains(line));
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, node: &PontoonNode, name: &str) {
        node.sh(&format!("kill -{name} {}", self.child.id()));
    }

    /// Its exit code, where it has one.
    pub fn end(mut self, node: &PontoonNode, signal: &str) -> Option<i32> {
        self.signal(node, signal);
        let mut status = None;
        wait_until("the agent ends", BOUND, || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.unwrap().code()
    }
}

#[test]
fn it_notifies_heals_and_ends_leaving_the_network() {
    let member = Member::new(BLUE);
    let daemon = Daemon::start(&member);
    let ready = daemon.hear("READY=1");
    assert!(
        ready.contains("STATUS=a: 3 node(s), 1 network(s)"),
        "{ready}"
    );
    daemon.hear("WATCHDOG=1");
    daemon.wait_for_line("a is in the cluster");
    let settled = member.state();
    member.node.sh("ip link del pv-4096; nft flush ruleset");
    wait_until("the device is back", BOUND, || member.state() == settled);
    daemon.wait_for_line("mended: device pv-4096");
    let page = member.node.pontoon("status");
    assert!(page.contains("agent     runs for "), "{page}");
    let said = member.node.refused(&member.agent(""), 7);
    assert!(said.contains("an agent runs"), "{said}");
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
    assert_eq!(member.state(), settled);
    member.node.assert_settled();
}

#[test]
fn it_says_nothing_where_nothing_changes() {
    let member = Member::new(BLUE);
    let daemon = Daemon::start(&member);
    daemon.hear("READY=1");
    let synced = || {
        let text = fs::read_to_string(member.node.state_dir().join("agent.json")).unwrap();
        let report: serde_json::Value = serde_json::from_str(&text).unwrap();
        report["synced_at"].as_u64().unwrap()
    };
    let (first, lines) = (synced(), daemon.log());
    wait_until("it has looked again", BOUND, || synced() > first + 1);
    assert_eq!(daemon.log(), lines);
    assert_eq!(daemon.end(&member.node, "INT"), Some(0));
}

#[test]
fn it_follows_the_file_at_once() {
    let member = Member::new(BLUE);
    let daemon = Daemon::with(&member, "--resync 3600");
    daemon.hear("READY=1");
    member.without("[[node]]\nname = \"b\"\nunderlay = [\"192.0.2.2\"]\nslot = 1\n");
    wait_until("b has gone", BOUND, || !member.ways().contains("192.0.2.2"));
    daemon.wait_for_line("node b is no longer in the cluster");
    member.node.sh("ip link del pv-4096");
    daemon.signal(&member.node, "HUP");
    daemon.wait_for_line("mended: device pv-4096");
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
}

#[test]
fn a_broken_file_is_told_once_and_forgotten_when_it_is_mended() {
    let member = Member::new(BLUE);
    let daemon = Daemon::start(&member);
    daemon.hear("READY=1");
    let settled = member.state();
    member.write("[[node]]\nname = 1\n");
    daemon.wait_for_line("going on with what the records say");
    member.node.sh("ip link del pv-4096");
    daemon.wait_for_line("mended: device pv-4096");
    let out = member.node.try_pontoon("status");
    assert!(
        out.code == 10 && out.stdout.contains("the agent: "),
        "{out}"
    );
    assert_eq!(member.state(), settled);
    member.write(&format!("{}{BLUE}", crate::cluster::NODES));
    daemon.wait_for_line("all is well again");
    assert_eq!(daemon.log().matches("going on with").count(), 1);
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
}

#[test]
fn a_killed_agent_and_its_successor_change_nothing() {
    let member = Member::new(BLUE);
    let daemon = Daemon::start(&member);
    daemon.hear("READY=1");
    member.node.pontoon("attach blue web --create");
    let settled = member.state();
    assert_eq!(daemon.end(&member.node, "KILL"), None);
    assert_eq!(member.state(), settled);
    let daemon = Daemon::start(&member);
    daemon.hear("READY=1");
    assert_eq!(member.state(), settled);
    assert!(!daemon.log().contains("mended"), "{}", daemon.log());
    assert_eq!(daemon.end(&member.node, "TERM"), Some(0));
    assert_eq!(member.state(), settled);
}
