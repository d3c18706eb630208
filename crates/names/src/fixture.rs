//! Records for tests, those of the server's too: networks of both families, and containers on them.

use model::{
    Endpoint, EndpointId, Mac, Names, NetnsId, NetnsOrigin, Network, NetworkId, NetworkKind, Rates,
    Reach, Subnet, Target,
};
use store::{EndpointLife, EndpointRecord, NetworkLife, NetworkRecord};

/// Network `id`, with `10.ID.0.0/24` and `fd00:ID::/64`.
pub fn network(id: u32, name: &str, names: Names, reach: Reach) -> NetworkRecord {
    let subnet = |prefix: String| Subnet::new(prefix.parse().unwrap(), None).unwrap();
    NetworkRecord {
        network: Network {
            id: NetworkId(id),
            name: name.parse().unwrap(),
            kind: NetworkKind::Bridge,
            bridge: format!("br{id}").parse().unwrap(),
            mtu: "auto".parse().unwrap(),
            reach,
            names,
            subnets: vec![
                subnet(format!("10.{id}.0.0/24")),
                subnet(format!("fd00:{id}::/64")),
            ],
        },
        life: NetworkLife::Ready,
    }
}

/// The endpoint of container `host` on network `network`, at `.HOST` and `::HOST`.
pub fn endpoint(network: u32, host: u32, name: &str, aliases: &[&str]) -> EndpointRecord {
    let id = EndpointId(network * 1000 + host);
    EndpointRecord {
        endpoint: Endpoint {
            id,
            network: NetworkId(network),
            name: name.parse().unwrap(),
            target: Target::Named(format!("c{host}")),
            cni: None,
            ifname: "eth0".parse().unwrap(),
            port: format!("pont{}", id.0).parse().unwrap(),
            mac: Mac::ours(id.0.to_be_bytes()),
            addresses: vec![
                format!("10.{network}.0.{host}").parse().unwrap(),
                format!("fd00:{network}::{host}").parse().unwrap(),
            ],
            publish: Vec::new(),
            rates: Rates::default(),
            aliases: aliases.iter().map(|a| a.parse().unwrap()).collect(),
            rank: 0,
        },
        life: EndpointLife::Attached,
        netns: Some(NetnsId {
            boot: "6f1c2b1e-7a53-4a0e-9d5c-0123456789ab".parse().unwrap(),
            cookie: host.into(),
        }),
        origin: NetnsOrigin::Given,
        created_at: 0,
    }
}
