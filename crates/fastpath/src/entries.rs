//! What is in the maps: ports, overlay networks, devices to other nodes, and the generation.

use std::collections::BTreeMap;
use std::time::Duration;

use aya::maps::{HashMap, MapData, MapError};
use fastpath_wire::MAP_PORTS;
use rustix::time::{ClockId, clock_gettime};

use crate::counters::{forget, take};
use crate::error::{Result, in_map};
use crate::node::Entries;
use crate::programs::Opened;
use crate::raw::Raw;

/// Makes the map of ports this one. Whether it was another. Who steps aside goes on to.
pub(crate) fn enter_ports(opened: &mut Opened, entries: &Entries) -> Result<bool> {
    let there = entries_of(&opened.ports, MAP_PORTS)?;
    let mut changed = false;
    for index in there.keys().filter(|index| !entries.contains_key(index)) {
        remove_port(opened, *index)?;
        changed = true;
    }
    for (index, (_, wire)) in entries {
        let mut wire = *wire;
        let known = there.get(index);
        if let Some(Raw(known)) = known {
            wire.aside_until_ns = known.aside_until_ns;
            wire.counters = known.counters;
        }
        if known != Some(&Raw(wire)) {
            insert_port(opened, *index, wire)?;
            changed = true;
        }
    }
    Ok(changed)
}

pub(crate) fn insert_port(
    opened: &mut Opened,
    index: u32,
    mut wire: fastpath_wire::Port,
) -> Result<()> {
    wire.counters = match opened.ports.get(&index, 0) {
        Ok(Raw(known)) => known.counters,
        Err(_) => take(opened, index)?,
    };
    let entered = opened.ports.insert(index, Raw(wire), 0);
    entered.map_err(in_map(MAP_PORTS))
}

pub(crate) fn remove_port(opened: &mut Opened, index: u32) -> Result<()> {
    let counters = opened.ports.get(&index, 0).map(|Raw(port)| port.counters);
    absent_is_fine(opened.ports.remove(&index)).map_err(in_map(MAP_PORTS))?;
    counters.map_or(Ok(()), |place| forget(opened, place))
}

/// Has a port step aside until then. False where it is not in the map.
pub(crate) fn lease_aside(
    opened: &mut Opened,
    index: u32,
    now: Duration,
    lease: Duration,
) -> Result<bool> {
    let mut wire = match opened.ports.get(&index, 0) {
        Ok(Raw(wire)) => wire,
        Err(MapError::KeyNotFound) => return Ok(false),
        Err(error) => return Err(in_map(MAP_PORTS)(error)),
    };
    let nanos = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
    let was_aside = wire.aside_until_ns > nanos(now);
    wire.aside_until_ns = nanos(now.saturating_add(lease));
    let entered = opened.ports.insert(index, Raw(wire), 0);
    entered.map_err(in_map(MAP_PORTS))?;
    if !was_aside {
        opened.generation.bump()?;
    }
    Ok(true)
}

/// The programs' clock.
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Makes a map this one. Whether anything was otherwise, and what is gone.
pub(crate) fn enter<V>(
    map: &mut HashMap<MapData, u32, Raw<V>>,
    name: &'static str,
    wanted: &BTreeMap<u32, V>,
) -> Result<Difference<V>>
where
    V: Copy + PartialEq,
    Raw<V>: aya::Pod,
{
    let there = entries_of(map, name)?;
    let mut difference = Difference {
        entered: false,
        gone: Vec::new(),
    };
    for (key, Raw(value)) in there.iter().filter(|(key, _)| !wanted.contains_key(key)) {
        absent_is_fine(map.remove(key)).map_err(in_map(name))?;
        difference.gone.push(*value);
    }
    for (key, value) in wanted {
        if there.get(key).is_none_or(|Raw(known)| known != value) {
            map.insert(key, Raw(*value), 0).map_err(in_map(name))?;
            difference.entered = true;
        }
    }
    Ok(difference)
}

#[derive(Debug)]
pub(crate) struct Difference<V> {
    entered: bool,
    pub gone: Vec<V>,
}

impl<V> Difference<V> {
    pub fn is_empty(&self) -> bool {
        !self.entered && self.gone.is_empty()
    }
}

fn entries_of<V>(
    map: &HashMap<MapData, u32, Raw<V>>,
    name: &'static str,
) -> Result<BTreeMap<u32, Raw<V>>>
where
    Raw<V>: aya::Pod,
{
    map.iter()
        .collect::<std::result::Result<_, MapError>>()
        .map_err(in_map(name))
}

pub(crate) fn absent_is_fine(
    removed: std::result::Result<(), MapError>,
) -> std::result::Result<(), MapError> {
    match removed {
        Err(MapError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        Err(MapError::KeyNotFound) => Ok(()),
        other => other,
    }
}
