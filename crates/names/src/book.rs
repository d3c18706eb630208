//! Which names there are, and who sees which: the records as questions are answered from.
//!
//! An endpoint sees the names of the networks that its container is on, and the node those of the
//! network whose gateway it asks. Nobody else is anybody.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use model::{Alias, EndpointId, NetnsId, NetworkId, NetworkName, Prefix, Reach};
use serde::Serialize;
use store::{EndpointLife, EndpointRecord, NetworkLife, NetworkRecord, Records, StoreError};

/// A network with names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub network: NetworkName,
    /// Where it is asked: IPv4 first.
    pub gateways: Vec<IpAddr>,
    pub reach: Reach,
    /// Each name in lower case, and all of its addresses.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// What an address is called.
    #[serde(skip)]
    owners: HashMap<IpAddr, String>,
    #[serde(skip)]
    id: NetworkId,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asker {
    /// What it sees, by its place in [`Book::listed`].
    networks: Vec<usize>,
    pub others: Others,
}

/// What an asker is told of names that are none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Others {
    /// What the node's resolvers say.
    Forwarded,
    /// That there are none: an internal network reaches nobody who could know.
    Missing,
    /// Nothing: the node has resolvers of its own, and what they ask here must not come round to
    /// them again.
    Refused,
}

/// What an address is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner<'b> {
    Named(&'b str),
    /// It is in a network of this node's, and nobody whom the asker sees has it.
    Nobody,
    /// It is none of ours.
    Elsewhere,
}

/// Names, addresses and who may ask, at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Book {
    listed: Vec<Listed>,
    endpoints: HashMap<IpAddr, Asker>,
    gateways: HashMap<IpAddr, usize>,
    /// Of all networks of the node, with names and without.
    prefixes: Vec<Prefix>,
}

impl Book {
    /// # Errors
    /// Records that can't be read.
    pub fn read(records: &Records) -> Result<Self, StoreError> {
        records.snapshot(|records| {
            let networks = records.networks()?;
            // Most nodes have no names: then nobody's endpoints are of interest.
            let endpoints = match networks.iter().any(is_listed) {
                true => records.endpoints()?,
                false => Vec::new(),
            };
            Ok(Self::new(&networks, &endpoints))
        })
    }

    pub fn new(networks: &[NetworkRecord], endpoints: &[EndpointRecord]) -> Self {
        let of = |record: &NetworkRecord| listed(record, endpoints);
        let mut listed: Vec<Listed> = networks.iter().filter(|r| is_listed(r)).map(of).collect();
        listed.sort_by(|a, b| a.network.cmp(&b.network));
        let gateways = listed.iter().enumerate();
        let gateways = gateways.flat_map(|(at, l)| l.gateways.iter().map(move |g| (*g, at)));
        let subnets = networks.iter().flat_map(|record| &record.network.subnets);
        Self {
            endpoints: askers(&listed, endpoints),
            gateways: gateways.collect(),
            prefixes: subnets.map(|subnet| subnet.prefix).collect(),
            listed,
        }
    }

    /// The networks with names, by name.
    pub fn listed(&self) -> &[Listed] {
        &self.listed
    }

    /// Where questions are listened for.
    pub fn gateways(&self) -> BTreeSet<IpAddr> {
        self.gateways.keys().copied().collect()
    }

    /// Whose question it is that came from `source` to `gateway`; `None` for one to be dropped.
    pub fn asker(&self, source: IpAddr, gateway: IpAddr) -> Option<Asker> {
        if let Some(asker) = self.endpoints.get(&source) {
            // Of a container that is not on the network it asks at.
            let at = self.gateways.get(&gateway)?;
            return asker.networks.contains(at).then(|| asker.clone());
        }
        let asked = *self.gateways.get(&gateway)?;
        let is_node = self.gateways.get(&source) == Some(&asked);
        is_node.then(|| Asker {
            networks: vec![asked],
            others: Others::Refused,
        })
    }

    /// The addresses of a name in lower case; `None` where the asker sees no such name.
    pub fn addresses(&self, asker: &Asker, name: &str) -> Option<Vec<IpAddr>> {
        let seen = asker.networks.iter().filter_map(|at| self.listed.get(*at));
        let found: Vec<&Vec<IpAddr>> = seen.filter_map(|l| l.names.get(name)).collect();
        if found.is_empty() {
            return None;
        }
        Some(found.into_iter().flatten().copied().collect())
    }

    pub fn owner(&self, asker: &Asker, address: IpAddr) -> Owner<'_> {
        let mut seen = asker.networks.iter().filter_map(|at| self.listed.get(*at));
        if let Some(name) = seen.find_map(|l| l.owners.get(&address)) {
            return Owner::Named(name);
        }
        match self.prefixes.iter().any(|prefix| prefix.contains(address)) {
            true => Owner::Nobody,
            false => Owner::Elsewhere,
        }
    }
}

fn is_listed(record: &NetworkRecord) -> bool {
    record.life == NetworkLife::Ready && !record.network.names.are_off()
}

fn listed(record: &NetworkRecord, endpoints: &[EndpointRecord]) -> Listed {
    let network = &record.network;
    let mut listed = Listed {
        network: network.name.clone(),
        gateways: network.subnets.iter().map(|s| s.gateway).collect(),
        reach: network.reach,
        names: BTreeMap::new(),
        owners: HashMap::new(),
        id: network.id,
    };
    let attached = |e: &&EndpointRecord| e.life == EndpointLife::Attached;
    let own = endpoints.iter().filter(attached).map(|e| &e.endpoint);
    for endpoint in own.filter(|e| e.network == network.id) {
        let names = names_of(endpoint);
        for address in &endpoint.addresses {
            if let Some(first) = names.first() {
                listed.owners.insert(*address, first.clone());
            }
        }
        for name in names {
            listed
                .names
                .entry(name)
                .or_default()
                .extend(&endpoint.addresses);
        }
    }
    listed
}

/// Each once, its own name first.
fn names_of(endpoint: &model::Endpoint) -> Vec<String> {
    let short = endpoint.cni.as_ref().and_then(|cni| {
        let short: String = cni.container.as_str().chars().take(SHORT_ID).collect();
        short.parse::<Alias>().ok()
    });
    let aliases = endpoint.aliases.iter().cloned().chain(short);
    let mut names = Vec::new();
    for name in endpoint
        .name
        .in_dns()
        .into_iter()
        .chain(aliases.map(String::from))
    {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// So many characters of a container's id are a name of it: what runtimes show people.
const SHORT_ID: usize = 12;

/// The namespace of an endpoint, or the endpoint itself while its namespace is not known.
fn container(record: &EndpointRecord) -> Result<&NetnsId, EndpointId> {
    record.netns.as_ref().ok_or(record.endpoint.id)
}

fn askers(listed: &[Listed], endpoints: &[EndpointRecord]) -> HashMap<IpAddr, Asker> {
    let place = |id: NetworkId| listed.iter().position(|l| l.id == id);
    let mut sees: HashMap<Result<&NetnsId, EndpointId>, Vec<usize>> = HashMap::new();
    for record in endpoints {
        if let Some(at) = place(record.endpoint.network) {
            sees.entry(container(record)).or_default().push(at);
        }
    }
    let mut askers = HashMap::new();
    for record in endpoints {
        let Some(networks) = sees.get(&container(record)) else {
            continue;
        };
        let open = |at: &usize| listed.get(*at).is_some_and(|l| l.reach == Reach::Outside);
        let others = match networks.iter().any(open) {
            true => Others::Forwarded,
            false => Others::Missing,
        };
        for address in &record.endpoint.addresses {
            let networks = networks.clone();
            askers.insert(*address, Asker { networks, others });
        }
    }
    askers
}

#[cfg(test)]
mod tests;
