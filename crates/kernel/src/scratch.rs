//! Namespaces for trying things out: gone with the thread that was in them.

use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::error::KernelError;

/// Does `work` on a thread with a network namespace, and a `/run/netns`, of its own.
///
/// # Errors
/// `MakeScratch`, `ScratchEnded`.
pub fn in_scratch_namespaces<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, KernelError> {
    let thread = std::thread::spawn(move || enter().map(|()| work()));
    match thread.join() {
        Ok(done) => done.map_err(|source| KernelError::MakeScratch { source }),
        Err(_) => Err(KernelError::ScratchEnded),
    }
}

fn enter() -> Result<(), Errno> {
    unshare_thread()?;
    mount_change(
        "/",
        MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
    )?;
    mount("tmpfs", "/run", "tmpfs", MountFlags::empty(), None)
}

#[allow(unsafe_code)]
fn unshare_thread() -> Result<(), Errno> {
    let flags = UnshareFlags::NEWNET | UnshareFlags::NEWNS;
    // SAFETY: the thread leaves the network and the mounts of the process, which shares neither
    // memory nor descriptors; nothing else runs on it.
    unsafe { unshare_unsafe(flags) }
}
