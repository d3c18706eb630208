//! An endpoint's port, as the records name it and as the programs know it.

use std::io;
use std::net::IpAddr;

use fastpath_wire::NO_ADDRESS;
use model::{IfName, Mac, Mtu, NetworkId};
use rustix::net::{AddressFamily, SocketFlags, SocketType, netdevice, socket_with};

/// What the fast path needs to know of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    pub network: NetworkId,
    /// The endpoint's device on the node.
    pub name: IfName,
    pub bridge: IfName,
    pub mtu: Mtu,
    pub mac: Mac,
    /// One of each family at most; an endpoint with an IPv6 address has its link-local one too.
    pub addresses: Vec<IpAddr>,
}

impl Port {
    /// The port for the map, given its bridge's interface index. It has no counters yet.
    pub(crate) fn wire(&self, bridge: u32) -> fastpath_wire::Port {
        let mut addresses = [NO_ADDRESS; 3];
        for address in &self.addresses {
            match address {
                IpAddr::V4(_) => addresses[0] = words(*address),
                IpAddr::V6(_) => {
                    addresses[1] = words(*address);
                    addresses[2] = words(self.mac.link_local().into());
                }
            }
        }
        let [a, b, c, d, e, f] = self.mac.bytes();
        fastpath_wire::Port {
            network: bridge,
            mtu: u32::from(self.mtu.bytes()),
            aside_until_ns: 0,
            mac: [a, b, c, d, e, f, 0, 0],
            counters: 0,
            unused: 0,
            addresses,
        }
    }
}

pub(crate) fn words(address: IpAddr) -> [u64; 2] {
    match address {
        IpAddr::V4(v4) => [u64::from(u32::from_ne_bytes(v4.octets())), 0],
        IpAddr::V6(v6) => {
            let bits = u128::from_ne_bytes(v6.octets());
            let [low, high] = [bits as u64, (bits >> 64) as u64];
            if cfg!(target_endian = "little") {
                [low, high]
            } else {
                [high, low]
            }
        }
    }
}

/// The interface index of a device; `None` where there is none of the name.
pub(crate) fn ifindex(name: &IfName) -> io::Result<Option<u32>> {
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::DGRAM, flags, None)?;
    match netdevice::name_to_index(&socket, name.as_str()) {
        Ok(index) => Ok(Some(index)),
        Err(errno) if errno == rustix::io::Errno::NODEV => Ok(None),
        Err(errno) => Err(errno.into()),
    }
}
