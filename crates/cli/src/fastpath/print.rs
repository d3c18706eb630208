//! What `pontoon fastpath` prints.

use ::fastpath::{Ensured, Hindrance, Hook, PortStatus, SlowCount, UplinkStatus};

use super::{Answer, BetweenNodes};
use crate::print::table;

pub fn status(answer: &Answer) -> String {
    let Some(loaded) = &answer.loaded else {
        return if answer.built {
            "fast path: off\n".to_owned()
        } else {
            "fast path: off; this pontoon was built without it\n".to_owned()
        };
    };
    let names: Vec<String> = answer.networks.iter().map(ToString::to_string).collect();
    let how = match loaded.hook {
        Hook::Tcx => "",
        Hook::Clsact => "by filters: this kernel has no tcx\n",
    };
    let head = format!(
        "fast path: on for {}\n{how}{}",
        if names.is_empty() {
            "no network".to_owned()
        } else {
            names.join(", ")
        },
        between_nodes(&answer.between_nodes)
    );
    let rows: Vec<Vec<String>> = loaded.ports.iter().map(row).map(Vec::from).collect();
    let ports = ["PORT", "FAST", "BYTES", "FROM NODES", "SLOW", "WHY SLOW"];
    let mut text = head + &table(&ports, &rows);
    if !loaded.uplinks.is_empty() {
        let rows: Vec<Vec<String>> = loaded.uplinks.iter().map(uplink_row).collect();
        let heads = ["FROM OTHER NODES BY", "FAST", "BYTES", "SLOW", "WHY SLOW"];
        text.push_str(&table(&heads, &rows));
    }
    text
}

fn between_nodes(all: &[BetweenNodes]) -> String {
    let (fast, slow): (Vec<_>, Vec<_>) = all.iter().partition(|network| network.carried);
    let name = |it: &&BetweenNodes| format!("{} ({})", it.network, it.backend);
    let names = |all: &[&BetweenNodes]| all.iter().map(name).collect::<Vec<_>>().join(", ");
    let parts = [("", fast), ("by the kernel alone: ", slow)];
    let parts = parts
        .into_iter()
        .filter(|(_, networks)| !networks.is_empty());
    let parts: Vec<_> = parts
        .map(|(how, all)| how.to_owned() + &names(&all))
        .collect();
    if parts.is_empty() {
        return String::new();
    }
    format!("between nodes: {}\n", parts.join("; "))
}

fn uplink_row(uplink: &UplinkStatus) -> Vec<String> {
    let why = match uplink.attached {
        true => reasons(&uplink.slow),
        false => NOT_ATTACHED.to_owned(),
    };
    vec![
        uplink.device.to_string(),
        uplink.fast_packets.to_string(),
        uplink.fast_bytes.to_string(),
        uplink.slow_packets.to_string(),
        why,
    ]
}

const NOT_ATTACHED: &str = "not attached: 'pontoon fastpath on' puts it on";

fn reasons(slow: &[SlowCount]) -> String {
    let reason = |slow: &SlowCount| format!("{} {}", slow.why, slow.packets);
    let reasons: Vec<String> = slow.iter().map(reason).collect();
    reasons.join(", ")
}

fn row(port: &PortStatus) -> [String; 6] {
    let why = match (&port.hindrance, port.attached) {
        (Some(found), _) => hindrance(found),
        (None, false) => NOT_ATTACHED.to_owned(),
        (None, true) if port.aside => "steps aside for a capture".to_owned(),
        (None, true) => reasons(&port.slow),
    };
    [
        port.port.to_string(),
        port.fast_packets.to_string(),
        port.fast_bytes.to_string(),
        port.arrived_packets.to_string(),
        port.slow_packets.to_string(),
        why,
    ]
}

pub fn ensured(ensured: &Ensured) -> String {
    let mut text = match ensured.on.len() {
        1 => "fast path: on at 1 port\n".to_owned(),
        ports => format!("fast path: on at {ports} ports\n"),
    };
    if !ensured.uplinks.is_empty() {
        let names: Vec<String> = ensured.uplinks.iter().map(ToString::to_string).collect();
        text.push_str(&format!("to other nodes: by {}\n", names.join(", ")));
    }
    for (port, found) in &ensured.hindered {
        text.push_str(&format!("without: {port}: {}\n", hindrance(found)));
    }
    text
}

fn hindrance(found: &Hindrance) -> String {
    match found {
        Hindrance::NoDevice => "the port is not there: 'pontoon reconcile' makes it".to_owned(),
        Hindrance::Qdisc(kind) => format!("goes the kernel's way, through its {kind} qdisc"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use model::Backend;

    use super::*;

    fn network(name: &str, backend: Backend) -> BetweenNodes {
        BetweenNodes {
            network: name.parse().unwrap(),
            backend,
            carried: backend != Backend::Ipip,
        }
    }

    #[test]
    fn networks_whose_packets_are_not_carried_between_nodes_are_named() {
        let web = || network("web", Backend::Vxlan);
        let flat = || network("flat", Backend::Routed);
        let tunnel = || network("tun", Backend::Ipip);
        for (all, said) in [
            (vec![], ""),
            (
                vec![web(), flat()],
                "between nodes: web (vxlan), flat (routed)\n",
            ),
            (
                vec![tunnel(), web()],
                "between nodes: web (vxlan); by the kernel alone: tun (ipip)\n",
            ),
            (
                vec![tunnel()],
                "between nodes: by the kernel alone: tun (ipip)\n",
            ),
        ] {
            assert_eq!(between_nodes(&all), said);
        }
    }
}
