//! Places for counters: who counts packets gets one, and its entry in a map says which.
//!
//! A place has an owner's number in it, so that a free one is found by a look or two, whatever
//! else there is.

use aya::maps::{MapError, PerCpuValues};
use aya::util::nr_cpus;
use fastpath_wire::{COUNTERS_MAX, Counters, MAP_COUNTERS};

use crate::error::{FastPathError, Result, in_map};
use crate::programs::Opened;
use crate::raw::Raw;

/// A place for the packets of the device with this index, which begins at zero.
pub(crate) fn take(opened: &mut Opened, index: u32) -> Result<u32> {
    let owner = u64::from(index);
    for step in 0..COUNTERS_MAX {
        let place = index.wrapping_add(step) % COUNTERS_MAX;
        let each = opened.counters.get(&place, 0);
        let each = each.map_err(in_map(MAP_COUNTERS))?;
        let there = each.iter().map(|Raw(one)| one.owner).max().unwrap_or(0);
        if there == 0 || there == owner {
            let fresh = Counters {
                owner,
                ..Counters::default()
            };
            set(opened, place, fresh)?;
            return Ok(place);
        }
    }
    Err(FastPathError::NoCounters)
}

/// Gives a place back.
pub(crate) fn forget(opened: &mut Opened, place: u32) -> Result<()> {
    set(opened, place, Counters::default())
}

fn set(opened: &mut Opened, place: u32, counters: Counters) -> Result<()> {
    let cpus = nr_cpus().map_err(|(_, source)| FastPathError::ReadDir {
        path: "/sys/devices/system/cpu/possible".into(),
        source,
    })?;
    let values = PerCpuValues::try_from(vec![Raw(counters); cpus]);
    let values = values.map_err(|source| in_map(MAP_COUNTERS)(MapError::IoError(source)))?;
    let set = opened.counters.set(place, values, 0);
    set.map_err(in_map(MAP_COUNTERS))
}
