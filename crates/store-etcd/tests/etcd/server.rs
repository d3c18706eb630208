//! An etcd of the test's own, on the test's own node: its data is in memory, it dies with the test.

use std::fs::File;
use std::process::{Child, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use model::NodeName;
use store::cluster::{ClusterStore, SILENT_GRACE_SECS};
use store_etcd::{Etcd, EtcdSettings};
use testnet::{Node, wait_until};

use crate::contract::{Ground, NOW};

pub const ADDRESS: &str = "127.0.0.1:2379";
/// Where another member of the cluster, which has only one otherwise, talks to it.
const PEER: &str = "http://127.0.0.1:2380";
const SECOND_PEER: &str = "http://127.0.0.1:2381";
const SECOND_CLIENTS: &str = "http://127.0.0.1:2378";
/// The same server, by another way.
pub const OTHER_ADDRESS: &str = "127.0.0.2:2379";
pub const START_BOUND: Duration = Duration::from_secs(20);
const DATA: &str = "/run/etcd";
const LOG: &str = "/run/etcd.log";

pub struct Server {
    pub node: Node,
    process: Mutex<Child>,
}

impl Server {
    /// Its node is the test's thread's from now on.
    pub fn start() -> Self {
        let server = Self::start_with(Node::new(), "http", &[]);
        server.wait_ready(|| server.etcd());
        server
    }

    /// With further options of etcd's. It may not be ready yet.
    pub fn start_with(node: Node, scheme: &str, options: &[String]) -> Self {
        let process = Mutex::new(spawn(&node, scheme, options));
        Self { node, process }
    }

    /// Waits until it answers.
    pub fn wait_ready(&self, open: impl Fn() -> Etcd) {
        let mut etcd = open();
        wait_until("etcd answers", START_BOUND, || {
            let ended = self.process.lock().unwrap().try_wait().unwrap();
            let said = || std::fs::read_to_string(LOG).unwrap_or_default();
            assert!(ended.is_none(), "etcd fell: {}", said());
            etcd.read().is_ok()
        });
    }

    /// Stops it where it is, or lets it go on: it keeps its connections and says nothing.
    pub fn signal(&self, name: &str) {
        let pid = self.process.lock().unwrap().id();
        self.node.sh(&format!("kill -{name} {pid}"));
    }

    pub fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Starts it again on the data that it has.
    pub fn restart(&self, open: impl Fn() -> Etcd) {
        *self.process.lock().unwrap() = spawn(&self.node, "http", &[]);
        self.wait_ready(open);
    }

    /// Makes the data those of a snapshot. The server is not running.
    pub fn restore(&self, snapshot: &str) {
        std::fs::remove_dir_all(DATA).unwrap();
        self.ctl(&["snapshot", "restore", snapshot, "--data-dir", DATA]);
    }

    pub fn settings(&self) -> EtcdSettings {
        EtcdSettings::new(vec![ADDRESS.to_owned()])
    }

    pub fn etcd(&self) -> Etcd {
        Etcd::new(self.settings()).unwrap()
    }

    /// Runs etcdctl on the node, and gives what it printed.
    pub fn ctl(&self, args: &[&str]) -> String {
        let mut command = self.node.command("etcdctl");
        command.env("ETCDCTL_API", "3").args(args);
        testnet::output(&mut command).expect_success(&args.join(" "))
    }

    pub fn revision(&self) -> String {
        let printed = self.ctl(&["get", "none", "-w", "fields"]);
        let line = printed
            .lines()
            .find(|line| line.starts_with("\"Revision\""));
        line.unwrap().rsplit(' ').next().unwrap().to_owned()
    }
}

impl Ground for Server {
    fn open(&self) -> Box<dyn ClusterStore> {
        Box::new(self.etcd())
    }

    /// What the end of the lease does. That it ends is a test of its own.
    fn after_the_grace(&self, node: &NodeName) -> u64 {
        let key = format!("/pontoon/v1/alive/{node}");
        assert_eq!(self.ctl(&["del", &key]).trim(), "1");
        NOW + SILENT_GRACE_SECS + 1
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let mut process = self.process.lock().unwrap();
        let _ = process.kill();
        let _ = process.wait();
    }
}

fn spawn(node: &Node, scheme: &str, options: &[String]) -> Child {
    let clients = format!("{scheme}://{ADDRESS},{scheme}://{OTHER_ADDRESS}");
    let log = File::create(LOG).unwrap();
    node.command("etcd")
        .args(["--data-dir", DATA, "--name", "default"])
        .args(["--listen-client-urls", &clients])
        .args(["--advertise-client-urls", &clients])
        .args(["--listen-peer-urls", PEER])
        .args(["--initial-advertise-peer-urls", PEER])
        .args(["--initial-cluster", &format!("default={PEER}")])
        // Alone, it is elected as soon as it says so.
        .args(["--heartbeat-interval", "10", "--election-timeout", "100"])
        .args(options)
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .expect("etcd can be started (does scripts/setup install it?)")
}

/// Two members, the second alone with its process: neither decides without the other.
pub fn start_pair() -> (Server, Second) {
    let both = format!("default={PEER},second={SECOND_PEER}");
    let options = ["--initial-cluster".to_owned(), both.clone()];
    let first = Server::start_with(Node::new(), "http", &options);
    let second = Second(spawn_second(&first.node, &both));
    first.wait_ready(|| first.etcd());
    (first, second)
}

pub struct Second(Child);

impl Second {
    pub fn kill(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Second {
    fn drop(&mut self) {
        self.kill();
    }
}

fn spawn_second(node: &Node, both: &str) -> Child {
    node.command("etcd")
        .args(["--data-dir", "/run/etcd-second", "--name", "second"])
        .args(["--listen-client-urls", SECOND_CLIENTS])
        .args(["--advertise-client-urls", SECOND_CLIENTS])
        .args(["--listen-peer-urls", SECOND_PEER])
        .args(["--initial-advertise-peer-urls", SECOND_PEER])
        .args(["--initial-cluster", both])
        .args(["--heartbeat-interval", "10", "--election-timeout", "100"])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("etcd can be started (does scripts/setup install it?)")
}
