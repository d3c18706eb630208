//! Other limits for a container that runs: what is to be written for them, and writing it, all or
//! nothing.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Serialize, Serializer};

use super::entry::{needed, read, write};
use super::set::{IO_MAX, MEMORY, MEMORY_SWAP, Part, Setting};
use super::{Cgroups, Controller, Group};
use crate::container::Container;
use crate::error::SandboxError;

/// How often processes are looked for that were forked while others were moved.
const PASSES_MAX: usize = 100;
const V2_MEMORY: &str = "memory.max";

/// One step on the way to other limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// A file of the kernel's, and what it says without this step.
    Write {
        file: PathBuf,
        value: String,
        before: String,
    },
    /// All processes of the container begin to be limited in a hierarchy of v1 that they were not
    /// in.
    Join { group: PathBuf },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Write { file, value, .. } => write!(f, "write {value:?} to {}", file.display()),
            Self::Join { group } => write!(f, "move its processes into {}", group.display()),
        }
    }
}

impl Serialize for Step {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Limits that are written, and can be taken back as long as nothing else was changed.
#[derive(Debug)]
pub struct Changed {
    steps: Vec<Step>,
}

impl Cgroups {
    /// What is to be done so that a container that runs as `from` says is limited as `to` says.
    pub fn plan_change(&self, from: &Container, to: &Container) -> Vec<Step> {
        let (old, new) = (self.all_settings(from), self.all_settings(to));
        let gone = old.iter().filter(|old| is_rate(old));
        let gone = gone.filter(|old| !new.iter().any(|new| is_same(old, new)));
        let cleared = gone.map(|old| (unlimited(old), old.value.clone()));
        let fresh = new.iter().filter(|new| !old.contains(new));
        let fresh = fresh.map(|new| {
            let old = old.iter().find(|old| is_same(old, new));
            let before = old.map_or_else(|| unlimited(new).value, |old| old.value.clone());
            (new.clone(), before)
        });
        let mut changes: Vec<(Setting, String)> = cleared.chain(fresh).collect();
        let is_raised = to.limits.memory > from.limits.memory && from.limits.memory.is_some();
        if is_raised {
            // Memory may not be above memory and swap together at any moment.
            changes.sort_by_key(|(setting, _)| setting.file == MEMORY);
        }
        let mut steps: Vec<Step> = changes
            .into_iter()
            .filter_map(|(setting, before)| self.write_step(&from.cgroup, setting, before))
            .collect();
        steps.extend(self.joins(to));
        steps
    }

    fn all_settings(&self, container: &Container) -> Vec<Setting> {
        let parts = [Part::Making, Part::Command];
        let of = |part| self.settings(&container.limits, container.disk(), part);
        let all = parts.into_iter().flat_map(of);
        all.filter(|one| one.controller != Controller::Devices)
            .collect()
    }

    fn write_step(&self, path: &str, setting: Setting, before: String) -> Option<Step> {
        let file = self.file(path, &setting)?;
        if setting.is_optional() && !file.exists() {
            return None;
        }
        let before = match setting.controller {
            Controller::CpuSet => cpus_before(&file),
            _ => before,
        };
        let value = setting.value;
        Some(Step::Write {
            file,
            value,
            before,
        })
    }

    /// The hierarchies of v1 that these limits need and the container is not in, or not wholly.
    fn joins(&self, to: &Container) -> Vec<Step> {
        let Self::V1(hierarchies) = self else {
            return Vec::new();
        };
        let below = to.cgroup.trim_start_matches('/');
        let all = self.group(&to.cgroup).processes();
        let needed = needed(&to.limits);
        let roots = needed.iter().filter_map(|one| hierarchies.get(one));
        let groups: BTreeSet<PathBuf> = roots.map(|root| root.join(below)).collect();
        let is_outside = |group: &PathBuf| !outside(&all, group).is_empty();
        let groups = groups.into_iter().filter(is_outside);
        groups.map(|group| Step::Join { group }).collect()
    }

    /// Takes these steps; none of them where one fails.
    ///
    /// # Errors
    /// What is in use and can't be limited, what the kernel refuses.
    pub fn change(&self, to: &Container, steps: Vec<Step>) -> Result<Changed, SandboxError> {
        if let Some(limit) = to.limits.pids
            && let Some(used) = self.usage(&to.cgroup).pids
            // Ours is one of them.
            && used > u64::from(limit.get()) + 1
        {
            let used = used - 1;
            return Err(SandboxError::PidsInUse { limit, used });
        }
        self.enter(&to.cgroup, &to.limits)?;
        let mut changed = Changed { steps: Vec::new() };
        for step in steps {
            let taken = self.take(to, &step);
            // Undone too: of what is written, some may be in force.
            changed.steps.push(step);
            if let Err(error) = taken {
                changed.undo();
                return Err(error);
            }
        }
        Ok(changed)
    }

    fn take(&self, to: &Container, step: &Step) -> Result<(), SandboxError> {
        match step {
            Step::Join { group } => join(&self.group(&to.cgroup), group),
            Step::Write { file, value, .. } => {
                let in_use = || self.memory_in_use(to);
                if file.ends_with(V2_MEMORY) && !make_room(file, value)? {
                    return Err(in_use());
                }
                match write(file, value) {
                    Err(SandboxError::Write { source, .. })
                        if is_of_memory(file) && is_busy(&source) =>
                    {
                        Err(in_use())
                    }
                    outcome => outcome,
                }
            }
        }
    }

    fn memory_in_use(&self, to: &Container) -> SandboxError {
        SandboxError::MemoryInUse {
            limit: to.limits.memory,
            used_bytes: self.usage(&to.cgroup).memory.unwrap_or_default(),
        }
    }
}

impl Changed {
    /// Takes all steps back. That a process is in a group without a limit limits nothing, and the
    /// group goes with the container.
    pub fn undo(self) {
        for step in self.steps.into_iter().rev() {
            if let Step::Write { file, before, .. } = step {
                // What can't be taken back is not in force either, or the container is gone.
                let _ = write(&file, &before);
            }
        }
    }
}

/// The CPUs of a group; those of the one above it where it is not there yet. A line, since one that
/// is empty is how a group of v2 says that it has none of its own.
fn cpus_before(file: &Path) -> String {
    let mut dirs = file.ancestors().skip(1);
    let name = file.file_name().unwrap_or_default();
    let found = dirs.find_map(|dir| fs::read_to_string(dir.join(name)).ok());
    format!("{}\n", found.unwrap_or_default().trim())
}

/// Whether both write the same thing; rates of two disks are two things.
fn is_same(one: &Setting, other: &Setting) -> bool {
    let disk = |setting: &Setting| match is_rate(setting) {
        true => setting.value.split(' ').next().map(str::to_owned),
        false => None,
    };
    one.file == other.file && disk(one) == disk(other)
}

fn is_rate(setting: &Setting) -> bool {
    setting.controller == Controller::Io
}

/// What is written so that nothing is limited.
fn unlimited(setting: &Setting) -> Setting {
    let disk = setting.value.split(' ').next().unwrap_or_default();
    let value = match setting.file {
        IO_MAX => format!("{disk} rbps=max wbps=max"),
        _ if is_rate(setting) => format!("{disk} 0"),
        "net_cls.classid" => "0".to_owned(),
        MEMORY | MEMORY_SWAP | "cpu.cfs_quota_us" => "-1".to_owned(),
        "cpu.max" | V2_MEMORY | "memory.swap.max" | "pids.max" => "max".to_owned(),
        // The period of a quota that there is not.
        _ => setting.value.clone(),
    };
    Setting {
        value,
        ..setting.clone()
    }
}

fn is_of_memory(file: &Path) -> bool {
    file.ends_with(MEMORY) || file.ends_with(MEMORY_SWAP)
}

fn is_busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::BUSY.raw_os_error())
}

/// Has the kernel take back what it can, without killing: that is what writing a limit of v2 below
/// what is in use would do. Answers whether there is room now.
fn make_room(file: &Path, limit: &str) -> Result<bool, SandboxError> {
    let Ok(limit) = limit.parse::<u64>() else {
        return Ok(true);
    };
    let used = || -> Result<u64, SandboxError> {
        let text = read(&file.with_file_name("memory.current"))?;
        Ok(text.trim().parse().unwrap_or(u64::MAX))
    };
    if used()? <= limit {
        return Ok(true);
    }
    let high = file.with_file_name("memory.high");
    let before = read(&high)?;
    write(&high, &limit.to_string())?;
    let used = used();
    write(&high, before.trim())?;
    Ok(used? <= limit)
}

/// Those of the processes that are not in a group.
fn outside(all: &[Pid], group: &Path) -> Vec<Pid> {
    let inside = Group::new(vec![group.to_owned()]).processes();
    let all = all.iter().filter(|pid| !inside.contains(pid));
    all.copied().collect()
}

/// Moves all processes of a container into one more group: again and again, since they fork.
fn join(container: &Group, group: &Path) -> Result<(), SandboxError> {
    let path = group.join("cgroup.procs");
    for _ in 0..PASSES_MAX {
        let outside = outside(&container.processes(), group);
        if outside.is_empty() {
            return Ok(());
        }
        for pid in outside {
            match fs::write(&path, pid.as_raw_nonzero().to_string()) {
                // It has ended.
                Err(error) if error.raw_os_error() == Some(Errno::SRCH.raw_os_error()) => {}
                Err(source) => return Err(SandboxError::Write { path, source }),
                Ok(()) => {}
            }
        }
    }
    Err(SandboxError::StillForking(group.to_owned()))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::container::{Afterwards, Calls, Root, Stdio, Users};
    use crate::limit::Limits;
    use crate::process::ProcessId;

    fn container(limits: Limits) -> Container {
        Container {
            name: "one".parse().unwrap(),
            network: "web".parse().unwrap(),
            command: Vec::new(),
            env: Vec::new(),
            hostname: "one".parse().unwrap(),
            nameservers: Vec::new(),
            root: Root::Machine,
            mounts: Vec::new(),
            users: Users::Host,
            stdio: Stdio::Log,
            limits,
            cgroup: "/pontoon/none/one".to_owned(),
            state_dir: PathBuf::new(),
            calls: Calls {
                created: Vec::new(),
                ended: Vec::new(),
            },
            creator: ProcessId::own().unwrap(),
            created_secs: 0,
            afterwards: Afterwards::Keep,
        }
    }

    fn memory(text: &str) -> Container {
        container(Limits {
            memory: text.parse().ok(),
            ..Limits::default()
        })
    }

    /// Each file, what is written, and what undoes it.
    fn writes(cgroups: &Cgroups, from: &Container, to: &Container) -> Vec<String> {
        let steps = cgroups.plan_change(from, to).into_iter();
        let line = |step| match step {
            Step::Write {
                file,
                value,
                before,
            } => {
                let name = file.file_name().unwrap_or_default().display().to_string();
                Some(format!("{name} {value} < {before}"))
            }
            Step::Join { .. } => None,
        };
        steps.filter_map(line).collect()
    }

    fn v1() -> Cgroups {
        let on = PathBuf::from("/no/such");
        Cgroups::V1(BTreeMap::from([
            (Controller::Memory, on.clone()),
            (Controller::Cpu, on),
        ]))
    }

    #[test]
    fn what_is_the_same_is_not_written() {
        let one = memory("64M");
        for cgroups in [v1(), Cgroups::V2(vec![Controller::Memory]), Cgroups::None] {
            assert_eq!(writes(&cgroups, &one, &one), Vec::<String>::new());
        }
    }

    #[test]
    fn each_write_knows_what_undoes_it() {
        let (none, small) = (container(Limits::default()), memory("64M"));
        let unified = Cgroups::V2(vec![Controller::Memory]);
        assert_eq!(
            writes(&unified, &none, &small).last().unwrap(),
            "memory.max 67108864 < max"
        );
        assert_eq!(
            writes(&unified, &small, &memory("1M")),
            ["memory.max 1048576 < 67108864"]
        );
        let mut quota = small.clone();
        quota.limits.cpus = "0.5".parse().ok();
        assert_eq!(
            writes(&v1(), &small, &quota),
            [
                "cpu.cfs_period_us 100000 < 100000",
                "cpu.cfs_quota_us 50000 < -1"
            ]
        );
    }

    #[test]
    fn rates_of_a_disk_are_one_line_of_v2_and_end_with_no_limit() {
        let rate = |value: &str| Setting {
            controller: Controller::Io,
            file: IO_MAX,
            value: value.to_owned(),
        };
        let (one, other) = (rate("8:0 rbps=1 wbps=max"), rate("8:16 rbps=1 wbps=max"));
        assert!(is_same(&one, &rate("8:0 rbps=2 wbps=3")) && !is_same(&one, &other));
        assert_eq!(unlimited(&one).value, "8:0 rbps=max wbps=max");
    }
}
