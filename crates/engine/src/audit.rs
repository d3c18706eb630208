//! Every address that is not free: who has it, since when, and whether they are still there.
//!
//! It only looks, without the node's lock. What frees the dead is `reconcile`, which goes by the
//! same judgement.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::thread;
use std::time::Duration;

use model::{ContainerId, EndpointId, EndpointName, Network, NetworkName, Target};
use serde::Serialize;
use store::{EndpointLife, EndpointRecord, Hold, StoreError};

use crate::session::Session;
use crate::{Engine, EngineError, Mode, Why};

/// How often an audit looks again at what is half way, and how long it waits each time. Without
/// the lock, an attach or a detach on its way looks like one whose process died.
const LOOKS: u32 = 10;
const LOOK_PAUSE: Duration = Duration::from_millis(100);

/// An address that is not free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AddressStatus {
    pub network: NetworkName,
    pub address: IpAddr,
    #[serde(flatten)]
    pub state: AddressState,
}

/// Why an address is not free.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum AddressState {
    /// Its owner's namespace is there, or is being attached or detached just now.
    InUse(Owner),
    /// Its owner's namespace is gone, or another one has its name.
    Dead {
        #[serde(flatten)]
        owner: Owner,
        why: Why,
    },
    /// A process that attached or detached its owner died half way.
    Unfinished {
        #[serde(flatten)]
        owner: Owner,
        why: Why,
    },
    /// Released: it is given out again after so many seconds, or when no other is free.
    Resting { left_secs: u64 },
}

impl AddressState {
    /// Whether nobody can use the address until a reconcile frees it.
    pub fn is_lost(&self) -> bool {
        match self {
            Self::Dead { .. } | Self::Unfinished { .. } => true,
            Self::InUse(_) | Self::Resting { .. } => false,
        }
    }
}

/// The endpoint that has an address.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Owner {
    #[serde(rename = "owner")]
    pub name: EndpointName,
    pub target: Target,
    /// Where a container runtime attached it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub container: Option<ContainerId>,
    /// Seconds since it was attached; 0 where the clock was set back meanwhile.
    pub age_secs: u64,
}

impl Engine {
    /// The addresses of a network, or of all, that are not free: by network, then by address,
    /// IPv4 first. Nothing is changed and no lock is taken.
    ///
    /// # Errors
    /// No such network; records of another namespace; a target that can't be looked at.
    pub fn audit(&self, network: Option<&NetworkName>) -> Result<Vec<AddressStatus>, EngineError> {
        let mut session = self.session(Mode::DryRun)?;
        let mut stuck = session.half_way()?;
        for _ in 0..LOOKS {
            if stuck.is_empty() {
                break;
            }
            thread::sleep(LOOK_PAUSE);
            session = self.session(Mode::DryRun)?;
            let still = session.half_way()?;
            stuck.retain(|id| still.contains(id));
        }
        let mut found = Vec::new();
        for network in session.networks_to_audit(network)? {
            found.extend(session.audit(&network, &stuck)?);
        }
        Ok(found)
    }
}

impl Session<'_> {
    fn half_way(&self) -> Result<BTreeSet<EndpointId>, EngineError> {
        let endpoints = self.records.unfinished_endpoints()?;
        Ok(endpoints.iter().map(|record| record.endpoint.id).collect())
    }

    fn networks_to_audit(&self, name: Option<&NetworkName>) -> Result<Vec<Network>, EngineError> {
        if let Some(name) = name {
            return Ok(vec![self.network(name)?]);
        }
        let records = self.records.networks()?;
        let mut networks: Vec<Network> = records.into_iter().map(|r| r.network).collect();
        networks.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(networks)
    }

    fn audit(
        &mut self,
        network: &Network,
        stuck: &BTreeSet<EndpointId>,
    ) -> Result<Vec<AddressStatus>, EngineError> {
        let now = self.settings.now_secs;
        let mut owners = BTreeMap::new();
        for record in self.records.endpoints_of_network(network.id)? {
            owners.insert(record.endpoint.id, self.state_of(record, stuck)?);
        }
        let held = self.records.held_addresses(network.id, now)?.into_iter();
        let status = held.map(|held| {
            let state = match held.hold {
                Hold::Endpoint(id) => {
                    let owner = owners.get(&id).cloned();
                    owner.ok_or(StoreError::EndpointGone(id))?
                }
                Hold::Resting { left_secs } => AddressState::Resting { left_secs },
            };
            Ok(AddressStatus {
                network: network.name.clone(),
                address: held.address,
                state,
            })
        });
        status.collect()
    }

    /// What an endpoint makes of its addresses.
    fn state_of(
        &mut self,
        record: EndpointRecord,
        stuck: &BTreeSet<EndpointId>,
    ) -> Result<AddressState, EngineError> {
        let on_its_way =
            record.life != EndpointLife::Attached && !stuck.contains(&record.endpoint.id);
        let why = if on_its_way {
            None
        } else {
            self.why_dead(&record)?
        };
        let endpoint = record.endpoint;
        let owner = Owner {
            name: endpoint.name,
            target: endpoint.target,
            container: endpoint.cni.map(|cni| cni.container),
            age_secs: self.settings.now_secs.saturating_sub(record.created_at),
        };
        Ok(match why {
            None => AddressState::InUse(owner),
            Some(why @ (Why::NamespaceGone | Why::Forgotten)) => AddressState::Dead { owner, why },
            Some(why @ (Why::AttachUnfinished | Why::DetachUnfinished)) => {
                AddressState::Unfinished { owner, why }
            }
        })
    }
}
