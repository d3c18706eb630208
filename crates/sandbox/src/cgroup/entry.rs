//! The way into a group: making it, and processes that begin in it.
//!
//! A process that is moved into a group makes the kernel wait for a grace period, some ten
//! milliseconds (`cgroup_threadgroup_rwsem`, kernel/cgroup/cgroup.c). One that moves its own only
//! thread in v1, by a 0 in `tasks`, or is born into a group of v2 does not.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::process::Pid;

use super::{Cgroups, Controller, Group, ROOT};
use crate::error::SandboxError;
use crate::limit::Limits;

/// What every container's group has: what is counted, and the devices that it may use.
const ALWAYS: [Controller; 5] = [
    Controller::CpuAccounting,
    Controller::Memory,
    Controller::Io,
    Controller::Pids,
    Controller::Devices,
];
const CPUSET_FILES: [&str; 2] = ["cpuset.cpus", "cpuset.mems"];
const SUBTREE: &str = "cgroup.subtree_control";
/// How often a group is made that somebody else removes.
const AGAIN_MAX: usize = 16;
/// clone(2). libc's own constant is too narrow for it.
const CLONE_INTO_CGROUP: u64 = 1 << 33;

/// A group that is there, for processes to begin in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Entry {
    /// In the hierarchies that something is limited or counted in: each costs time.
    V1(Vec<PathBuf>),
    V2(PathBuf),
}

/// The controllers that these limits, and counting, need.
pub(super) fn needed(limits: &Limits) -> BTreeSet<Controller> {
    let mut needed = BTreeSet::from(ALWAYS);
    let of_limits = [
        (Controller::Cpu, limits.cpus.is_some()),
        (Controller::CpuSet, limits.cpuset.is_some()),
        (Controller::NetClass, limits.net_class.is_some()),
    ];
    needed.extend(of_limits.iter().filter(|(_, is)| *is).map(|(c, _)| *c));
    needed
}

impl Cgroups {
    /// Makes the group at a path below each hierarchy that these limits need.
    ///
    /// # Errors
    /// What the kernel says to making it.
    pub fn enter(&self, path: &str, limits: &Limits) -> Result<Entry, SandboxError> {
        let below = Path::new(path.trim_start_matches('/'));
        let needed = needed(limits);
        match self {
            Self::None => Ok(Entry::V1(Vec::new())),
            Self::V1(hierarchies) => {
                let mut roots: BTreeSet<(&Path, bool)> = BTreeSet::new();
                for controller in &needed {
                    let is_set = *controller == Controller::CpuSet;
                    roots.extend(hierarchies.get(controller).map(|on| (&**on, is_set)));
                }
                let made = roots.into_iter().map(|(root, is_set)| {
                    let dir = root.join(below);
                    make_all(&dir)?;
                    if is_set {
                        inherit(root, below)?;
                    }
                    Ok(dir)
                });
                let mut dirs = made.collect::<Result<Vec<_>, SandboxError>>()?;
                // Controllers may share a hierarchy.
                dirs.dedup();
                Ok(Entry::V1(dirs))
            }
            Self::V2(given) => {
                let dir = Path::new(ROOT).join(below);
                make_all(&dir)?;
                hand_down(Path::new(ROOT), below, &needed, given)?;
                Ok(Entry::V2(dir))
            }
        }
    }
}

impl Group {
    /// The way into a group that is there: in every hierarchy that it is in.
    pub fn entry(&self) -> Entry {
        let dirs = self.dirs().iter().filter(|dir| dir.exists());
        let dirs: Vec<PathBuf> = dirs.cloned().collect();
        match dirs.as_slice() {
            [dir] if dir.join(SUBTREE).exists() => Entry::V2(dir.clone()),
            _ => Entry::V1(dirs),
        }
    }
}

/// Makes a directory and those above it, which the end of the last container in them may remove
/// at the same moment.
fn make_all(dir: &Path) -> Result<(), SandboxError> {
    let mut made = fs::create_dir_all(dir);
    for _ in 0..AGAIN_MAX {
        match made {
            Err(error) if error.kind() == ErrorKind::NotFound => made = fs::create_dir_all(dir),
            _ => break,
        }
    }
    made.map_err(|source| SandboxError::Make {
        path: dir.to_owned(),
        source,
    })
}

pub(super) fn read(path: &Path) -> Result<String, SandboxError> {
    fs::read_to_string(path).map_err(|source| SandboxError::Read {
        path: path.to_owned(),
        source,
    })
}

/// Writes a file of the kernel's, by one call.
pub(super) fn write(path: &Path, text: &str) -> Result<(), SandboxError> {
    fs::write(path, text).map_err(|source| SandboxError::Write {
        path: path.to_owned(),
        source,
    })
}

/// A new group of cpuset takes no process: it has no CPUs and no memory (cpuset(7)). It gets those
/// of the group above it.
fn inherit(root: &Path, below: &Path) -> Result<(), SandboxError> {
    let mut above = root.to_owned();
    for part in below {
        let dir = above.join(part);
        for file in CPUSET_FILES {
            if read(&dir.join(file))?.trim().is_empty() {
                write(&dir.join(file), read(&above.join(file))?.trim())?;
            }
        }
        above = dir;
    }
    Ok(())
}

/// Has each group above hand its controllers down. One that is for counting alone may be missing.
fn hand_down(
    root: &Path,
    below: &Path,
    needed: &BTreeSet<Controller>,
    given: &[Controller],
) -> Result<(), SandboxError> {
    let mut dir = root.to_owned();
    for part in below {
        let file = dir.join(SUBTREE);
        let has = read(&file)?;
        for controller in needed.iter().filter(|c| given.contains(c)) {
            let Some(name) = controller.v2_name() else {
                continue;
            };
            if has.split_whitespace().any(|one| one == name) {
                continue;
            }
            match write(&file, &format!("+{name}")) {
                Err(error) if !ALWAYS.contains(controller) => return Err(error),
                _ => {}
            }
        }
        dir.push(part);
    }
    Ok(())
}

impl Entry {
    /// Forks this process, which has one thread, into the group. Answers nothing in the child.
    ///
    /// # Errors
    /// What the kernel says to it.
    pub fn fork(&self) -> io::Result<Option<Pid>> {
        match self {
            Self::V1(dirs) => {
                // Held, so that the child can say nothing else than that it is in.
                let tasks = dirs.iter().map(|dir| dir.join("tasks"));
                let tasks: Vec<PathBuf> = tasks.collect();
                let child = fork_into(None)?;
                if child.is_none() && tasks.iter().any(|tasks| fs::write(tasks, "0").is_err()) {
                    leave(REFUSED);
                }
                Ok(child)
            }
            Self::V2(dir) => {
                let held = File::open(dir)?;
                match fork_into(Some(&held)) {
                    // A kernel before 5.7 can't.
                    Err(error) if is_unknown(&error) => {
                        let child = fork_into(None)?;
                        let procs = dir.join("cgroup.procs");
                        if child.is_none() && fs::write(procs, "0").is_err() {
                            leave(REFUSED);
                        }
                        Ok(child)
                    }
                    outcome => outcome,
                }
            }
        }
    }
}

/// The exit code of a process that its group did not take.
pub const REFUSED: u8 = 124;

fn is_unknown(error: &io::Error) -> bool {
    let unknown = [libc::E2BIG, libc::EINVAL, libc::ENOSYS];
    let code = error.raw_os_error();
    code.is_some_and(|code| unknown.contains(&code)) || error.kind() == ErrorKind::Unsupported
}

#[allow(unsafe_code)]
fn fork_into(group: Option<&File>) -> io::Result<Option<Pid>> {
    // SAFETY: numbers only, of which zero stands for none.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.exit_signal = u64::from(libc::SIGCHLD.unsigned_abs());
    if let Some(group) = group {
        args.flags = CLONE_INTO_CGROUP;
        args.cgroup = u64::from(group.as_raw_fd().unsigned_abs());
    }
    clone3(&mut args)
}

/// As fork(2) with more to say: the child goes on here, on a copy of this stack.
#[allow(unsafe_code)]
pub fn clone3(args: &mut libc::clone_args) -> io::Result<Option<Pid>> {
    let size = size_of::<libc::clone_args>();
    // SAFETY: the arguments live as long as the call, which shares no memory with the child; this
    // process has one thread, so that the child finds no lock held by another.
    match unsafe { libc::syscall(libc::SYS_clone3, std::ptr::from_mut(args), size) } {
        -1 => Err(io::Error::last_os_error()),
        pid => Ok(i32::try_from(pid).ok().and_then(Pid::from_raw)),
    }
}

/// Ends this process at once.
#[allow(unsafe_code)]
pub fn leave(code: u8) -> ! {
    // SAFETY: _exit(2) ends the process and touches no memory of it.
    unsafe { libc::_exit(i32::from(code)) }
}
