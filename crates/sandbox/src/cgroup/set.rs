//! Limits as the kernel's files take them.

use std::path::{Path, PathBuf};

use super::entry::write;
use super::{Cgroups, Controller};
use crate::error::SandboxError;
use crate::limit::{Bytes, Cpus, Limits};

/// Which limits: those that the making of a container is within, or those that would only be in
/// its way and begin with the command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    Making,
    Command,
}

/// A file of a group's, and what is written to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Setting {
    pub controller: Controller,
    pub file: &'static str,
    pub value: String,
}

pub(super) const MEMORY: &str = "memory.limit_in_bytes";
/// Memory and swap together, in v1.
pub(super) const MEMORY_SWAP: &str = "memory.memsw.limit_in_bytes";
/// All rates of a disk, in v2.
pub(super) const IO_MAX: &str = "io.max";
/// In v2 alone.
const SWAP: &str = "memory.swap.max";
/// The devices that a container has (OCI runtime specification, "Default Devices"), and its
/// terminals.
const DEVICES: [&str; 9] = [
    "c 1:3 rwm",
    "c 1:5 rwm",
    "c 1:7 rwm",
    "c 1:8 rwm",
    "c 1:9 rwm",
    "c 5:0 rwm",
    "c 5:1 rwm",
    "c 5:2 rwm",
    "c 136:* rwm",
];

impl Setting {
    /// A kernel that does not count swap has no file for it, and nothing to limit.
    pub(super) fn is_optional(&self) -> bool {
        self.file == SWAP
    }
}

fn setting(controller: Controller, file: &'static str, value: &impl ToString) -> Setting {
    let value = value.to_string();
    Setting {
        controller,
        file,
        value,
    }
}

impl Cgroups {
    /// Writes limits to a group that is there. `disk` is what rates are about.
    ///
    /// # Errors
    /// What the kernel says to one of them.
    pub fn limit(
        &self,
        path: &str,
        limits: &Limits,
        disk: Option<(u32, u32)>,
        part: Part,
    ) -> Result<(), SandboxError> {
        for setting in self.settings(limits, disk, part) {
            match self.file(path, &setting) {
                Some(file) if setting.is_optional() && !file.exists() => {}
                Some(file) => write(&file, &setting.value)?,
                None => {}
            }
        }
        Ok(())
    }

    pub(super) fn file(&self, path: &str, setting: &Setting) -> Option<PathBuf> {
        let dir = self.dir_of(setting.controller, path)?;
        Some(dir.join(Path::new(setting.file)))
    }

    /// What is to be written, in order.
    pub fn settings(&self, limits: &Limits, disk: Option<(u32, u32)>, part: Part) -> Vec<Setting> {
        match (self, part) {
            (Self::None, _) => Vec::new(),
            (Self::V1(_), Part::Making) => self.making_v1(limits, disk),
            (Self::V2(_), Part::Making) => self.making_v2(limits, disk),
            (_, Part::Command) => self.command(limits),
        }
    }

    fn making_v1(&self, limits: &Limits, disk: Option<(u32, u32)>) -> Vec<Setting> {
        let mut settings = Vec::new();
        if self.has(Controller::Devices) {
            settings.push(setting(Controller::Devices, "devices.deny", &"a"));
            let allow = |device| setting(Controller::Devices, "devices.allow", &device);
            settings.extend(DEVICES.map(allow));
        }
        if let Some(memory) = limits.memory {
            let bytes = memory.get();
            settings.push(setting(Controller::Memory, MEMORY, &bytes));
            if self.counts_swap() {
                // Memory and swap together: none may be swapped to get around the limit.
                settings.push(setting(Controller::Memory, MEMORY_SWAP, &bytes));
            }
        }
        if let Some(set) = &limits.cpuset {
            settings.push(setting(Controller::CpuSet, "cpuset.cpus", set));
        }
        if let Some(class) = limits.net_class {
            settings.push(setting(Controller::NetClass, "net_cls.classid", &class));
        }
        let rates = [
            ("blkio.throttle.read_bps_device", limits.io_read),
            ("blkio.throttle.write_bps_device", limits.io_write),
        ];
        if let Some((major, minor)) = disk {
            let rate = |(file, rate): (_, Option<Bytes>)| {
                let value = format!("{major}:{minor} {}", rate?.get());
                Some(setting(Controller::Io, file, &value))
            };
            settings.extend(rates.into_iter().filter_map(rate));
        }
        settings
    }

    fn making_v2(&self, limits: &Limits, disk: Option<(u32, u32)>) -> Vec<Setting> {
        let mut settings = Vec::new();
        if let Some(memory) = limits.memory {
            if self.counts_swap() {
                settings.push(setting(Controller::Memory, SWAP, &0));
            }
            settings.push(setting(Controller::Memory, "memory.max", &memory.get()));
        }
        if let Some(set) = &limits.cpuset {
            settings.push(setting(Controller::CpuSet, "cpuset.cpus", set));
        }
        let is_slowed = limits.io_read.is_some() || limits.io_write.is_some();
        if let Some((major, minor)) = disk.filter(|_| is_slowed) {
            let rate = |rate: Option<Bytes>| match rate {
                Some(rate) => rate.get().to_string(),
                None => "max".to_owned(),
            };
            let (read, write) = (rate(limits.io_read), rate(limits.io_write));
            let value = format!("{major}:{minor} rbps={read} wbps={write}");
            settings.push(setting(Controller::Io, IO_MAX, &value));
        }
        settings
    }

    fn command(&self, limits: &Limits) -> Vec<Setting> {
        let mut settings = Vec::new();
        if let Some(pids) = limits.pids {
            // The first process of the container is ours: it passes signals on and reaps.
            let all = u64::from(pids.get()) + 1;
            settings.push(setting(Controller::Pids, "pids.max", &all));
        }
        if let Some(cpus) = limits.cpus {
            let (quota, period) = (cpus.quota_micros(), Cpus::PERIOD_MICROS);
            let cpu = |file, value: String| setting(Controller::Cpu, file, &value);
            match self {
                Self::V2(_) => settings.push(cpu("cpu.max", format!("{quota} {period}"))),
                Self::None | Self::V1(_) => settings.extend([
                    cpu("cpu.cfs_period_us", period.to_string()),
                    cpu("cpu.cfs_quota_us", quota.to_string()),
                ]),
            }
        }
        settings
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn limits() -> Limits {
        Limits {
            memory: "64M".parse().ok(),
            cpus: "0.5".parse().ok(),
            cpuset: "0-1".parse().ok(),
            pids: std::num::NonZeroU32::new(20),
            io_read: "1M".parse().ok(),
            io_write: "2M".parse().ok(),
            ..Limits::default()
        }
    }

    fn lines(cgroups: &Cgroups, part: Part) -> Vec<String> {
        let settings = cgroups.settings(&limits(), Some((254, 0)), part);
        let line = |s: Setting| format!("{}={}", s.file, s.value);
        settings.into_iter().map(line).collect()
    }

    #[test]
    fn the_unified_hierarchy_has_one_file_for_both_rates() {
        let cgroups = Cgroups::V2(vec![Controller::Memory]);
        let making = lines(&cgroups, Part::Making);
        for line in [
            "memory.max=67108864",
            "cpuset.cpus=0-1",
            "io.max=254:0 rbps=1048576 wbps=2097152",
        ] {
            assert!(making.iter().any(|one| one == line), "{line}: {making:?}");
        }
        let command = lines(&cgroups, Part::Command);
        assert_eq!(command, ["pids.max=21", "cpu.max=50000 100000"]);
    }

    #[test]
    fn hierarchies_of_v1_have_a_file_for_each() {
        let on = |c: Controller| (c, PathBuf::from("/none").join(c.v1_name()));
        let all = [Controller::Memory, Controller::Devices, Controller::Io];
        let cgroups = Cgroups::V1(all.into_iter().map(on).collect::<BTreeMap<_, _>>());
        let making = lines(&cgroups, Part::Making);
        assert_eq!(making[0], "devices.deny=a");
        for line in [
            "devices.allow=c 1:3 rwm",
            "memory.limit_in_bytes=67108864",
            "blkio.throttle.read_bps_device=254:0 1048576",
            "blkio.throttle.write_bps_device=254:0 2097152",
        ] {
            assert!(making.iter().any(|one| one == line), "{line}: {making:?}");
        }
        let command = lines(&cgroups, Part::Command);
        assert_eq!(
            command[1..],
            ["cpu.cfs_period_us=100000", "cpu.cfs_quota_us=50000"]
        );
    }
}
