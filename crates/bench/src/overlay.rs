//! Section `overlay`: what traffic between nodes costs, over Pontoon's overlay networks, over one
//! made by hand, over Docker's, and without any. One way at a time, all in turn.
//!
//! Twice where packets can be larger than the link takes: devices pass on 64 KiB at once and cut
//! them at the very end, which makes an overlay look free. Cut before the underlay (`tso off gso
//! off`), each packet pays its own way, as on hardware that does not know the overlay's headers.

mod bed;
pub mod swarm;

use std::collections::BTreeMap;
use std::rc::Rc;

use anyhow::Result;

use crate::ground::{Ground, reason};
use crate::machine::Machine;
use crate::progress::progress;
use crate::table::{Row, Samples, Unit};
use crate::tools::Found;
use crate::traffic::{Client, Transport, connection_rate, latency, throughput, udp_flows};

use bed::Bed;

pub const RAW: &str = "raw underlay";
pub const HAND_MADE: &str = "hand-made VXLAN";
pub const VXLAN: &str = "pontoon vxlan";
pub const FAST_VXLAN: &str = "pontoon vxlan, fast path";
pub const ROUTED: &str = "pontoon routed";
pub const FAST_ROUTED: &str = "pontoon routed, fast path";
pub const SWARM: &str = "Docker Swarm overlay";

/// How the underlay takes packets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Larger than its MTU, to be cut by it.
    Offloads,
    /// Of 1500 bytes.
    MtuSize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Measure {
    Throughput,
    Latency(Transport),
    /// 32 of UDP at once.
    Flows,
    Connections,
}

impl Mode {
    pub const ALL: [Self; 2] = [Self::Offloads, Self::MtuSize];

    fn switch(self) -> &'static str {
        match self {
            Self::Offloads => "on",
            Self::MtuSize => "off",
        }
    }

    /// What depends on it: messages, datagrams and handshakes fit into packets of any size, and
    /// the time they would take twice is better spent on rounds.
    pub fn measures(self) -> &'static [Measure] {
        match self {
            Self::Offloads => &[
                Measure::Throughput,
                Measure::Latency(Transport::Tcp),
                Measure::Latency(Transport::Udp),
                Measure::Flows,
                Measure::Connections,
            ],
            Self::MtuSize => &[Measure::Throughput, Measure::Latency(Transport::Tcp)],
        }
    }
}

impl Measure {
    pub fn unit(self) -> Unit {
        match self {
            Self::Throughput | Self::Flows => Unit::GigabitsPerSecond,
            Self::Latency(_) => Unit::Microseconds,
            Self::Connections => Unit::PerSecond,
        }
    }

    /// Beside the figure itself. Of the others one core is busy all the time.
    fn costs(self) -> bool {
        match self {
            Self::Throughput | Self::Flows => true,
            Self::Latency(_) | Self::Connections => false,
        }
    }
}

pub fn figure(mode: Mode, measure: Measure) -> String {
    let what = match measure {
        Measure::Throughput => "TCP throughput",
        Measure::Latency(Transport::Tcp) => "64-byte TCP latency",
        Measure::Latency(Transport::Udp) => "64-byte UDP latency",
        Measure::Flows => "32 UDP flows",
        Measure::Connections => "new TCP connections",
    };
    let mode = match mode {
        Mode::Offloads => "",
        Mode::MtuSize => ", MTU-size packets",
    };
    format!("cross node{mode}: {what}")
}

fn cost_figure(mode: Mode, measure: Measure) -> String {
    format!("{}, busy processors", figure(mode, measure))
}

/// One contender's way from one node to the other.
struct Way {
    who: &'static str,
    bed: Found<Rc<Bed>>,
    samples: BTreeMap<(Mode, Measure), Sampled>,
}

#[derive(Default)]
struct Sampled {
    figure: Samples,
    cost: Samples,
}

pub fn measure(ground: &Ground<'_>, rounds: u16, secs: u16) -> Vec<Row> {
    progress("overlay: setting up");
    measure_ways(ways(ground), rounds, secs)
}

/// Section `fastpath`: the same for what it carries, with and without it, and VXLAN by hand.
pub fn measure_fast(ground: &Ground<'_>, rounds: u16, secs: u16) -> Vec<Row> {
    progress("fastpath: setting up");
    let ways = vec![
        Way::new(RAW, bed::raw(ground)),
        Way::new(HAND_MADE, bed::hand_made(ground)),
        Way::new(VXLAN, bed::pontoon(ground, "vxlan")),
        Way::new(FAST_VXLAN, bed::pontoon_fast(ground, "vxlan")),
        Way::new(ROUTED, bed::pontoon(ground, "routed")),
        Way::new(FAST_ROUTED, bed::pontoon_fast(ground, "routed")),
    ];
    measure_ways(ways, rounds, secs)
}

fn measure_ways(mut ways: Vec<Way>, rounds: u16, secs: u16) -> Vec<Row> {
    for round in 0..rounds {
        progress(&format!("overlay: round {} of {rounds}", round + 1));
        for mode in Mode::ALL {
            ways.iter_mut().for_each(|way| way.enter(mode));
            // Each by itself: what is compared is then seconds apart.
            for measure in mode.measures() {
                for way in &mut ways {
                    way.sample(mode, *measure, secs);
                }
            }
        }
    }
    for way in &mut ways {
        way.attempt(Bed::assert_carried);
    }
    let mut rows = Vec::new();
    for mode in Mode::ALL {
        for measure in mode.measures() {
            rows.extend(ways.iter().map(|way| way.row(mode, *measure)));
            if measure.costs() {
                rows.extend(ways.iter().map(|way| way.cost_row(mode, *measure)));
            }
        }
    }
    rows
}

/// A line for each contender.
fn ways(ground: &Ground<'_>) -> Vec<Way> {
    vec![
        Way::new(RAW, bed::raw(ground)),
        Way::new(HAND_MADE, bed::hand_made(ground)),
        Way::new(VXLAN, bed::pontoon(ground, "vxlan")),
        Way::new(FAST_VXLAN, bed::pontoon_fast(ground, "vxlan")),
        Way::new(ROUTED, bed::pontoon(ground, "routed")),
        Way::new(FAST_ROUTED, bed::pontoon_fast(ground, "routed")),
        Way::new(SWARM, swarm::bed(ground)),
    ]
}

impl Way {
    fn new(who: &'static str, bed: Found<Bed>) -> Self {
        Self {
            who,
            bed: bed.map(Rc::new),
            samples: BTreeMap::new(),
        }
    }

    /// Sets both ends of the underlay.
    fn enter(&mut self, mode: Mode) {
        self.attempt(|bed| {
            let (device, switch) = (&bed.pair.cable.device, mode.switch());
            let script = format!("ethtool -K {device} tso {switch} gso {switch}");
            bed.pair.left.sh(&script)?;
            bed.pair.right.sh(&script).map(drop)
        });
    }

    fn sample(&mut self, mode: Mode, measure: Measure, secs: u16) {
        let sampled = self.attempt(|bed| try_sample(&bed.pair.left, bed.client, measure, secs));
        let Some((figure, cost)) = sampled else {
            return;
        };
        let samples = self.samples.entry((mode, measure)).or_default();
        samples.figure.push(figure);
        cost.into_iter().for_each(|cost| samples.cost.push(cost));
    }

    /// Whoever fails once is out.
    fn attempt<T>(&mut self, act: impl FnOnce(&Bed) -> Result<T>) -> Option<T> {
        let outcome = act(&*self.bed.clone().ok()?);
        outcome.map_err(|error| self.bed = Err(reason(error))).ok()
    }

    fn row(&self, mode: Mode, measure: Measure) -> Row {
        let samples = self.samples.get(&(mode, measure));
        let samples = samples.map(|samples| samples.figure.clone());
        self.row_of(figure(mode, measure), measure.unit(), samples)
    }

    fn cost_row(&self, mode: Mode, measure: Measure) -> Row {
        let samples = self.samples.get(&(mode, measure));
        let samples = samples.map(|samples| samples.cost.clone());
        let figure = cost_figure(mode, measure);
        self.row_of(figure, Unit::CpuSecondsPerGigabyte, samples)
    }

    fn row_of(&self, figure: String, unit: Unit, samples: Option<Samples>) -> Row {
        let samples = match &self.bed {
            Ok(_) => Ok(samples.unwrap_or_default()),
            Err(why) => Err(why.clone()),
        };
        Row {
            figure,
            who: self.who,
            base: RAW,
            unit,
            samples,
        }
    }
}

/// The figure, and what it costs where that is told.
fn try_sample(
    machine: &Machine,
    client: Client,
    measure: Measure,
    secs: u16,
) -> Result<(f64, Option<f64>)> {
    let run = match measure {
        Measure::Throughput => throughput(machine, client, secs)?,
        Measure::Flows => udp_flows(machine, client)?,
        Measure::Latency(transport) => return Ok((latency(machine, client, transport)?, None)),
        Measure::Connections => return Ok((connection_rate(machine, client)?, None)),
    };
    Ok((run.gigabits_per_sec, Some(run.cpu_secs_per_gigabyte)))
}
