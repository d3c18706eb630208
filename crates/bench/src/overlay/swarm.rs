//! Docker's own overlay: two Docker daemons that are a swarm, a container on each.
//!
//! A daemon, all that it starts and all that these mount are in namespaces of their own, which end
//! with the daemon however it ends. What it leaves are files, which are in the scratch directory,
//! and control groups, which have its name: both go with it.

use std::rc::Rc;
use std::time::Duration;

use anyhow::{Context, Result};

use super::bed::{Bed, begin};
use crate::ground::{Ground, Pair, reason};
use crate::machine::{Call, Machine, Server};
use crate::patience::wait_for;
use crate::tools::{Docker, Found, program};

const START_BOUND: Duration = Duration::from_secs(60);
const SERVER: &str = "10.77.0.20";
const CLIENT: &str = "10.77.0.21";
const SOCKET: &str = "unix:///run/docker.sock";

/// The machine's control groups, mounted once more: a machine of the bench's has none. And what
/// the daemon mounts in `/run` is to be seen: the containers' network namespaces.
pub const PREPARE: &str = r#"
    mount --make-shared /run
    mkdir -p /run/docker-home
    echo '{}' >/run/docker.json
    if grep -q ' /sys/fs/cgroup cgroup2 ' /proc/mounts; then
        mount -t cgroup2 cgroup2 /sys/fs/cgroup
    else
        kinds=$(awk '$3 == "cgroup" && $4 !~ /name=/ { print $2 }' /proc/mounts)
        mount -t tmpfs cgroups /sys/fs/cgroup
        for dir in $kinds; do
            kind=${dir##*/}
            mkdir -p "/sys/fs/cgroup/$kind"
            mount -t cgroup -o "$kind" cgroup "/sys/fs/cgroup/$kind"
        done
    fi"#;

/// An image of one program.
pub const IMAGE: &str = r#"
    mkdir -p /run/image/bin
    cp "$(command -v busybox)" /run/image/bin/busybox
    tar -C /run/image -cf /run/image.tar bin"#;

/// Whether a daemon has a network of its own for containers that ask for none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bridge {
    None,
    Default,
}

/// One daemon on its machine.
pub struct Daemon<'a> {
    machine: Rc<Machine>,
    docker: &'a Docker,
    server: Server,
}

pub fn bed(ground: &Ground<'_>) -> Found<Bed> {
    let docker = ground.docker()?;
    program("busybox")?;
    let pair = begin(ground)?;
    make(ground, &docker, pair).map_err(reason)
}

fn make(ground: &Ground<'_>, docker: &Docker, pair: Pair) -> Result<Bed> {
    let right = Daemon::start(ground, docker, &pair.right, ("swarm-right", Bridge::None))?;
    let left = Daemon::start(ground, docker, &pair.left, ("swarm-left", Bridge::None))?;
    let (right_underlay, left_underlay) = (&pair.cable.right, &pair.cable.left);
    right.docker(&format!(
        "swarm init --advertise-addr {right_underlay} --listen-addr {right_underlay}:2377"
    ))?;
    let token = right.docker("swarm join-token -q worker")?;
    left.docker(&format!(
        "swarm join --token {} --advertise-addr {left_underlay} {right_underlay}:2377",
        token.trim()
    ))?;
    right.docker("network create -d overlay --attachable --subnet 10.77.0.0/24 overlay")?;
    right.run_container("right", SERVER)?;
    left.run_container("left", CLIENT)?;
    let keeping = vec![right.server, left.server];
    Bed::new(pair, SERVER, keeping)
}

impl<'a> Daemon<'a> {
    /// Starts one, and waits until it answers. Its files are below its name.
    pub fn start(
        ground: &Ground<'_>,
        docker: &'a Docker,
        machine: &Rc<Machine>,
        (name, bridge): (&str, Bridge),
    ) -> Result<Self> {
        machine.sh(PREPARE)?;
        let data = ground.scratch(name);
        let call = Call::new(
            "unshare",
            daemon_line(docker, &data.to_string_lossy(), ground, bridge),
        );
        let call = call.with_env(&environment(docker));
        let log = ground.scratch(&format!("{name}.log"));
        let daemon = Self {
            machine: Rc::clone(machine),
            docker,
            server: machine.serve(&call.with_log(log))?,
        };
        let answers = || daemon.docker("version").is_ok();
        let ready = wait_for("Docker's daemon answers", START_BOUND, answers);
        ready.with_context(|| daemon.server.last_words())?;
        Ok(daemon)
    }

    /// Runs Docker's client; gives what it printed.
    pub fn docker(&self, line: &str) -> Result<String> {
        let finished = self.machine.call(&self.call(line));
        Ok(finished.context("set up Docker")?.stdout)
    }

    pub fn call(&self, line: &str) -> Call {
        let args = ["-H", SOCKET].into_iter().chain(line.split_whitespace());
        Call::new(&self.docker.docker, args).with_env(&environment(self.docker))
    }

    /// A container that does nothing. Its network namespace has the name for others too.
    fn run_container(&self, name: &str, address: &str) -> Result<()> {
        self.machine.sh(IMAGE)?;
        self.docker("import /run/image.tar pontoon-bench")?;
        self.docker(&format!(
            "run -d --name {name} --network overlay --ip {address} \
             pontoon-bench /bin/busybox sleep 86400"
        ))?;
        let key = self.docker(&format!(
            "inspect --format {{{{.NetworkSettings.SandboxKey}}}} {name}"
        ))?;
        let key = key.trim();
        self.machine
            .sh(&format!("ln -s {key} /run/netns/{name}"))
            .map(drop)
    }
}

fn daemon_line(docker: &Docker, data: &str, ground: &Ground<'_>, bridge: Bridge) -> Vec<String> {
    let dockerd = docker.dockerd.to_string_lossy();
    let group = ground.name();
    let bridge = match bridge {
        Bridge::None => "--bridge none",
        Bridge::Default => "",
    };
    let line = [
        "--pid --fork --kill-child=KILL --mount --mount-proc --propagation unchanged",
        &dockerd,
        "--config-file /run/docker.json --exec-root /run/docker --pidfile /run/docker.pid",
        bridge,
        "--storage-driver vfs --exec-opt native.cgroupdriver=cgroupfs",
        "--log-level error",
        &format!("-H {SOCKET} --cgroup-parent /{group} --data-root {data}"),
    ];
    line.join(" ")
        .split_whitespace()
        .map(str::to_owned)
        .collect()
}

/// Neither settings nor credentials of whoever runs the bench.
fn environment(docker: &Docker) -> [(&'static str, String); 3] {
    [
        ("PATH", docker.path.to_string_lossy().into_owned()),
        ("HOME", "/run/docker-home".to_owned()),
        ("DOCKER_CONFIG", "/run/docker-home".to_owned()),
    ]
}
