//! A machine with a lab on it.

use std::fs;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testnet::{Netns, Node, Output, output, patient};

const PONTOON: &str = env!("CARGO_BIN_EXE_pontoon");

/// How long a process in a container is there, at most: as long as a test.
const LIFE: Duration = Duration::from_secs(110);
/// Removes the lab as soon as nobody holds the other end of its input: also where the test dies.
const GUARD: &str = "trap '' INT TERM; cat; exec \"$0\" lab --name \"$1\" down";

/// A fresh machine, with room for one lab. It goes with this.
pub struct Ground {
    node: Node,
    name: String,
    guard: Child,
}

impl Ground {
    /// Labs of tests have names of their own: their processes can be told apart.
    pub fn new(word: &str) -> Self {
        let node = Node::new();
        // As on a machine that had a namespace before.
        node.sh("ip netns add x; ip netns del x");
        let name = format!("{word}{}", std::process::id());
        let guard = Command::new("sh")
            .args(["-c", GUARD, PONTOON, &name])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self { node, name, guard }
    }

    pub fn node(&self) -> &Node {
        &self.node
    }

    pub fn name(&self) -> &str {
        &self.name
    }

    /// `pontoon lab` with these words.
    pub fn command(&self, line: &str) -> Command {
        let mut command = self.node.command(PONTOON);
        command.args(["lab", "--name", &self.name]);
        command.args(line.split_whitespace());
        command
    }

    pub fn try_lab(&self, line: &str) -> Output {
        output(&mut self.command(line))
    }

    /// `pontoon lab` with these words, which must succeed.
    pub fn lab(&self, line: &str) -> String {
        self.try_lab(line)
            .expect_success(&format!("pontoon lab {line}"))
    }

    /// `pontoon lab` with these words, which must fail with `code`; answers the message.
    pub fn refused(&self, line: &str, code: i32) -> String {
        let out = self.try_lab(line);
        assert_eq!(out.code, code, "pontoon lab {line}: {out}");
        assert!(out.stdout.is_empty(), "pontoon lab {line} printed {out}");
        out.stderr
    }

    /// A script on a node, whatever its end.
    pub fn try_on(&self, node: &str, script: &str) -> Output {
        let mut command = self.command(&format!("exec {node} --"));
        output(command.args(["sh", "-euc", script]))
    }

    /// A script on a node, which must succeed.
    pub fn on(&self, node: &str, script: &str) -> String {
        self.try_on(node, script)
            .expect_success(&format!("on {node}: {script}"))
    }

    pub fn status(&self) -> Value {
        serde_json::from_str(&self.lab("ls --json")).unwrap()
    }

    /// The status of node `n1`, `n2`, …
    pub fn node_status(&self, node: &str) -> Value {
        let status = self.status();
        let nodes = status["nodes"].as_array().unwrap();
        let found = nodes.iter().find(|status| status["name"] == node);
        found.unwrap_or_else(|| panic!("{node}: {status}")).clone()
    }

    /// The process of a node's agent.
    pub fn agent(&self, node: &str) -> Option<u64> {
        self.node_status(node)["agent"].as_u64()
    }

    /// Attaches a new container; its addresses, IPv4 first.
    pub fn attach(&self, node: &str, network: &str, name: &str) -> Vec<String> {
        self.lab(&format!("attach {node} {network} {name}"));
        self.addresses(node, name)
    }

    /// The addresses of a container, IPv4 first.
    pub fn addresses(&self, node: &str, name: &str) -> Vec<String> {
        let status = self.node_status(node);
        let endpoints = status["endpoints"].as_array().unwrap();
        let mut all = endpoints.iter();
        let found = all.find(|endpoint| endpoint["name"] == name).unwrap();
        let cidrs = found["cidrs"].as_array().unwrap().iter();
        cidrs
            .map(|cidr| cidr.as_str().unwrap().split('/').next().unwrap().to_owned())
            .collect()
    }

    /// What the node's agents have said so far.
    pub fn log(&self, node: &str) -> String {
        let file = format!("/run/pontoon-lab/{}/{node}/agent.log", self.name);
        self.node.sh(&format!("cat {file}"))
    }

    /// Whether a container gets an answer.
    pub fn pings(&self, node: &str, container: &str, to: &str) -> Output {
        let ping = format!("ip netns exec {container} ping -n -c1 -W2 {to}");
        self.try_on(node, &ping)
    }

    /// The namespace of a container, and the process on the node that this is known by.
    pub fn container(&self, node: &str, container: &str) -> (Netns, Child) {
        let mut command = self.command(&format!("exec {node} -- ip netns exec {container} sh -c"));
        let mut child = command
            .arg(format!("echo; exec sleep {}", patient(LIFE).as_secs()))
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0];
        let stdout = child.stdout.as_mut().unwrap();
        std::io::Read::read_exact(stdout, &mut line).unwrap();
        (Netns::of_pid(child.id()), child)
    }

    /// All that a lab could leave on the machine.
    pub fn snapshot(&self) -> String {
        let seen = self.node.sh(
            "cat /proc/self/mountinfo | sed -E 's/^[0-9]+ [0-9]+ //'; find /run; ls /run/netns; \
             ip -o link; hostname",
        );
        format!("{seen}processes: {:?}", self.processes())
    }

    /// The processes that know of the lab by their environment or command line.
    fn processes(&self) -> Vec<String> {
        let words = [
            format!("/run/pontoon-lab/{}/", self.name),
            format!("pontoon-lab:{}\0", self.name),
        ];
        let knows = |pid: &PathBuf| {
            let texts = ["environ", "cmdline"].map(|file| fs::read(pid.join(file)));
            let mut texts = texts.iter().flatten();
            texts.any(|text| {
                let text = String::from_utf8_lossy(text);
                words.iter().any(|word| text.contains(word))
            })
        };
        let all = fs::read_dir("/proc")
            .unwrap()
            .map(|entry| entry.unwrap().path());
        let found = all.filter(knows);
        found.map(|pid| pid.display().to_string()).collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}
