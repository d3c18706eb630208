//! Joining the users of a container that is there. The library's own way into a container joins
//! every namespace but this one: its process would stay the machine's root, with all rights over
//! the container's namespaces, since root made them.

use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, LinkNameSpaceType, move_into_link_name_space,
    remove_capability_from_bounding_set, set_capabilities, set_thread_groups, set_thread_res_gid,
    set_thread_res_uid,
};

use crate::bundle::CAPABILITIES;

/// Capabilities that a kernel may have, by number; it says which it has.
const CAPABILITIES_MAX: u32 = 64;

/// The user namespace of a container.
#[derive(Debug, Clone)]
pub struct Users(Arc<File>);

impl Users {
    /// That of a process.
    ///
    /// # Errors
    /// A process that is gone.
    pub fn of(pid: u32) -> io::Result<Self> {
        Ok(Self(Arc::new(File::open(format!("/proc/{pid}/ns/user"))?)))
    }

    /// Makes this process the container's root, with what that may do and no more.
    ///
    /// # Errors
    /// What the kernel says to it.
    pub fn join(&self) -> io::Result<()> {
        move_into_link_name_space(self.0.as_fd(), Some(LinkNameSpaceType::User))?;
        // Entering gives all capabilities there; the numbers are still the machine's.
        set_thread_groups(&[])?;
        set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
        set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?;
        keep_few()
    }
}

fn keep_few() -> io::Result<()> {
    let bits = CAPABILITIES.iter().map(|(_, number)| 1_u64 << number);
    let few = CapabilitySet::from_bits_retain(bits.fold(0, |all, bit| all | bit));
    for number in 0..CAPABILITIES_MAX {
        let one = CapabilitySet::from_bits_retain(1 << number);
        if few.contains(one) {
            continue;
        }
        match remove_capability_from_bounding_set(one) {
            Ok(()) => {}
            // The kernel has no more.
            Err(Errno::INVAL) => break,
            Err(errno) => return Err(errno.into()),
        }
    }
    let sets = CapabilitySets {
        effective: few,
        permitted: few,
        inheritable: CapabilitySet::empty(),
    };
    Ok(set_capabilities(None, sets)?)
}
