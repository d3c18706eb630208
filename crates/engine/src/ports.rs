//! Which ports can be published, as far as the node and the request tell. Whether another
//! endpoint has one, the records know.

use std::net::IpAddr;

use model::{Family, HostBind, Network, Reach};
use netstate::Listener;

use crate::session::Session;
use crate::{AttachRequest, EngineError, PortHolder};

impl Session<'_> {
    /// Refuses ports that can't be published, before anything is written.
    pub(crate) fn check_ports(
        &mut self,
        request: &AttachRequest,
        network: &Network,
    ) -> Result<(), EngineError> {
        let publish = &request.publish;
        let Some(first) = publish.first() else {
            return Ok(());
        };
        if network.reach == Reach::Internal {
            return Err(EngineError::PublishOnInternal {
                network: network.name.clone(),
                publish: *first,
            });
        }
        for (n, one) in publish.iter().enumerate() {
            if let Some(other) = publish[..n].iter().find(|other| one.overlaps(**other)) {
                return Err(EngineError::PortsOverlap(*other, *one));
            }
        }
        for one in publish {
            let mut families = Family::BOTH.into_iter();
            if !families.any(|f| one.bind().covers(f) && network.subnet(f).is_some()) {
                return Err(EngineError::PublishFamily {
                    network: network.name.clone(),
                    publish: *one,
                });
            }
        }
        self.check_node_sockets(request)
    }

    /// A port that a process of the node listens on would be taken from it. Podman's monitor of
    /// the container itself holds the container's ports, so that nobody else takes them.
    fn check_node_sockets(&mut self, request: &AttachRequest) -> Result<(), EngineError> {
        let publish = &request.publish;
        let mut protos: Vec<_> = publish.iter().map(|p| p.proto()).collect();
        protos.sort();
        protos.dedup();
        for proto in protos {
            let listeners = self.kernel.listeners(proto)?;
            for one in publish.iter().filter(|p| p.proto() == proto) {
                let hits = listeners.iter().filter(|l| {
                    let bind = listener_bind(l.address);
                    one.node_ports().contains(l.port) && one.bind().overlaps(bind)
                });
                let mut strangers = hits.filter_map(|listener| stranger(listener, request));
                if let Some(holder) = strangers.next() {
                    return Err(EngineError::PortTaken {
                        publish: *one,
                        holder,
                    });
                }
            }
        }
        Ok(())
    }
}

/// Who listens, unless it does so for the very container that is being attached: such a process
/// was started with the container's id.
fn stranger(listener: &Listener, request: &AttachRequest) -> Option<PortHolder> {
    let (address, port) = (listener.address, listener.port);
    let Some((pid, name)) = kernel::socket_owner(listener.inode) else {
        return Some(PortHolder::Socket { address, port });
    };
    let container = request.cni.as_ref().map(|cni| cni.container.as_str());
    let is_own = container.is_some_and(|container| kernel::was_told(pid, container));
    (!is_own).then_some(PortHolder::Process {
        pid,
        name,
        address,
        port,
    })
}

fn listener_bind(address: IpAddr) -> HostBind {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => HostBind::AnyOf(Family::Ipv4),
        // One that takes IPv4 too is listed twice.
        IpAddr::V6(v6) if v6.is_unspecified() => HostBind::AnyOf(Family::Ipv6),
        one => HostBind::Address(one),
    }
}
