//! Names as text.

use std::fmt::Display;
use std::net::IpAddr;

use model::{Names, Network, NodeName};
use names::Listed;
use store::cluster::{NAMED_BYTES_MAX, NAMED_MAX};

use super::status::{Status, Told};
use super::switch::Agreed;
use crate::print::table;

pub fn status(status: &Status) -> String {
    let server = match &status.server {
        Some(server) => {
            let pid = server.pid.map(|pid| format!(", process {pid}"));
            let refused = server.refused.iter().map(refused);
            let refused: String = refused.collect();
            format!("server: running{}\n{refused}", pid.unwrap_or_default())
        }
        None if status.networks.is_empty() => "server: not running, and not needed\n".to_owned(),
        None => {
            "server: not running; the next attach starts it, and 'pontoon reconcile'\n".to_owned()
        }
    };
    let networks = status.networks.iter().map(network);
    let networks: String = networks.collect();
    if networks.is_empty() {
        return format!("{server}no network has names: 'pontoon names on NETWORK' gives it some\n");
    }
    format!("{server}{networks}")
}

fn refused((asker, questions): (&IpAddr, &u64)) -> String {
    format!("  {questions} question(s) of {asker} refused: it asks more than 1,000 a second\n")
}

fn network(network: &super::status::Network) -> String {
    let listed = &network.listed;
    let mut text = format!("\n{} at {}\n", listed.network, joined(&listed.gateways));
    if !network.silent.is_empty() {
        text += &format!("  no answer from {}\n", joined(&network.silent));
    }
    match network.told {
        Told::Here | Told::ByTheStore { left_out: 0 } => {}
        Told::ByTheStore { left_out } => {
            text += &format!(
                "  {left_out} endpoint(s) are not told to the other nodes: a node tells of \
                 {NAMED_MAX} at most, and of as many names as fit into {} KiB\n",
                NAMED_BYTES_MAX / 1024
            );
        }
        Told::NotByAFile => {
            text += "  this node's names alone: a cluster by a file does not tell the others'\n";
        }
    }
    let table = match listed.elsewhere.is_empty() {
        true => table(&["NAME", "ADDRESSES"], &here(listed)),
        false => table(&["NAME", "ADDRESSES", "NODE"], &everywhere(listed)),
    };
    text.extend(table.lines().map(|line| format!("  {line}\n")));
    text
}

fn here(listed: &Listed) -> Vec<Vec<String>> {
    let names = listed.names.iter();
    names
        .map(|(name, addresses)| vec![name.clone(), joined(addresses)])
        .collect()
}

/// By name; what is here first.
fn everywhere(listed: &Listed) -> Vec<Vec<String>> {
    let mut rows = here(listed);
    rows.iter_mut().for_each(|row| row.push("here".to_owned()));
    for (name, nodes) in &listed.elsewhere {
        let row = |(node, addresses): (&NodeName, &Vec<IpAddr>)| {
            vec![name.clone(), joined(addresses), node.to_string()]
        };
        rows.extend(nodes.iter().map(row));
    }
    rows.sort_by(|a, b| a[0].cmp(&b[0]));
    rows
}

fn joined(all: &[impl Display]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join(", ")
}

pub fn switched(network: &Network) -> String {
    let Network { name, names, .. } = network;
    format!("network {name} has {} now\n", word(*names))
}

pub fn agreed(agreed: &Agreed) -> String {
    let Agreed { network, names } = agreed;
    let word = word(*names);
    format!("network {network} has {word} now, on each node as soon as its agent hears of it\n")
}

fn word(names: Names) -> &'static str {
    match names {
        Names::On => "names",
        Names::Off => "no names",
    }
}
