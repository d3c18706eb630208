//! A probe's way as text.

use std::io::Write;
use std::net::IpAddr;

use engine::Traced;
use netstate::nft::text::TABLE;
use netstate::trace::{
    Finding, Heading, ProbeProto, Sighting, TABLE_START, TraceBy, TracePlan, TraceVerdict,
};

use crate::print::table;

/// How much of the way is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    Decisions,
    EveryRule,
}

pub fn plan(lines: &[String]) -> String {
    lines.iter().map(|line| format!("{line}\n")).collect()
}

/// Prints the table on standard error before it is made.
pub fn announce(made: &TracePlan) {
    // Where standard error is closed there is nobody to tell.
    let _ = write!(std::io::stderr().lock(), "{}", plan(&made.lines()));
}

/// Both ways, and what came of it.
pub fn traced(traced: &Traced, detail: Detail) -> String {
    let mut text = String::new();
    for (heading, title) in [
        (Heading::There, "The way there"),
        (Heading::Back, "The way back"),
    ] {
        let seen = traced.sightings.iter();
        let rows: Vec<Vec<String>> = seen
            .filter(|s| s.heading == heading && is_shown(s, detail))
            .map(|s| row(traced, s))
            .collect();
        if !rows.is_empty() {
            let head = ["IN", "OUT", "TABLE", "CHAIN", "VERDICT", "BY"];
            text += &format!("{title}\n{}\n", indented(&table(&head, &rows)));
        }
    }
    text += &conclusion(traced);
    text
}

fn indented(text: &str) -> String {
    text.lines().map(|line| format!("  {line}\n")).collect()
}

/// The tracing table's policies show which hooks it passed. Of other chains what a rule decided
/// is shown, and what a policy dropped.
fn is_shown(sighting: &Sighting, detail: Detail) -> bool {
    let is_tracing = sighting.table.starts_with(TABLE_START);
    match (&sighting.by, &sighting.verdict) {
        (TraceBy::Policy, _) if is_tracing => true,
        (_, _) if is_tracing => false,
        (_, TraceVerdict::Drop | TraceVerdict::Other(_)) => true,
        (TraceBy::Rule(..), TraceVerdict::Accept) => true,
        _ => detail == Detail::EveryRule,
    }
}

fn row(traced: &Traced, sighting: &Sighting) -> Vec<String> {
    let device = |name: &Option<String>| {
        let name = name.as_deref().unwrap_or("-");
        let mut ports = traced.ports.iter();
        let whose = ports.find(|(port, _)| port.as_str() == name);
        match whose {
            Some((_, endpoint)) => format!("{name} ({endpoint})"),
            None => name.to_owned(),
        }
    };
    let by = match &sighting.by {
        TraceBy::Rule(_, Some(text)) => text.clone(),
        TraceBy::Rule(handle, None) => format!("rule with handle {handle}"),
        TraceBy::Policy => "policy".to_owned(),
        TraceBy::End => "end of chain".to_owned(),
    };
    let place = if sighting.table.starts_with(TABLE_START) {
        let hook = sighting.chain.split_once('-').map_or("", |(_, hook)| hook);
        vec![
            format!("{} hook", sighting.family),
            hook.to_owned(),
            passed(sighting),
            String::new(),
        ]
    } else {
        vec![
            format!("{} {}", sighting.family, sighting.table),
            sighting.chain.clone(),
            sighting.verdict.to_string(),
            by,
        ]
    };
    let devices = vec![device(&sighting.input), device(&sighting.output)];
    [devices, place].concat()
}

fn passed(sighting: &Sighting) -> String {
    match sighting.chain.starts_with("first-") {
        true => "enters".to_owned(),
        false => "passes".to_owned(),
    }
}

fn conclusion(traced: &Traced) -> String {
    let probe = match traced.proto {
        ProbeProto::Echo => format!("an echo request to {}", traced.destination),
        ProbeProto::Tcp(port) => format!("a connection to {} port {port}/tcp", traced.destination),
        ProbeProto::Udp(port) => format!("a datagram to {} port {port}/udp", traced.destination),
    };
    let after = traced.answered_after;
    let after = after.map_or(String::new(), |micros| {
        format!(" after {}.{:03} ms", micros / 1000, micros % 1000)
    });
    let mut text = match &traced.end {
        Finding::Answered => format!("answered{after}: {probe}\n"),
        Finding::Refused => {
            format!("refused{after}: {probe}; it was there, and nothing listens\n")
        }
        end => format!("not answered: {probe}; {}\n", obstacle(end, traced)),
    };
    if let Some(reason) = traced.reason {
        text += &format!("because {reason}\n");
    }
    for nobody in &traced.unresolved {
        text += &format!(
            "nobody answers for {} at {}: no such host there, or it is not up{}\n",
            nobody.address,
            nobody.device,
            match nobody.address {
                IpAddr::V4(_) => "",
                IpAddr::V6(_) => ", or a firewall drops neighbour discovery",
            }
        );
    }
    text
}

fn obstacle(end: &Finding, traced: &Traced) -> String {
    match end {
        Finding::Answered | Finding::Refused => String::new(),
        Finding::NotSent { said } => format!("its sender was told: {said}"),
        Finding::NotSeen => "nothing of it came to the node".to_owned(),
        Finding::Dropped { heading, sighting } => dropped(*heading, sighting),
        Finding::HeldByBridge { heading, input } => format!(
            "{} came into the bridge{} and went nowhere: nobody there has the MAC it is for",
            what(*heading),
            by(input)
        ),
        Finding::NotRouted { heading, input } => format!(
            "{} came in{} and was not routed: the node has no route for it ('ip route get'), or \
             may not take it from there (net.ipv4.conf.*.rp_filter)",
            what(*heading),
            by(input)
        ),
        Finding::Taken { heading } => format!(
            "the node itself took {}, and nothing came back",
            what(*heading)
        ),
        Finding::Left { heading, output } => left(*heading, output.as_deref(), traced),
    }
}

fn by(input: &Option<String>) -> String {
    input.as_ref().map_or(String::new(), |i| format!(" by {i}"))
}

fn what(heading: Heading) -> &'static str {
    match heading {
        Heading::There => "it",
        Heading::Back => "its answer",
    }
}

fn dropped(heading: Heading, sighting: &Sighting) -> String {
    let Sighting {
        family,
        table,
        chain,
        ..
    } = sighting;
    let whose = match table == TABLE {
        true => "",
        false => ", which is not Pontoon's",
    };
    let by = match &sighting.by {
        TraceBy::Policy | TraceBy::End => "the policy of".to_owned(),
        TraceBy::Rule(_, Some(text)) => format!("'{text}' in"),
        TraceBy::Rule(handle, None) => format!("the rule with handle {handle} in"),
    };
    format!(
        "{} was dropped by {by} chain {chain} of table {family} {table}{whose}",
        what(heading)
    )
}

fn left(heading: Heading, output: Option<&str>, traced: &Traced) -> String {
    let Some(output) = output else {
        return format!("{} left the node", what(heading));
    };
    let mut ports = traced.ports.iter();
    let whose = ports.find(|(port, _)| port.as_str() == output);
    let to = whose.map_or(String::new(), |(_, endpoint)| format!(" to {endpoint}"));
    format!(
        "{} left by {output}{to}, and nothing came back: look there",
        what(heading)
    )
}
