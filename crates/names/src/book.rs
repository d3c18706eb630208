//! Which names there are, and who sees which: the records as questions are answered from.
//!
//! An endpoint sees the names of the networks that its container is on, and the node those of the
//! network whose gateway it asks. Nobody else is anybody. Of an overlay network, what other nodes
//! tell of their endpoints is in the records too: as it was last heard, whatever runs or answers now.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use model::{
    EndpointId, Named, NetnsId, NetworkId, NetworkKind, NetworkName, NodeName, Prefix, Reach,
};
use serde::Serialize;
use store::{
    EndpointLife, EndpointRecord, Membership, NetworkLife, NetworkRecord, Records, StoreError,
};

/// A network with names.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listed {
    pub network: NetworkName,
    pub kind: NetworkKind,
    /// Where it is asked: IPv4 first.
    pub gateways: Vec<IpAddr>,
    pub reach: Reach,
    /// Each name of this node's endpoints in lower case, and all of its addresses.
    pub names: BTreeMap<String, Vec<IpAddr>>,
    /// Those of the other nodes' endpoints, and where they are.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub elsewhere: BTreeMap<String, BTreeMap<NodeName, Vec<IpAddr>>>,
    /// What an address is called.
    #[serde(skip)]
    owners: HashMap<IpAddr, String>,
    #[serde(skip)]
    id: NetworkId,
}

/// The addresses of a name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// Of this node's endpoints.
    pub near: Vec<IpAddr>,
    /// Of other nodes'.
    pub far: Vec<IpAddr>,
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
    /// Where questions come, for which network; and the node itself, asking from there.
    gateways: HashMap<IpAddr, (usize, Asker)>,
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
            let overlay = |r: &NetworkRecord| is_listed(r) && is_overlay(r);
            let membership = match networks.iter().any(overlay) {
                true => records.membership()?,
                false => None,
            };
            Ok(Self::new(&networks, &endpoints, membership.as_ref()))
        })
    }

    pub fn new(
        networks: &[NetworkRecord],
        endpoints: &[EndpointRecord],
        membership: Option<&Membership>,
    ) -> Self {
        let of = |record: &NetworkRecord| {
            let mut listed = listed(record, endpoints);
            if let (true, Some(membership)) = (is_overlay(record), membership) {
                listed.take_others(membership);
            }
            listed
        };
        let mut listed: Vec<Listed> = networks.iter().filter(|r| is_listed(r)).map(of).collect();
        listed.sort_by(|a, b| a.network.cmp(&b.network));
        let gateways = listed.iter().enumerate();
        let gateways = gateways.flat_map(|(at, l)| {
            let node = Asker {
                networks: vec![at],
                others: Others::Refused,
            };
            l.gateways.iter().map(move |g| (*g, (at, node.clone())))
        });
        Self {
            endpoints: askers(&listed, endpoints),
            gateways: gateways.collect(),
            prefixes: prefixes(networks, membership),
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
    pub fn asker(&self, source: IpAddr, gateway: IpAddr) -> Option<&Asker> {
        let (asked, _) = self.gateways.get(&gateway)?;
        if let Some(asker) = self.endpoints.get(&source) {
            // Of a container that is not on the network it asks at.
            return asker.networks.contains(asked).then_some(asker);
        }
        let (own, node) = self.gateways.get(&source)?;
        (own == asked).then_some(node)
    }

    /// Whether questions may come from this address at all.
    pub fn knows(&self, source: IpAddr) -> bool {
        self.endpoints.contains_key(&source) || self.gateways.contains_key(&source)
    }

    /// The addresses of a name in lower case; `None` where the asker sees no such name.
    pub fn addresses(&self, asker: &Asker, name: &str) -> Option<Addresses> {
        let seen = || asker.networks.iter().filter_map(|at| self.listed.get(*at));
        let near = seen().filter_map(|l| l.names.get(name)).flatten();
        let far = seen().filter_map(|l| l.elsewhere.get(name));
        let found = Addresses {
            near: near.copied().collect(),
            far: far.flat_map(BTreeMap::values).flatten().copied().collect(),
        };
        (found != Addresses::default()).then_some(found)
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

fn is_overlay(record: &NetworkRecord) -> bool {
    record.network.kind == NetworkKind::Overlay
}

fn listed(record: &NetworkRecord, endpoints: &[EndpointRecord]) -> Listed {
    let network = &record.network;
    let mut listed = Listed {
        network: network.name.clone(),
        kind: network.kind,
        gateways: network.subnets.iter().map(|s| s.gateway).collect(),
        reach: network.reach,
        names: BTreeMap::new(),
        elsewhere: BTreeMap::new(),
        owners: HashMap::new(),
        id: network.id,
    };
    let attached = |e: &&EndpointRecord| e.life == EndpointLife::Attached;
    let own = endpoints.iter().filter(attached).map(|e| &e.endpoint);
    for endpoint in own.filter(|e| e.network == network.id) {
        let named = Named::of(endpoint);
        listed.take_owner(&named);
        for name in named.names() {
            let addresses = listed.names.entry(name).or_default();
            addresses.extend(named.addresses());
        }
    }
    listed
}

impl Listed {
    fn take_owner(&mut self, named: &Named) {
        if let Some(first) = named.names().into_iter().next() {
            for address in named.addresses() {
                // Own ones come first, and stay.
                let owner = self.owners.entry(*address);
                owner.or_insert_with(|| first.clone());
            }
        }
    }

    /// What the other nodes tell of this network. Of one that the cluster has no more, or without
    /// names, nothing counts.
    fn take_others(&mut self, Membership { me, cluster }: &Membership) {
        let overlay = cluster.networks.get(&self.network);
        if overlay.is_none_or(|overlay| overlay.names.are_off()) {
            return;
        }
        for (node, said) in cluster.nodes.iter().filter(|(node, _)| *node != me) {
            for named in said.named.get(&self.network).into_iter().flatten() {
                self.take_owner(named);
                for name in named.names() {
                    let nodes = self.elsewhere.entry(name).or_default();
                    let addresses = nodes.entry(node.clone()).or_default();
                    addresses.extend(named.addresses());
                }
            }
        }
    }
}

/// Whose addresses only this node, or its cluster, knows: of all networks here, and of the whole of
/// those that are on other nodes too.
fn prefixes(networks: &[NetworkRecord], membership: Option<&Membership>) -> Vec<Prefix> {
    let here = networks.iter().flat_map(|record| &record.network.subnets);
    let overlays = networks.iter().filter(|record| is_overlay(record));
    let agreed = overlays.filter_map(|record| {
        let cluster = &membership?.cluster;
        cluster.networks.get(&record.network.name)
    });
    let whole = agreed.flat_map(|overlay| &overlay.prefixes);
    here.map(|subnet| subnet.prefix)
        .chain(whole.map(|part| part.prefix))
        .collect()
}

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
