//! Where a runtime lives: process and mount namespaces of the test's own, on the test's node.
//!
//! Runtimes leave daemons behind (conmon, shims) that no parent waits for. Here they have a first
//! process of the test's to fall to; when it dies, and it dies with the test, the kernel kills all
//! of them. What a runtime writes outside /run goes to memory, and the cgroups of the machine are
//! out of its sight. It is on the network of the node, and mounts under /run, so named network
//! namespaces too, are seen on both sides.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use testnet::{Netns, Node, Output, output, wait_until};

/// What the test and the pen share, and the test makes: image, home, logs.
pub const DIR: &str = "/run/pen";
/// The pid of the first process, as the test sees it, once everything is in its place.
const READY: &str = "/run/pen/ready";
const LOG: &str = "/run/pen/log";
const READY_BOUND: Duration = Duration::from_secs(10);
const PATH: &str = "/run/pen/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The first process: it learns its outer pid from the outer /proc, sets the stage, then reaps.
/// A tmpfs hides the machine's own files from the runtime, and its files from the machine.
const FIRST: &str = "\
read -r pid rest < /proc/self/stat
mount -t proc proc /proc
mount -t tmpfs tmpfs /sys/fs/cgroup
for dir in /etc/cni /etc/containers /opt /tmp /var/lib /var/log /var/tmp; do
	mount -t tmpfs tmpfs $dir
done
mkdir -p /etc/cni/net.d /opt/cni/bin /var/lib/cni /var/lib/pontoon
mount --bind \"$1\" /var/lib/pontoon
mount --bind \"$2/resolv.conf\" /etc/resolv.conf
echo $pid > \"$2/ready.new\"
mv \"$2/ready.new\" \"$2/ready\"
sleep infinity & wait";

pub struct Pen<'node> {
    node: &'node Node,
    keeper: Child,
    /// Pid of the first process inside, as the test sees it; None until the pen is ready.
    first: Option<u32>,
}

impl<'node> Pen<'node> {
    /// Its resolver's configuration names `nameserver`. Once per node.
    pub fn new(node: &'node Node, nameserver: std::net::IpAddr) -> Self {
        // Everything else stays private, as the node made it.
        node.sh(&format!("mount --make-rshared /run; mkdir -p {DIR}/home"));
        let resolver = format!("nameserver {nameserver}\n");
        fs::write(format!("{DIR}/resolv.conf"), resolver).expect("/run can be written");
        let keeper = node
            .command("unshare")
            .args(["--fork", "--kill-child", "--pid", "--mount"])
            .args(["--propagation", "unchanged", "sh", "-euc", FIRST, "sh"])
            .arg(node.state_dir())
            .arg(DIR)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(fs::File::create(LOG).expect("/run can be written"))
            .spawn()
            .expect("unshare can be started");
        let mut pen = Self {
            node,
            keeper,
            first: None,
        };
        wait_until("the pen's mounts", READY_BOUND, || pen.is_ready());
        pen
    }

    fn is_ready(&mut self) -> bool {
        if let Ok(Some(status)) = self.keeper.try_wait() {
            let said = fs::read_to_string(LOG).unwrap_or_default();
            panic!("the pen fell with {status}: {said} (does scripts/setup install runtimes?)");
        }
        let pid = fs::read_to_string(READY).ok();
        self.first = pid.and_then(|pid| pid.trim().parse().ok());
        self.first.is_some()
    }

    fn first(&self) -> u32 {
        self.first.expect("new waits until it is known")
    }

    pub fn node(&self) -> &'node Node {
        self.node
    }

    /// A command inside. Its environment is bare, as that of a daemon is: a runtime calls plugins
    /// from several processes, and not all of them have the environment of the user.
    pub fn command(&self, program: &str) -> Command {
        let mut command = self.node.command("nsenter");
        command
            .env_clear()
            .env("PATH", PATH)
            .env("HOME", format!("{DIR}/home"))
            .args(["--target", &self.first().to_string(), "--pid", "--mount"])
            .args(["--", program])
            .stdin(Stdio::null());
        command
    }

    pub fn run(&self, line: &[&str]) -> Output {
        let (program, args) = line.split_first().expect("a command line has a program");
        output(self.command(program).args(args))
    }

    /// A file as it is seen inside, by a path that holds outside.
    pub fn path(&self, inside: &str) -> PathBuf {
        let root = format!("/proc/{}/root", self.first());
        Path::new(&root).join(inside.trim_start_matches('/'))
    }

    pub fn write(&self, inside: &str, text: &str) {
        let path = self.path(inside);
        fs::write(&path, text)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", path.display()));
    }

    pub fn read(&self, inside: &str) -> String {
        let path = self.path(inside);
        fs::read_to_string(&path)
            .unwrap_or_else(|error| panic!("cannot read {}: {error}", path.display()))
    }

    /// The network namespace of a process, by its pid inside.
    pub fn netns_of(&self, pid: u32) -> Netns {
        Netns::at(&self.path(&format!("/proc/{pid}/ns/net")))
    }

    pub fn kill(&self, pid: u32) {
        let killed = self.run(&["kill", "-KILL", &pid.to_string()]);
        assert!(killed.success(), "{pid}: {killed}");
    }
}

impl Drop for Pen<'_> {
    fn drop(&mut self) {
        // The first process goes when all others of its namespace are gone, and the keeper after
        // it: then nothing runs any more.
        let killed = self.first.is_some_and(|first| {
            let kill = Command::new("kill")
                .args(["-KILL", &first.to_string()])
                .status();
            kill.is_ok_and(|status| status.success())
        });
        if !killed {
            let _ = self.keeper.kill();
        }
        let _ = self.keeper.wait();
    }
}
