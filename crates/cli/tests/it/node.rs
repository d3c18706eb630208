//! A node with `pontoon` on it, and what the tests look at.

use std::ops::Deref;
use std::process::Command;

use testnet::{Node, Output, output};

/// The binary under test.
pub const PONTOON: &str = env!("CARGO_BIN_EXE_pontoon");

/// A fresh node.
pub struct PontoonNode(Node);

impl Deref for PontoonNode {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.0
    }
}

impl PontoonNode {
    pub fn new() -> Self {
        let node = Node::new();
        // As most machines are: what is bridged is not shown to the IP hooks. Tests that are
        // about it switch it on.
        let node = Self(node);
        node.bridge_nf(false);
        node
    }

    /// Whether `br_netfilter` shows bridged packets to the IP hooks.
    pub fn bridge_nf(&self, on: bool) {
        let value = u8::from(on);
        for name in ["iptables", "ip6tables", "arptables"] {
            let path = format!("/proc/sys/net/bridge/bridge-nf-call-{name}");
            // Where it is not loaded, nothing is shown.
            let is_so = format!("[ {value} = 0 ] && [ ! -e {path} ]");
            self.sh(&format!("{is_so} || echo {value} > {path}"));
        }
    }

    pub fn command(&self, line: &str) -> Command {
        let mut command = self.0.command(PONTOON);
        command.args(line.split_whitespace());
        command
    }

    /// Runs `pontoon` with these words.
    pub fn try_pontoon(&self, line: &str) -> Output {
        output(&mut self.command(line))
    }

    /// Runs `pontoon` with these words, which must succeed, and answers what it printed.
    pub fn pontoon(&self, line: &str) -> String {
        self.try_pontoon(line)
            .expect_success(&format!("pontoon {line}"))
    }

    /// Runs `pontoon` with these words, which must fail with `code`, and answers the message.
    pub fn refused(&self, line: &str, code: i32) -> String {
        let out = self.try_pontoon(line);
        assert_eq!(out.code, code, "pontoon {line}: {out}");
        assert!(out.stdout.is_empty(), "pontoon {line} printed {out}");
        out.stderr
    }

    /// A process in a network namespace of its own.
    pub fn bystander(&self) -> std::process::Child {
        let mut command = self.0.command("unshare");
        let mut child = command.args(["--net", "sleep", "60"]).spawn().unwrap();
        let own = self.sh("readlink /proc/self/ns/net");
        let path = format!("/proc/{}/ns/net", child.id());
        testnet::wait_until(
            "the process has its namespace",
            std::time::Duration::from_secs(5),
            || {
                let theirs = std::fs::read_link(&path);
                theirs.is_ok_and(|theirs| theirs.to_string_lossy() != own.trim())
            },
        );
        assert!(child.try_wait().unwrap().is_none());
        child
    }

    /// Everything of the node that a command may change, as text; without carriers, which the
    /// kernel reports a moment later.
    pub fn snapshot(&self) -> String {
        self.sh(
            "ip -o link | sed -E 's/qlen.*//; s/NO-CARRIER,|,LOWER_UP|,M-DOWN| state [A-Z]+//g'; \
             ip -o addr | grep -v fe80; ip route | sed 's/ linkdown//'; ls /run/netns; \
             for n in $(ls /run/netns 2>/dev/null); do echo $n; ip -n $n -o addr 2>&1 | grep -v fe80; ip -n $n route 2>&1; done || true; \
             nft -s list ruleset",
        )
    }

    /// Asserts that the kernel is what the records say.
    pub fn assert_settled(&self) {
        let out = self.try_pontoon("reconcile --dry-run");
        assert!(out.code == 0 && out.stdout.is_empty(), "{out}");
    }

    /// Asserts that nothing of Pontoon's is left but the records.
    pub fn assert_bare(&self) {
        let left = self.sh("ip -o link | grep -v ': lo:' | grep -E 'pont|bridge|pn-' || true; nft list ruleset; ls /run/netns");
        assert_eq!(left, "", "left behind");
    }
}
