//! The node's devices and addresses as far as was heard, and which changes of them, of routes,
//! neighbours and switches concern us.
//!
//! A device of a stranger without an address is nobody we stand on: what its owner does with it is
//! no news. The kernel does not say who changed a device, so one of ours counts as being made until
//! it is up, and what changes about it from then on is news, unless it is marked to be removed.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use netstate::{Alias, ROUTE_PROTOCOL};

use crate::error::KernelError;
use crate::namespace::Namespace;
use crate::netlink::{Attrs, Author, Notice, read_u16, read_u32};
use crate::rtnl::address::AddressInfo;
use crate::rtnl::fdb::NDA_MASTER;
use crate::rtnl::link_read::LinkInfo;
use crate::rtnl::route::RouteInfo;
use crate::steps::DOOMED;

const AF_BRIDGE: u8 = libc::AF_BRIDGE as u8;
/// `RTM_NEWNETCONF` (`include/uapi/linux/rtnetlink.h`), and of `include/uapi/linux/netconf.h` the
/// device, which is -1 for the switch of all.
const NEW_NETCONF: u16 = 80;
const NETCONF_HEADER: usize = 4;
const NETCONF_INDEX: u16 = 1;
const NETCONF_ALL: u32 = u32::MAX;
/// Bytes of `struct ifinfomsg`.
const LINK_HEADER: usize = 16;
/// Bytes of `struct ndmsg`.
const NEIGHBOUR_HEADER: usize = 12;
/// What forwarding entries are that were learnt.
const LEARNT: u16 = libc::NUD_REACHABLE | libc::NUD_STALE;
/// An address that detecting duplicates (RFC 4862) has not passed can't be used.
const UNUSABLE: u32 = libc::IFA_F_TENTATIVE | libc::IFA_F_DADFAILED;

#[derive(Debug, Default)]
pub struct Known {
    devices: BTreeMap<u32, Device>,
    addresses: BTreeMap<(u32, IpAddr, u8), Usable>,
    suspects: BTreeSet<Suspect>,
    /// Whether ports of ours came into use, or went out of it.
    endpoints: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Usable(bool);

/// What a change was of.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Suspect {
    /// A device, or what is on it. Forgotten with the device.
    Device(u32),
    Node,
}

/// A device, as far as it concerns us.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Device {
    name: String,
    mac: Option<[u8; 6]>,
    mtu: u32,
    up: bool,
    master: Option<u32>,
    is_ours: bool,
    kind: Option<String>,
}

impl Device {
    fn of(info: LinkInfo) -> Self {
        let up = info.is_up();
        let is_ours = |alias: &str| alias.parse::<Alias>().is_ok();
        Self {
            name: info.name,
            mac: info.mac,
            mtu: info.mtu,
            up,
            master: info.master,
            is_ours: info.alias.as_deref().is_some_and(is_ours),
            kind: info.kind,
        }
    }

    /// Ours, and no longer being made.
    fn is_in_use(&self) -> bool {
        let is_connected = !self.is("veth") || self.master.is_some();
        self.is_ours && self.up && is_connected
    }

    /// One that passes packets.
    fn is_endpoint(&self) -> bool {
        self.is("veth") && self.is_in_use()
    }

    fn is(&self, kind: &str) -> bool {
        self.kind.as_deref() == Some(kind)
    }
}

impl Known {
    pub fn read(node: &mut Namespace) -> Result<Self, KernelError> {
        let links = node.links()?.into_iter();
        let addresses = node.addresses()?.into_iter();
        let addresses = addresses.filter(AddressInfo::is_global);
        Ok(Self {
            devices: links.map(|info| (info.index, Device::of(info))).collect(),
            addresses: addresses.map(|info| address(&info)).collect(),
            suspects: BTreeSet::new(),
            endpoints: false,
        })
    }

    pub fn is_suspicious(&self) -> bool {
        !self.suspects.is_empty()
    }

    /// Whether something was suspicious up to now.
    pub fn take_suspicion(&mut self) -> bool {
        !std::mem::take(&mut self.suspects).is_empty()
    }

    /// Whether endpoints have come or gone up to now.
    pub fn take_endpoints(&mut self) -> bool {
        std::mem::take(&mut self.endpoints)
    }

    pub fn suspect_node(&mut self) {
        self.suspects.insert(Suspect::Node);
    }

    fn suspect(&mut self, device: Option<u32>) {
        self.suspects
            .insert(device.map_or(Suspect::Node, Suspect::Device));
    }

    /// Takes in a notice of rtnetlink.
    pub fn note(&mut self, notice: Notice<'_>) {
        // What is malformed tells nothing.
        let _ = match notice.kind {
            libc::RTM_NEWLINK => self.note_device(notice.payload),
            libc::RTM_DELLINK => self.note_removed(notice.payload),
            libc::RTM_NEWADDR | libc::RTM_DELADDR => self.note_address(&notice),
            libc::RTM_NEWROUTE | libc::RTM_DELROUTE => self.note_route(&notice),
            libc::RTM_NEWNEIGH | libc::RTM_DELNEIGH => self.note_neighbour(&notice),
            libc::RTM_NEWQDISC
            | libc::RTM_DELQDISC
            | libc::RTM_NEWTFILTER
            | libc::RTM_DELTFILTER => self.note_queue(&notice),
            NEW_NETCONF => self.note_switch(notice.payload),
            _ => None,
        };
    }

    fn note_device(&mut self, payload: &[u8]) -> Option<()> {
        // A bridge's own words about its ports.
        if *payload.first()? == AF_BRIDGE {
            return None;
        }
        let info = LinkInfo::read(libc::RTM_NEWLINK, payload)?;
        let index = info.index;
        if is_doomed(payload) {
            self.forget(index);
            return None;
        }
        let now = Device::of(info);
        let before = self.devices.insert(index, now.clone())?;
        self.endpoints |= before.is_endpoint() != now.is_endpoint();
        let concerns = before.is_in_use() || (!before.is_ours && self.has_address(index));
        if before != now && concerns {
            self.suspect(Some(index));
        }
        Some(())
    }

    fn note_removed(&mut self, payload: &[u8]) -> Option<()> {
        if *payload.first()? == AF_BRIDGE {
            return None;
        }
        let index = read_u32(payload.get(4..)?)?;
        let is_ours = self.devices.get(&index)?.is_ours;
        // Its addresses may have gone before it.
        let is_suspect = self.suspects.contains(&Suspect::Device(index));
        let concerns = is_ours || is_suspect || self.has_address(index);
        self.forget(index);
        if concerns && !is_doomed(payload) {
            self.suspect(Some(index));
        }
        Some(())
    }

    /// Whatever was suspicious about a device that is gone is no more.
    fn forget(&mut self, index: u32) {
        let device = self.devices.remove(&index);
        self.endpoints |= device.is_some_and(|device| device.is_endpoint());
        self.addresses.retain(|(at, ..), _| *at != index);
        self.suspects.remove(&Suspect::Device(index));
    }

    fn note_address(&mut self, notice: &Notice<'_>) -> Option<()> {
        let info = AddressInfo::read(libc::RTM_NEWADDR, notice.payload)?;
        if !info.is_global() {
            return None;
        }
        let index = info.index;
        let (key, usable) = address(&info);
        // The kernel tells anew of what it only prolongs.
        let is_news = match notice.kind {
            libc::RTM_NEWADDR => self.addresses.insert(key, usable) != Some(usable),
            _ => self.addresses.remove(&key).is_some(),
        };
        if is_news && notice.author != Author::Ours {
            self.suspect(Some(index));
        }
        Some(())
    }

    /// Ours, and the default routes, which say what the underlay is.
    fn note_route(&mut self, notice: &Notice<'_>) -> Option<()> {
        let info = RouteInfo::read(libc::RTM_NEWROUTE, notice.payload)?;
        let concerns = info.protocol == ROUTE_PROTOCOL || info.prefix.is_any();
        if notice.author != Author::Ours && info.is_main() && concerns {
            self.suspect(info.index);
        }
        Some(())
    }

    /// Entries of our VXLAN devices, and of our bridges that concern these. The kernel names the
    /// author of a neighbour's change, and not of a forwarding entry's. What nobody asked for is
    /// the neighbour table at work, and what is learnt, the bridge.
    fn note_neighbour(&mut self, notice: &Notice<'_>) -> Option<()> {
        let index = read_u32(notice.payload.get(4..)?)?;
        let state = read_u16(notice.payload.get(8..)?)?;
        let device = self.devices.get(&index)?;
        let has_entries = device.is("vxlan") || device.is("bridge");
        if !(device.is_ours && has_entries) {
            return None;
        }
        let is_forwarding = *notice.payload.first()? == AF_BRIDGE;
        let attrs = Attrs::behind(notice.payload, NEIGHBOUR_HEADER);
        let was_permanent = notice.kind == libc::RTM_DELNEIGH && state & libc::NUD_PERMANENT != 0;
        let concerns = match (is_forwarding, notice.author) {
            (true, _) if state & LEARNT != 0 => false,
            // An entry that bears no mark of ours is news where it goes.
            (true, _) if attrs.get(NDA_MASTER).is_some() => {
                device.is("vxlan") && notice.kind == libc::RTM_DELNEIGH
            }
            (true, _) => true,
            (false, Author::Ours) => false,
            (false, Author::Stranger) => true,
            (false, Author::Nobody) => was_permanent,
        };
        if concerns {
            self.suspect(Some(index));
        }
        Some(())
    }

    /// A switch of all devices, or of a bridge or VXLAN device of ours.
    fn note_switch(&mut self, payload: &[u8]) -> Option<()> {
        let index = Attrs::behind(payload, NETCONF_HEADER).get(NETCONF_INDEX)?;
        let index = read_u32(index)?;
        if index == NETCONF_ALL {
            self.suspect_node();
            return Some(());
        }
        let device = self.devices.get(&index)?;
        if device.is_in_use() && !device.is("veth") {
            self.suspect(Some(index));
        }
        Some(())
    }

    /// What somebody does to the queue or the detour of a device of ours.
    fn note_queue(&mut self, notice: &Notice<'_>) -> Option<()> {
        let index = read_u32(notice.payload.get(4..)?)?;
        let device = self.devices.get(&index)?;
        if device.is_in_use() && notice.author == Author::Stranger {
            self.suspect(Some(index));
        }
        Some(())
    }

    fn has_address(&self, index: u32) -> bool {
        let mut addresses = self.addresses.keys();
        addresses.any(|(at, ..)| *at == index)
    }
}

/// Whether one of us is removing a device: before, it is put into a group of its own.
fn is_doomed(payload: &[u8]) -> bool {
    let group = Attrs::behind(payload, LINK_HEADER).get(libc::IFLA_GROUP);
    group.and_then(read_u32) == Some(DOOMED)
}

fn address(info: &AddressInfo) -> ((u32, IpAddr, u8), Usable) {
    let key = (info.index, info.address, info.prefix_len);
    (key, Usable(info.flags & UNUSABLE == 0))
}
