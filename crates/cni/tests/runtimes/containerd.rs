//! containerd on a node: the daemon, its image, and `ctr`.

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::process::Child;
use std::time::Duration;

use testnet::{Netns, Output, Outside, wait_until};

use crate::image;
use crate::pen::{DIR, Pen};
use crate::plugin::{BIN_DIR, CONF_DIR, Net, Plugin};
use crate::site::Site;

pub const SOCKET: &str = "/run/containerd/containerd.sock";
const READY_BOUND: Duration = Duration::from_secs(20);
const TASK_BOUND: Duration = Duration::from_secs(10);
/// The namespace whose containers CRI shows, so one image is enough.
const NAMESPACE: &str = "k8s.io";
/// containerd's shim can't tell its OCI runtime to leave cgroups alone; a script in between can.
const OCI_RUNTIME: &str = "/run/pen/crun";
const CONFIG: &str = r#"
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
[grpc]
address = "/run/containerd/containerd.sock"
[plugins."io.containerd.internal.v1.opt"]
path = "/var/lib/containerd/opt"
[plugins."io.containerd.grpc.v1.cri"]
sandbox_image = "IMAGE"
disable_cgroup = true
disable_apparmor = true
restrict_oom_score_adj = true
[plugins."io.containerd.grpc.v1.cri".cni]
bin_dir = "BIN_DIR"
conf_dir = "CONF_DIR"
[plugins."io.containerd.grpc.v1.cri".containerd]
snapshotter = "native"
default_runtime_name = "crun"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun]
runtime_type = "io.containerd.runc.v2"
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.crun.options]
BinaryName = "OCI_RUNTIME"
"#;

pub struct Containerd<'site> {
    pen: Pen<'site>,
}

impl<'site> Containerd<'site> {
    /// With the daemon up and the image loaded. It lives as long as the pen does.
    pub fn new(site: &'site Site, plugin: Plugin, net: Net) -> Self {
        let pen = Pen::new(&site.node, Outside::V4.into());
        plugin.install(&pen, &[net]);
        let config = CONFIG
            .replace("IMAGE", image::NAME)
            .replace("BIN_DIR", BIN_DIR)
            .replace("CONF_DIR", CONF_DIR)
            .replace("OCI_RUNTIME", OCI_RUNTIME);
        pen.write("/run/pen/containerd.toml", &config);
        pen.write(
            OCI_RUNTIME,
            "#!/bin/sh\nexec crun --cgroup-manager=disabled \"$@\"\n",
        );
        // `ctr` looks for `runc` where it is not told otherwise.
        site.node.sh(&format!(
            "chmod +x {OCI_RUNTIME}; mkdir {DIR}/bin; ln -s {OCI_RUNTIME} {DIR}/bin/runc"
        ));
        image::build(&pen);
        let log = File::create(format!("{DIR}/containerd.log")).expect("/run can be written");
        let mut daemon = pen
            .command("containerd")
            .args(["--config", "/run/pen/containerd.toml"])
            .stdout(log.try_clone().expect("a file can be cloned"))
            .stderr(log)
            .spawn()
            .expect("nsenter can be started");
        let containerd = Self { pen };
        wait_until("containerd's socket", READY_BOUND, || {
            let fallen = daemon.try_wait().expect("a child can be waited for");
            assert_eq!(fallen, None, "containerd fell: {}", containerd.log());
            UnixStream::connect(SOCKET).is_ok()
        });
        let archive = image::ARCHIVE;
        containerd.expect(&format!("images import --snapshotter native {archive}"));
        containerd
    }

    pub fn pen(&self) -> &Pen<'site> {
        &self.pen
    }

    pub fn log(&self) -> String {
        self.pen.read("/run/pen/containerd.log")
    }

    /// A command line of `ctr` without its first word. Words are split at spaces.
    pub fn run(&self, line: &str) -> Output {
        let words: Vec<&str> = line.split_whitespace().collect();
        self.pen
            .run(&[&["ctr", "--namespace", NAMESPACE], &words[..]].concat())
    }

    pub fn expect(&self, line: &str) -> String {
        self.run(line).expect_success(&format!("ctr {line}"))
    }

    /// `ctr run` with its network, left in the background.
    pub fn start(&self, name: &str) -> Netns {
        self.expect(&format!("run --detach {}", Self::container(name)));
        self.netns(name)
    }

    /// `ctr run` with its network, which stays with its container and removes both at its end.
    pub fn start_attended(&self, name: &str) -> (Child, Netns) {
        let line = format!("--namespace {NAMESPACE} run --rm {}", Self::container(name));
        let child = self
            .pen
            .command("ctr")
            .args(line.split_whitespace())
            .stdout(File::create("/run/pen/ctr.log").expect("/run can be written"))
            .spawn()
            .expect("nsenter can be started");
        wait_until("the task runs", TASK_BOUND, || self.pid(name).is_some());
        (child, self.netns(name))
    }

    fn container(name: &str) -> String {
        let (image, idle) = (image::NAME, image::IDLE.join(" "));
        format!("--cni --snapshotter native --runc-binary {OCI_RUNTIME} {image} {name} {idle}")
    }

    pub fn exec(&self, name: &str, line: &str) -> String {
        self.expect(&format!("task exec --exec-id test {name} {line}"))
    }

    /// Kills it, waits for its end and removes it.
    pub fn remove(&self, name: &str) {
        self.kill(name);
        wait_until("the task ends", TASK_BOUND, || self.pid(name).is_none());
        self.expect(&format!("task rm --force {name}"));
        self.expect(&format!("container rm {name}"));
    }

    pub fn kill(&self, name: &str) {
        self.expect(&format!("task kill --signal SIGKILL {name}"));
    }

    pub fn netns(&self, name: &str) -> Netns {
        let pid = self.pid(name);
        self.pen
            .netns_of(pid.unwrap_or_else(|| panic!("{name} does not run")))
    }

    /// Of the first process of a container that runs.
    pub fn pid(&self, name: &str) -> Option<u32> {
        let tasks = self.expect("task ls");
        // "c1      76     RUNNING"
        let task = tasks
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .find(|words| words.first() == Some(&name) && words.last() == Some(&"RUNNING"))?;
        task[1].parse().ok()
    }
}
