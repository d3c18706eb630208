//! What `pontoon fastpath` prints.

use ::fastpath::{Ensured, Hindrance, Hook, PortStatus, SlowCount, UplinkStatus};

use super::Answer;
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
        "fast path: on for {}\n{how}",
        if names.is_empty() {
            "no network".to_owned()
        } else {
            names.join(", ")
        }
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
