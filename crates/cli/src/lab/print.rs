//! A lab as text.

use std::net::IpAddr;
use std::time::Duration;

use lab::{EndpointLine, Gone, Link, NodeStatus, ServerStatus, Status};

use crate::print::table;

pub fn made(status: &Status, took: Duration) -> String {
    let name = &status.name;
    let option = match name.as_str() {
        "lab" => String::new(),
        name => format!(" --name {name}"),
    };
    let mut text = format!(
        "lab {name}: {} node(s) on one switch, made in {:.1} s\n\n{}",
        status.nodes.len(),
        took.as_secs_f32(),
        listed(status)
    );
    text += &try_next(status, &option).unwrap_or_default();
    text
}

/// What a newcomer does next: two containers that talk.
fn try_next(status: &Status, option: &str) -> Option<String> {
    let network = &status.networks.first()?.name;
    let (first, last) = (&status.nodes.first()?.name, status.nodes.last()?);
    let subnet = last.subnets.get(network)?.first()?;
    // The first address is the gateway, then c1 has one where both are on one node.
    let offset = if first == &last.name { 3 } else { 2 };
    let (last, address) = (&last.name, nth(subnet.address(), offset));
    let lab = format!("pontoon lab{option}");
    Some(format!(
        "\nTry:\n  {lab} attach {first} {network} c1\n  {lab} attach {last} {network} c2\n  \
         {lab} ls\n  {lab} exec {first} -- ip netns exec c1 ping -c3 {address}\n  \
         {lab} exec {first} -- bash\n  {lab} down\n"
    ))
}

fn nth(address: IpAddr, offset: u8) -> IpAddr {
    match address {
        IpAddr::V4(first) => IpAddr::V4((u32::from(first) + u32::from(offset)).into()),
        IpAddr::V6(first) => IpAddr::V6((u128::from(first) + u128::from(offset)).into()),
    }
}
pub fn listed(status: &Status) -> String {
    let networks = status.networks.iter().map(|network| {
        let subnets = comma(&network.subnets);
        vec![
            network.name.to_string(),
            subnets,
            network.backend.to_string(),
        ]
    });
    let networks: Vec<Vec<String>> = networks.collect();
    let nodes: Vec<Vec<String>> = status.nodes.iter().map(node_row).collect();
    let endpoints: Vec<Vec<String>> = status.nodes.iter().flat_map(endpoint_rows).collect();
    let mut text = table(&["NETWORK", "SUBNETS", "BACKEND"], &networks);
    text.push('\n');
    text += &table(
        &["NODE", "UNDERLAY", "LINK", "AGENT", "NAMESPACE", "SUBNETS"],
        &nodes,
    );
    let store = &status.store;
    if let Some(server) = &store.server {
        let row = store_row(&store.address, server);
        text.push('\n');
        text += &table(&["STORE", "LINK", "ETCD", "NAMESPACE"], &[row]);
    }
    if !endpoints.is_empty() {
        text.push('\n');
        text += &table(&["NODE", "ENDPOINT", "NETWORK", "ADDRESSES"], &endpoints);
    }
    text
}

fn link(link: Link) -> &'static str {
    match link {
        Link::Up => "up",
        Link::Cut => "cut",
        Link::Missing => "missing",
    }
}

fn store_row(address: &str, server: &ServerStatus) -> Vec<String> {
    vec![
        address.to_owned(),
        link(server.link).to_owned(),
        server.etcd.map_or("dead".to_owned(), |pid| pid.to_string()),
        server.netns.clone(),
    ]
}

fn node_row(node: &NodeStatus) -> Vec<String> {
    let link = match node.alive {
        true => link(node.link),
        false => "node dead",
    };
    let subnets: Vec<&model::Prefix> = node.subnets.values().flatten().collect();
    vec![
        node.name.to_string(),
        comma(&node.underlay),
        link.to_owned(),
        node.agent.map_or("dead".to_owned(), |pid| pid.to_string()),
        node.netns.clone(),
        comma(&subnets),
    ]
}

fn endpoint_rows(node: &NodeStatus) -> Vec<Vec<String>> {
    let row = |endpoint: &EndpointLine| {
        vec![
            node.name.to_string(),
            endpoint.name.to_string(),
            endpoint.network.to_string(),
            endpoint.cidrs.join(", "),
        ]
    };
    node.endpoints.iter().map(row).collect()
}

fn comma<T: ToString>(all: &[T]) -> String {
    let texts: Vec<String> = all.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

pub fn removed(gone: &Gone) -> String {
    let Gone {
        name,
        namespaces,
        processes,
        was_there,
    } = gone;
    if !was_there {
        return format!("nothing to do: there is no lab {name}\n");
    }
    let namespaces = namespaces.len();
    format!("lab {name} removed: {namespaces} namespaces, {processes} processes\n")
}
