//! Which ports can be published, as far as the node and the request tell. Whether another
//! endpoint has one, the records know.

use std::net::IpAddr;

use model::{Family, HostBind, Network, Publish, Reach};

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
        self.check_node_sockets(publish)
    }

    /// A port that a process of the node listens on would be taken from it.
    fn check_node_sockets(&mut self, publish: &[Publish]) -> Result<(), EngineError> {
        let mut protos: Vec<_> = publish.iter().map(|p| p.proto()).collect();
        protos.sort();
        protos.dedup();
        for proto in protos {
            let listeners = self.kernel.listeners(proto)?;
            for one in publish.iter().filter(|p| p.proto() == proto) {
                let hit = listeners.iter().find(|l| {
                    let bind = listener_bind(l.address);
                    one.node_ports().contains(l.port) && one.bind().overlaps(bind)
                });
                let Some(listener) = hit else { continue };
                let (address, port) = (listener.address, listener.port);
                let holder = match kernel::socket_owner(listener.inode) {
                    Some((pid, name)) => PortHolder::Process {
                        pid,
                        name,
                        address,
                        port,
                    },
                    None => PortHolder::Socket { address, port },
                };
                return Err(EngineError::PortTaken {
                    publish: *one,
                    holder,
                });
            }
        }
        Ok(())
    }
}

fn listener_bind(address: IpAddr) -> HostBind {
    match address {
        IpAddr::V4(v4) if v4.is_unspecified() => HostBind::AnyOf(Family::Ipv4),
        // One that takes IPv4 too is listed twice.
        IpAddr::V6(v6) if v6.is_unspecified() => HostBind::AnyOf(Family::Ipv6),
        one => HostBind::Address(one),
    }
}
