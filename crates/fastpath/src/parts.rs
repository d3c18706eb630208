//! The map of routed networks' prefixes: what is of which network, and what of it is on this node.

use std::collections::{BTreeMap, BTreeSet};

use aya::maps::MapError;
use aya::maps::lpm_trie::Key;
use fastpath_wire::{FAMILY_BITS, IPV4, IPV6, MAP_PARTS, MAP_SETTINGS, Part, PartKey};
use model::{Family, Prefix};

use crate::entries::absent_is_fine;
use crate::error::{Result, in_map};
use crate::port::words;
use crate::programs::Opened;
use crate::raw::Raw;

/// A prefix as the map has it: the bits that count, and the bits.
pub(crate) type Bits = (u32, PartKey);

pub(crate) fn bits(prefix: Prefix) -> Bits {
    let family = match prefix.family() {
        Family::Ipv4 => IPV4,
        Family::Ipv6 => IPV6,
    };
    let [high, low] = words(prefix.address());
    (FAMILY_BITS + u32::from(prefix.bits()), [family, high, low])
}

/// Makes the map this one, and tells the programs whether it has anything. Whether it was another.
pub(crate) fn enter(opened: &mut Opened, wanted: &BTreeMap<Bits, Part>) -> Result<bool> {
    let failed = in_map(MAP_PARTS);
    let keys: std::result::Result<BTreeSet<Bits>, MapError> = opened
        .parts
        .keys()
        .map(|key| key.map(|key| (key.prefix_len(), key.data())))
        .collect();
    let mut changed = false;
    for (bits, data) in keys.map_err(&failed)? {
        if !wanted.contains_key(&(bits, data)) {
            let removed = opened.parts.remove(&Key::new(bits, data));
            absent_is_fine(removed).map_err(&failed)?;
            changed = true;
        }
    }
    for ((bits, data), part) in wanted {
        let key = Key::new(*bits, *data);
        let known = opened.parts.get(&key, 0);
        if known.is_ok_and(|Raw(known)| known == *part) {
            continue;
        }
        let entered = opened.parts.insert(&key, Raw(*part), 0);
        entered.map_err(&failed)?;
        changed = true;
    }
    tell_programs(opened, !wanted.is_empty())?;
    Ok(changed)
}

fn tell_programs(opened: &mut Opened, has_routed: bool) -> Result<()> {
    let failed = in_map(MAP_SETTINGS);
    let Raw(mut settings) = opened.settings.get(&0, 0).map_err(&failed)?;
    let has_routed = u32::from(has_routed);
    if settings.has_routed == has_routed {
        return Ok(());
    }
    settings.has_routed = has_routed;
    let set = opened.settings.set(0, Raw(settings), 0);
    set.map_err(&failed)
}
