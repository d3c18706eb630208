//! Which endpoints of overlay networks this node has: what it tells the others of.

use std::collections::BTreeMap;

use model::{Named, NetworkKind, NetworkName, Whereabouts};
use store::cluster::{ENDPOINTS_MAX, Endpoints, NAMED_BYTES_MAX, NAMED_MAX, NamedEndpoints};
use store::{EndpointLife, EndpointRecord};

use crate::{Engine, EngineError};

impl Engine {
    /// The endpoints on stretched networks that are there, or about to be; no more than a node
    /// tells of.
    ///
    /// # Errors
    /// Records that can't be read.
    pub fn whereabouts(&self) -> Result<Endpoints, EngineError> {
        let records = self.records()?;
        let mut all = Endpoints::new();
        let mut left = ENDPOINTS_MAX;
        for record in records.networks()? {
            let network = record.network;
            if network.kind != NetworkKind::Overlay || !network.is_stretched() {
                continue;
            }
            let endpoints = records.endpoints_of_network(network.id)?;
            let mut told: Vec<Whereabouts> = endpoints.iter().filter_map(stays).collect();
            told.sort();
            told.truncate(left);
            left -= told.len();
            if !told.is_empty() {
                all.insert(network.name, told);
            }
        }
        Ok(all)
    }
}

/// This node's endpoints by name.
#[derive(Debug, Default)]
pub struct NamedHere {
    /// Those that the others are told of.
    pub told: NamedEndpoints,
    /// How many of a network are too many to be told.
    pub left_out: BTreeMap<NetworkName, usize>,
}

impl Engine {
    /// The endpoints that are there on overlay networks with names. Where a node may not tell of all,
    /// those that came first are told.
    ///
    /// # Errors
    /// Records that can't be read.
    pub fn named(&self) -> Result<NamedHere, EngineError> {
        let records = self.records()?;
        let mut here = NamedHere::default();
        let mut room = Room::default();
        for record in records.networks()? {
            let network = record.network;
            if network.kind != NetworkKind::Overlay || network.names.are_off() {
                continue;
            }
            let mut endpoints = records.endpoints_of_network(network.id)?;
            endpoints.retain(|record| record.life == EndpointLife::Attached);
            endpoints.sort_by_key(|record| record.endpoint.id);
            let named = endpoints.iter().map(|record| Named::of(&record.endpoint));
            here.add(network.name, named.collect(), &mut room);
        }
        Ok(here)
    }
}

impl NamedHere {
    fn add(&mut self, network: NetworkName, named: Vec<Named>, room: &mut Room) {
        let all = named.len();
        let told: Vec<Named> = named.into_iter().filter(|one| room.take(one)).collect();
        if told.len() < all {
            self.left_out.insert(network.clone(), all - told.len());
        }
        if !told.is_empty() {
            self.told.insert(network, told);
        }
    }
}

/// What was told so far.
#[derive(Default)]
struct Room {
    endpoints: usize,
    bytes: usize,
}

impl Room {
    fn take(&mut self, named: &Named) -> bool {
        let bytes = self.bytes + named.told_bytes();
        let fits = self.endpoints < NAMED_MAX && bytes <= NAMED_BYTES_MAX;
        if fits {
            self.endpoints += 1;
            self.bytes = bytes;
        }
        fits
    }
}

/// Nothing for an endpoint that leaves.
fn stays(record: &EndpointRecord) -> Option<Whereabouts> {
    match record.life {
        EndpointLife::Attaching | EndpointLife::Attached => {
            Whereabouts::new(&record.endpoint.addresses).ok()
        }
        EndpointLife::Detaching | EndpointLife::Deleting => None,
    }
}

#[cfg(test)]
mod tests {
    use store::cluster::{Told, told};

    use super::*;

    fn named(n: usize, aliases: usize) -> Named {
        let alias = |a: usize| format!("{a:0>60}").parse().unwrap();
        let address = format!("10.{}.{}.1", n / 250, n % 250);
        let aliases = (0..aliases).map(alias).collect();
        Named::new(
            format!("c{n}").parse().unwrap(),
            aliases,
            vec![address.parse().unwrap()],
        )
        .unwrap()
    }

    /// The endpoints of two networks, the first of them with so many aliases each.
    fn here(counts: [usize; 2], aliases: usize) -> NamedHere {
        let mut here = NamedHere::default();
        let mut room = Room::default();
        for (name, count, aliases) in [("a", counts[0], aliases), ("b", counts[1], 0)] {
            let all = (0..count).map(|n| named(n, aliases)).collect();
            here.add(name.parse().unwrap(), all, &mut room);
        }
        here
    }

    fn counts(here: &NamedHere, network: &str) -> (usize, usize) {
        let network: NetworkName = network.parse().unwrap();
        let told = here.told.get(&network).map_or(0, Vec::len);
        (told, here.left_out.get(&network).copied().unwrap_or(0))
    }

    #[test]
    fn no_more_is_told_than_a_node_may_tell_and_the_rest_is_counted() {
        let few = here([600, 400], 1);
        assert_eq!((counts(&few, "a"), counts(&few, "b")), ((600, 0), (400, 0)));
        let many = here([600, 500], 1);
        assert_eq!(
            (counts(&many, "a"), counts(&many, "b")),
            ((600, 0), (400, 100))
        );
        // Long before there are too many endpoints, their names fill the room.
        let long = here([200, 0], 64);
        let (told, left_out) = counts(&long, "a");
        assert!(
            told > 20 && told + left_out == 200 && left_out > 100,
            "{told}"
        );
        let all = Told {
            named: long.told,
            ..Told::default()
        };
        let part = vec!["10.0.0.0/8".parse().unwrap()];
        let why = told::check(&all, |_| None, |_| Some(&part)).unwrap_err();
        // Not for their number: but here no cluster has the network.
        assert!(matches!(why, told::NotItsOwn::NamedNetwork(_)), "{why}");
    }
}
