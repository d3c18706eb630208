//! Named network namespaces, as `ip netns add` and `ip netns del` make and remove them
//! (ip-netns(8)): a file under `/run/netns` with the namespace mounted on it, in a directory
//! that is a shared mount so that other mount namespaces see it come and go.

use std::path::{Path, PathBuf};
use std::rc::Rc;

use model::Target;
use netstate::Alias;
use rustix::fs::{FlockOperation, Mode, OFlags, flock, mkdir, open, unlink};
use rustix::io::Errno;
use rustix::mount::{
    MountPropagationFlags, UnmountFlags, mount_bind, mount_bind_recursive, mount_change, unmount,
};

use crate::error::KernelError;
use crate::home::Home;
use crate::namespace::Namespace;
use crate::netlink::{NetlinkError, Protocol, Socket};
use crate::rtnl;

const DIR: &str = "/run/netns";

pub fn path(name: &str) -> PathBuf {
    Path::new(DIR).join(name)
}

/// Whether a name under `/run/netns` is taken, be it a namespace or what is left of one half made.
pub fn exists(name: &str) -> bool {
    path(name).symlink_metadata().is_ok()
}

/// Makes the namespace and answers it opened. What was made is removed again on failure.
///
/// # Errors
/// `NetnsExists`, `MakeNetnsFile`, `UnshareNetns`, `MountNetns` and those of opening a target.
pub fn add(name: &str, mark: &Alias, home: Rc<Home>) -> Result<Namespace, KernelError> {
    prepare_dir()?;
    let path = path(name);
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    match open(&path, flags, Mode::empty()) {
        Ok(_) => {}
        Err(Errno::EXIST) => return Err(KernelError::NetnsExists(name.to_owned())),
        Err(source) => return Err(KernelError::MakeNetnsFile { path, source }),
    }
    let made = fill(name, &path, mark, home);
    if made.is_err() {
        // The first error is the one to report; a file left over is found by observing.
        let _ = del(name);
    }
    made
}

/// Mounts a new namespace on the file.
fn fill(name: &str, path: &Path, mark: &Alias, home: Rc<Home>) -> Result<Namespace, KernelError> {
    let target = Target::Named(name.to_owned());
    let outcome = home.visit_new(|| {
        mark_loopback(mark).map_err(Stage::Mark)?;
        mount_bind("/proc/thread-self/ns/net", path).map_err(Stage::Mount)
    });
    match outcome {
        Ok(Ok(())) => Namespace::of_target(&target, home),
        Ok(Err(Stage::Mark(source))) => Err(KernelError::MarkNetns { target, source }),
        Ok(Err(Stage::Mount(source))) => Err(KernelError::MountNetns {
            path: path.to_owned(),
            source,
        }),
        Err(source) => Err(KernelError::UnshareNetns { target, source }),
    }
}

/// Where filling a new namespace failed.
enum Stage {
    Mark(NetlinkError),
    Mount(Errno),
}

/// Marks the namespace that the calling thread is in as ours, before it has a name: what carries
/// a name and no mark is somebody else's.
fn mark_loopback(mark: &Alias) -> Result<(), NetlinkError> {
    let mut socket = Socket::open(Protocol::Route)?;
    socket.request(rtnl::link::set_loopback_alias(mark))
}

/// Whether a name stands for the file that a namespace was about to be mounted on when its
/// maker died.
pub fn is_half_made(name: &str) -> bool {
    let meta = path(name).symlink_metadata();
    meta.is_ok_and(|meta| meta.is_file() && meta.len() == 0)
}

/// Makes `/run/netns` a shared mount point. The lock is iproute2's own: of two processes that
/// find no mount only one makes it.
fn prepare_dir() -> Result<(), KernelError> {
    let failed = |source| KernelError::MakeNetnsFile {
        path: DIR.into(),
        source,
    };
    match mkdir(DIR, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(source) => return Err(failed(source)),
    }
    if share_dir() != Err(Errno::INVAL) {
        return Ok(());
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let lock = open(DIR, flags, Mode::empty()).map_err(failed)?;
    flock(&lock, FlockOperation::LockExclusive).map_err(failed)?;
    if share_dir() != Err(Errno::INVAL) {
        return Ok(());
    }
    let mounted = mount_bind_recursive(DIR, DIR).and_then(|()| share_dir());
    mounted.map_err(|source| KernelError::MountNetns {
        path: DIR.into(),
        source,
    })
}

/// EINVAL where the directory is no mount point.
fn share_dir() -> Result<(), Errno> {
    let flags = MountPropagationFlags::SHARED | MountPropagationFlags::REC;
    mount_change(DIR, flags)
}

/// Removes the namespace's name; the namespace lives on while a process is in it.
///
/// # Errors
/// `RemoveNetns`. A name that is gone is success.
pub fn del(name: &str) -> Result<(), KernelError> {
    let path = path(name);
    let failed = |source| KernelError::RemoveNetns {
        path: path.clone(),
        source,
    };
    match unmount(&path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
        // EINVAL: nothing is mounted on it.
        Ok(()) | Err(Errno::INVAL | Errno::NOENT) => {}
        Err(source) => return Err(failed(source)),
    }
    match unlink(&path) {
        Ok(()) | Err(Errno::NOENT) => Ok(()),
        Err(source) => Err(failed(source)),
    }
}
