//! What of the observed state is ours to change.
//!
//! Devices carry our mark in their alias, routes in their protocol number, tables in their
//! comment. Addresses carry none: on a device of ours those are ours that lie in its network's
//! prefixes; an administrator's further address on a bridge is not.

use model::IfName;
use netstate::{KernelState, LinkKey, Netns};

use crate::{NetworkView, View};

/// `observed` without the addresses that are not ours.
pub fn only_owned(mut observed: KernelState, view: &View) -> KernelState {
    observed.addresses.retain(|key| {
        let network = network_of(view, &key.link);
        network.is_some_and(|n| n.network.subnet_of(key.address).is_some())
    });
    observed
}

fn network_of<'a>(view: &'a View, link: &LinkKey) -> Option<&'a NetworkView> {
    let mut networks = view.networks.iter();
    match &link.netns {
        Netns::Node => networks.find(|n| n.network.bridge == link.name),
        Netns::Target(_) => networks.find(|n| has_endpoint_at(n, link, &link.name)),
    }
}

fn has_endpoint_at(network: &NetworkView, link: &LinkKey, name: &IfName) -> bool {
    network.endpoints.iter().any(|view| {
        let at = Netns::Target(view.endpoint.target.clone());
        at == link.netns && view.endpoint.ifname == *name
    })
}
