//! A network namespace held by a file descriptor, and visits to it.
//!
//! The descriptor keeps the namespace alive, so a handle outlives the name, and a test that checks
//! that a namespace is gone must drop its handle first. A visit is a thread of its own: setns(2)
//! moves the whole thread, and the test's own thread stays on its node.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::panic;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::thread;

use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::frame::{Mac, parse_mac};
use crate::run::output;

/// A network namespace, by whatever name it was reached.
#[derive(Debug, Clone)]
pub struct Netns {
    fd: Arc<OwnedFd>,
    label: String,
}

impl Netns {
    /// The namespace of the calling thread.
    ///
    /// # Panics
    /// Without /proc.
    #[must_use]
    pub fn here() -> Self {
        // Not /proc/self: that is the process's first thread, which never left the machine.
        Self::at(Path::new("/proc/thread-self/ns/net"))
    }

    /// The namespace called `name` under /run/netns.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn named(name: &str) -> Self {
        Self::at(&Path::new("/run/netns").join(name))
    }

    /// The namespace of a process.
    ///
    /// # Panics
    /// When there is no such process.
    #[must_use]
    pub fn of_pid(pid: u32) -> Self {
        Self::at(Path::new(&format!("/proc/{pid}/ns/net")))
    }

    /// The namespace that a file stands for.
    ///
    /// # Panics
    /// When the file cannot be opened.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        let file = File::open(path)
            .unwrap_or_else(|error| panic!("cannot open namespace {}: {error}", path.display()));
        Self {
            fd: Arc::new(file.into()),
            label: path.display().to_string(),
        }
    }

    /// The path it was opened by, for messages.
    #[must_use]
    pub fn label(&self) -> &str {
        &self.label
    }

    /// Runs `visit` on a fresh thread inside. Processes it starts are inside too, with the mounts
    /// of the calling thread.
    ///
    /// # Panics
    /// When the namespace cannot be entered, and when `visit` panics.
    pub fn run<T: Send>(&self, visit: impl FnOnce() -> T + Send) -> T {
        let outcome = thread::scope(|scope| {
            scope
                .spawn(|| {
                    self.enter();
                    visit()
                })
                .join()
        });
        outcome.unwrap_or_else(|cause| panic::resume_unwind(cause))
    }

    /// The hardware address of the device `ifname` inside.
    ///
    /// # Panics
    /// When there is no such device.
    #[must_use]
    pub fn mac_of(&self, ifname: &str) -> Mac {
        let line = ["-br", "link", "show", "dev", ifname];
        let printed = self.run(|| output(Command::new("ip").args(line)));
        // "eth0@if5  UP  02:00:00:00:00:01  <BROADCAST,...>"
        let printed = printed.expect_success("ip link show");
        printed
            .split_whitespace()
            .nth(2)
            .and_then(parse_mac)
            .unwrap_or_else(|| panic!("{ifname} in {} has no MAC: {printed}", self.label))
    }

    fn enter(&self) {
        move_into_link_name_space(self.fd.as_fd(), Some(LinkNameSpaceType::Network))
            .unwrap_or_else(|error| panic!("cannot enter {}: {error}", self.label));
    }
}

/// Runs `visit` inside the namespace called `name`. Same panics as [`Netns::named`] and
/// [`Netns::run`].
///
/// # Panics
/// When there is no such namespace, and when `visit` panics.
pub fn in_netns<T: Send>(name: &str, visit: impl FnOnce() -> T + Send) -> T {
    Netns::named(name).run(visit)
}
