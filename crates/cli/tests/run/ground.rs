//! A node with cgroups, a network, and somebody who removes its containers whatever becomes of
//! the test.

use std::ops::Deref;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use testnet::{Output, output, wait_until};

use crate::node::{PONTOON, PontoonNode};

/// How long what is on its way may take: the machine may be busy with other tests.
pub const SOON: Duration = Duration::from_secs(20);

/// The machine's hierarchies, mounted where they would be: a node's /sys shows none. What is made
/// in them is made on the machine, below the node's own directory.
const CGROUPS: &str = r#"
if grep -q '^[a-z_]*\s[1-9]' /proc/cgroups; then
    mount -t tmpfs -o mode=755 tmpfs /sys/fs/cgroup
    for name in cpu cpuacct cpuset memory devices freezer blkio pids; do
        mkdir /sys/fs/cgroup/$name
        mount -t cgroup -o $name cgroup /sys/fs/cgroup/$name
    done
else
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi"#;

/// Ends when the test does, however that ends, and then removes what it left.
const WATCH: &str = r#"cat >/dev/null
"$0" rm --force --all
rm -rf "$1""#;

/// How long dd(1) copied, by what it says at its end: how long it took to start does not count.
pub fn copied_in(said: &str) -> Duration {
    let (_, end) = said.split_once("copied, ").unwrap();
    let (secs, _) = end.split_once(" s,").unwrap();
    Duration::from_secs_f64(secs.parse().unwrap())
}

pub struct Ground {
    node: PontoonNode,
    watch: Child,
    disk: PathBuf,
}

impl Deref for Ground {
    type Target = PontoonNode;
    fn deref(&self) -> &PontoonNode {
        &self.node
    }
}

impl Ground {
    pub fn new() -> Self {
        let node = PontoonNode::new();
        node.sh(CGROUPS);
        node.pontoon("network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64");
        let disk = PathBuf::from(format!("/var/tmp/pontoon-run-{}", std::process::id()));
        let mut watch = Command::new("sh");
        watch
            .args(["-c", WATCH, PONTOON, disk.to_str().unwrap()])
            .env("PONTOON_STATE_DIR", node.state_dir())
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let watch = watch.spawn().unwrap();
        Self { node, watch, disk }
    }

    /// A directory on the machine's disk that everybody may write to, gone with the test.
    pub fn disk(&self) -> &str {
        let path = self.disk.to_str().unwrap();
        self.sh(&format!("mkdir -p {path}; chmod 777 {path}"));
        path
    }

    /// What says that rates are about the disk of [`Self::disk`]: nothing where `/` is on it too.
    /// `None` where that is on no disk, and rates can't be kept.
    pub fn disk_option(&self) -> Option<String> {
        let disk = self.disk().to_owned();
        let numbers = self.sh(&format!("stat -c %Hd:%Ld / {disk}"));
        let (root, disk) = numbers.trim().split_once('\n').unwrap();
        if disk.starts_with("0:") {
            return None;
        }
        if root == disk {
            return Some(String::new());
        }
        let of = format!("/sys/dev/block/{disk}");
        let number = self.sh(&format!(
            "if test -e {of}/partition; then cat {of}/../dev; else cat {of}/dev; fi"
        ));
        Some(format!("--io-device {}", number.trim()))
    }

    /// A program of the machine's, in this node.
    pub fn program(&self, program: &str) -> Command {
        (*self.node).command(program)
    }

    pub fn words(&self, words: &[&str]) -> Command {
        let mut command = self.program(PONTOON);
        command.args(words);
        command
    }

    /// `pontoon` with these words, whatever the end.
    pub fn try_words(&self, words: &[&str]) -> Output {
        output(&mut self.words(words))
    }

    /// `pontoon run web OPTIONS -- sh -c SCRIPT`, whatever the end.
    pub fn try_run(&self, options: &str, script: &str) -> Output {
        let mut words = vec!["run", "web"];
        words.extend(options.split_whitespace());
        words.extend(["--", "sh", "-c", script]);
        self.try_words(&words)
    }

    /// The same, which must succeed. Answers what it printed.
    pub fn run(&self, options: &str, script: &str) -> String {
        self.try_run(options, script).expect_success(script)
    }

    pub fn exec(&self, name: &str, script: &str) -> Output {
        self.try_words(&["exec", name, "--", "sh", "-c", script])
    }

    /// What `pontoon ps --all` says of a container.
    pub fn listed(&self, name: &str) -> Option<Value> {
        let all: Value = serde_json::from_str(&self.pontoon("ps --all --json")).unwrap();
        let mut all = all.as_array().unwrap().iter();
        all.find(|one| one["name"] == name).cloned()
    }

    pub fn state(&self, name: &str) -> String {
        let listed = self
            .listed(name)
            .unwrap_or_else(|| panic!("no container {name}"));
        match listed["why"].as_str() {
            Some(why) => why.to_owned(),
            None => listed["state"].as_str().unwrap().to_owned(),
        }
    }

    pub fn wait_state(&self, name: &str, state: &str) {
        wait_until(&format!("{name} is {state}"), SOON, || {
            self.state(name) == state
        });
    }

    /// The container's first process.
    pub fn pid(&self, name: &str) -> String {
        self.listed(name).unwrap()["pid"].to_string()
    }

    /// Its supervisor.
    pub fn supervisor(&self, name: &str) -> String {
        let pid = self.pid(name);
        let status = self.sh(&format!("cat /proc/{pid}/status"));
        let line = status.lines().find_map(|line| line.strip_prefix("PPid:"));
        line.unwrap().trim().to_owned()
    }

    /// The group of a container, below the root of each hierarchy: other tests have containers with
    /// this name too.
    pub fn group(&self, name: &str) -> String {
        let node = self.sh("ls /run/pontoon/containers | grep -v lock");
        format!("pontoon/{}/{name}", node.trim())
    }

    /// Asserts that of containers nothing is left: no endpoint, group, process, mount or file.
    pub fn assert_gone(&self) {
        assert!(
            self.pontoon("ls --json").trim() == "[]",
            "an endpoint is left"
        );
        // Others' groups come and go while find looks: that it misses some is no failure.
        let left = self.try_sh(
            "find /sys/fs/cgroup -path '*pontoon*' -type d 2>/dev/null; \
             find /run/pontoon -mindepth 3 2>/dev/null; \
             grep /run/pontoon /proc/self/mountinfo",
        );
        let left = left.stdout;
        assert!(self.ours(&left).is_empty(), "left behind: {left}");
        self.assert_settled();
    }

    /// The lines about this node; other tests have containers too.
    fn ours(&self, text: &str) -> Vec<String> {
        let status: Value = serde_json::from_str(&self.pontoon("ls --json")).unwrap();
        assert!(status.is_array());
        let node = self.sh("ls /run/pontoon/containers 2>/dev/null | grep -v lock || true");
        let node = node.trim();
        let ours = text
            .lines()
            .filter(|line| !node.is_empty() && line.contains(node));
        ours.map(str::to_owned).collect()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        drop(self.watch.stdin.take());
        // It removes containers; one that can't be removed fails the next test that looks.
        let _ = self.watch.wait();
    }
}
