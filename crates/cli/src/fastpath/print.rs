//! What `pontoon fastpath` prints.

use ::fastpath::{Ensured, Hindrance, PortStatus};

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
    let head = format!(
        "fast path: on for {}\n",
        if names.is_empty() {
            "no network".to_owned()
        } else {
            names.join(", ")
        }
    );
    let rows: Vec<Vec<String>> = loaded.ports.iter().map(row).map(Vec::from).collect();
    head + &table(&["PORT", "FAST", "BYTES", "SLOW", "WHY SLOW"], &rows)
}

fn row(port: &PortStatus) -> [String; 5] {
    let why: Vec<String> = port
        .slow
        .iter()
        .map(|slow| format!("{} {}", slow.why, slow.packets))
        .collect();
    let why = match (&port.hindrance, port.attached) {
        (Some(found), _) => hindrance(found),
        (None, false) => "not attached: 'pontoon fastpath on' puts it on".to_owned(),
        (None, true) => why.join(", "),
    };
    [
        port.port.to_string(),
        port.fast_packets.to_string(),
        port.fast_bytes.to_string(),
        port.slow_packets.to_string(),
        why,
    ]
}

pub fn ensured(ensured: &Ensured) -> String {
    let mut text = match ensured.on.len() {
        1 => "fast path: on at 1 port\n".to_owned(),
        ports => format!("fast path: on at {ports} ports\n"),
    };
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
