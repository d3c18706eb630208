//! What is asked of section `run`.

use super::{Limit, TIMES_FASTER, Target, at_most};
use crate::contender::PONTOON;
use crate::run::{DOCKER, PODMAN, STARTED};
use crate::table::{Samples, Table, Unit};

const STARTED_MS: f64 = 60.0;

pub fn all(table: &Table) -> Vec<Target> {
    if !table.has(STARTED) {
        return Vec::new();
    }
    let median = |who: &str| table.samples(STARTED, who).map(Samples::median);
    let lead = |who: &str| Target {
        claim: format!("{STARTED}: {who} takes longer"),
        value: median(who)
            .zip(median(PONTOON))
            .map(|(theirs, ours)| theirs / ours),
        limit: Limit::AtLeast(TIMES_FASTER),
        unit: Unit::Times,
    };
    vec![
        at_most(table, (STARTED, PONTOON), 50, STARTED_MS),
        lead(PODMAN),
        lead(DOCKER),
    ]
}
