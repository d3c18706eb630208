//! Section `run`: from starting the command to the first thing that a container's own command does,
//! network attached, and to its end. The same root file system, one busybox, for all.

use std::rc::Rc;

use anyhow::{Context, Result};

use crate::contender::{PONTOON, Records};
use crate::ground::{Ground, Site, reason};
use crate::machine::{Call, Machine};
use crate::overlay::swarm::{Bridge, Daemon, IMAGE, PREPARE};
use crate::progress::progress;
use crate::table::{Row, Samples, Unit, millis};
use crate::tools::{Docker, Found, program};

pub const STARTED: &str = "run: start to the command's first instruction";
pub const WHOLE: &str = "run: start to end, cleaned up";
pub const PODMAN: &str = "podman run";
pub const DOCKER: &str = "docker run";

const ROOT: &str = "/run/image";
const COMMAND: [&str; 3] = ["/bin/busybox", "echo", "here"];
/// What the root of a container must have to mount on; Docker's image has no need of it.
const MOUNT_POINTS: &str = "mkdir -p /run/image/proc /run/image/dev /run/image/sys /run/image/tmp \
                            /run/image/run /run/image/etc";

/// As a careful person sets podman up beside another: nothing of its is shared with the machine's
/// own, not even its locks.
const PODMAN_CONF: &str = r#"
    mkdir -p /run/podman
    cat >/run/podman/containers.conf <<END
[engine]
events_logger = "file"
lock_type = "file"
cgroup_manager = "cgroupfs"
[network]
network_backend = "netavark"
network_config_dir = "/run/podman/networks"
END"#;

/// Below its own defaults, which root may not have everywhere (CAP_SYS_RESOURCE).
const LIMITS: &str = "--ulimit nofile=1024:1024 --ulimit nproc=1024:1024";

/// One that runs containers, or why not.
struct Runner<'a> {
    who: &'static str,
    contender: Found<Contender<'a>>,
    started: Samples,
    whole: Samples,
}

struct Contender<'a> {
    machine: Rc<Machine>,
    call: Call,
    _daemon: Option<Daemon<'a>>,
}

pub fn measure(ground: &Ground<'_>, rounds: u16) -> Vec<Row> {
    progress("run: setting up");
    let docker = ground.docker();
    let runner = |who, contender| Runner {
        who,
        contender,
        started: Samples::default(),
        whole: Samples::default(),
    };
    let mut runners = [
        runner(PONTOON, pontoon(ground)),
        runner(PODMAN, podman(ground)),
        runner(DOCKER, docker_runner(ground, &docker)),
    ];
    // The first of each finds nothing in the caches.
    for round in 0..=rounds {
        progress(&format!("run: round {round} of {rounds}"));
        for runner in &mut runners {
            runner.sample(round > 0);
        }
    }
    let started = runners.iter().map(|r| r.row(STARTED, &r.started));
    let whole = runners.iter().map(|r| r.row(WHOLE, &r.whole));
    started.chain(whole).collect()
}

impl Runner<'_> {
    fn sample(&mut self, counts: bool) {
        let Ok(contender) = &self.contender else {
            return;
        };
        match contender.machine.time(&contender.call) {
            Ok(timed) if counts => {
                self.started.push(millis(timed.first));
                self.whole.push(millis(timed.whole));
            }
            Ok(_) => {}
            Err(error) => self.contender = Err(reason(error)),
        }
    }

    fn row(&self, figure: &str, samples: &Samples) -> Row {
        let contender = self.contender.as_ref();
        Row {
            figure: figure.to_owned(),
            who: self.who,
            base: PONTOON,
            unit: Unit::Milliseconds,
            samples: contender.map(|_| samples.clone()).map_err(Clone::clone),
        }
    }
}

/// A machine with control groups and the root file system.
fn prepare(machine: &Machine) -> Result<()> {
    machine.sh(PREPARE)?;
    machine.sh(IMAGE)?;
    machine.sh(MOUNT_POINTS).map(drop)
}

fn pontoon<'a>(ground: &Ground<'_>) -> Found<Contender<'a>> {
    program("busybox")?;
    let Site { machine, tool } = ground.site("run")?;
    prepare(&machine).map_err(reason)?;
    let line = [
        "run",
        crate::ground::NETWORK,
        "--rm",
        "--rootfs",
        ROOT,
        "--",
    ];
    let call = Records::call(&tool, &[&line[..], &COMMAND].concat());
    Ok(Contender {
        machine,
        call,
        _daemon: None,
    })
}

fn podman<'a>(ground: &Ground<'_>) -> Found<Contender<'a>> {
    let podman = program("podman")?;
    crate::tools::netavark()?;
    let machine = ground.machine();
    prepare(&machine)
        .and_then(|()| machine.sh(PODMAN_CONF).map(drop))
        .map_err(reason)?;
    let root = ground.scratch("podman");
    let group = format!("/{}", ground.name());
    let dirs = format!(
        "--root {} --runroot /run/podman/run --tmpdir /run/podman/tmp",
        root.display()
    );
    let line = format!(
        "{dirs} --storage-driver vfs run --rm {LIMITS} --cgroup-parent {group} --rootfs {ROOT} {}",
        COMMAND.join(" ")
    );
    let call = Call::new(podman, line.split_whitespace());
    let call = call.with_env(&[
        ("HOME", "/run/podman".to_owned()),
        ("CONTAINERS_CONF", "/run/podman/containers.conf".to_owned()),
    ]);
    Ok(Contender {
        machine,
        call,
        _daemon: None,
    })
}

fn docker_runner<'a>(ground: &Ground<'_>, docker: &'a Found<Docker>) -> Found<Contender<'a>> {
    let docker = docker.as_ref().map_err(Clone::clone)?;
    program("busybox")?;
    let machine = ground.machine();
    let daemon = Daemon::start(ground, docker, &machine, ("run-docker", Bridge::Default));
    let daemon = daemon.and_then(|daemon| {
        machine.sh(IMAGE)?;
        let imported = daemon.docker("import /run/image.tar pontoon-bench");
        imported.context("import an image").map(|_| daemon)
    });
    let daemon = daemon.map_err(reason)?;
    let line = format!("run --rm pontoon-bench {}", COMMAND.join(" "));
    Ok(Contender {
        call: daemon.call(&line),
        machine,
        _daemon: Some(daemon),
    })
}
