//! Which backends the node's kernel has: each is tried in a namespace that goes with the trial.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use kernel::{Kernel, KernelError};
use model::{Backend, Family, Mac, Mtu, NodeId, Vni};
use netstate::{
    Alias, KernelState, Learning, Link, LinkKey, LinkKind, NodeFacts, Tunnel, Vxlan, diff,
};
use plan::{tunnel_device, vxlan_device};
use store::Membership;

use crate::{Engine, EngineError};

impl Engine {
    /// Whether this node can have networks of this backend, over the underlay that it has in its
    /// cluster; over IPv4 where it is in none.
    ///
    /// # Errors
    /// `BackendMissing`; those of reading the records.
    pub fn check_backend(&self, backend: Backend) -> Result<(), EngineError> {
        let membership = self.membership()?;
        let underlay = membership.as_ref().and_then(underlay_family);
        check(backend, underlay.unwrap_or(Family::Ipv4))
    }
}

/// The family of the underlay that this node's packets cross.
pub(crate) fn underlay_family(membership: &Membership) -> Option<Family> {
    let me = membership.cluster.nodes.get(&membership.me)?;
    me.underlay.first().map(|address| Family::of(*address))
}

/// Whether a kernel that has these devices carries the backend.
pub(crate) fn check_here(
    backend: Backend,
    underlay: Family,
    facts: &NodeFacts,
) -> Result<(), EngineError> {
    let kind = trial_tunnel(underlay).kind();
    let mut tunnels = facts
        .links
        .iter()
        .filter(|link| link.kind.as_deref() == Some(kind));
    let is_ours = tunnels.any(|link| link.mark().is_some());
    match backend {
        // Where the kernel has no VXLAN, the step that makes the device says so.
        Backend::Vxlan | Backend::Routed => Ok(()),
        Backend::Ipip if is_ours => Ok(()),
        Backend::Ipip => check(backend, underlay),
    }
}

fn check(backend: Backend, underlay: Family) -> Result<(), EngineError> {
    try_out(backend, underlay).map_err(|source| EngineError::BackendMissing {
        backend,
        underlay,
        source,
    })
}

/// Makes the backend's device.
pub(crate) fn try_out(backend: Backend, underlay: Family) -> Result<(), KernelError> {
    let Some((key, link)) = device(backend, underlay) else {
        return Ok(());
    };
    kernel::in_scratch_namespaces(move || {
        let mut wanted = KernelState::default();
        wanted.links.insert(key, link);
        let plan = diff(&KernelState::default(), &wanted);
        let report = Kernel::open()?.apply(&plan, &mut || ());
        let failed = report.failed.into_iter().next();
        failed.map_or(Ok(()), |(_, error)| Err(error))
    })?
}

/// Addresses set apart for documentation (RFC 5737, RFC 3849): a device's own need not be there;
/// with none at all a tunnel would be the kernel's own (`sit0`).
const TRIAL_IPV4: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const TRIAL_IPV6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1);
const TRIAL_PEER: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 2);

fn trial_tunnel(underlay: Family) -> Tunnel {
    match underlay {
        Family::Ipv4 => Tunnel::Ipv4 { local: TRIAL_IPV4 },
        Family::Ipv6 => Tunnel::Ipv6 {
            local: TRIAL_IPV6,
            remote: TRIAL_PEER,
        },
    }
}

/// The device that a backend needs, if any.
fn device(backend: Backend, underlay: Family) -> Option<(LinkKey, Link)> {
    let local: IpAddr = match underlay {
        Family::Ipv4 => TRIAL_IPV4.into(),
        Family::Ipv6 => TRIAL_IPV6.into(),
    };
    let (name, mac, kind) = match backend {
        Backend::Routed => return None,
        Backend::Vxlan => {
            let vni = Vni::try_from(1).ok()?;
            let vxlan = Vxlan {
                vni,
                local,
                port: 0,
                learning: Learning::Never,
                master: None,
                suppress: false,
            };
            let mac = Some(Mac::ours([0; 4]));
            (vxlan_device(vni), mac, LinkKind::Vxlan(vxlan))
        }
        Backend::Ipip => {
            let tunnel = trial_tunnel(underlay);
            (tunnel_device(&tunnel), None, LinkKind::Tunnel(tunnel))
        }
    };
    let link = Link {
        mac,
        mtu: Mtu::try_from(1400).ok()?,
        alias: Alias {
            node: NodeId::from_bits(0),
            purpose: "trial".to_owned(),
        },
        kind,
    };
    Some((LinkKey::on_node(name), link))
}
