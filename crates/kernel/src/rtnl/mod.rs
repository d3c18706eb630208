//! rtnetlink messages (rtnetlink(7), `include/uapi/linux/{rtnetlink,if_link,if_addr}.h`): devices,
//! addresses, routes, neighbours and forwarding entries, built and read. Sends nothing:
//! `namespace` holds the sockets.

pub mod address;
pub mod fdb;
pub mod link;
pub mod link_read;
pub mod neighbour;
pub mod route;
pub mod shaping;
mod tunnel;
mod vxlan;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::Family;

pub const CREATE: u16 = libc::NLM_F_CREATE as u16;
pub const EXCL: u16 = libc::NLM_F_EXCL as u16;
pub const REPLACE: u16 = libc::NLM_F_REPLACE as u16;
/// In every message; `Socket::batch` does not add it.
pub const REQUEST: u16 = libc::NLM_F_REQUEST as u16;

/// `AF_INET` or `AF_INET6`, as the families' headers hold it.
pub fn family_byte(family: Family) -> u8 {
    match family {
        Family::Ipv4 => libc::AF_INET as u8,
        Family::Ipv6 => libc::AF_INET6 as u8,
    }
}

/// The bytes of an address in network order.
pub fn address_bytes(address: IpAddr) -> Vec<u8> {
    match address {
        IpAddr::V4(v4) => v4.octets().to_vec(),
        IpAddr::V6(v6) => v6.octets().to_vec(),
    }
}

/// The address in these bytes: four or sixteen of them.
pub fn read_address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(v4) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(v4).into());
    }
    let v6 = <[u8; 16]>::try_from(bytes).ok()?;
    Some(Ipv6Addr::from(v6).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn no_bytes_make_the_readers_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = link_read::LinkInfo::read(libc::RTM_NEWLINK, &bytes);
            let _ = link_read::read_index(libc::RTM_NEWLINK, &bytes);
            let _ = link::read_nsid(libc::RTM_NEWNSID, &bytes);
            let _ = address::AddressInfo::read(libc::RTM_NEWADDR, &bytes);
            let _ = route::RouteInfo::read(libc::RTM_NEWROUTE, &bytes);
            let _ = fdb::FdbInfo::read(libc::RTM_NEWNEIGH, &bytes);
            let _ = fdb::read_behind(libc::RTM_NEWNEIGH, &bytes, 1);
            let _ = shaping::QdiscInfo::read(libc::RTM_NEWQDISC, &bytes);
            let _ = shaping::read_detour(libc::RTM_NEWTFILTER, &bytes);
            let _ = neighbour::NeighbourInfo::read(libc::RTM_NEWNEIGH, &bytes);
        }
    }
}
