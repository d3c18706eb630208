//! Mounts on the machine: the lab's file system, and namespaces on files. All else that is mounted
//! is mounted in a node.

use std::fs::{self, File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{FlockOperation, flock, fstatfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MountPropagationFlags, UnmountFlags, mount, mount_bind, mount_bind_recursive,
    mount_change, unmount,
};

use crate::error::LabError;

/// A file that stands for a namespace (`NSFS_MAGIC`, linux/magic.h).
const NSFS: u64 = 0x6e73_6673;
/// What a lab may take of the memory. Nodes' records and logs are some megabytes.
const SIZE: &std::ffi::CStr = c"size=512m,mode=0755";

/// Mounts a fresh file system in memory. It propagates as what it is mounted in, and so does its
/// end: other mount namespaces keep no copy.
pub fn mount_memory(dir: &Path) -> Result<(), LabError> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount("pontoon-lab", dir, "tmpfs", flags, SIZE).map_err(|errno| failed(dir, errno))
}

/// Mounts a namespace on a new file. Whoever sees the name of it sees the namespace, or an empty
/// file where this process died between the two.
pub fn mount_namespace(namespace: &Path, on: &Path) -> Result<(), LabError> {
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o444)
        .open(on)
        .map_err(|source| LabError::WriteFile {
            path: on.to_owned(),
            source,
        })?;
    mount_bind(namespace, on).map_err(|errno| failed(on, errno))
}

/// Makes `/run/netns` a shared mount, as `ip netns add` does with the first name (ip-netns(8)), and
/// under the same lock.
pub fn share_netns_dir(dir: &Path) -> Result<(), LabError> {
    let make_failed = |source| LabError::MakeDir {
        path: dir.to_owned(),
        source,
    };
    fs::create_dir_all(dir).map_err(make_failed)?;
    let lock = File::open(dir).map_err(make_failed)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(|errno| failed(dir, errno))?;
    let flags = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    let share = || mount_change(dir, flags);
    match share() {
        // EINVAL: it is no mount yet.
        Err(Errno::INVAL) => mount_bind_recursive(dir, dir).and_then(|()| share()),
        outcome => outcome,
    }
    .map_err(|errno| failed(dir, errno))
}

fn failed(path: &Path, errno: Errno) -> LabError {
    LabError::Mount {
        path: path.to_owned(),
        source: errno.into(),
    }
}

pub fn is_namespace(path: &Path) -> bool {
    hold_namespace(path).is_some()
}

/// The namespace that is mounted on a file, where one is.
pub fn hold_namespace(path: &Path) -> Option<File> {
    let file = File::open(path).ok()?;
    let kind = fstatfs(&file).map(|found| u64::try_from(found.f_type));
    matches!(kind, Ok(Ok(NSFS))).then_some(file)
}

/// What a namespace is known by: the file system and number of its file.
pub fn identity(path: &Path) -> Option<(u64, u64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

pub fn identity_of(file: &File) -> Option<(u64, u64)> {
    let meta = file.metadata().ok()?;
    Some((meta.dev(), meta.ino()))
}

/// Whether something is mounted on a directory.
pub fn is_mounted(dir: &Path) -> bool {
    let device = |path: &Path| fs::metadata(path).map(|meta| meta.dev());
    match (device(dir), dir.parent().map(device)) {
        (Ok(here), Some(Ok(above))) => here != above,
        _ => false,
    }
}

/// Takes the file system off, with all that is mounted in it, and removes the directory. What is
/// gone is success.
pub fn remove_memory(dir: &Path) -> Result<(), LabError> {
    if is_mounted(dir) {
        detach(dir)?;
    }
    remove(dir, fs::remove_dir(dir))
}

/// Takes a namespace off its file and removes that.
pub fn remove_namespace(path: &Path) -> Result<(), LabError> {
    detach(path)?;
    remove(path, fs::remove_file(path))
}

fn detach(path: &Path) -> Result<(), LabError> {
    match unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // EINVAL: nothing is mounted on it.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => Ok(()),
        Err(errno) => Err(LabError::Unmount {
            path: path.to_owned(),
            source: errno.into(),
        }),
    }
}

fn remove(path: &Path, outcome: io::Result<()>) -> Result<(), LabError> {
    match outcome {
        Err(source) if source.kind() != ErrorKind::NotFound => Err(LabError::Remove {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}
