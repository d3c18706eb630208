//! Our mark on netlink sockets: the upper half of their port numbers. What the kernel tells others
//! of a change carries the port of the socket that asked for it, and so tells whose change it is.
//!
//! The kernel gives out process numbers and numbers above 2^31 by itself (`netlink_autobind`,
//! net/netlink/af_netlink.c).

use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU32, Ordering};

use rustix::io::Errno;
use rustix::net::bind;
use rustix::net::netlink::SocketAddrNetlink;

/// "po".
const MARK: u32 = 0x706f_0000;
const MASK: u32 = 0xffff_0000;
/// How many numbers are tried. Processes of different pid namespaces may begin with the same one.
const TRIES: u32 = 64;
/// How many numbers stand between those that two processes begin with.
const STRIDE: u32 = 4;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Gives a socket a port of ours; where none is free, any: its changes count as a stranger's, which
/// costs a look.
///
/// # Errors
/// What bind(2) says.
pub fn bind_marked(fd: &OwnedFd) -> Result<(), Errno> {
    let first = std::process::id().wrapping_mul(STRIDE);
    for _ in 0..TRIES {
        let number = first.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        match bind(fd, &SocketAddrNetlink::new(MARK | number & !MASK, 0)) {
            Err(Errno::ADDRINUSE) => {}
            outcome => return outcome,
        }
    }
    bind(fd, &SocketAddrNetlink::new(0, 0))
}

/// Whether a port carries the mark.
pub fn is_ours(port: u32) -> bool {
    port & MASK == MARK
}
