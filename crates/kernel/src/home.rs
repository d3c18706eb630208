//! The way into other network namespaces, and back.
//!
//! setns(2) moves the calling thread and no other. A visit is a few system calls long, and the
//! thread is back before anything else runs on it. A socket opened on a visit stays in the
//! namespace visited; `/proc/sys/net` shows the namespace of the thread that opens it.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::thread::{LinkNameSpaceType, UnshareFlags, move_into_link_name_space, unshare_unsafe};

/// Where the calling thread belongs.
#[derive(Debug)]
pub struct Home(OwnedFd);

impl Home {
    /// The namespace that the calling thread is in.
    ///
    /// # Errors
    /// EPERM for a thread that could not come back: it must not leave.
    pub fn of_this_thread() -> Result<Self, Errno> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let here = open("/proc/thread-self/ns/net", flags, Mode::empty())?;
        enter(here.as_fd())?;
        Ok(Self(here))
    }

    /// Does `job` in the namespace of this handle.
    ///
    /// # Errors
    /// What setns(2) says; `job` is not done then.
    pub fn visit<T>(&self, there: BorrowedFd<'_>, job: impl FnOnce() -> T) -> Result<T, Errno> {
        enter(there)?;
        let _back = WayBack(self);
        Ok(job())
    }

    /// Does `job` in a new namespace, which lives on only where `job` gives it a name.
    ///
    /// # Errors
    /// What unshare(2) says; `job` is not done then.
    #[allow(unsafe_code)]
    pub fn visit_new<T>(&self, job: impl FnOnce() -> T) -> Result<T, Errno> {
        // SAFETY: only the network namespace is left, which shares no memory nor descriptors.
        unsafe { unshare_unsafe(UnshareFlags::NEWNET) }?;
        let _back = WayBack(self);
        Ok(job())
    }
}

/// Brings the thread back, also from a job that panics.
struct WayBack<'a>(&'a Home);

impl Drop for WayBack<'_> {
    fn drop(&mut self) {
        // The right was tried before leaving; what is left is a kernel without memory. A thread
        // that stays away would take another's namespace for the node.
        if enter(self.0.0.as_fd()).is_err() {
            std::process::abort();
        }
    }
}

fn enter(namespace: BorrowedFd<'_>) -> Result<(), Errno> {
    move_into_link_name_space(namespace, Some(LinkNameSpaceType::Network))
}
