//! Networks and endpoints as text.

use engine::{EndpointStatus, NetworkStatus};
use model::{Network, Reach};

use super::addresses;
use super::table::table;

pub fn network_created(network: &Network) -> String {
    let subnets = subnets(network);
    format!(
        "network {} on bridge {}: {subnets}\n",
        network.name, network.bridge
    )
}

pub fn network_removed(network: &Network) -> String {
    format!("network {} removed\n", network.name)
}

pub fn networks(all: &[NetworkStatus]) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|status| {
            let network = &status.network;
            vec![
                network.name.to_string(),
                network.bridge.to_string(),
                prefixes(network),
                mtu(status),
                reach(network).to_owned(),
                status.endpoints.len().to_string(),
            ]
        })
        .collect();
    table(
        &["NAME", "BRIDGE", "SUBNETS", "MTU", "REACH", "ENDPOINTS"],
        &rows,
    )
}

pub fn network(status: &NetworkStatus) -> String {
    let network = &status.network;
    let mut text = format!(
        "network   {}\nbridge    {}\nmtu       {}\nreach     {}\n",
        network.name,
        network.bridge,
        mtu(status),
        reach(network),
    );
    for subnet in &network.subnets {
        text += &format!("subnet    {} gateway {}\n", subnet.prefix, subnet.gateway);
    }
    for endpoint in &status.endpoints {
        let addresses: Vec<String> = endpoint.addresses.iter().map(ToString::to_string).collect();
        text += &format!("endpoint  {} {}\n", endpoint.name, addresses.join(", "));
    }
    text
}

pub fn endpoints(all: &[EndpointStatus]) -> String {
    let rows: Vec<Vec<String>> = all
        .iter()
        .map(|status| {
            let endpoint = &status.endpoint;
            vec![
                status.network_name.to_string(),
                endpoint.name.to_string(),
                endpoint.target.to_string(),
                endpoint.ifname.to_string(),
                addresses(status),
                endpoint.mac.to_string(),
                endpoint.port.to_string(),
                published(status),
            ]
        })
        .collect();
    let head = [
        "NETWORK",
        "NAME",
        "TARGET",
        "IFNAME",
        "ADDRESSES",
        "MAC",
        "PORT",
        "PUBLISHED",
    ];
    table(&head, &rows)
}

pub fn attached(status: &EndpointStatus) -> String {
    let endpoint = &status.endpoint;
    let mut text = format!(
        "{} attached to {} as {}: {} {}, port {} of {}\n",
        endpoint.target,
        status.network_name,
        endpoint.name,
        endpoint.ifname,
        addresses(status),
        endpoint.port,
        status.bridge,
    );
    if !endpoint.publish.is_empty() {
        text += &format!("published {}\n", published(status));
    }
    text
}

pub fn detached(all: &[EndpointStatus]) -> String {
    let line = |status: &EndpointStatus| {
        format!(
            "{} detached from {}\n",
            status.endpoint.target, status.network_name
        )
    };
    all.iter().map(line).collect()
}

fn published(status: &EndpointStatus) -> String {
    let ports = status.endpoint.publish.iter().map(ToString::to_string);
    ports.collect::<Vec<_>>().join(", ")
}

fn subnets(network: &Network) -> String {
    let subnet = |s: &model::Subnet| format!("{} gateway {}", s.prefix, s.gateway);
    network
        .subnets
        .iter()
        .map(subnet)
        .collect::<Vec<_>>()
        .join(", ")
}

fn prefixes(network: &Network) -> String {
    let prefixes = network.subnets.iter().map(|s| s.prefix.to_string());
    prefixes.collect::<Vec<_>>().join(", ")
}

fn mtu(status: &NetworkStatus) -> String {
    match status.network.mtu {
        model::MtuSetting::Auto => format!("{} (auto)", status.mtu_now),
        model::MtuSetting::Fixed(mtu) => mtu.to_string(),
    }
}

fn reach(network: &Network) -> &'static str {
    match network.reach {
        Reach::Outside => "outside",
        Reach::Internal => "internal",
    }
}
