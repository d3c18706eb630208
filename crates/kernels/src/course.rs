//! The course of a set on one kernel: boot, watch, kill what stands still, go on with the rest.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use crate::job::{Desk, Event, Job, Outcome, Test};
use crate::kept::Kept;
use crate::machine::{Blueprint, Running};
use crate::progress;

/// Between two looks at what the guest has done.
const PAUSE: Duration = Duration::from_secs(1);
/// How many machines of one kernel may stand still or break down.
const BREAKDOWNS: usize = 3;

/// How one test came out on one kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    pub outcome: Outcome,
    pub took: Duration,
}

/// All tests of one kernel, by their numbers.
#[derive(Debug, Default)]
pub struct Verdicts {
    /// What the kernel calls itself.
    pub release: Option<String>,
    pub by_test: BTreeMap<usize, Verdict>,
}

/// Runs all tests on one kernel. Every test has a verdict then.
pub fn run(
    blueprint: &Blueprint<'_>,
    (desk, kept): (&Desk, &Kept),
    tests: &[Test],
    total: Duration,
) -> Result<Verdicts> {
    let machine = &blueprint.config.machine;
    let deadline = Instant::now() + total;
    let mut verdicts = Verdicts::default();
    let mut breakdowns = 0;
    while breakdowns < BREAKDOWNS && Instant::now() < deadline {
        let left: Vec<(usize, Test)> = tests
            .iter()
            .cloned()
            .enumerate()
            .filter(|(number, _)| !verdicts.by_test.contains_key(number))
            .collect();
        if left.is_empty() {
            break;
        }
        desk.put_job(&Job {
            tests: left,
            patience: machine.patience,
            modules: machine.modules.clone(),
            files: machine.files,
            disk: machine.disk.clone(),
        })?;
        let mut watch = Watch {
            desk,
            kept,
            tests,
            kernel: &blueprint.kernel.name,
            seen: 0,
            running: None,
            grace: Duration::from_secs(machine.grace_secs),
            patience_ends: Instant::now() + Duration::from_secs(machine.boot_secs),
            verdicts: &mut verdicts,
        };
        let running = blueprint.boot(desk, &guest_script(desk.dir())?)?;
        watch.until_the_end(running, deadline)?;
        if watch.seen == 0 {
            tell_of_the_boot(&blueprint.kernel.name, desk);
            break;
        }
        breakdowns += 1;
    }
    for number in 0..tests.len() {
        let verdict = verdicts.by_test.entry(number);
        verdict.or_insert(Verdict::NOT_RUN);
    }
    Ok(verdicts)
}

/// A machine that did not come up says why on its console.
fn tell_of_the_boot(kernel: &str, desk: &Desk) {
    let said = progress::end_of(&desk.console());
    progress::say(&format!(
        "kernel {kernel} did not boot. Its console:\n{said}"
    ));
}

/// This very program, as the guest's: a copy of what runs, as building the tests may have replaced
/// the file that it came from.
fn guest_script(dir: &Path) -> Result<String> {
    let program = dir.join("guest");
    fs::copy("/proc/self/exe", &program)
        .with_context(|| format!("copy this program to {}", program.display()))?;
    let words = [program.as_path(), dir].map(|path| {
        let text = path.to_str().filter(|text| !text.contains('\''));
        text.with_context(|| format!("{} can't be told to a shell", path.display()))
    });
    let [program, dir] = words;
    Ok(format!("'{}' guest '{}'", program?, dir?))
}

struct Watch<'a> {
    desk: &'a Desk,
    kept: &'a Kept,
    tests: &'a [Test],
    kernel: &'a str,
    /// How many events were seen.
    seen: usize,
    /// The test that is running, and since when.
    running: Option<(usize, Instant)>,
    /// See [`crate::config::Machine::grace_secs`].
    grace: Duration,
    /// When the machine is taken to stand still.
    patience_ends: Instant,
    verdicts: &'a mut Verdicts,
}

impl Watch<'_> {
    /// Watches one machine until it ends or is killed.
    fn until_the_end(&mut self, mut machine: Running, deadline: Instant) -> Result<()> {
        let mut beat = 0;
        loop {
            // Asked before the look at the events: what was said last counts.
            let has_ended = machine.has_ended()?;
            beat += 1;
            self.desk.beat(beat)?;
            self.take_events()?;
            let now = Instant::now();
            if has_ended {
                return self.give_up(|| Outcome::Failed {
                    how: "the machine went down".to_owned(),
                });
            }
            if now > self.patience_ends {
                return self.give_up(|| Outcome::Hung);
            }
            if now > deadline {
                return self.give_up(|| Outcome::TimedOut);
            }
            thread::sleep(PAUSE);
        }
    }

    fn take_events(&mut self) -> Result<()> {
        let events = self.desk.events()?;
        for event in &events[self.seen..] {
            self.take(event)?;
        }
        self.seen = events.len();
        Ok(())
    }

    fn take(&mut self, event: &Event) -> Result<()> {
        let now = Instant::now();
        self.patience_ends = now + self.grace;
        match event {
            Event::Up { release } => {
                self.kept.keep_release(release)?;
                self.verdicts.release = Some(release.clone());
            }
            Event::Started { test } => {
                self.running = Some((*test, now));
                let limit = self.tests.get(*test).map_or(0, |test| test.limit_secs);
                self.patience_ends += Duration::from_secs(limit);
            }
            Event::Ended {
                test,
                millis,
                outcome,
            } => {
                self.running = None;
                self.note(*test, outcome.clone(), Duration::from_millis(*millis))?;
            }
        }
        Ok(())
    }

    /// The test that was running when the machine ended has this outcome.
    fn give_up(&mut self, outcome: impl Fn() -> Outcome) -> Result<()> {
        match self.running.take() {
            Some((test, since)) => self.note(test, outcome(), since.elapsed()),
            None => Ok(()),
        }
    }

    fn note(&mut self, number: usize, outcome: Outcome, took: Duration) -> Result<()> {
        let Some(test) = self.tests.get(number) else {
            return Ok(());
        };
        let verdict = Verdict { outcome, took };
        progress::ended(self.kernel, test, &verdict, self.desk, number);
        self.kept.keep(test, &verdict)?;
        self.verdicts.by_test.insert(number, verdict);
        Ok(())
    }
}
