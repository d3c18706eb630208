//! Node subnets: the parts of an overlay's prefix, numbered from 0 on. Which part is whose is not
//! known here.

use std::collections::BTreeSet;

use model::{OverlayPrefix, Prefix};

use crate::address::{address, bits};

/// How many node subnets there are. None, where a node subnet is no part of the prefix.
pub fn slots(overlay: OverlayPrefix) -> u128 {
    let (prefix, node_bits) = (overlay.prefix, overlay.node_bits);
    if node_bits > prefix.family().bits() {
        return 0;
    }
    match node_bits.checked_sub(prefix.bits()) {
        None | Some(0) => 0,
        Some(slot_bits) => 1u128.checked_shl(slot_bits.into()).unwrap_or(u128::MAX),
    }
}

/// The node subnet of a slot; `None` where there are fewer slots.
pub fn node_subnet(overlay: OverlayPrefix, slot: u128) -> Option<Prefix> {
    if slot >= slots(overlay) {
        return None;
    }
    let family = overlay.prefix.family();
    let start = bits(overlay.prefix.address()) + slot * size(overlay);
    Prefix::of(address(family, start), overlay.node_bits).ok()
}

/// The slot of a node subnet; `None` where `subnet` is none.
pub fn slot_of(overlay: OverlayPrefix, subnet: Prefix) -> Option<u128> {
    let is_part = slots(overlay) > 0
        && subnet.bits() == overlay.node_bits
        && overlay.prefix.contains(subnet.address());
    is_part.then(|| (bits(subnet.address()) - bits(overlay.prefix.address())) / size(overlay))
}

/// The first free slot of `slots`, behind `skip` other free ones; `None` where there are not as
/// many. Looks at no more than the taken ones, however many slots there are.
pub fn free_slot(slots: u128, taken: &BTreeSet<u128>, skip: u128) -> Option<u128> {
    let mut slot = skip;
    for &taken in taken {
        if taken > slot {
            break;
        }
        slot = slot.checked_add(1)?;
    }
    (slot < slots).then_some(slot)
}

/// How many addresses a node subnet has; there is one.
fn size(overlay: OverlayPrefix) -> u128 {
    1 << (overlay.prefix.family().bits() - overlay.node_bits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Family;
    use proptest::prelude::*;

    fn overlay(prefix: &str, node_bits: u8) -> OverlayPrefix {
        OverlayPrefix::new(prefix.parse().unwrap(), Some(node_bits)).unwrap()
    }

    #[test]
    fn a_slot_is_a_number_in_the_prefix() {
        let v4 = overlay("192.168.0.0/16", 24);
        assert_eq!(slots(v4), 256);
        let of = |overlay, slot| node_subnet(overlay, slot).map(|subnet| subnet.to_string());
        assert_eq!(of(v4, 0).unwrap(), "192.168.0.0/24");
        assert_eq!(of(v4, 1).unwrap(), "192.168.1.0/24");
        assert_eq!(of(v4, 255).unwrap(), "192.168.255.0/24");
        assert_eq!(of(v4, 256), None);
        let v6 = overlay("fd00:50::/48", 64);
        assert_eq!(slots(v6), 65_536);
        assert_eq!(of(v6, 0xffff).unwrap(), "fd00:50:0:ffff::/64");
        assert_eq!(of(v6, 0x1_0000), None);
    }

    #[test]
    fn the_widest_prefix_has_room_for_its_numbers() {
        let widest = overlay("8000::/1", 126);
        assert_eq!(slots(widest), 1 << 125);
        let last = node_subnet(widest, (1 << 125) - 1).unwrap();
        assert_eq!(last.last(), widest.prefix.last());
        assert_eq!(slot_of(widest, last), Some((1 << 125) - 1));
    }

    #[test]
    fn what_is_no_node_subnet_has_no_slot() {
        let v4 = overlay("192.168.0.0/16", 24);
        for text in [
            "192.168.0.0/23",
            "192.168.0.0/25",
            "192.169.0.0/24",
            "fd00::/24",
        ] {
            assert_eq!(slot_of(v4, text.parse().unwrap()), None, "{text}");
        }
        // A record of foreign bytes may say so.
        for node_bits in [16, 8, 33, 255] {
            let torn = OverlayPrefix { node_bits, ..v4 };
            assert_eq!(slots(torn), 0, "{node_bits}");
            assert_eq!(node_subnet(torn, 0), None);
            assert_eq!(slot_of(torn, v4.prefix), None);
        }
    }

    fn any_overlay() -> impl Strategy<Value = OverlayPrefix> {
        prop_oneof![
            (1u8..=29, any::<u32>()).prop_map(|(bits, at)| (Family::Ipv4, bits, u128::from(at))),
            (1u8..=125, any::<u128>()).prop_map(|(bits, at)| (Family::Ipv6, bits, at)),
        ]
        .prop_flat_map(|(family, bits, at)| {
            let longest = family.bits() - 2;
            let prefix = Prefix::of(address(family, at), bits).unwrap();
            (bits + 1..=longest).prop_map(move |node_bits| OverlayPrefix { prefix, node_bits })
        })
    }

    proptest! {
        #[test]
        fn a_slot_survives_the_way_there_and_back(overlay in any_overlay(), at in any::<u128>()) {
            let slot = at % slots(overlay);
            let subnet = node_subnet(overlay, slot).unwrap();
            prop_assert_eq!(slot_of(overlay, subnet), Some(slot));
            prop_assert_eq!(subnet.bits(), overlay.node_bits);
            prop_assert!(overlay.prefix.contains(subnet.address()));
            prop_assert!(overlay.prefix.contains(subnet.last()));
        }

        #[test]
        fn node_subnets_never_overlap(
            overlay in any_overlay(),
            one in any::<u128>(),
            other in any::<u128>(),
        ) {
            let (one, other) = (one % slots(overlay), other % slots(overlay));
            let subnets = [one, other].map(|slot| node_subnet(overlay, slot).unwrap());
            prop_assert_eq!(subnets[0].overlaps(subnets[1]), one == other);
        }

        #[test]
        fn a_free_slot_is_found_exactly_when_there_is_one(
            taken in proptest::collection::btree_set(0u128..24, 0..24),
            skip in 0u128..24,
        ) {
            let free: Vec<u128> = (0..20).filter(|slot| !taken.contains(slot)).collect();
            let expected = free.get(usize::try_from(skip).unwrap()).copied();
            prop_assert_eq!(free_slot(20, &taken, skip), expected);
        }
    }
}
