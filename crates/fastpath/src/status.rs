//! What the fast path does: ports, and packets counted on them.

use fastpath_wire::{Counters, MAP_COUNTERS, MAP_SETTINGS, Slow};
use model::{IfName, NetworkId};
use serde::Serialize;

use crate::attach::{Attacher, Hook, Side};
use crate::entries::now;
use crate::error::{Result, in_map};
use crate::hindrance::Hindrance;
use crate::node::FastPath;
use crate::port::Port;
use crate::programs::{self, Opened};
use crate::raw::Raw;

/// A node's fast path that is loaded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    pub hook: Hook,
    pub generation: u32,
    /// How long a proof holds, in milliseconds.
    pub proof_ms: u64,
    /// Of the networks that it is on for.
    pub ports: Vec<PortStatus>,
    /// Devices that lead to other nodes.
    pub uplinks: Vec<UplinkStatus>,
}

/// A device that leads to other nodes, and what came by it for overlay networks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct UplinkStatus {
    pub device: IfName,
    /// Whether both programs are on it.
    pub attached: bool,
    pub fast_packets: u64,
    pub fast_bytes: u64,
    pub slow_packets: u64,
    /// Why they were slow, without what never was.
    pub slow: Vec<SlowCount>,
}

/// A port, and what came from its container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PortStatus {
    pub network: NetworkId,
    pub port: IfName,
    /// Whether both programs are on it.
    pub attached: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hindrance: Option<Hindrance>,
    /// Whether its packets go the kernel's way for a while, for a capture.
    pub aside: bool,
    pub fast_packets: u64,
    pub fast_bytes: u64,
    /// What came to the container from other nodes.
    pub arrived_packets: u64,
    pub arrived_bytes: u64,
    pub slow_packets: u64,
    /// Why they were slow, without what never was.
    pub slow: Vec<SlowCount>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SlowCount {
    pub why: &'static str,
    pub packets: u64,
}

impl FastPath {
    /// What is loaded, and these ports as far as it is on for their networks; `None` where
    /// nothing is loaded.
    ///
    /// # Errors
    /// What is pinned but can't be read.
    pub fn status(&self, ports: &[Port]) -> Result<Option<Status>> {
        let Some(opened) = Opened::open(&self.place)? else {
            return Ok(None);
        };
        let Raw(settings) = opened.settings.get(&0, 0).map_err(in_map(MAP_SETTINGS))?;
        let networks = self.networks()?;
        let ports = ports.iter().filter(|p| networks.contains(&p.network));
        let ports: Result<Vec<PortStatus>> = ports.map(|p| self.port_status(&opened, p)).collect();
        let uplinks = self.place.uplinks()?.into_iter();
        let uplinks = uplinks.map(|device| self.uplink_status(&opened, device));
        Ok(Some(Status {
            hook: self.hook,
            generation: opened.generation.number()?,
            proof_ms: settings.proof_ns / 1_000_000,
            ports: ports?,
            uplinks: uplinks.collect::<Result<_>>()?,
        }))
    }

    fn port_status(&self, opened: &Opened, port: &Port) -> Result<PortStatus> {
        let found = self.look(port)?;
        let index = found.as_ref().ok().map(|(index, _)| *index);
        let wire = index.and_then(|index| opened.ports.get(&index, 0).ok());
        let counters = counters(opened, wire.map(|Raw(wire)| wire.counters))?;
        Ok(PortStatus {
            network: port.network,
            port: port.name.clone(),
            attached: self.is_attached(&port.name, Side::OF_PORT)?,
            hindrance: found.err(),
            aside: wire.is_some_and(|Raw(wire)| is_aside(&wire)),
            fast_packets: counters.fast_packets,
            fast_bytes: counters.fast_bytes,
            arrived_packets: counters.arrived_packets,
            arrived_bytes: counters.arrived_bytes,
            slow_packets: counters.slow.iter().sum(),
            slow: slow(&counters),
        })
    }

    fn uplink_status(&self, opened: &Opened, device: IfName) -> Result<UplinkStatus> {
        let index = self.index(&device)?;
        let wire = index.and_then(|index| opened.uplinks.get(&index, 0).ok());
        let counters = counters(opened, wire.map(|Raw(wire)| wire.counters))?;
        Ok(UplinkStatus {
            attached: self.is_attached(&device, Side::OF_UPLINK)?,
            fast_packets: counters.fast_packets,
            fast_bytes: counters.fast_bytes,
            slow_packets: counters.slow.iter().sum(),
            slow: slow(&counters),
            device,
        })
    }

    fn is_attached(&self, device: &IfName, sides: [Side; 2]) -> Result<bool> {
        for side in sides {
            let (mut program, id) = programs::program(&self.place, side)?;
            let attacher = Attacher {
                program: &mut program,
                id,
                side,
                hook: self.hook,
            };
            if !attacher.is_on(device) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn is_aside(port: &fastpath_wire::Port) -> bool {
    u128::from(port.aside_until_ns) > now().as_nanos()
}

fn slow(counters: &Counters) -> Vec<SlowCount> {
    let named = Slow::ALL.into_iter().zip(counters.slow);
    let slow = named.filter(|(_, packets)| *packets > 0);
    slow.map(|(why, packets)| SlowCount {
        why: why.name(),
        packets,
    })
    .collect()
}

/// The sum over all CPUs.
fn counters(opened: &Opened, place: Option<u32>) -> Result<Counters> {
    let Some(place) = place else {
        return Ok(Counters::default());
    };
    let each = opened.counters.get(&place, 0);
    let each = each.map_err(in_map(MAP_COUNTERS))?;
    let mut sum = Counters::default();
    for Raw(one) in each.iter() {
        sum.fast_packets += one.fast_packets;
        sum.fast_bytes += one.fast_bytes;
        sum.arrived_packets += one.arrived_packets;
        sum.arrived_bytes += one.arrived_bytes;
        for (total, packets) in sum.slow.iter_mut().zip(one.slow) {
            *total += packets;
        }
    }
    Ok(sum)
}
