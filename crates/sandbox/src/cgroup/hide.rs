//! Keeping the runtime library from the groups, which are made and entered before it is called: it
//! looks for hierarchies in the table of mounts, and would move each process again.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_change, unmount,
};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use super::{ROOT, parse_mount};

/// More mounts on each other than any machine has.
const MOUNTS_MAX: usize = 256;

/// Gives this process, which has one thread, a mount namespace of its own in which no group is to
/// be seen. What leads to `kept` stays, even if it hides some.
///
/// # Errors
/// What the kernel says to it.
#[allow(unsafe_code)]
pub fn hide(kept: &[&Path]) -> io::Result<()> {
    // SAFETY: only the mounts become this process's own; its descriptors stay what they were.
    unsafe { unshare_unsafe(UnshareFlags::NEWNS)? };
    mount_change(
        "/",
        MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC,
    )?;
    for _ in 0..MOUNTS_MAX {
        let Some(on) = mounted_on().into_iter().next() else {
            break;
        };
        // Mostly all are below one. What is covered by another mount is uncovered first.
        let is_free = |dir: &&Path| kept.iter().all(|kept| !kept.starts_with(dir));
        let above = on.ancestors().filter(is_free);
        let mut tried = std::iter::once(Path::new(ROOT)).chain(above);
        if !tried.try_fold(false, |done, dir| match done {
            true => Ok::<_, io::Error>(true),
            false => is_unmounted(dir),
        })? {
            break;
        }
    }
    // What the library takes for hierarchies of v1, of which there are none.
    Ok(mount("none", ROOT, "tmpfs", MountFlags::empty(), None)?)
}

/// Unmounts what is mounted there, with all below it; false where nothing is.
fn is_unmounted(dir: &Path) -> io::Result<bool> {
    match unmount(dir, UnmountFlags::DETACH) {
        Ok(()) => Ok(true),
        Err(Errno::INVAL | Errno::NOENT) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}

/// Where hierarchies are mounted.
fn mounted_on() -> Vec<PathBuf> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mounts = table.lines().filter_map(parse_mount);
    let groups = mounts.filter(|mount| matches!(mount.kind, "cgroup" | "cgroup2"));
    groups.map(|mount| mount.on).collect()
}

/// Whether a container is to be shown groups of the machine's: these may not be hidden then.
pub fn are_asked_for<'a>(mut sources: impl Iterator<Item = &'a Path>) -> bool {
    let groups = mounted_on();
    sources.any(|source| {
        let source = source.canonicalize().unwrap_or_else(|_| source.to_owned());
        let is_shown = |group: &PathBuf| group.starts_with(&source) || source.starts_with(group);
        groups.iter().any(is_shown) || source.starts_with(ROOT)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_asked_for_by_what_is_above_and_below_them() {
        if mounted_on().is_empty() {
            return;
        }
        for path in ["/", "/sys", ROOT, "/sys/fs/cgroup/no-such"] {
            assert!(are_asked_for([Path::new(path)].into_iter()), "{path}");
        }
        assert!(!are_asked_for(
            [Path::new("/usr"), Path::new("/tmp")].into_iter()
        ));
    }
}
