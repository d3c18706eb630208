//! The network stack of a namespace as one page.

use netstate::stack::{Stack, StackChain, StackDevice, StackPeer, StackRoute, StackVxlan};

use super::table::table;

pub fn stack(stack: &Stack) -> String {
    let mut page = String::new();
    let mut section = |title: &str, body: String| {
        let body = if body.is_empty() {
            "none\n".to_owned()
        } else {
            body
        };
        let gap = if page.is_empty() { "" } else { "\n" };
        page += &format!("{gap}{title}\n");
        page.extend(body.lines().map(|line| format!("  {}\n", printable(line))));
    };
    section("Devices", devices(&stack.devices));
    section("Addresses", addresses(stack));
    section("Routes", routes(&stack.routes));
    section("Neighbours", neighbours(stack));
    if !stack.fdb.is_empty() {
        section("VXLAN forwarding", forwarding(stack));
    }
    section("Listening sockets", sockets(stack));
    section("Firewall chains", chains(&stack.chains));
    for rules in &stack.tables {
        let title = format!("Firewall table {} {}", rules.family, rules.name);
        section(&title, rules.text.clone());
    }
    page
}

/// Names and comments in a container are its own: none of them moves a terminal's cursor.
fn printable(line: &str) -> String {
    let mark = |c: char| if c.is_control() && c != '\t' { '?' } else { c };
    line.chars().map(mark).collect()
}

/// A table, or nothing where it has no rows.
fn filled(head: &[&str], rows: &[Vec<String>]) -> String {
    if rows.is_empty() {
        String::new()
    } else {
        table(head, rows)
    }
}

fn or_dash(text: Option<&String>) -> String {
    text.cloned().unwrap_or_else(|| "-".to_owned())
}

fn devices(devices: &[StackDevice]) -> String {
    let rows: Vec<Vec<String>> = devices
        .iter()
        .map(|device| {
            vec![
                device.name.clone(),
                device.kind.clone(),
                device.state.to_string(),
                device.mtu.to_string(),
                or_dash(device.mac.as_ref()),
                or_dash(device.master.as_ref()),
                peer(device),
                or_dash(device.alias.as_ref()),
            ]
        })
        .collect();
    filled(
        &[
            "NAME", "KIND", "STATE", "MTU", "MAC", "BRIDGE", "PEER", "ALIAS",
        ],
        &rows,
    )
}

fn peer(device: &StackDevice) -> String {
    match (&device.peer, &device.vxlan) {
        (_, Some(vxlan)) => vxlan_text(vxlan),
        (Some(StackPeer::Here(name)), None) => name.clone(),
        (Some(StackPeer::Elsewhere(id)), None) => format!("netnsid {id}"),
        (None, None) => "-".to_owned(),
    }
}

/// As ip(8) words it.
fn vxlan_text(vxlan: &StackVxlan) -> String {
    let local = vxlan.local.map(|local| format!(" local {local}"));
    let local = local.unwrap_or_default();
    format!("id {}{local} dstport {}", vxlan.vni, vxlan.port)
}

fn addresses(stack: &Stack) -> String {
    let rows: Vec<Vec<String>> = stack
        .addresses
        .iter()
        .map(|a| {
            let cidr = format!("{}/{}", a.address, a.prefix_len);
            vec![a.device.clone(), cidr, a.scope.clone(), a.flags.join(" ")]
        })
        .collect();
    filled(&["DEVICE", "ADDRESS", "SCOPE", "FLAGS"], &rows)
}

fn routes(routes: &[StackRoute]) -> String {
    let rows: Vec<Vec<String>> = routes
        .iter()
        .map(|route| {
            let table = route
                .table
                .map_or("main".to_owned(), |table| table.to_string());
            vec![
                route.prefix.clone(),
                route.kind.clone(),
                route.via.map_or("-".to_owned(), |via| via.to_string()),
                or_dash(route.device.as_ref()),
                route
                    .source
                    .map_or("-".to_owned(), |source| source.to_string()),
                route.protocol.clone(),
                route.metric.to_string(),
                table,
            ]
        })
        .collect();
    let head = [
        "PREFIX", "KIND", "VIA", "DEVICE", "SOURCE", "PROTOCOL", "METRIC", "TABLE",
    ];
    filled(&head, &rows)
}

fn neighbours(stack: &Stack) -> String {
    let rows: Vec<Vec<String>> = stack
        .neighbours
        .iter()
        .map(|n| {
            let mac = or_dash(n.mac.as_ref());
            vec![
                n.address.to_string(),
                mac,
                n.device.clone(),
                n.state.clone(),
            ]
        })
        .collect();
    filled(&["ADDRESS", "MAC", "DEVICE", "STATE"], &rows)
}

fn forwarding(stack: &Stack) -> String {
    let rows: Vec<Vec<String>> = stack
        .fdb
        .iter()
        .map(|entry| {
            let mac = entry.mac.clone().unwrap_or_else(|| "all others".to_owned());
            vec![
                mac,
                entry.remote.to_string(),
                entry.device.clone(),
                entry.state.clone(),
            ]
        })
        .collect();
    filled(&["MAC", "TO", "DEVICE", "STATE"], &rows)
}

fn sockets(stack: &Stack) -> String {
    let rows: Vec<Vec<String>> = stack
        .sockets
        .iter()
        .map(|s| vec![s.proto.clone(), s.address.to_string(), s.port.to_string()])
        .collect();
    filled(&["PROTO", "ADDRESS", "PORT"], &rows)
}

fn chains(chains: &[StackChain]) -> String {
    let rows: Vec<Vec<String>> = chains
        .iter()
        .map(|c| {
            vec![
                c.family.clone(),
                c.table.clone(),
                c.chain.clone(),
                c.kind.clone(),
                c.hook.clone(),
                c.priority.to_string(),
                c.policy.clone(),
            ]
        })
        .collect();
    filled(
        &[
            "FAMILY", "TABLE", "CHAIN", "TYPE", "HOOK", "PRIORITY", "POLICY",
        ],
        &rows,
    )
}
