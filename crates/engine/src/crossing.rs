//! What leads from a node to the others, for who shortens the way: the fast path.

use model::{Backend, Family, IfName, Mtu, NetworkId, NetworkKind, Prefix, Span, Vni};
use netstate::NodeFacts;
use plan::OverlayView;

use crate::overlay::overlay_view;
use crate::{Engine, EngineError};

/// An overlay network's way to the other nodes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Crossing {
    pub network: NetworkId,
    pub bridge: IfName,
    pub backend: Backend,
    pub span: Span,
    pub vni: Vni,
    /// By family: the whole network's prefix, and what of it is on this node.
    pub prefixes: Vec<[Prefix; 2]>,
    /// The device that packets for other nodes are routed to.
    pub device: IfName,
    /// The devices that have the node's underlay addresses, each with its MTU.
    pub uplinks: Vec<(IfName, Mtu)>,
}

impl Engine {
    /// The overlay networks' ways to the other nodes, as far as the node has them now.
    ///
    /// # Errors
    /// Records or a kernel that can't be read.
    pub fn crossings(&self) -> Result<Vec<Crossing>, EngineError> {
        let records = self.records()?;
        let Some(membership) = records.membership()? else {
            return Ok(Vec::new());
        };
        let facts = kernel::Kernel::open()?.facts()?;
        let mut crossings = Vec::new();
        for record in records.networks()? {
            let network = record.network;
            if network.kind != NetworkKind::Overlay {
                continue;
            }
            let Some(view) = overlay_view(Some(&membership), &network, &facts) else {
                continue;
            };
            let own = network.subnets.iter().map(|subnet| subnet.prefix);
            let with_whole = |own: Prefix| {
                let mut all = view.prefixes.iter().map(|overlay| overlay.prefix);
                Some([all.find(|whole| whole.family() == own.family())?, own])
            };
            let prefixes = own.filter_map(with_whole).collect();
            crossings.push(Crossing {
                network: network.id,
                bridge: network.bridge,
                backend: view.backend,
                span: view.span,
                vni: view.vni,
                prefixes,
                device: plan::vxlan_device(view.vni),
                uplinks: uplinks(&view, &facts),
            });
        }
        Ok(crossings)
    }
}

/// VXLAN and IP-in-IP cross by the first address; without them each family by its own.
fn uplinks(view: &OverlayView, facts: &NodeFacts) -> Vec<(IfName, Mtu)> {
    let used = |family: &Family| match view.backend {
        Backend::Vxlan | Backend::Ipip => *family == Family::of(view.local),
        Backend::Routed => true,
    };
    let names = view.uplinks.iter().filter(|(family, _)| used(family));
    let mut names: Vec<&IfName> = names.map(|(_, name)| name).collect();
    names.sort();
    names.dedup();
    let mtu = |name: &IfName| {
        let link = facts.link(name)?;
        Mtu::try_from(u16::try_from(link.mtu).ok()?).ok()
    };
    let with_mtu = |name: &IfName| Some((name.clone(), mtu(name)?));
    names.into_iter().filter_map(with_mtu).collect()
}
