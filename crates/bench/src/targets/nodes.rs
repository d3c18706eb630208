//! What is asked of sections `overlay`, `join` and `scale`, and of the fast path within a node.

use super::{Limit, Target, at_most, within_noise};
use crate::contender::{FAST, PONTOON};
use crate::join::Store;
use crate::overlay::{
    FAST_ROUTED, FAST_VXLAN, HAND_MADE, Measure, Mode, RAW, ROUTED, SWARM, VXLAN, figure,
};
use crate::path::{Route, VETH_PAIR};
use crate::scale::{CHANGE, COLD_SYNC, MEMORY, RATE};
use crate::table::{Samples, Table, Unit};
use crate::traffic::Transport;

const JOIN_MS: f64 = 1_000.0;
const COLD_SYNC_MS: f64 = 2_000.0;
const CHANGE_P99_MS: f64 = 1_000.0;
/// What is asked is 100. A hundredth less is the clock of a run of ten seconds.
const CHANGES_PER_SECOND: f64 = 99.0;
const AGENT_MEGABYTES: f64 = 60.0;
/// Of the raw underlay.
const THROUGHPUT: f64 = 0.90;
const THROUGHPUT_MTU_SIZE: f64 = 0.80;
const LATENCY: f64 = 1.20;
/// What messages over Docker's overlay take, against ours.
const SWARM_TAKES: f64 = 1.4;
/// Of a bare veth pair.
const SAME_NODE_THROUGHPUT: f64 = 0.95;
const SAME_NODE_LATENCY: f64 = 1.10;

pub fn all(table: &Table) -> Vec<Target> {
    let mut targets = same_node(table);
    targets.extend(against_hand_made(table));
    targets.extend(against_raw(table));
    targets.extend(fast_path(table));
    targets.extend(against_swarm(table));
    for store in Store::ALL {
        let figure = store.figure();
        if table.has(&figure) {
            targets.push(at_most(table, (&figure, PONTOON), 50, JOIN_MS));
        }
    }
    if table.has(COLD_SYNC) {
        targets.extend(scale(table));
    }
    targets
}

fn same_node(table: &Table) -> Vec<Target> {
    let figure = |unit| Route::SameNode.figure(unit);
    let limits = [
        (
            Unit::GigabitsPerSecond,
            Limit::AtLeast(SAME_NODE_THROUGHPUT),
        ),
        (Unit::Microseconds, Limit::AtMost(SAME_NODE_LATENCY)),
    ];
    let mut targets = Vec::new();
    for (unit, limit) in limits {
        let figure = figure(unit);
        if table.has(&figure) {
            targets.push(times(table, &figure, [FAST, VETH_PAIR], limit));
            // Never worse than without it.
            targets.push(within_noise(table, &figure, [FAST, PONTOON], unit));
        }
    }
    targets
}

/// Never below what a person makes by hand.
fn against_hand_made(table: &Table) -> Vec<Target> {
    let mut targets = Vec::new();
    for (mode, measure) in measures() {
        let figure = figure(mode, measure);
        for who in [VXLAN, ROUTED] {
            if table.has(&figure) {
                targets.push(within_noise(
                    table,
                    &figure,
                    [who, HAND_MADE],
                    measure.unit(),
                ));
            }
        }
    }
    targets
}

fn of_raw(mode: Mode, measure: Measure) -> Option<Limit> {
    match (measure, mode) {
        (Measure::Throughput, Mode::Offloads) => Some(Limit::AtLeast(THROUGHPUT)),
        (Measure::Throughput, Mode::MtuSize) => Some(Limit::AtLeast(THROUGHPUT_MTU_SIZE)),
        (Measure::Latency(_), _) => Some(Limit::AtMost(LATENCY)),
        (Measure::Flows | Measure::Connections, _) => None,
    }
}

/// Between nodes: close to the raw underlay, and never worse than without it.
fn fast_path(table: &Table) -> Vec<Target> {
    let mut targets = Vec::new();
    for (mode, measure) in measures() {
        let figure = figure(mode, measure);
        for pair in [[FAST_VXLAN, VXLAN], [FAST_ROUTED, ROUTED]] {
            let [fast, _] = pair;
            if table.samples(&figure, fast).is_none() {
                continue;
            }
            if let Some(limit) = of_raw(mode, measure) {
                targets.push(times(table, &figure, [fast, RAW], limit));
            }
            targets.push(within_noise(table, &figure, pair, measure.unit()));
        }
    }
    targets
}

fn against_raw(table: &Table) -> Vec<Target> {
    let mut targets = Vec::new();
    for (mode, measure) in measures() {
        let Some(limit) = of_raw(mode, measure) else {
            continue;
        };
        let figure = figure(mode, measure);
        if table.has(&figure) {
            targets.push(times(table, &figure, [VXLAN, RAW], limit));
        }
    }
    targets
}

fn against_swarm(table: &Table) -> Vec<Target> {
    let transports = [Transport::Tcp, Transport::Udp];
    let figures = transports.map(|of| figure(Mode::Offloads, Measure::Latency(of)));
    let run = figures.iter().filter(|figure| table.has(figure));
    run.flat_map(|figure| {
        let fast = table.samples(figure, FAST_VXLAN).map(|_| FAST_VXLAN);
        let ours = [Some(VXLAN), fast].into_iter().flatten();
        ours.map(|who| times(table, figure, [SWARM, who], Limit::AtLeast(SWARM_TAKES)))
    })
    .collect()
}

fn scale(table: &Table) -> [Target; 4] {
    let of = |figure: &str, limit, unit| Target {
        claim: figure.to_owned(),
        value: table.samples(figure, PONTOON).map(Samples::median),
        limit,
        unit,
    };
    let rate = Limit::AtLeast(CHANGES_PER_SECOND);
    [
        at_most(table, (COLD_SYNC, PONTOON), 50, COLD_SYNC_MS),
        of(RATE, rate, Unit::PerSecond),
        at_most(table, (CHANGE, PONTOON), 99, CHANGE_P99_MS),
        of(MEMORY, Limit::AtMost(AGENT_MEGABYTES), Unit::Megabytes),
    ]
}

fn measures() -> impl Iterator<Item = (Mode, Measure)> {
    let of = |mode: Mode| mode.measures().iter().map(move |measure| (mode, *measure));
    Mode::ALL.into_iter().flat_map(of)
}

/// One's median against another's.
fn times(table: &Table, figure: &str, [who, base]: [&'static str; 2], limit: Limit) -> Target {
    let median = |who| table.samples(figure, who).map(Samples::median);
    let value = median(who).zip(median(base));
    Target {
        claim: format!("{figure}: {who} against {base}"),
        value: value.map(|(ours, base)| ours / base),
        limit,
        unit: Unit::Times,
    }
}

#[cfg(test)]
mod tests {
    use super::super::print;
    use super::*;
    use crate::table::Row;

    #[test]
    fn overlays_are_held_against_what_is_under_them_and_beside_them() {
        let figure = figure(Mode::MtuSize, Measure::Throughput);
        let row = |who, sample| {
            let mut samples = Samples::default();
            samples.push(sample);
            Row {
                figure: figure.clone(),
                who,
                base: RAW,
                unit: Unit::GigabitsPerSecond,
                samples: Ok(samples),
            }
        };
        let table = Table(vec![
            row(RAW, 10.0),
            row(HAND_MADE, 8.0),
            row(VXLAN, 7.9),
            row(ROUTED, 7.0),
        ]);
        let text = print(&table);
        for line in [
            "reached       cross node, MTU-size packets: TCP throughput: pontoon vxlan within noise",
            "NOT reached   cross node, MTU-size packets: TCP throughput: pontoon routed within noise",
            "NOT reached   cross node, MTU-size packets: TCP throughput: pontoon vxlan against raw \
             underlay: 0.79 times (asked: at least 0.80)",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert_eq!(text.lines().count(), 3, "{text}");
    }
}
