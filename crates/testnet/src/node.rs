//! A machine of a test's own: fresh network and mount namespaces for its thread.
//!
//! The node starts with `lo` up and nothing else. /run is empty, so /run/netns holds only this
//! node's names, and /sys shows this node's devices (and no cgroups).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::mount::{MountFlags, MountPropagationFlags, mount, mount_change};
use rustix::thread::{UnshareFlags, unshare_unsafe};

use crate::netns::Netns;
use crate::outside::Outside;
use crate::run::{Output, die_with_the_test, output};

const NETNS_DIR: &str = "/run/netns";
const STATE_DIR: &str = "/run/pontoon-test-state";
const STATE_DIR_VARIABLE: &str = "PONTOON_STATE_DIR";

/// The machine the calling thread is on. Threads and processes it starts from now on are on it
/// too; threads that ran before are not.
#[derive(Debug)]
pub struct Node {
    netns: Netns,
    state_dir: PathBuf,
}

impl Node {
    /// Moves the calling thread to a machine of its own.
    ///
    /// # Panics
    /// Without root, or on a kernel without namespaces.
    #[must_use]
    #[allow(clippy::new_without_default, reason = "it moves the calling thread")]
    pub fn new() -> Self {
        ground(leave_the_machine(), "unshare its namespaces");
        ground(
            mount_change(
                "/",
                MountPropagationFlags::PRIVATE | MountPropagationFlags::REC,
            ),
            "make its mounts private",
        );
        ground(mount_fresh("tmpfs", "/run"), "mount a tmpfs on /run");
        ground(mount_fresh("sysfs", "/sys"), "mount its sysfs");
        for dir in [NETNS_DIR, STATE_DIR] {
            fs::create_dir(dir).unwrap_or_else(|error| panic!("cannot make {dir}: {error}"));
        }
        let node = Self {
            netns: Netns::here(),
            state_dir: PathBuf::from(STATE_DIR),
        };
        node.sh("ip link set lo up");
        node
    }

    /// The node's own namespace.
    #[must_use]
    pub fn netns(&self) -> &Netns {
        &self.netns
    }

    /// Where Pontoon keeps this node's records: an empty directory in memory, gone with the test.
    #[must_use]
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// A command that knows the node's state directory and dies with the thread that starts it.
    /// Run it with [`output`].
    #[must_use]
    pub fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command.env(STATE_DIR_VARIABLE, &self.state_dir);
        die_with_the_test(&mut command);
        command
    }

    /// Runs a program and its arguments to its end, whatever the end.
    ///
    /// # Panics
    /// When it cannot be started or does not end in time.
    pub fn run(&self, line: &[&str]) -> Output {
        let (program, args) = line.split_first().expect("a command line has a program");
        output(self.command(program).args(args))
    }

    /// Runs a shell script and gives what it printed.
    ///
    /// # Panics
    /// When any of its commands fails.
    pub fn sh(&self, script: &str) -> String {
        self.try_sh(script).expect_success(script)
    }

    /// Runs a shell script up to its first failing command, whatever the end.
    ///
    /// # Panics
    /// When it does not end in time.
    pub fn try_sh(&self, script: &str) -> Output {
        self.run(&["sh", "-euc", script])
    }

    /// Joins the node to the outside world, which it has none of until then. Once per node.
    ///
    /// # Panics
    /// When it has one already.
    #[must_use]
    pub fn outside(&self) -> Outside {
        Outside::join(self)
    }
}

#[allow(unsafe_code)]
fn leave_the_machine() -> rustix::io::Result<()> {
    // SAFETY: unshare(2) is unsafe for CLONE_FILES alone, which is not among the flags.
    unsafe { unshare_unsafe(UnshareFlags::NEWNET | UnshareFlags::NEWNS) }
}

fn mount_fresh(kind: &str, on: &str) -> rustix::io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV;
    mount(kind, on, kind, flags, None)
}

fn ground(outcome: rustix::io::Result<()>, act: &str) {
    if let Err(errno) = outcome {
        panic!(
            "a test node cannot {act}: {}. It needs root (CAP_SYS_ADMIN and CAP_NET_ADMIN) on \
             Linux: run the tests with `make test`",
            io::Error::from(errno)
        );
    }
}
