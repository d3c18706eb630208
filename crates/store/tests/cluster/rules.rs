//! What may enter a cluster, and which slot is next.

use std::collections::{BTreeMap, BTreeSet};

use model::{MtuSetting, OverlayPrefix};
use store::cluster::{ClusterError, rules};

use crate::contract::{blue, member, overlay, word};

#[test]
fn a_picked_vni_is_the_lowest_free_one_from_4096() {
    let mut known = BTreeMap::new();
    for vni in [1, 4096, 4097, 4099] {
        let network = overlay(&format!("net{vni}"), vni, &[("10.1.0.0/16", 24)]);
        known.insert(network.name.clone(), network);
    }
    assert_eq!(rules::free_vni(&known).unwrap().number(), 4098);
    assert_eq!(rules::free_vni(&BTreeMap::new()).unwrap().number(), 4096);
}

#[test]
fn values_that_do_not_fit_together_are_no_overlay() {
    let dual = overlay("dual", 1, &[("10.60.0.0/16", 24), ("fd00:60::/48", 64)]);
    assert!(dual.check().is_ok());
    let mut turned = dual.clone();
    turned.prefixes.reverse();
    let mut twice = blue();
    twice
        .prefixes
        .push(OverlayPrefix::new(word("10.70.0.0/16"), None).unwrap());
    let mut torn = blue();
    torn.prefixes[0].node_bits = 200;
    let mut narrow = dual;
    narrow.mtu = MtuSetting::Fixed(1000.try_into().unwrap());
    for wrong in [turned, twice, torn, narrow, overlay("none", 1, &[])] {
        assert!(wrong.check().is_err(), "{wrong:?}");
    }
}

#[test]
fn later_attempts_spread_over_the_free_slots_only() {
    let small = overlay("small", 1, &[("10.50.0.0/20", 24)]);
    let taken = BTreeSet::from([0, 1, 5]);
    for id in 0..20 {
        let node = member("a", id);
        for attempt in 0..200 {
            let slot = rules::pick_slot(&small, &taken, &node, attempt).unwrap();
            assert!(slot < 16 && !taken.contains(&slot), "{slot}");
            assert!(attempt > 0 || slot == 2, "{slot}");
        }
    }
    let all = (0..16).collect();
    let error = rules::pick_slot(&small, &all, &member("a", 1), 3).unwrap_err();
    assert!(
        matches!(error, ClusterError::Full { slots: 16, .. }),
        "{error}"
    );
}

#[test]
fn the_smaller_prefix_says_how_many_nodes_there_may_be() {
    let dual = overlay("dual", 1, &[("10.60.0.0/22", 24), ("fd00:60::/48", 64)]);
    assert_eq!(rules::slots(&dual), 4);
    assert!(rules::subnets_at(&dual, 4).is_empty());
    let foreign = [
        word("fd00:60:0:7::/64"),
        word("10.60.3.0/24"),
        word("10.9.0.0/24"),
    ];
    assert_eq!(rules::taken_slots(&dual, foreign), BTreeSet::from([3]));
}
