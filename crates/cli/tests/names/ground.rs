//! A node whose processes all end with the test.

use std::fs;
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::Value;
use testnet::dns::SOON;
use testnet::{Node, Output, output, wait_until};

const PONTOON: &str = env!("CARGO_BIN_EXE_pontoon");
const READY: &str = "/run/ground";
/// The node's resolver configuration, mounted over the machine's.
const RESOLV_CONF: &str = "/run/resolv.conf";
/// The first process of a process namespace: what the server outlives its parents in.
const FIRST: &str = "\
read -r pid rest < /proc/self/stat
mount -t proc proc /proc
echo $pid > $1.new
mv $1.new $1
sleep infinity & wait";

pub struct NamesNode {
    node: Node,
    keeper: Child,
    first: u32,
}

impl Deref for NamesNode {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.node
    }
}

impl NamesNode {
    /// Whose own resolver is not there.
    pub fn new() -> Self {
        let node = Node::new();
        fs::write(RESOLV_CONF, "nameserver 127.0.0.1\n").unwrap();
        node.sh(&format!(
            "mount --make-rshared /run; mount --bind {RESOLV_CONF} /etc/resolv.conf"
        ));
        let mut keeper = node.command("unshare");
        keeper
            .args(["--fork", "--kill-child", "--pid", "--mount"])
            .args([
                "--propagation",
                "unchanged",
                "sh",
                "-euc",
                FIRST,
                "sh",
                READY,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let keeper = keeper.spawn().unwrap();
        let read = || fs::read_to_string(READY).ok()?.trim().parse().ok();
        wait_until("the first process", SOON, || read().is_some());
        Self {
            node,
            keeper,
            first: read().unwrap(),
        }
    }

    /// A command inside.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = self.node.command("nsenter");
        command
            .args(["--target", &self.first.to_string(), "--pid", "--mount"])
            .args(["--", program]);
        command
    }

    pub fn try_pontoon(&self, line: &str) -> Output {
        self.try_pontoon_at(PONTOON, line)
    }

    /// By the binary at this path.
    pub fn try_pontoon_at(&self, path: &str, line: &str) -> Output {
        output(self.inside(path).args(line.split_whitespace()))
    }

    /// Runs `pontoon`, which must succeed and complain about nothing.
    pub fn pontoon(&self, line: &str) -> String {
        let out = self.try_pontoon(line);
        assert_eq!(out.stderr, "", "pontoon {line}");
        out.expect_success(line)
    }

    pub fn names(&self) -> Value {
        serde_json::from_str(&self.pontoon("names --json")).unwrap()
    }

    pub fn server(&self) -> Option<u32> {
        let pid = self.names()["server"]["pid"].as_u64()?;
        Some(u32::try_from(pid).unwrap())
    }

    /// Kills the server, and waits until it is gone.
    pub fn kill_server(&self) {
        let pid = self.server().expect("the server runs").to_string();
        let _ = output(self.inside("kill").args(["-KILL", &pid])).expect_success("kill");
        wait_until("the server is gone", SOON, || self.server().is_none());
    }

    pub fn binary() -> &'static Path {
        Path::new(PONTOON)
    }
}

impl Drop for NamesNode {
    fn drop(&mut self) {
        // With it goes whatever else runs inside.
        let _ = Command::new("kill")
            .args(["-KILL", &self.first.to_string()])
            .status();
        let _ = self.keeper.wait();
    }
}
