//! What the fast path does: ports, and packets counted on them.

use fastpath_wire::{Counters, MAP_COUNTERS, MAP_SETTINGS, Slow};
use model::{IfName, NetworkId};
use serde::Serialize;

use crate::attach::{Attacher, Hook, Side};
use crate::error::Result;
use crate::hindrance::Hindrance;
use crate::node::{FastPath, in_map};
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
    pub fast_packets: u64,
    pub fast_bytes: u64,
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
        Ok(Some(Status {
            hook: self.hook,
            generation: settings.generation,
            proof_ms: settings.proof_ns / 1_000_000,
            ports: ports?,
        }))
    }

    fn port_status(&self, opened: &Opened, port: &Port) -> Result<PortStatus> {
        let found = self.look(port)?;
        let counters = match &found {
            Ok((index, _)) => counters(opened, *index)?,
            Err(_) => Counters::default(),
        };
        let named = Slow::ALL.into_iter().zip(counters.slow);
        let slow = named.filter(|(_, packets)| *packets > 0);
        Ok(PortStatus {
            network: port.network,
            port: port.name.clone(),
            attached: self.is_attached(port)?,
            hindrance: found.err(),
            fast_packets: counters.fast_packets,
            fast_bytes: counters.fast_bytes,
            slow_packets: counters.slow.iter().sum(),
            slow: slow
                .map(|(why, packets)| SlowCount {
                    why: why.name(),
                    packets,
                })
                .collect(),
        })
    }

    fn is_attached(&self, port: &Port) -> Result<bool> {
        for side in Side::BOTH {
            let (mut program, id) = programs::program(&self.place, side)?;
            let attacher = Attacher {
                program: &mut program,
                id,
                side,
                hook: self.hook,
            };
            let pin = self.place.link(port.network, &port.name, side);
            if !attacher.is_on(&port.name, &pin) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// The sum over all CPUs.
fn counters(opened: &Opened, index: u32) -> Result<Counters> {
    let each = match opened.counters.get(&index, 0) {
        Ok(each) => each,
        Err(aya::maps::MapError::KeyNotFound) => return Ok(Counters::default()),
        Err(error) => return Err(in_map(MAP_COUNTERS)(error)),
    };
    let mut sum = Counters::default();
    for Raw(one) in each.iter() {
        sum.fast_packets += one.fast_packets;
        sum.fast_bytes += one.fast_bytes;
        for (total, packets) in sum.slow.iter_mut().zip(one.slow) {
            *total += packets;
        }
    }
    Ok(sum)
}
