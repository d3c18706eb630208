//! The object that the build has embedded, loaded and pinned; and what is pinned, opened.

use std::fs;
use std::path::Path;

use aya::EbpfLoader;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData, MapInfo, PerCpuArray};
use aya::programs::SchedClassifier;
use fastpath_wire::{
    Arrival, Bucket, Counters, Leaving, MAP_ARRIVALS, MAP_COUNTERS, MAP_GENERATION, MAP_LEAVING,
    MAP_OVERLAYS, MAP_PARTS, MAP_PORTS, MAP_PROOFS, MAP_SETTINGS, MAP_TICKETS, MAP_UPLINKS,
    Overlay, Part, PartKey, Port, Proof, Settings, Ticket, Uplink,
};

use rustix::time::{ClockId, clock_gettime};

use crate::attach::Side;
use crate::error::{FastPathError, Result, in_map};
use crate::place::Place;
use crate::raw::Raw;

#[cfg(has_programs)]
const OBJECT: Option<&[u8]> = Some(aya::include_bytes_aligned!(env!("PONTOON_PROGRAMS")));
#[cfg(not(has_programs))]
const OBJECT: Option<&[u8]> = None;

const MAPS: [(&str, usize); 11] = [
    (MAP_SETTINGS, size_of::<Settings>()),
    (MAP_GENERATION, size_of::<u32>()),
    (MAP_PORTS, size_of::<Port>()),
    (MAP_OVERLAYS, size_of::<Overlay>()),
    (MAP_PARTS, size_of::<Part>()),
    (MAP_UPLINKS, size_of::<Uplink>()),
    (MAP_PROOFS, size_of::<Bucket<Proof>>()),
    (MAP_LEAVING, size_of::<Bucket<Leaving>>()),
    (MAP_ARRIVALS, size_of::<Bucket<Arrival>>()),
    (MAP_TICKETS, size_of::<Ticket>()),
    (MAP_COUNTERS, size_of::<Counters>()),
];

pub(crate) fn is_built() -> bool {
    OBJECT.is_some()
}

/// Loads the programs on the maps that are pinned, or new ones, and pins them in the place of
/// those that were.
pub(crate) fn load(place: &Place) -> Result<()> {
    let object = OBJECT.ok_or(FastPathError::NotBuilt)?;
    let mut loader = EbpfLoader::new();
    for (name, _) in MAPS {
        loader.map_pin_path(name, place.pin(name));
    }
    let failed = |source| FastPathError::Load(Box::new(source));
    let mut object = loader.load(object).map_err(failed)?;
    for side in Side::ALL {
        let name = side.program();
        let program = object
            .program_mut(name)
            .ok_or(FastPathError::NoProgram(name))?;
        let refused = |source| FastPathError::Program {
            program: name,
            source: Box::new(source),
        };
        let program: &mut SchedClassifier = program.try_into().map_err(refused)?;
        program.load().map_err(refused)?;
        pin(program, place, name)?;
    }
    Ok(())
}

/// Under another name first: at no moment is there none.
fn pin(program: &mut SchedClassifier, place: &Place, name: &str) -> Result<()> {
    let (new, path) = (place.pin(&format!("{name}-new")), place.pin(name));
    crate::place::remove_file(&new)?;
    program.pin(&new).map_err(|source| FastPathError::Pin {
        path: new.clone(),
        source: Box::new(source),
    })?;
    fs::rename(&new, &path).map_err(|source| FastPathError::Remove { path, source })
}

/// Whether the maps that are pinned are of another layout than this build's.
pub(crate) fn are_of_another_layout(place: &Place) -> bool {
    MAPS.iter().any(|(name, bytes)| {
        let pinned = MapInfo::from_pin(place.pin(name));
        pinned.is_ok_and(|map| map.value_size() as usize != *bytes)
    })
}

/// What is pinned.
pub(crate) struct Opened {
    pub settings: Array<MapData, Raw<Settings>>,
    pub generation: Generation,
    pub ports: HashMap<MapData, u32, Raw<Port>>,
    /// By VNI.
    pub overlays: HashMap<MapData, u32, Raw<Overlay>>,
    /// By prefix.
    pub parts: LpmTrie<MapData, PartKey, Raw<Part>>,
    pub uplinks: HashMap<MapData, u32, Raw<Uplink>>,
    pub counters: PerCpuArray<MapData, Raw<Counters>>,
}

impl Opened {
    /// `None` where nothing is loaded.
    pub fn open(place: &Place) -> Result<Option<Self>> {
        if !place.pin(MAP_SETTINGS).exists() {
            return Ok(None);
        }
        Ok(Some(Self {
            generation: Generation::open(place)?,
            settings: map(&place.pin(MAP_SETTINGS), MAP_SETTINGS)?,
            ports: map(&place.pin(MAP_PORTS), MAP_PORTS)?,
            overlays: map(&place.pin(MAP_OVERLAYS), MAP_OVERLAYS)?,
            parts: map(&place.pin(MAP_PARTS), MAP_PARTS)?,
            uplinks: map(&place.pin(MAP_UPLINKS), MAP_UPLINKS)?,
            counters: map(&place.pin(MAP_COUNTERS), MAP_COUNTERS)?,
        }))
    }
}

/// Of proofs. It is written without the node's lock, by whoever has changed the rules.
pub(crate) struct Generation(Array<MapData, u32>);

impl Generation {
    /// It has to be there.
    pub fn open(place: &Place) -> Result<Self> {
        map(&place.pin(MAP_GENERATION), MAP_GENERATION).map(Self)
    }

    pub fn number(&self) -> Result<u32> {
        self.0.get(&0, 0).map_err(in_map(MAP_GENERATION))
    }

    /// Makes every flow prove itself again.
    ///
    /// It is not counted up: of two who did that at once, the later could put back a number that the
    /// other has left behind, and what was proved under it would hold again. The time comes again
    /// after four seconds, when no proof is left.
    pub fn bump(&mut self) -> Result<()> {
        let time = clock_gettime(ClockId::Monotonic);
        let nanos = time
            .tv_sec
            .wrapping_mul(1_000_000_000)
            .wrapping_add(time.tv_nsec);
        let set = self.0.set(0, nanos as u32, 0);
        set.map_err(in_map(MAP_GENERATION))
    }
}

fn map<T>(pin: &Path, name: &'static str) -> Result<T>
where
    T: TryFrom<Map, Error = aya::maps::MapError>,
{
    MapData::from_pin(pin)
        .and_then(Map::from_map_data)
        .and_then(T::try_from)
        .map_err(in_map(name))
}

/// A pinned program, and its number.
pub(crate) fn program(place: &Place, side: Side) -> Result<(SchedClassifier, u32)> {
    let failed = |source| FastPathError::Program {
        program: side.program(),
        source: Box::new(source),
    };
    let program = SchedClassifier::from_pin(place.pin(side.program())).map_err(failed)?;
    let id = program.info().map_err(failed)?.id();
    Ok((program, id))
}
