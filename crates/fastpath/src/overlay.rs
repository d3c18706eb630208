//! Overlay networks: the devices that lead to other nodes, and the programs on them.

use std::collections::BTreeMap;

use fastpath_wire::{MAP_OVERLAYS, MAP_UPLINKS};
use model::{IfName, Mtu, NetworkId, Prefix, Vni};

use crate::attach::{Side, detach};
use crate::counters::{forget, take};
use crate::entries::enter;
use crate::error::Result;
use crate::hindrance::{Hindrance, Role};
use crate::node::{Ensured, FastPath};
use crate::parts::{self, Bits};
use crate::programs::Opened;
use crate::raw::Raw;

/// What the fast path needs to know of a network over several nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Overlay {
    pub network: NetworkId,
    pub bridge: IfName,
    pub way: Way,
    /// The devices that lead to other nodes.
    pub uplinks: Vec<Uplink>,
}

/// How its packets cross.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    Vxlan {
        vni: Vni,
        /// Its VXLAN device.
        device: IfName,
    },
    /// As they are.
    Routed(Vec<Part>),
}

/// Of one family.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// The whole network's prefix.
    pub whole: Prefix,
    /// This node's.
    pub own: Prefix,
}

/// A device that has an underlay address of the node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Uplink {
    pub name: IfName,
    pub mtu: Mtu,
}

/// Overlay networks and devices as the maps have them.
#[derive(Debug, Default)]
pub(crate) struct Crossing {
    overlays: BTreeMap<u32, fastpath_wire::Overlay>,
    parts: BTreeMap<Bits, fastpath_wire::Part>,
    uplinks: BTreeMap<u32, (IfName, fastpath_wire::Uplink)>,
}

impl Crossing {
    /// Whether the maps were otherwise.
    pub fn enter(&self, opened: &mut Opened) -> Result<bool> {
        let mut uplinks = BTreeMap::new();
        for (index, (_, wire)) in &self.uplinks {
            let counters = match opened.uplinks.get(index, 0) {
                Ok(Raw(known)) => known.counters,
                Err(_) => take(opened, *index)?,
            };
            uplinks.insert(*index, fastpath_wire::Uplink { counters, ..*wire });
        }
        let overlays = enter(&mut opened.overlays, MAP_OVERLAYS, &self.overlays)?;
        let uplinks = enter(&mut opened.uplinks, MAP_UPLINKS, &uplinks)?;
        for gone in &uplinks.gone {
            forget(opened, gone.counters)?;
        }
        let parts = parts::enter(opened, &self.parts)?;
        Ok(parts || !overlays.is_empty() || !uplinks.is_empty())
    }

    /// Takes up a network whose bridge has this index. Not one whose device is not there.
    fn take(&mut self, network: u32, way: &Way, device: Option<u32>) {
        match way {
            Way::Vxlan { vni, .. } => {
                let wire = device.map(|device| fastpath_wire::Overlay { network, device });
                self.overlays.extend(wire.map(|wire| (vni.number(), wire)));
            }
            Way::Routed(parts) => {
                let wire = |is_own| fastpath_wire::Part { network, is_own };
                for part in parts {
                    self.parts.insert(parts::bits(part.whole), wire(0));
                    // Where it is the whole, what is for others is nobody's.
                    self.parts.insert(parts::bits(part.own), wire(1));
                }
            }
        }
    }

    pub fn uplink_names(&self) -> Vec<IfName> {
        let names = self.uplinks.values().map(|(name, _)| name.clone());
        names.collect()
    }
}

impl FastPath {
    /// What is there of these networks. Devices that have to go without are told.
    pub(crate) fn crossing<'a>(
        &self,
        overlays: impl Iterator<Item = &'a Overlay>,
        ensured: &mut Ensured,
    ) -> Result<Crossing> {
        let mut crossing = Crossing::default();
        for overlay in overlays {
            let Some(network) = self.index(&overlay.bridge)? else {
                continue;
            };
            let device = match &overlay.way {
                Way::Vxlan { device, .. } => self.index(device)?,
                Way::Routed(_) => None,
            };
            crossing.take(network, &overlay.way, device);
            for uplink in &overlay.uplinks {
                match self.look_at_uplink(&uplink.name)? {
                    Ok(index) => {
                        let mtu = u32::from(uplink.mtu.bytes());
                        let entry = (
                            uplink.name.clone(),
                            fastpath_wire::Uplink { mtu, counters: 0 },
                        );
                        crossing.uplinks.insert(index, entry);
                    }
                    Err(hindrance) => {
                        let told = (uplink.name.clone(), hindrance);
                        if !ensured.hindered.contains(&told) {
                            ensured.hindered.push(told);
                        }
                    }
                }
            }
        }
        Ok(crossing)
    }

    fn look_at_uplink(&self, name: &IfName) -> Result<std::result::Result<u32, Hindrance>> {
        let Some(index) = self.index(name)? else {
            return Ok(Err(Hindrance::NoDevice));
        };
        let found = self.hindrance(index, name, Role::Uplink)?;
        Ok(found.map_or(Ok(index), Err))
    }

    /// Puts the programs on these devices, and takes them off all others.
    pub(crate) fn attach_uplinks(&self, crossing: &Crossing) -> Result<()> {
        let names = crossing.uplink_names();
        self.attach_sides(Side::OF_UPLINK, |side, attacher| {
            let mut names = names.iter();
            names.try_for_each(|name| attacher.ensure(name, &self.place.uplink(name, side)))
        })?;
        self.detach_uplinks_but(&names)
    }

    pub(crate) fn detach_uplinks_but(&self, stay: &[IfName]) -> Result<()> {
        let others = self.place.uplinks()?;
        for name in others.iter().filter(|name| !stay.contains(name)) {
            for side in Side::OF_UPLINK.into_iter().rev() {
                detach(name, side, self.hook, &self.place.uplink(name, side))?;
            }
        }
        Ok(())
    }
}
