//! What passes between endpoints of one network on different nodes, as the firewall knows it before
//! it is routed: such packets are nobody's to translate, and are not tracked.
//!
//! The node's own address is no endpoint's: who speaks with the node may speak with what it
//! publishes. Whole prefixes say it, so that another node costs no element and no rule.

use std::net::IpAddr;

use model::{Family, IfName, Network, Prefix, Subnet};
use netstate::nft::{Datum, ElementKey, Item, NftFamily};

use super::OverlayView;
use crate::firewall::{NAMES, Way, element};

/// Where packets are routed: from the bridge to other nodes' parts, and by `device` to this one's.
pub(super) fn routed(
    network: &Network,
    overlay: &OverlayView,
    (family, device): (Family, &IfName),
) -> Vec<Way> {
    let Some((own, whole)) = parts(network, overlay, family) else {
        return Vec::new();
    };
    let out = Way {
        iif: network.bridge.clone(),
        from: own.prefix,
        to: whole,
        except: own.prefix,
    };
    let home = Way {
        iif: device.clone(),
        from: whole,
        to: own.prefix,
        except: Prefix::host(own.gateway),
    };
    vec![out, home]
}

/// Where one Ethernet goes over all nodes.
pub(super) fn bridged(network: &Network, overlay: &OverlayView) -> Vec<Way> {
    let families = Family::BOTH.into_iter();
    let parts = families.filter_map(|family| parts(network, overlay, family));
    let ways = parts.map(|(own, whole)| Way {
        iif: network.bridge.clone(),
        from: whole,
        to: whole,
        except: Prefix::host(own.gateway),
    });
    ways.collect()
}

/// The same ways as elements, for where they are too many for rules.
pub(super) fn elements(ways: &[Way]) -> impl Iterator<Item = ElementKey> {
    ways.iter().flat_map(|way| {
        let to = around(way.except.address(), way.except.last(), way.to);
        to.map(|to| across(&way.iif, way.from, to))
    })
}

fn parts<'a>(
    network: &'a Network,
    overlay: &OverlayView,
    family: Family,
) -> Option<(&'a Subnet, Prefix)> {
    network.subnet(family).zip(overlay.prefix(family))
}

/// What of a prefix is below and above a range in it.
fn around(first: IpAddr, last: IpAddr, whole: Prefix) -> impl Iterator<Item = Item> {
    let below = shifted(first, -1).filter(|end| whole.contains(*end));
    let above = shifted(last, 1).filter(|start| whole.contains(*start));
    let below = below.map(|end| Item::addresses(whole.address(), end));
    let above = above.map(|start| Item::addresses(start, whole.last()));
    below.into_iter().chain(above)
}

fn shifted(address: IpAddr, by: i8) -> Option<IpAddr> {
    match address {
        IpAddr::V4(v4) => {
            let bits = v4.to_bits().checked_add_signed(by.into());
            bits.map(|bits| IpAddr::V4(bits.into()))
        }
        IpAddr::V6(v6) => {
            let bits = v6.to_bits().checked_add_signed(by.into());
            bits.map(|bits| IpAddr::V6(bits.into()))
        }
    }
}

fn across(device: &IfName, from: Prefix, to: Item) -> ElementKey {
    let set = match from.family() {
        Family::Ipv4 => NAMES.across4,
        Family::Ipv6 => NAMES.across6,
    };
    let device = Item::One(Datum::Ifname(device.clone()));
    element(NftFamily::Inet, set, vec![device, Item::Prefix(from), to])
}
