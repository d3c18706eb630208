//! An endpoint as a result of the specification, and a result compared with an endpoint.

use cni::{Address, Cidr, Dns, Interface, Route, Success};
use engine::{EndpointStatus, EngineError};
use model::{Family, Reach};

/// The bridge, the node's end of the pair and the container's: in this order.
const CONTAINER: u32 = 2;

pub fn result(
    status: &EndpointStatus,
    sandbox: Option<String>,
    dns: Dns,
) -> Result<Success, EngineError> {
    let endpoint = &status.endpoint;
    let on_node = |name: &model::IfName| Interface {
        name: name.to_string(),
        ..Interface::default()
    };
    let inside = Interface {
        mac: Some(endpoint.mac.to_string()),
        sandbox,
        ..on_node(&endpoint.ifname)
    };
    let cidrs = status.cidrs.iter().zip(&status.gateways);
    let addresses = cidrs.filter_map(|(cidr, gateway)| {
        Some(Address {
            address: cidr.parse::<Cidr>().ok()?,
            gateway: Some(*gateway),
            interface: Some(CONTAINER),
            rest: Default::default(),
        })
    });
    let gateways = status
        .gateways
        .iter()
        .filter(|_| status.reach == Reach::Outside);
    let routes = gateways.map(|gateway| {
        let everything = model::Prefix::of(Family::of(*gateway).unspecified(), 0)?;
        Ok(Route::new(everything.into(), Some(*gateway)))
    });
    Ok(Success {
        interfaces: vec![on_node(&status.bridge), on_node(&endpoint.port), inside],
        ips: addresses.collect(),
        routes: routes.collect::<Result<_, model::ParseError>>()?,
        dns,
        rest: Default::default(),
    })
}

/// What a runtime was told at ADD that is not so, a sentence each.
pub fn differences(status: &EndpointStatus, told: Option<&Success>) -> Vec<String> {
    let Some(told) = told else {
        return Vec::new();
    };
    let endpoint = &status.endpoint;
    let name = endpoint.ifname.as_str();
    let is_ours =
        |i: &&Interface| i.name == name && i.sandbox.as_ref().is_some_and(|s| !s.is_empty());
    let Some(interface) = told.interfaces.iter().find(is_ours) else {
        return vec![format!(
            "prevResult has no interface {name} of the container"
        )];
    };
    let mut found = Vec::new();
    let mac = endpoint.mac.to_string();
    if interface
        .mac
        .as_ref()
        .is_some_and(|told| !told.eq_ignore_ascii_case(&mac))
    {
        found.push(format!(
            "prevResult has another MAC address for {name} than {mac}"
        ));
    }
    for cidr in &status.cidrs {
        let is_told = |told: &Address| told.address.to_string() == *cidr;
        if !told.ips.iter().any(is_told) {
            found.push(format!("prevResult lacks {name}'s address {cidr}"));
        }
    }
    found
}
