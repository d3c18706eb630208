//! The node's own addresses in the underlay: as told, as the cluster's file has them, or those
//! that the default routes use.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::path::PathBuf;

use engine::EngineError;
use model::{ClusterNode, NodeName};
use store::cluster::{ClusterError, rules};

use crate::{AgentError, ClusterAddress};

/// Far away on every network, so that the default route leads there: AS112's anycast addresses
/// (RFC 7535 section 3.1). Nothing is ever sent.
const FAR: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 31, 196, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 4, 0x112, 0, 0, 0, 0, 1)),
];
/// The discard service (RFC 863); any would do.
const PORT: u16 = 9;

/// Where the node's underlay addresses come from.
#[derive(Debug, Clone)]
pub enum Underlay {
    Given(Vec<IpAddr>),
    OfTheFile(PathBuf),
    OfTheDefaultRoutes,
}

impl Underlay {
    pub fn new(given: Vec<IpAddr>, cluster: &ClusterAddress) -> Self {
        match cluster {
            _ if !given.is_empty() => Self::Given(given),
            ClusterAddress::Static(path) => Self::OfTheFile(path.clone()),
            ClusterAddress::Etcd(_) => Self::OfTheDefaultRoutes,
        }
    }

    /// The addresses, IPv4 first, `listed` being the node as the cluster has it. The first one is
    /// on a device of this node: the cluster is told of no other.
    pub fn resolve(
        &self,
        name: &NodeName,
        listed: Option<&ClusterNode>,
    ) -> Result<Vec<IpAddr>, AgentError> {
        let listed = listed.map(|node| node.underlay.clone());
        let addresses = match self {
            Self::Given(given) => given.clone(),
            Self::OfTheFile(path) => listed.ok_or_else(|| ClusterError::NodeNotListed {
                node: name.clone(),
                path: path.clone(),
            })?,
            Self::OfTheDefaultRoutes => match sources() {
                // A route that went a moment ago may come back.
                none if none.is_empty() => listed.unwrap_or_default(),
                some => some,
            },
        };
        if addresses.is_empty() {
            return Err(AgentError::NoUnderlay);
        }
        let addresses = rules::check_underlay(&addresses)?;
        if addresses.first().is_some_and(|first| is_here(*first)) {
            return Ok(addresses);
        }
        Err(EngineError::UnderlayMissing {
            node: name.clone(),
            addresses,
        }
        .into())
    }
}

/// What the kernel would send from by the default routes, IPv4 first.
fn sources() -> Vec<IpAddr> {
    FAR.into_iter().filter_map(source_towards).collect()
}

/// A connected UDP socket has a route and a source, and has sent nothing (udp(7)).
fn source_towards(far: IpAddr) -> Option<IpAddr> {
    let any: IpAddr = match far {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(SocketAddr::new(far, PORT)).ok()?;
    let source = socket.local_addr().ok()?.ip();
    let link_local = matches!(source, IpAddr::V6(a) if a.is_unicast_link_local());
    (!source.is_unspecified() && !source.is_loopback() && !link_local).then_some(source)
}

/// Only a device of the node gives an address to a socket. Where the administrator lets sockets
/// have any (`ip_nonlocal_bind`), the engine says it later.
fn is_here(address: IpAddr) -> bool {
    UdpSocket::bind((address, 0)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name() -> NodeName {
        "a".parse().unwrap()
    }

    #[test]
    fn addresses_that_are_not_here_are_refused() {
        let given = Underlay::Given(vec!["203.0.113.77".parse().unwrap()]);
        let error = given.resolve(&name(), None).unwrap_err();
        assert!(error.to_string().contains("203.0.113.77"), "{error}");
        assert!(is_here(Ipv4Addr::LOCALHOST.into()));
    }

    #[test]
    fn who_is_not_in_the_file_is_told_of_the_file() {
        let underlay = Underlay::new(Vec::new(), &ClusterAddress::Static("/c.toml".into()));
        let error = underlay.resolve(&name(), None).unwrap_err();
        assert_eq!(error.to_string(), "there is no node a in /c.toml");
    }
}
