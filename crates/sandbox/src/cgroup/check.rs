//! What of a container's limits this machine can enforce.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{major, minor};

use super::{Cgroups, Controller};
use crate::limit::{CpuSet, Device, Limits};

/// A limit that this machine can't enforce, by the option that asks for it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this machine can't enforce {option}: {why}")]
pub struct Unenforceable {
    pub option: &'static str,
    pub why: Why,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    #[error("no cgroups are mounted at /sys/fs/cgroup")]
    NoCgroups,
    #[error("no cgroup hierarchy with the controller {0} is mounted")]
    NotMounted(&'static str),
    #[error("the controller {0} is not among those of /sys/fs/cgroup/cgroup.controllers")]
    NotGiven(&'static str),
    #[error("cgroup v2 has no controller for the network")]
    NoneInV2,
    #[error("its kernel has no {0}")]
    NoFile(&'static str),
    #[error("the last CPU it may give is {0}")]
    NoCpu(u32),
    #[error("{0} is no block device")]
    NoDevice(Device),
    #[error("{0} is not on a disk; name one with --io-device")]
    NoDisk(String),
    #[error(
        "net_prio knows the devices of the machine's first namespace alone, and a container's is none of them"
    )]
    OtherNamespace,
}

impl Limits {
    /// Every limit that can't be enforced. `root` is where the container's files are.
    pub fn unenforceable(&self, cgroups: &Cgroups, root: &Path) -> Vec<Unenforceable> {
        let cpuset = self.cpuset.as_ref();
        let wanted = [
            self.memory
                .map(|_| ("--memory", needs(cgroups, Controller::Memory))),
            self.cpus.map(|_| ("--cpus", cpu_quota(cgroups))),
            cpuset.map(|set| ("--cpuset", cpus(cgroups, set))),
            self.pids
                .map(|_| ("--pids", needs(cgroups, Controller::Pids))),
            self.io_read.map(|_| ("--io-read", self.io(cgroups, root))),
            self.io_write
                .map(|_| ("--io-write", self.io(cgroups, root))),
            self.net_class
                .map(|_| ("--net-class", needs(cgroups, Controller::NetClass))),
            self.net_prio
                .map(|_| ("--net-prio", Err(Why::OtherNamespace))),
        ];
        let refused = |(option, outcome): (_, Result<(), Why>)| {
            let why = outcome.err()?;
            Some(Unenforceable { option, why })
        };
        wanted.into_iter().flatten().filter_map(refused).collect()
    }

    /// These limits without one of them.
    pub fn without(&mut self, option: &str) {
        match option {
            "--memory" => self.memory = None,
            "--cpus" => self.cpus = None,
            "--cpuset" => self.cpuset = None,
            "--pids" => self.pids = None,
            "--io-read" => self.io_read = None,
            "--io-write" => self.io_write = None,
            "--net-class" => self.net_class = None,
            "--net-prio" => self.net_prio = None,
            _ => {}
        }
    }

    fn io(&self, cgroups: &Cgroups, root: &Path) -> Result<(), Why> {
        needs(cgroups, Controller::Io)?;
        let file = "blkio.throttle.read_bps_device";
        root_file(cgroups, Controller::Io, file)?;
        self.disk(root).map(drop)
    }

    /// What rates are about: the disk named, or the one that a container's files are on.
    ///
    /// # Errors
    /// What is no disk.
    pub fn disk(&self, root: &Path) -> Result<(u32, u32), Why> {
        match &self.io_device {
            Some(device) => device_number(device),
            None => root_device(root),
        }
    }
}

fn needs(cgroups: &Cgroups, controller: Controller) -> Result<(), Why> {
    if cgroups.has(controller) {
        return Ok(());
    }
    Err(match (cgroups, controller.v2_name()) {
        (Cgroups::None, _) => Why::NoCgroups,
        (Cgroups::V1(_), _) => Why::NotMounted(controller.v1_name()),
        (Cgroups::V2(_), Some(name)) => Why::NotGiven(name),
        (Cgroups::V2(_), None) => Why::NoneInV2,
    })
}

/// A file that a v1 hierarchy has at its root where the kernel can do it. In v2 the root has none.
fn root_file(cgroups: &Cgroups, controller: Controller, file: &'static str) -> Result<(), Why> {
    match cgroups {
        Cgroups::V1(hierarchies) => {
            let on = hierarchies.get(&controller);
            let there = on.is_some_and(|on| on.join(file).exists());
            if there {
                Ok(())
            } else {
                Err(Why::NoFile(file))
            }
        }
        Cgroups::V2(_) | Cgroups::None => Ok(()),
    }
}

fn cpu_quota(cgroups: &Cgroups) -> Result<(), Why> {
    needs(cgroups, Controller::Cpu)?;
    root_file(cgroups, Controller::Cpu, "cpu.cfs_quota_us")
}

fn cpus(cgroups: &Cgroups, set: &CpuSet) -> Result<(), Why> {
    needs(cgroups, Controller::CpuSet)?;
    let online = fs::read_to_string("/sys/devices/system/cpu/online").unwrap_or_default();
    let last = online
        .trim()
        .parse::<CpuSet>()
        .map_or(u32::MAX, |cpus| cpus.highest());
    if set.highest() > last {
        return Err(Why::NoCpu(last));
    }
    Ok(())
}

/// # Errors
/// What is no block device.
fn device_number(device: &Device) -> Result<(u32, u32), Why> {
    let missing = || Why::NoDevice(device.clone());
    match device {
        Device::Number { major, minor } => {
            let known = Path::new(&format!("/sys/dev/block/{major}:{minor}")).exists();
            known.then_some((*major, *minor)).ok_or_else(missing)
        }
        Device::Path(path) => {
            let meta = fs::metadata(path).map_err(|_| missing())?;
            let is_block = meta.mode() & 0o170_000 == 0o060_000;
            let number = meta.rdev();
            is_block
                .then(|| (major(number), minor(number)))
                .ok_or_else(missing)
        }
    }
}

/// The disk that a directory's file system is on: of a partition, the disk it is a part of, since
/// rates are kept by disk.
///
/// # Errors
/// A file system without a disk.
fn root_device(dir: &Path) -> Result<(u32, u32), Why> {
    let missing = || Why::NoDisk(dir.display().to_string());
    let number = fs::metadata(dir).map_err(|_| missing())?.dev();
    let (major, minor) = (major(number), minor(number));
    let entry =
        fs::canonicalize(format!("/sys/dev/block/{major}:{minor}")).map_err(|_| missing())?;
    if !entry.join("partition").exists() {
        return Ok((major, minor));
    }
    let disk = entry
        .parent()
        .map(|disk| fs::read_to_string(disk.join("dev")));
    let Some(Ok(disk)) = disk else {
        return Err(missing());
    };
    let number = disk.trim().split_once(':');
    let parsed = number.and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    parsed.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_refused_by_name() {
        let mut limits = Limits {
            memory: Some("1M".parse().unwrap()),
            net_class: std::num::NonZeroU32::new(7),
            net_prio: Some(1),
            ..Limits::default()
        };
        let refused = limits.unenforceable(&Cgroups::None, Path::new("/"));
        let options: Vec<_> = refused.iter().map(|refused| refused.option).collect();
        assert_eq!(options, ["--memory", "--net-class", "--net-prio"]);
        let v2 = Cgroups::V2(vec![Controller::Memory]);
        let text: Vec<_> = limits
            .unenforceable(&v2, Path::new("/"))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(text.len(), 2);
        assert!(
            text[0].contains("--net-class: cgroup v2 has no"),
            "{text:?}"
        );
        for refused in limits.unenforceable(&v2, Path::new("/")) {
            limits.without(refused.option);
        }
        assert!(limits.unenforceable(&v2, Path::new("/")).is_empty());
        assert!(limits.memory.is_some());
    }

    #[test]
    fn a_file_is_no_block_device() {
        for device in ["/dev/null", "/dev/no-such-device", "4095:1"] {
            let device: Device = device.parse().unwrap();
            assert_eq!(device_number(&device), Err(Why::NoDevice(device.clone())));
        }
    }
}
