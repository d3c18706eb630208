//! Which endpoints of stretched networks this node has: what it tells the others of.

use model::{NetworkKind, Whereabouts};
use store::cluster::{ENDPOINTS_MAX, Endpoints};
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

/// Nothing for an endpoint that leaves.
fn stays(record: &EndpointRecord) -> Option<Whereabouts> {
    match record.life {
        EndpointLife::Attaching | EndpointLife::Attached => {
            Whereabouts::new(&record.endpoint.addresses).ok()
        }
        EndpointLife::Detaching | EndpointLife::Deleting => None,
    }
}
