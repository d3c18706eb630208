//! Netlink: one small codec and one synchronous socket for rtnetlink, nfnetlink and sock_diag.
//!
//! Not a general library: it knows the framing (netlink(7), `include/uapi/linux/netlink.h`) and
//! nothing of any family's messages, which `rtnl`, `nft` and `sockets` build and read.

mod message;
mod multicast;
mod port;
mod socket;

pub use message::{Attrs, Message, c_string, read_u16, read_u32};
pub use multicast::{Author, Listener, Notice, wait_for_any};
pub use socket::{NetlinkError, Protocol, Socket};
