//! What is in the maps: ports, overlay networks, devices to other nodes, and the generation.

use std::collections::BTreeMap;
use std::time::Duration;

use aya::maps::{HashMap, MapData, MapError, PerCpuValues};
use aya::util::nr_cpus;
use fastpath_wire::{Counters, MAP_COUNTERS, MAP_PORTS, MAP_SETTINGS};

use rustix::time::{ClockId, clock_gettime};

use crate::error::{FastPathError, Result};
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
        wire.aside_until_ns = known.map_or(0, |Raw(known)| known.aside_until_ns);
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
    wire: fastpath_wire::Port,
) -> Result<()> {
    count_from_zero(opened, index)?;
    let entered = opened.ports.insert(index, Raw(wire), 0);
    entered.map_err(in_map(MAP_PORTS))
}

pub(crate) fn remove_port(opened: &mut Opened, index: u32) -> Result<()> {
    absent_is_fine(opened.ports.remove(&index)).map_err(in_map(MAP_PORTS))?;
    forget_counters(opened, index)
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
        bump(opened)?;
    }
    Ok(true)
}

/// The programs' clock.
pub(crate) fn now() -> Duration {
    let time = clock_gettime(ClockId::MonotonicCoarse);
    let secs = u64::try_from(time.tv_sec).unwrap_or(0);
    Duration::new(secs, u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Makes a map this one. The keys that are new, or have another value, and those that are gone.
pub(crate) fn enter<V>(
    map: &mut HashMap<MapData, u32, Raw<V>>,
    name: &'static str,
    wanted: &BTreeMap<u32, V>,
) -> Result<Difference>
where
    V: Copy + PartialEq,
    Raw<V>: aya::Pod,
{
    let there = entries_of(map, name)?;
    let mut difference = Difference::default();
    for key in there.keys().filter(|key| !wanted.contains_key(key)) {
        absent_is_fine(map.remove(key)).map_err(in_map(name))?;
        difference.gone.push(*key);
    }
    for (key, value) in wanted {
        if there.get(key).is_none_or(|Raw(known)| known != value) {
            map.insert(key, Raw(*value), 0).map_err(in_map(name))?;
            difference.entered.push(*key);
        }
    }
    Ok(difference)
}

#[derive(Debug, Default)]
pub(crate) struct Difference {
    pub entered: Vec<u32>,
    pub gone: Vec<u32>,
}

impl Difference {
    pub fn is_empty(&self) -> bool {
        self.entered.is_empty() && self.gone.is_empty()
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

pub(crate) fn count_from_zero(opened: &mut Opened, index: u32) -> Result<()> {
    let cpus = nr_cpus().map_err(|(_, source)| FastPathError::ReadDir {
        path: "/sys/devices/system/cpu/possible".into(),
        source,
    })?;
    let zeros = PerCpuValues::try_from(vec![Raw(Counters::default()); cpus]);
    let zeros = zeros.map_err(|source| in_map(MAP_COUNTERS)(MapError::IoError(source)))?;
    let counted = opened.counters.insert(index, zeros, 0);
    counted.map_err(in_map(MAP_COUNTERS))
}

pub(crate) fn forget_counters(opened: &mut Opened, index: u32) -> Result<()> {
    absent_is_fine(opened.counters.remove(&index)).map_err(in_map(MAP_COUNTERS))
}

fn absent_is_fine(removed: std::result::Result<(), MapError>) -> std::result::Result<(), MapError> {
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

/// Makes every flow prove itself again.
pub(crate) fn bump(opened: &mut Opened) -> Result<()> {
    let Raw(mut settings) = opened.settings.get(&0, 0).map_err(in_map(MAP_SETTINGS))?;
    // 0 is for settings that were never made.
    settings.generation = settings.generation.wrapping_add(1).max(1);
    let set = opened.settings.set(0, Raw(settings), 0);
    set.map_err(in_map(MAP_SETTINGS))
}

pub(crate) fn in_map(map: &'static str) -> impl Fn(MapError) -> FastPathError {
    move |source| FastPathError::Map {
        map,
        source: Box::new(source),
    }
}
