//! Overlay networks as this node knows them: what leads to the other nodes, and taking over what
//! the cluster agreed on.

use std::net::IpAddr;

use model::{
    ClusterNode, Family, MTU_MIN_IPV6, Mtu, MtuSetting, Network, NetworkKind, NetworkName, Overlay,
    Prefix, Span, Subnet,
};
use netstate::NodeFacts;
use plan::{NetworkView, OverlayView, Peer, bridge_name};
use serde::Serialize;
use store::{Membership, NetworkLife, NetworkRecord};

use crate::backend::{check_here, underlay_family};
use crate::session::Session;
use crate::{Change, Engine, EngineError, Holder, Mode, Reconciled};

/// What became of a cluster's networks on this node.
#[derive(Debug, Default, Serialize)]
pub struct Adopted {
    pub added: Vec<NetworkName>,
    pub removed: Vec<NetworkName>,
    /// Networks that the cluster has otherwise or no more, kept for the endpoints on them.
    pub stranded: Vec<NetworkName>,
    /// Networks that this node can't have, and why.
    pub refused: Vec<RefusedNetwork>,
    #[serde(flatten)]
    pub reconciled: Reconciled,
}

/// A network of the cluster that this node can't have.
#[derive(Debug, Serialize)]
pub struct RefusedNetwork {
    pub name: NetworkName,
    #[serde(serialize_with = "as_text")]
    pub why: EngineError,
}

fn as_text<S: serde::Serializer>(error: &EngineError, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(error)
}

/// What leads from a network to the other nodes, as far as this node knows.
pub(crate) fn overlay_view(
    membership: Option<&Membership>,
    network: &Network,
    facts: &NodeFacts,
) -> Option<OverlayView> {
    let Membership { me, cluster } = membership?;
    let overlay = cluster.networks.get(&network.name)?;
    if network.kind != NetworkKind::Overlay {
        return None;
    }
    if network.is_stretched() != (overlay.span == Span::Stretched) {
        return None;
    }
    let own = &cluster.nodes.get(me)?.underlay;
    let local = *own.first()?;
    // Without the backend there is only the node's own part.
    check_here(overlay.backend, Family::of(local), facts).ok()?;
    let uplinks = own.iter().filter_map(|address| {
        let device = facts.device_of(*address)?;
        Some((Family::of(*address), device.name.clone()))
    });
    let others = cluster.nodes.values().filter(|node| node.name != *me);
    Some(OverlayView {
        backend: overlay.backend,
        vni: overlay.vni,
        span: overlay.span,
        prefixes: overlay.prefixes.clone(),
        local,
        underlay_mtu: underlay_mtu(facts, local),
        uplinks: uplinks.collect(),
        peers: others.filter_map(|node| peer(node, network)).collect(),
    })
}

/// The MTU of the device that has the address; of the default route's where none has.
fn underlay_mtu(facts: &NodeFacts, local: IpAddr) -> Mtu {
    let device = facts.device_of(local);
    let mtu = device.and_then(|link| u16::try_from(link.mtu).ok());
    let mtu = mtu.and_then(|mtu| Mtu::try_from(mtu).ok());
    mtu.unwrap_or(facts.default_mtu)
}

/// A node that holds a part of the network.
fn peer(node: &ClusterNode, network: &Network) -> Option<Peer> {
    Some(Peer {
        node: node.name.clone(),
        underlay: node.underlay.clone(),
        subnets: node.subnets.get(&network.name)?.clone(),
        endpoints: node
            .endpoints
            .get(&network.name)
            .cloned()
            .unwrap_or_default(),
    })
}

impl Engine {
    /// Takes over what the cluster agreed on: its networks that this node has a part of, and the
    /// other nodes' parts. Reconciles.
    ///
    /// # Errors
    /// This node is not in the cluster or has none of its underlay addresses; those of
    /// [`Engine::reconcile`]. What a single network is refused for is in the outcome.
    pub fn adopt(
        &self,
        membership: &Membership,
        mode: Mode,
    ) -> Result<Change<Adopted>, EngineError> {
        let mut session = self.session(mode)?;
        session.settle()?;
        let facts = session.kernel.facts()?;
        let me = session.member(membership, &facts)?;
        if session.records.membership()?.as_ref() != Some(membership) {
            session.records.set_membership(membership)?;
            session.crash.pass();
        }
        let mut adopted = Adopted::default();
        session.drop_networks(membership, me, &mut adopted)?;
        // Without what was dropped: a network may come back otherwise.
        let facts = session.kernel.facts()?;
        for overlay in membership.cluster.networks.values() {
            let Some(subnets) = me.subnets.get(&overlay.name) else {
                continue;
            };
            match session.take(overlay, subnets, &facts) {
                Ok(true) => adopted.added.push(overlay.name.clone()),
                Ok(false) => {}
                Err(why) => adopted.refused.push(RefusedNetwork {
                    name: overlay.name.clone(),
                    why,
                }),
            }
        }
        let change = session.reconcile(None)?;
        adopted.reconciled = change.outcome;
        Ok(Change {
            outcome: adopted,
            plan: change.plan,
        })
    }
}

impl Session<'_> {
    fn member<'m>(
        &self,
        membership: &'m Membership,
        facts: &NodeFacts,
    ) -> Result<&'m ClusterNode, EngineError> {
        let name = &membership.me;
        let me = membership.cluster.nodes.get(name);
        let me = me.ok_or_else(|| EngineError::NotAMember(name.clone()))?;
        let here = |address: &IpAddr| facts.device_of(*address).is_some();
        if me.underlay.first().is_some_and(here) {
            return Ok(me);
        }
        Err(EngineError::UnderlayMissing {
            node: name.clone(),
            addresses: me.underlay.clone(),
        })
    }

    /// Begins to remove overlay networks that the cluster has no more, or that this node has
    /// another part of by now, where no endpoint is on them.
    fn drop_networks(
        &mut self,
        membership: &Membership,
        me: &ClusterNode,
        adopted: &mut Adopted,
    ) -> Result<(), EngineError> {
        let overlays = self.records.networks()?.into_iter();
        let overlays = overlays.map(|record| record.network);
        for network in overlays.filter(|network| network.kind == NetworkKind::Overlay) {
            let wanted = membership.cluster.networks.get(&network.name);
            if wanted.is_some_and(|overlay| is_as_agreed(&network, overlay, me)) {
                continue;
            }
            if self.records.count_endpoints(network.id)? > 0 {
                adopted.stranded.push(network.name);
                continue;
            }
            self.remove_network(&network)?;
            adopted.removed.push(network.name);
        }
        Ok(())
    }

    /// Takes over a network that this node holds these parts of. False where it is there.
    fn take(
        &mut self,
        overlay: &Overlay,
        held: &[Prefix],
        facts: &NodeFacts,
    ) -> Result<bool, EngineError> {
        let membership = self.records.membership()?;
        if let Some(underlay) = membership.as_ref().and_then(underlay_family) {
            check_here(overlay.backend, underlay, facts)?;
        }
        self.add_network(overlay, overlay.subnets(held)?, facts)
    }

    /// Records a network; the reconcile that follows makes it. False where it is there.
    fn add_network(
        &mut self,
        overlay: &Overlay,
        subnets: Vec<Subnet>,
        facts: &NodeFacts,
    ) -> Result<bool, EngineError> {
        if let Some(record) = self.records.network_by_name(&overlay.name)? {
            return match record.network.kind {
                NetworkKind::Overlay => {
                    self.with_names(record.network, overlay.names)?;
                    Ok(false)
                }
                NetworkKind::Bridge => Err(EngineError::NetworkExists(overlay.name.clone())),
            };
        }
        let id = self.records.next_network_id()?;
        let network = Network {
            id,
            name: overlay.name.clone(),
            kind: NetworkKind::Overlay,
            bridge: bridge_name(&overlay.name, id),
            mtu: overlay.mtu,
            reach: overlay.reach,
            names: overlay.names,
            subnets,
        };
        let taken = self.taken(facts)?;
        for whole in overlay.prefixes.iter().map(|part| part.prefix) {
            if let Some((_, holder)) = taken.iter().find(|(taken, _)| taken.overlaps(whole)) {
                return Err(EngineError::SubnetTaken {
                    subnet: whole,
                    holder: Holder::clone(holder),
                });
            }
        }
        self.check_bridge(&network, facts)?;
        self.records.insert_network(&NetworkRecord {
            network,
            life: NetworkLife::Ready,
        })?;
        self.crash.pass();
        Ok(true)
    }
}

/// Whether a network is still what the cluster has, as far as its bridge goes.
fn is_as_agreed(network: &Network, overlay: &Overlay, me: &ClusterNode) -> bool {
    let agreed = me.subnets.get(&network.name);
    let agreed = agreed.and_then(|held| overlay.subnets(held).ok());
    agreed.is_some_and(|agreed| agreed == network.subnets)
        && network.mtu == overlay.mtu
        && network.reach == overlay.reach
}

/// A network as it is today, without its endpoints.
pub(crate) fn network_view(
    membership: Option<&Membership>,
    network: &Network,
    facts: &NodeFacts,
) -> Result<NetworkView, EngineError> {
    let overlay = match network.kind {
        NetworkKind::Bridge => None,
        NetworkKind::Overlay => overlay_view(membership, network, facts),
    };
    let mtu = match (network.mtu, &overlay) {
        (MtuSetting::Fixed(mtu), _) => mtu,
        (MtuSetting::Auto, None) => facts.default_mtu,
        (MtuSetting::Auto, Some(overlay)) => mtu_inside(network, overlay)?,
    };
    Ok(NetworkView {
        network: network.clone(),
        mtu,
        endpoints: Vec::new(),
        overlay,
    })
}

/// The MTU that leaves room in the underlay for what the backend adds. IPv6 runs on no less than
/// 1280 bytes (RFC 8200 section 5): there the outer packets are fragmented.
fn mtu_inside(network: &Network, overlay: &OverlayView) -> Result<Mtu, EngineError> {
    let outer = overlay.underlay_mtu.bytes();
    let family = Family::of(overlay.local);
    let inner = outer.saturating_sub(plan::overhead_bytes(overlay.backend, family));
    let least = network.subnet(Family::Ipv6).map_or(0, |_| MTU_MIN_IPV6);
    Ok(Mtu::try_from(inner.max(least))?)
}
