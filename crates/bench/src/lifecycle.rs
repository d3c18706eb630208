//! Section `attach`: how long attaching and detaching one namespace takes, whole processes, by all
//! contenders in turn. Who they are is told in [`crate::cases`].

use anyhow::{Context, Result};

use crate::cases;
use crate::contender::{Contender, PONTOON};
use crate::ground::{Ground, reason};
use crate::machine::Target;
use crate::progress::progress;
use crate::table::{Row, Samples, Unit, millis};
use crate::tools::Found;

pub fn attach_figure(what: &str) -> String {
    format!("attach, {what}")
}

pub fn detach_figure(what: &str) -> String {
    format!("detach, {what}")
}

/// A contender that is set up, and what it attaches in each round.
pub type Ready = (Box<dyn Contender>, Vec<Target>);

/// One contender attaching in one way.
pub struct Case {
    what: &'static str,
    who: &'static str,
    contender: Found<Ready>,
    attach: Samples,
    detach: Samples,
}

pub fn measure(ground: &Ground<'_>, rounds: u16) -> Vec<Row> {
    let mut cases = cases::all(ground, rounds);
    for round in 0..rounds {
        progress(&format!("attach: round {} of {rounds}", round + 1));
        for case in &mut cases {
            case.sample(usize::from(round));
        }
    }
    let attached = cases.iter().map(Case::attach_row);
    let detached = cases.iter().filter_map(Case::detach_row);
    attached.chain(detached).collect()
}

impl Case {
    pub fn new(what: &'static str, who: &'static str, contender: Found<Ready>) -> Self {
        Self {
            what,
            who,
            contender,
            attach: Samples::default(),
            detach: Samples::default(),
        }
    }

    fn sample(&mut self, round: usize) {
        let Ok((contender, targets)) = &mut self.contender else {
            return;
        };
        match cycle(contender.as_mut(), targets.get(round)) {
            Ok((attach, detach)) => {
                self.attach.push(attach);
                detach.into_iter().for_each(|took| self.detach.push(took));
            }
            Err(error) => self.contender = Err(reason(error)),
        }
    }

    fn attach_row(&self) -> Row {
        self.row(attach_figure(self.what), &self.attach)
    }

    /// None for who never detaches.
    fn detach_row(&self) -> Option<Row> {
        let silent = self.contender.is_ok() && self.detach.count() == 0;
        (!silent).then(|| self.row(detach_figure(self.what), &self.detach))
    }

    fn row(&self, figure: String, samples: &Samples) -> Row {
        let samples = match &self.contender {
            Ok(_) => Ok(samples.clone()),
            Err(why) => Err(why.clone()),
        };
        Row {
            figure,
            who: self.who,
            base: PONTOON,
            unit: Unit::Milliseconds,
            samples,
        }
    }
}

fn cycle(contender: &mut dyn Contender, target: Option<&Target>) -> Result<(f64, Option<f64>)> {
    let target = target.context("a target for each round")?;
    let attach = contender.attach(target).context("attach")?;
    let detach = contender.detach(target).context("detach")?;
    Ok((millis(attach), detach.map(millis)))
}
