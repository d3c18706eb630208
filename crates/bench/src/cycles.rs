//! Section `cycles`: ADD and DEL by the CNI plugin, again and again from several runtimes at once.
//! Nothing may be left of it, and the records must not grow.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::contender::{PLUGIN, Plugin};
use crate::ground::{Ground, Site, reason};
use crate::machine::{Call, Target};
use crate::progress::progress;
use crate::table::{Row, Samples, Unit};
use crate::tools::Found;

pub const CYCLES: &str = "ADD and DEL cycles, 8 at a time";
pub const RECORDS: &str = "records at their largest, later against before";
const RUNTIMES: u16 = 8;
/// One sample each: so that a figure is of many.
const WINDOW: Duration = Duration::from_secs(1);
/// How many windows pass before the records can be flat: released addresses rest for a minute.
const SETTLED: u16 = 65;

/// Cycles a second, and how much the records have grown in the second half.
struct Cycled {
    rates: Samples,
    growth: Samples,
}

pub fn measure(ground: &Ground<'_>, windows: u16) -> Vec<Row> {
    let cycled = ground
        .site("cycles")
        .and_then(|site| run(&site, windows).map_err(reason));
    let row = |figure: &str, unit, samples: Found<Samples>| Row {
        figure: figure.to_owned(),
        who: PLUGIN,
        base: PLUGIN,
        unit,
        samples,
    };
    let rates = cycled.as_ref().map(|cycled| cycled.rates.clone());
    let growth = cycled.as_ref().map(|cycled| cycled.growth.clone());
    let mut rows = vec![row(CYCLES, Unit::PerSecond, rates.map_err(Clone::clone))];
    if windows > SETTLED {
        rows.push(row(RECORDS, Unit::Times, growth.map_err(Clone::clone)));
    }
    rows
}

fn run(site: &Site<crate::contender::Records>, windows: u16) -> Result<Cycled> {
    let plugin = Plugin::of(&site.tool);
    let targets = site.machine.add_targets(RUNTIMES)?;
    // A log grows and is copied again and again: what counts is the most of each half.
    let (mut rates, mut largest) = (Samples::default(), [0, 0]);
    let middle = SETTLED + windows.saturating_sub(SETTLED) / 2;
    for window in 0..windows {
        progress(&format!("cycles: second {} of {windows}", window + 1));
        let calls: Vec<[Call; 2]> = targets.iter().map(|t| cycle(&plugin, t)).collect();
        let (count, took) = site.machine.work(move || cycle_all(&calls))??;
        rates.push(f64::from(count) / took.as_secs_f64());
        if window >= SETTLED {
            let half = &mut largest[usize::from(window >= middle)];
            *half = size_of(&plugin.state_dir)?.max(*half);
        }
    }
    check_clean(site)?;
    let mut growth = Samples::default();
    if largest[0] > 0 {
        growth.push(largest[1] as f64 / largest[0] as f64);
    }
    Ok(Cycled { rates, growth })
}

fn cycle(plugin: &Plugin, target: &Target) -> [Call; 2] {
    ["ADD", "DEL"].map(|command| plugin.call(command, target, 0))
}

/// Every runtime cycles until the window is over; a cycle that was begun is finished.
fn cycle_all(runtimes: &[[Call; 2]]) -> Result<(u32, Duration)> {
    let start = Instant::now();
    let one = |calls: &[Call; 2]| -> Result<u32> {
        let mut count = 0;
        while start.elapsed() < WINDOW {
            for call in calls {
                call.finish()?;
            }
            count += 1;
        }
        Ok(count)
    };
    let counts = thread::scope(|scope| {
        let running: Vec<_> = runtimes
            .iter()
            .map(|calls| scope.spawn(|| one(calls)))
            .collect();
        let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
        ended
            .map(|count| count.unwrap_or_else(|_| Err(anyhow::anyhow!("a runtime panicked"))))
            .collect::<Result<Vec<u32>>>()
    })?;
    Ok((counts.iter().sum(), start.elapsed()))
}

/// What the kernel and the records say.
fn check_clean(site: &Site<crate::contender::Records>) -> Result<()> {
    let left = site.machine.sh("ip -o link | grep -c ': pont' || true")?;
    ensure!(left.trim() == "0", "{} devices are left", left.trim());
    let listed = site.pontoon(&["ipam", "audit"]);
    ensure!(listed.is_ok(), "addresses are left: {listed:?}");
    let differs = site.pontoon(&["reconcile", "--dry-run"])?;
    ensure!(differs.is_empty(), "rules are left: {differs}");
    Ok(())
}

fn size_of(state_dir: &Path) -> Result<u64> {
    let mut bytes = 0;
    for file in fs::read_dir(state_dir)? {
        bytes += file?.metadata()?.len();
    }
    Ok(bytes)
}
