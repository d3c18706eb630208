//! One node's fast path: on and off for a network, and ports that come and go.
//!
//! Callers hold the node's lock: two at once would write the same map.

use std::collections::BTreeMap;
use std::time::Duration;

use fastpath_wire::{MAP_GENERATION, MAP_SETTINGS, Settings};
use model::{IfName, NetworkId, NodeId};

use crate::attach::{Attacher, Hook, Side, detach};
use crate::entries::{enter_ports, insert_port, lease_aside, now, remove_port};
use crate::error::{FastPathError, Result, in_map};
use crate::hindrance::{self, Hindrance, Role};
use crate::overlay::Overlay;
use crate::place::Place;
use crate::port::{Port, ifindex};
use crate::programs::{self, Generation, Opened};
use crate::raw::Raw;

/// How long the kernel's own delivery of a packet speaks for its flow.
const PROOF: Duration = Duration::from_secs(1);

/// A node's fast path, whether it is on or not.
#[derive(Debug, Clone)]
pub struct FastPath {
    pub(crate) place: Place,
    pub(crate) hook: Hook,
}

/// What [`FastPath::ensure`] has found.
#[derive(Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct Ensured {
    /// Ports that have the fast path now.
    pub on: Vec<IfName>,
    /// Devices to other nodes that have it.
    pub uplinks: Vec<IfName>,
    /// Ports and devices to other nodes that go without.
    pub hindered: Vec<(IfName, Hindrance)>,
}

/// A port with its place in the map.
pub(crate) type Entries = BTreeMap<u32, (Port, fastpath_wire::Port)>;

impl FastPath {
    /// The fast path of the node with these records.
    pub fn of(node: NodeId) -> Self {
        Self::with_hook(node, Hook::of_this_kernel())
    }

    /// The same, attached in a way of the caller's choice.
    pub fn with_hook(node: NodeId, hook: Hook) -> Self {
        Self {
            place: Place::of(node),
            hook,
        }
    }

    /// The networks that it is on for.
    ///
    /// # Errors
    /// A folder that can't be read.
    pub fn networks(&self) -> Result<Vec<NetworkId>> {
        self.place.networks()
    }

    /// Whether it is on for a network: one system call.
    pub fn is_on(&self, network: NetworkId) -> bool {
        self.place.is_on(network)
    }

    /// Whether it is on for any: one system call.
    pub fn is_loaded(&self) -> bool {
        self.place.pin(MAP_SETTINGS).exists()
    }

    /// Loads this build's programs, in the place of others, and turns the fast path on for these
    /// networks. [`FastPath::ensure`] puts it on their ports. `random` is for the order of proofs in
    /// memory.
    ///
    /// # Errors
    /// A build without it; a missing right; a kernel that refuses.
    pub fn turn_on(&self, networks: &[NetworkId], random: u64) -> Result<()> {
        if !programs::is_built() {
            return Err(FastPathError::NotBuilt);
        }
        let mut all = self.place.networks()?;
        if programs::are_of_another_layout(&self.place) {
            self.place.remove()?;
        }
        self.place.make()?;
        programs::load(&self.place)?;
        self.settle(random)?;
        all.extend(networks);
        all.iter()
            .try_for_each(|network| self.place.make_network(*network))
    }

    /// Settings of programs that have none yet.
    fn settle(&self, random: u64) -> Result<()> {
        let Some(mut opened) = Opened::open(&self.place)? else {
            return Ok(());
        };
        let Raw(settings) = opened.settings.get(&0, 0).map_err(in_map(MAP_SETTINGS))?;
        if settings.proof_ns != 0 {
            return Ok(());
        }
        let settings = Settings {
            proof_ns: u64::try_from(PROOF.as_nanos()).unwrap_or(u64::MAX),
            seed: random,
            token: Settings::token_of(random),
            has_routed: 0,
        };
        let set = opened.settings.set(0, Raw(settings), 0);
        set.map_err(in_map(MAP_SETTINGS))
    }

    /// Makes the ports that have the fast path those of these that can have it, and the devices to
    /// other nodes those of these overlay networks, among networks that it is on for. `ports` and
    /// `overlays` are all of the node's.
    ///
    /// # Errors
    /// A kernel that refuses; what was done before stays.
    pub fn ensure(&self, ports: &[Port], overlays: &[Overlay]) -> Result<Ensured> {
        let Some(mut opened) = Opened::open(&self.place)? else {
            return Ok(Ensured::default());
        };
        let networks = self.place.networks()?;
        let mut ensured = Ensured::default();
        let mut entries = Entries::new();
        for port in ports.iter().filter(|p| networks.contains(&p.network)) {
            match self.look(port)? {
                Ok((index, wire)) => {
                    entries.insert(index, (port.clone(), wire));
                }
                Err(hindrance) => ensured.hindered.push((port.name.clone(), hindrance)),
            }
        }
        let overlays = overlays.iter().filter(|o| networks.contains(&o.network));
        let crossing = self.crossing(overlays, &mut ensured)?;
        let changed = [
            enter_ports(&mut opened, &entries)?,
            crossing.enter(&mut opened)?,
        ];
        if changed.contains(&true) {
            opened.generation.bump()?;
        }
        self.attach(&entries)?;
        self.attach_uplinks(&crossing)?;
        self.detach_others(&networks, &entries)?;
        ensured.on = entries.into_values().map(|(port, _)| port.name).collect();
        ensured.uplinks = crossing.uplink_names();
        Ok(ensured)
    }

    /// Gives one port more the fast path, where it is on for its network: the part of an attach.
    ///
    /// # Errors
    /// A kernel that refuses.
    pub fn add(&self, port: &Port) -> Result<Option<Hindrance>> {
        if !self.is_on(port.network) {
            return Ok(None);
        }
        let Some(mut opened) = Opened::open(&self.place)? else {
            return Ok(None);
        };
        let (index, wire) = match self.look(port)? {
            Ok(found) => found,
            Err(hindrance) => return Ok(Some(hindrance)),
        };
        let entries = Entries::from([(index, (port.clone(), wire))]);
        insert_port(&mut opened, index, wire)?;
        opened.generation.bump()?;
        self.attach(&entries)?;
        Ok(None)
    }

    /// Takes the fast path off a port: the part of a detach, before its device goes (R7). A port
    /// without is no error.
    ///
    /// # Errors
    /// A kernel that refuses.
    pub fn withdraw(&self, network: NetworkId, name: &IfName) -> Result<()> {
        if !self.is_on(network) {
            return Ok(());
        }
        if let Some(mut opened) = Opened::open(&self.place)? {
            if let Some(index) = self.index(name)? {
                remove_port(&mut opened, index)?;
            }
            opened.generation.bump()?;
        }
        self.detach_port(network, name)
    }

    /// Turns it off for a network, or everywhere, and leaves nothing of it.
    ///
    /// # Errors
    /// What can't be removed.
    pub fn turn_off(&self, network: Option<NetworkId>) -> Result<()> {
        let mut left = self.place.networks()?;
        let mut gone = left.clone();
        if let Some(network) = network {
            left.retain(|n| *n != network);
            gone.retain(|n| *n == network);
        } else {
            left.clear();
        }
        // Maps of another build can't be read. Its programs go with what attaches them.
        let is_known = !programs::are_of_another_layout(&self.place);
        for network in gone {
            for name in self.place.ports(network)? {
                if is_known {
                    self.withdraw(network, &name)?;
                }
                self.detach_port(network, &name)?;
            }
            self.place.remove_network(network)?;
        }
        if left.is_empty() {
            self.detach_uplinks_but(&[])?;
            self.place.remove()?;
        }
        Ok(())
    }

    /// Has a port's packets go the kernel's way for so long, where captures see them; they go
    /// back by themselves. False where the port has no fast path.
    ///
    /// # Errors
    /// A map that can't be read or written.
    pub fn step_aside(&self, name: &IfName, lease: Duration) -> Result<bool> {
        let (Some(mut opened), Some(index)) = (Opened::open(&self.place)?, self.index(name)?)
        else {
            return Ok(false);
        };
        lease_aside(&mut opened, index, now(), lease)
    }

    /// Makes every flow prove itself again: called where rules have changed.
    ///
    /// # Errors
    /// A map that can't be written.
    pub fn bump(&self) -> Result<()> {
        if !self.place.pin(MAP_GENERATION).exists() {
            return Ok(());
        }
        Generation::open(&self.place)?.bump()
    }

    pub(crate) fn index(&self, name: &IfName) -> Result<Option<u32>> {
        ifindex(name).map_err(|source| FastPathError::Look {
            port: name.clone(),
            source,
        })
    }

    pub(crate) fn look(
        &self,
        port: &Port,
    ) -> Result<std::result::Result<(u32, fastpath_wire::Port), Hindrance>> {
        let (index, bridge) = (self.index(&port.name)?, self.index(&port.bridge)?);
        let (Some(index), Some(bridge)) = (index, bridge) else {
            return Ok(Err(Hindrance::NoDevice));
        };
        Ok(match self.hindrance(index, &port.name, Role::Port)? {
            Some(hindrance) => Err(hindrance),
            None => Ok((index, port.wire(bridge))),
        })
    }

    /// What of a device stands in the way.
    pub(crate) fn hindrance(
        &self,
        index: u32,
        device: &IfName,
        role: Role,
    ) -> Result<Option<Hindrance>> {
        hindrance::look(index, self.hook, role).map_err(|source| FastPathError::Look {
            port: device.clone(),
            source,
        })
    }

    fn attach(&self, entries: &Entries) -> Result<()> {
        self.attach_sides(Side::OF_PORT, |side, attacher| {
            entries.values().try_for_each(|(port, _)| {
                let pin = self.place.link(port.network, &port.name, side);
                attacher.ensure(&port.name, &pin)
            })
        })
    }

    /// Has each side's program put where `attach` puts it.
    pub(crate) fn attach_sides(
        &self,
        sides: [Side; 2],
        attach: impl Fn(Side, &mut Attacher<'_>) -> Result<()>,
    ) -> Result<()> {
        for side in sides {
            let (mut program, id) = programs::program(&self.place, side)?;
            let mut attacher = Attacher {
                program: &mut program,
                id,
                side,
                hook: self.hook,
            };
            attach(side, &mut attacher)?;
        }
        Ok(())
    }

    fn detach_port(&self, network: NetworkId, name: &IfName) -> Result<()> {
        Side::OF_PORT.into_iter().try_for_each(|side| {
            let pin = self.place.link(network, name, side);
            detach(name, side, self.hook, &pin)
        })
    }

    fn detach_others(&self, networks: &[NetworkId], entries: &Entries) -> Result<()> {
        for network in networks {
            for name in self.place.ports(*network)? {
                let mut wanted = entries.values().map(|(port, _)| port);
                if !wanted.any(|port| port.network == *network && port.name == name) {
                    self.detach_port(*network, &name)?;
                }
            }
        }
        Ok(())
    }
}
