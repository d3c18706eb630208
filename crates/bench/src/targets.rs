//! What is asked of the figures, and whether it is reached.

mod containers;
mod nodes;

use serde_json::{Value, json};

use crate::cases::{NO_PORT, NO_PORT_CROWDED, ONE_PORT, PORTS, PORTS_CROWDED, RANGE};
use crate::contender::{CNI, NETAVARK, PLUGIN, PONTOON};
use crate::crowd::ATTACHES;
use crate::cycles::{CYCLES, RECORDS};
use crate::lifecycle::{attach_figure, detach_figure};
use crate::path::{HAND_MADE_BRIDGE, Route};
use crate::table::{Samples, Table, Unit, print_number};

/// An attach may take so much longer and still be "the same".
const SAME: f64 = 1.25;
const TIMES_FASTER: f64 = 5.0;
const ATTACH_MS: f64 = 5.0;
const ATTACH_P99_MS: f64 = 20.0;
const DETACH_MS: f64 = 25.0;
const CROWD_MS: f64 = 600.0;
const TIMES_FASTER_MANY: f64 = 10.0;
const CYCLES_PER_SECOND: f64 = 100.0;
const FLAT: f64 = 1.1;
/// Noise is what the base's own rounds are apart (between their quartiles), in these bounds: on a
/// machine with more noise nothing can be told.
const LEAST_NOISE: f64 = 0.05;
const MOST_NOISE: f64 = 0.15;

struct Target {
    claim: String,
    /// None where what it needs was not measured.
    value: Option<f64>,
    limit: Limit,
    unit: Unit,
}

#[derive(Clone, Copy)]
enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Target {
    fn reached(&self) -> Option<bool> {
        self.value.map(|value| match self.limit {
            Limit::AtMost(limit) => value <= limit,
            Limit::AtLeast(limit) => value >= limit,
        })
    }
}

fn all(table: &Table) -> Vec<Target> {
    let mut targets = Vec::new();
    if table.has(&attach_figure(NO_PORT)) {
        targets.extend(times(table));
        targets.extend(sameness(table));
        targets.extend(lead(table));
    }
    if table.has(ATTACHES) {
        for who in [PONTOON, PLUGIN] {
            targets.push(at_most(table, (ATTACHES, who), 50, CROWD_MS));
        }
    }
    targets.extend(cycles(table));
    for route in [Route::SameNode, Route::SameNodeBare] {
        for unit in [Unit::GigabitsPerSecond, Unit::Microseconds] {
            let figure = route.figure(unit);
            if table.has(&figure) {
                let who = [PONTOON, HAND_MADE_BRIDGE];
                targets.push(within_noise(table, &figure, who, unit));
            }
        }
    }
    targets.extend(nodes::all(table));
    targets.extend(containers::all(table));
    targets
}

fn cycles(table: &Table) -> Vec<Target> {
    let target = |figure: &str, limit, unit| Target {
        claim: format!("{figure}, {PLUGIN}"),
        value: table.samples(figure, PLUGIN).map(Samples::median),
        limit,
        unit,
    };
    if !table.has(CYCLES) {
        return Vec::new();
    }
    let mut targets = vec![target(
        CYCLES,
        Limit::AtLeast(CYCLES_PER_SECOND),
        Unit::PerSecond,
    )];
    if table.has(RECORDS) {
        targets.push(target(RECORDS, Limit::AtMost(FLAT), Unit::Times));
    }
    targets
}

/// A percentile of one of ours in a figure, in milliseconds.
fn at_most(table: &Table, (figure, who): (&str, &str), percent: usize, limit: f64) -> Target {
    let samples = table.samples(figure, who);
    let which = if percent == 50 { "median" } else { "p99" };
    Target {
        claim: match who {
            PONTOON => format!("{figure}: {which}"),
            other => format!("{figure}, {other}: {which}"),
        },
        value: samples.map(|samples| samples.percentile(percent)),
        limit: Limit::AtMost(limit),
        unit: Unit::Milliseconds,
    }
}

fn times(table: &Table) -> Vec<Target> {
    let mut targets = Vec::new();
    let attaches = [NO_PORT, ONE_PORT, PORTS, NO_PORT_CROWDED, PORTS_CROWDED];
    let detaches = [NO_PORT, PORTS, PORTS_CROWDED];
    let of = |who| move |what: &str| (attach_figure(what), who);
    let adds = attaches[..3].iter().copied().map(of(PLUGIN));
    for (figure, who) in attaches.into_iter().map(of(PONTOON)).chain(adds) {
        targets.push(at_most(table, (&figure, who), 50, ATTACH_MS));
        targets.push(at_most(table, (&figure, who), 99, ATTACH_P99_MS));
    }
    let of = |who| move |what: &str| (detach_figure(what), who);
    let dels = detaches[..2].iter().copied().map(of(PLUGIN));
    for (figure, who) in detaches.into_iter().map(of(PONTOON)).chain(dels) {
        targets.push(at_most(table, (&figure, who), 50, DETACH_MS));
    }
    targets
}

fn sameness(table: &Table) -> Vec<Target> {
    let median = |what| {
        table
            .samples(&attach_figure(what), PONTOON)
            .map(Samples::median)
    };
    [
        (NO_PORT_CROWDED, NO_PORT),
        (PORTS_CROWDED, PORTS),
        (RANGE, ONE_PORT),
    ]
    .map(|(more, less)| Target {
        claim: format!("attach, {more}, against {less}"),
        value: median(more)
            .zip(median(less))
            .map(|(more, less)| more / less),
        limit: Limit::AtMost(SAME),
        unit: Unit::Times,
    })
    .into()
}

fn lead(table: &Table) -> Vec<Target> {
    let mut targets = Vec::new();
    for what in [ONE_PORT, PORTS] {
        let median = |who| {
            table
                .samples(&attach_figure(what), who)
                .map(Samples::median)
        };
        for peer in [CNI, NETAVARK] {
            targets.push(Target {
                claim: format!("attach, {what}: {peer} takes longer"),
                value: median(peer)
                    .zip(median(PONTOON))
                    .map(|(peer, ours)| peer / ours),
                limit: Limit::AtLeast(TIMES_FASTER),
                unit: Unit::Times,
            });
        }
        targets.push(Target {
            claim: format!("attach, {what}: {CNI} takes longer than {PLUGIN}"),
            value: median(CNI)
                .zip(median(PLUGIN))
                .map(|(peer, ours)| peer / ours),
            limit: Limit::AtLeast(if what == PORTS {
                TIMES_FASTER_MANY
            } else {
                TIMES_FASTER
            }),
            unit: Unit::Times,
        });
    }
    targets
}

/// Where more is better, not less than the base's median by more than noise; else not more.
fn within_noise(table: &Table, figure: &str, [who, than]: [&'static str; 2], unit: Unit) -> Target {
    let base = table.samples(figure, than);
    let (median, noise) = base.map_or((0.0, 0.0), |base| {
        let (median, spread) = (base.median(), base.percentile(75) - base.percentile(25));
        let noise = spread.clamp(median * LEAST_NOISE, median * MOST_NOISE);
        (median, noise)
    });
    let ours = table.samples(figure, who).map(Samples::median);
    Target {
        claim: format!("{figure}: {who} within noise of the {than}"),
        value: base.and(ours),
        limit: match unit {
            Unit::GigabitsPerSecond | Unit::PerSecond => Limit::AtLeast(median - noise),
            _ => Limit::AtMost(median + noise),
        },
        unit,
    }
}

pub fn print(table: &Table) -> String {
    all(table).iter().map(print_target).collect()
}

fn print_target(target: &Target) -> String {
    let claim = &target.claim;
    let (Some(value), Some(reached)) = (target.value, target.reached()) else {
        return format!("not measured  {claim}\n");
    };
    let verdict = if reached { "reached" } else { "NOT reached" };
    let asked = match target.limit {
        Limit::AtMost(limit) => format!("at most {}", print_number(limit)),
        Limit::AtLeast(limit) => format!("at least {}", print_number(limit)),
    };
    let (value, unit) = (print_number(value), target.unit.text());
    format!("{verdict:<12}  {claim}: {value} {unit} (asked: {asked})\n")
}

pub fn json(table: &Table) -> Value {
    let object = |target: &Target| {
        let (at_most, at_least) = match target.limit {
            Limit::AtMost(limit) => (Some(limit), None),
            Limit::AtLeast(limit) => (None, Some(limit)),
        };
        json!({
            "target": target.claim,
            "unit": target.unit.text(),
            "value": target.value,
            "at_most": at_most,
            "at_least": at_least,
            "reached": target.reached(),
        })
    };
    all(table).iter().map(object).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::table::Row;

    fn table(rows: &[(&str, &'static str, f64)]) -> Table {
        let row = |&(figure, who, sample): &(&str, &'static str, f64)| {
            let mut samples = Samples::default();
            samples.push(sample);
            Row {
                figure: figure.to_owned(),
                who,
                base: PONTOON,
                unit: Unit::Milliseconds,
                samples: Ok(samples),
            }
        };
        Table(rows.iter().map(row).collect())
    }

    #[test]
    fn a_target_is_reached_missed_or_not_measured() {
        let text = print(&table(&[
            ("attach, no port", PONTOON, 4.0),
            ("attach, 1 port", PONTOON, 6.0),
            ("attach, 1 port", CNI, 31.0),
            ("attach, 1 port", NETAVARK, 29.0),
        ]));
        for line in [
            "reached       attach, no port: median: 4.00 ms (asked: at most 5.00)",
            "NOT reached   attach, 1 port: median: 6.00 ms (asked: at most 5.00)",
            "not measured  attach, 32 ports: median\n",
            "reached       attach, 1 port: CNI bridge+portmap takes longer: 5.17 times",
            "NOT reached   attach, 1 port: netavark takes longer: 4.83 times",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
    }

    #[test]
    fn only_what_was_run_is_asked_for() {
        assert_eq!(print(&Table::default()), "");
        let figure = Route::SameNode.figure(Unit::Microseconds);
        let text = print(&table(&[
            (&figure, HAND_MADE_BRIDGE, 10.0),
            (&figure, PONTOON, 10.6),
        ]));
        let first = text.lines().next().unwrap_or_default();
        assert!(first.starts_with("NOT reached"), "{text}");
        assert!(first.contains("within noise"), "{text}");
        // Of the fast path, which was not measured.
        let rest: Vec<&str> = text.lines().skip(1).collect();
        assert_eq!(rest.len(), 2, "{text}");
        assert!(rest.iter().all(|line| line.starts_with("not measured")));
    }
}
