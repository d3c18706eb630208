//! A network and an endpoint that doctor tries out in a namespace of its own.

use model::{
    Endpoint, EndpointId, Family, HostBind, Mac, MtuSetting, NetnsOrigin, Network, NetworkId,
    PortRange, Prefix, Proto, Publish, Rates, Reach, Subnet, Target,
};
use plan::EndpointView;

use crate::EngineError;

/// Dual stack, with prefixes set apart for documentation (RFC 5737, RFC 3849).
pub(crate) fn network() -> Result<Network, EngineError> {
    let prefixes: [Prefix; 2] = ["192.0.2.0/24".parse()?, "2001:db8::/64".parse()?];
    let subnets = prefixes.map(|prefix| Subnet::new(prefix, None));
    let subnets = subnets.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Network {
        id: NetworkId(1),
        name: "rehearsal".parse()?,
        kind: model::NetworkKind::Bridge,
        bridge: "pn-rehearsal".parse()?,
        mtu: MtuSetting::Auto,
        reach: Reach::Outside,
        names: model::Names::Off,
        subnets: Network::check_subnets(subnets, MtuSetting::Auto)?,
    })
}

/// In a namespace that is made for it, with a port and a range published.
pub(crate) fn endpoint(network: &Network) -> Result<EndpointView, EngineError> {
    let id = EndpointId(1);
    let addresses = Family::BOTH
        .into_iter()
        .filter_map(|family| network.subnet(family));
    let addresses = addresses.map(|subnet| match subnet.gateway {
        std::net::IpAddr::V4(v4) => std::net::IpAddr::V4((u32::from(v4) + 1).into()),
        std::net::IpAddr::V6(v6) => std::net::IpAddr::V6((u128::from(v6) + 1).into()),
    });
    let addresses: Vec<_> = addresses.collect();
    let one = PortRange::new(8080, 8080)?;
    let range = PortRange::new(9000, 9010)?;
    let publish = vec![
        Publish::new(Proto::Tcp, HostBind::Any, one, 80)?,
        Publish::new(Proto::Udp, HostBind::Any, range, 9000)?,
    ];
    let endpoint = Endpoint {
        id,
        network: network.id,
        name: "rehearsal".parse()?,
        target: Target::Named("rehearsal".to_owned()),
        cni: None,
        ifname: "eth0".parse()?,
        port: plan::port_name(id),
        mac: addresses
            .first()
            .map_or(Mac::ours([0; 4]), |a| Mac::for_address(*a)),
        addresses,
        publish,
        rates: Rates::default(),
        aliases: Vec::new(),
        rank: 0,
    };
    Ok(EndpointView {
        endpoint,
        origin: NetnsOrigin::Made,
    })
}
