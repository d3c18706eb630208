//! Control groups as this machine has them, v1 hierarchies or the unified one of v2: found in the
//! table of mounts, not assumed.
//!
//! Here is what can be limited (`check`), how a group is made and begun in (`entry`), limited
//! (`set`, `change`) and ended (`group`), and what it uses (`usage`). The runtime library could make and limit
//! groups too, in four times the time. Only groups below `/pontoon` are touched.

mod change;
mod check;
mod entry;
mod group;
mod hide;
mod set;
mod usage;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

pub use change::{Changed, Step};
pub use check::{Unenforceable, Why};
pub use entry::{Entry, REFUSED, clone3, leave};
pub use group::Group;
pub use hide::{are_asked_for, hide};
pub use set::{Part, Setting};
pub use usage::Usage;

/// Where the unified hierarchy is, and where those of v1 are below (cgroups(7)).
pub const ROOT: &str = "/sys/fs/cgroup";

/// What limits one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Controller {
    Cpu,
    CpuAccounting,
    CpuSet,
    Memory,
    Io,
    Pids,
    Devices,
    NetClass,
    NetPrio,
    Freezer,
}

impl Controller {
    const ALL: [Self; 10] = [
        Self::Cpu,
        Self::CpuAccounting,
        Self::CpuSet,
        Self::Memory,
        Self::Io,
        Self::Pids,
        Self::Devices,
        Self::NetClass,
        Self::NetPrio,
        Self::Freezer,
    ];

    /// Its name in v1.
    pub fn v1_name(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::CpuAccounting => "cpuacct",
            Self::CpuSet => "cpuset",
            Self::Memory => "memory",
            Self::Io => "blkio",
            Self::Pids => "pids",
            Self::Devices => "devices",
            Self::NetClass => "net_cls",
            Self::NetPrio => "net_prio",
            Self::Freezer => "freezer",
        }
    }

    /// Its name in v2, where it is one there.
    pub fn v2_name(self) -> Option<&'static str> {
        match self {
            Self::Cpu => Some("cpu"),
            Self::CpuSet => Some("cpuset"),
            Self::Memory => Some("memory"),
            Self::Io => Some("io"),
            Self::Pids => Some("pids"),
            Self::CpuAccounting
            | Self::Devices
            | Self::NetClass
            | Self::NetPrio
            | Self::Freezer => None,
        }
    }
}

/// The machine's control groups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroups {
    /// None are mounted.
    None,
    /// Hierarchies of v1, by controller.
    V1(BTreeMap<Controller, PathBuf>),
    /// The unified hierarchy, and the controllers it gives to groups.
    V2(Vec<Controller>),
}

impl Cgroups {
    /// Those of the machine, as this process sees them.
    pub fn find() -> Self {
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let available =
            |root: &Path| fs::read_to_string(root.join("cgroup.controllers")).unwrap_or_default();
        Self::parse(&mounts, available).reachable()
    }

    /// Without those that another mount covers.
    fn reachable(self) -> Self {
        let is_there = |root: &Path| root.join("cgroup.procs").exists();
        match self {
            Self::V1(mut hierarchies) => {
                hierarchies.retain(|_, on| is_there(on));
                match hierarchies.is_empty() {
                    true => Self::None,
                    false => Self::V1(hierarchies),
                }
            }
            Self::V2(_) if !is_there(Path::new(ROOT)) => Self::None,
            known => known,
        }
    }

    fn parse(mountinfo: &str, available: impl Fn(&Path) -> String) -> Self {
        let mounts = mountinfo.lines().filter_map(parse_mount);
        let mut v1 = BTreeMap::new();
        for mount in mounts {
            match mount.kind {
                "cgroup2" if mount.on == Path::new(ROOT) => {
                    let given = available(&mount.on);
                    let is_given = |c: &Controller| {
                        let name = c.v2_name();
                        name.is_some_and(|name| given.split_whitespace().any(|g| g == name))
                    };
                    return Self::V2(Controller::ALL.into_iter().filter(is_given).collect());
                }
                "cgroup" => {
                    let options: Vec<&str> = mount.options.split(',').collect();
                    for controller in Controller::ALL {
                        if options.contains(&controller.v1_name()) {
                            v1.entry(controller).or_insert_with(|| mount.on.clone());
                        }
                    }
                }
                _ => {}
            }
        }
        if v1.is_empty() {
            Self::None
        } else {
            Self::V1(v1)
        }
    }

    /// What they are called; `None` where there are none.
    pub fn version(&self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::V1(_) => Some("v1"),
            Self::V2(_) => Some("v2"),
        }
    }

    /// The controllers that there are, by the names they have here.
    pub fn controllers(&self) -> impl Iterator<Item = &'static str> {
        let all = Controller::ALL.into_iter().filter(|one| self.has(*one));
        all.map(|one| match self {
            Self::None | Self::V1(_) => one.v1_name(),
            Self::V2(_) => one.v2_name().unwrap_or(one.v1_name()),
        })
    }

    pub fn has(&self, controller: Controller) -> bool {
        match self {
            Self::None => false,
            Self::V1(hierarchies) => hierarchies.contains_key(&controller),
            Self::V2(given) => given.contains(&controller),
        }
    }

    /// Whether swap can be limited: v1 has a file for it where swap is counted.
    pub fn counts_swap(&self) -> bool {
        match self {
            Self::None => false,
            Self::V1(hierarchies) => hierarchies
                .get(&Controller::Memory)
                .is_some_and(|on| on.join("memory.memsw.limit_in_bytes").exists()),
            // A kernel without swap has no such file, nor the one that tells of it.
            Self::V2(_) => Path::new("/proc/swaps").exists(),
        }
    }

    /// The group at a path below each hierarchy, whether it is there or not.
    pub fn group(&self, path: &str) -> Group {
        let below = path.trim_start_matches('/');
        let dirs = match self {
            Self::None => Vec::new(),
            Self::V1(hierarchies) => {
                let mut dirs: Vec<PathBuf> =
                    hierarchies.values().map(|on| on.join(below)).collect();
                dirs.sort();
                dirs.dedup();
                dirs
            }
            Self::V2(_) => vec![Path::new(ROOT).join(below)],
        };
        Group::new(dirs)
    }

    /// Where a controller's files of a group are.
    fn dir_of(&self, controller: Controller, path: &str) -> Option<PathBuf> {
        let below = path.trim_start_matches('/');
        match self {
            Self::None => None,
            Self::V1(hierarchies) => Some(hierarchies.get(&controller)?.join(below)),
            Self::V2(_) => Some(Path::new(ROOT).join(below)),
        }
    }
}

struct Mount<'a> {
    on: PathBuf,
    kind: &'a str,
    /// Those of the file system, among them the controllers of a v1 hierarchy.
    options: &'a str,
}

/// One line of proc_pid_mountinfo(5): the number of fields before the dash varies.
fn parse_mount(line: &str) -> Option<Mount<'_>> {
    let (before, after) = line.split_once(" - ")?;
    let on = before.split(' ').nth(4)?;
    let mut after = after.split(' ');
    let kind = after.next()?;
    let options = after.nth(1)?;
    Some(Mount {
        // The kernel writes blanks as octal numbers; no hierarchy has one in its path.
        on: PathBuf::from(on),
        kind,
        options,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const HYBRID: &str = "\
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 master:2 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
50 31 0:32 / /elsewhere/memory rw,relatime - cgroup cgroup rw,memory";
    const UNIFIED: &str =
        "31 23 0:28 / /sys/fs/cgroup rw,relatime shared:4 - cgroup2 cgroup2 rw,nsdelegate";

    #[test]
    fn hierarchies_are_found_by_controller() {
        let found = Cgroups::parse(HYBRID, |_| String::new());
        assert!(found.has(Controller::Cpu) && found.has(Controller::CpuAccounting));
        assert!(!found.has(Controller::Pids) && !found.has(Controller::NetClass));
        let memory = found.dir_of(Controller::Memory, "/pontoon/a/b").unwrap();
        assert_eq!(memory, Path::new("/sys/fs/cgroup/memory/pontoon/a/b"));
        let group = found.group("/pontoon/a/b");
        assert_eq!(group.dirs().len(), 2);
    }

    #[test]
    fn the_unified_hierarchy_is_what_is_mounted_at_the_root() {
        let found = Cgroups::parse(UNIFIED, |root| {
            assert_eq!(root, Path::new(ROOT));
            "cpuset cpu io memory hugetlb pids rdma misc\n".into()
        });
        let Cgroups::V2(given) = &found else {
            panic!("{found:?}")
        };
        assert_eq!(given.len(), 5);
        assert!(!found.has(Controller::NetClass));
    }

    #[test]
    fn nothing_mounted_is_nothing_found() {
        let mounts = "22 27 0:21 / /proc rw,relatime - proc proc rw\nnonsense\n";
        assert_eq!(Cgroups::parse(mounts, |_| String::new()), Cgroups::None);
    }
}
