//! What stands between two sections: nothing of the first is left when the second begins.
//!
//! The kernel takes namespaces apart in the background, thousands of them for a while, and all
//! that is done to others takes longer meanwhile.

use std::fs;
use std::time::Duration;

use anyhow::Result;
use testnet::wait_until;

use crate::machine::Machine;
use crate::progress::progress;

/// How long the kernel may need to take apart what a section leaves.
const BOUND: Duration = Duration::from_secs(300);

/// A namespace that is left at once, with one end of a pair of devices in it.
const LEAVE_ONE: &str = "
    ip netns add left
    ip link add mark type veth peer name mark netns left
    ip netns del left";

pub struct Clearing {
    machine: Machine,
    threads: usize,
}

impl Clearing {
    /// Before the first section.
    ///
    /// # Errors
    /// No machine to be had.
    pub fn new() -> Result<Self> {
        let machine = Machine::new();
        machine.sh("true")?;
        Ok(Self {
            machine,
            threads: threads()?,
        })
    }

    /// Waits until everything is gone that was made since and has been dropped.
    ///
    /// # Errors
    /// A command that fails.
    pub fn wait(&self) -> Result<()> {
        progress("clearing up");
        // Each machine is gone with its thread.
        wait_until("machines end", BOUND, || {
            threads().is_ok_and(|count| count <= self.threads)
        });
        // The kernel takes namespaces apart in batches, one batch after the other, and of each its
        // devices early (`cleanup_net`, net/core/net_namespace.c). One that is left now is in the
        // last batch or behind it; one left when that has begun is behind it.
        for _ in 0..2 {
            self.machine.sh(LEAVE_ONE)?;
            wait_until("namespaces are taken apart", BOUND, || {
                let links = self.machine.sh("ip -oneline link show");
                links.is_ok_and(|links| !links.contains("mark@"))
            });
        }
        Ok(())
    }
}

fn threads() -> Result<usize> {
    Ok(fs::read_dir("/proc/self/task")?.count())
}
