//! Names as text.

use std::fmt::Display;

use model::{Names, Network};

use super::Status;
use crate::print::table;

pub fn status(status: &Status) -> String {
    let server = match &status.server {
        Some(server) => {
            let pid = server.pid.map(|pid| format!(", process {pid}"));
            format!("server: running{}\n", pid.unwrap_or_default())
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

fn network(network: &super::Network) -> String {
    let listed = &network.listed;
    let mut text = format!("\n{} at {}\n", listed.network, joined(&listed.gateways));
    if !network.silent.is_empty() {
        text += &format!("  no answer from {}\n", joined(&network.silent));
    }
    let rows: Vec<Vec<String>> = listed
        .names
        .iter()
        .map(|(name, addresses)| vec![name.clone(), joined(addresses)])
        .collect();
    let table = table(&["NAME", "ADDRESSES"], &rows);
    text.extend(table.lines().map(|line| format!("  {line}\n")));
    text
}

fn joined(all: &[impl Display]) -> String {
    let all: Vec<String> = all.iter().map(ToString::to_string).collect();
    all.join(", ")
}

pub fn switched(network: &Network) -> String {
    let name = &network.name;
    match network.names {
        Names::On => format!("network {name} has names now\n"),
        Names::Off => format!("network {name} has no names now\n"),
    }
}
