//! Section `scale`: one agent in a cluster of a thousand nodes. The nodes are records in an etcd,
//! which it really is; the agent and the kernel it writes to are real too.
//!
//! Cold sync is from starting the agent on a machine without records until the kernel has every
//! node's route, neighbour, forwarding entry and firewall element. A change is a node's new
//! underlay address, from before etcd is asked to write it until the kernel tells of its
//! forwarding entry.

mod nodes;
mod process;

use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::cable::Cable;
use crate::cluster::{Etcd, Member, VXLAN_DEVICE};
use crate::contender::PONTOON;
use crate::ground::{Ground, reason};
use crate::join::create_network;
use crate::machine::{Call, Followed, Machine, Server};
use crate::patience::wait_for;
use crate::progress::progress;
use crate::table::{Row, Samples, Unit, millis};
use crate::tools::{Found, program};

use nodes::{Change, NODES};

pub const COLD_SYNC: &str = "1,000 nodes: cold sync";
pub const CHANGE: &str = "1,000 nodes: change in etcd to the kernel";
pub const RATE: &str = "1,000 nodes: changes";
pub const MEMORY: &str = "1,000 nodes: agent's memory";
const PEAK_MEMORY: &str = "1,000 nodes: agent's memory at its peak";
const PROCESSOR: &str = "1,000 nodes: agent's share of a core during changes";
/// What the kernel may need to tell of the last change.
const LAST_BOUND: Duration = Duration::from_secs(20);
const SYNC_BOUND: Duration = Duration::from_secs(60);
const MONITOR_BOUND: Duration = Duration::from_secs(10);

#[derive(Default)]
struct Figures {
    sync: Samples,
    change: Samples,
    rate: Samples,
    memory: Samples,
    peak: Samples,
    processor: Samples,
}

pub fn measure(ground: &Ground<'_>, rounds: u16) -> Vec<Row> {
    let figures = run(ground, rounds);
    let row = |figure: &str, unit, of: fn(&Figures) -> &Samples| Row {
        figure: figure.to_owned(),
        who: PONTOON,
        base: PONTOON,
        unit,
        samples: figures.as_ref().map(of).cloned().map_err(Clone::clone),
    };
    vec![
        row(COLD_SYNC, Unit::Milliseconds, |all| &all.sync),
        row(CHANGE, Unit::Milliseconds, |all| &all.change),
        row(RATE, Unit::PerSecond, |all| &all.rate),
        row(MEMORY, Unit::Megabytes, |all| &all.memory),
        row(PEAK_MEMORY, Unit::Megabytes, |all| &all.peak),
        row(PROCESSOR, Unit::Percent, |all| &all.processor),
    ]
}

/// Cold syncs, each of a fresh node; the last one then stands the changes.
fn run(ground: &Ground<'_>, rounds: u16) -> Found<Figures> {
    program("etcd")?;
    program("etcdctl")?;
    progress("scale: a thousand nodes");
    let server = ground.machine();
    let _etcd = Etcd::start(ground, &server, "scale-data").map_err(reason)?;
    let local = Etcd::place("127.0.0.1");
    let names = ("scale", "founder");
    let founder = Member::new(ground, Rc::clone(&server), names, "203.0.113.1", &local)?;
    create_network(&founder).map_err(reason)?;
    nodes::join(&server).context("nodes join").map_err(reason)?;
    let mut figures = Figures::default();
    for round in 0..rounds {
        progress(&format!("scale: round {} of {rounds}", round + 1));
        let fresh = fresh(ground, &server, round)?;
        let agent = sync(&fresh, round, &mut figures).map_err(reason)?;
        if round + 1 == rounds {
            progress("scale: changes");
            let changed = change(&server, &fresh, &agent, &mut figures);
            changed.map_err(reason)?;
        }
    }
    Ok(figures)
}

/// A node that nobody knows yet.
fn fresh(ground: &Ground<'_>, server: &Machine, round: u16) -> Found<Member> {
    let number = u8::try_from(round).map_err(|_| "256 rounds are too many".to_owned())?;
    let machine = ground.machine();
    let cable = Cable::lay(server, &machine, number).map_err(reason)?;
    let name = format!("fresh{number}");
    let cluster = Etcd::place(&cable.left);
    Member::new(ground, machine, ("scale", &name), &cable.right, &cluster)
}

fn sync(fresh: &Member, earlier: u16, figures: &mut Figures) -> Result<Server> {
    let wanted = NODES + u32::from(earlier);
    // The firewall is written last, but one look for all of it takes longest.
    let look = format!(
        "test $(ip -4 -o route show proto 112 | wc -l) -ge {wanted}
         test $(bridge fdb show dev {VXLAN_DEVICE} | grep -c ' dst ') -ge {wanted}
         test $(ip neigh show dev {VXLAN_DEVICE} nud permanent | wc -l) -ge {wanted}
         test $(nft list ruleset | grep -o '198[.]18[.]' | wc -l) -ge {NODES}"
    );
    let machine = &fresh.site.machine;
    let start = Instant::now();
    let agent = fresh.start_agent()?;
    let what = "the kernel has every node";
    let synced = wait_for(what, SYNC_BOUND, || machine.sh(&look).is_ok());
    let took = start.elapsed();
    synced.with_context(|| agent.last_words())?;
    figures.sync.push(millis(took));
    Ok(agent)
}

fn change(server: &Machine, fresh: &Member, agent: &Server, figures: &mut Figures) -> Result<()> {
    let monitor = monitor(&fresh.site.machine)?;
    let (start, busy) = (Instant::now(), process::busy_secs(agent.pid())?);
    let changes = nodes::change(server)?;
    let secs = start.elapsed().as_secs_f64();
    figures.rate.push(changes.len() as f64 / secs);
    for took in seen(&changes, &monitor)? {
        figures.change.push(millis(took));
    }
    let (secs, busy) = (
        start.elapsed().as_secs_f64(),
        process::busy_secs(agent.pid())? - busy,
    );
    figures.processor.push(busy / secs * 100.0);
    let memory = process::memory(agent.pid())?;
    figures.memory.push(memory.now_megabytes);
    figures.peak.push(memory.peak_megabytes);
    Ok(())
}

/// What the kernel tells of forwarding entries, from now on.
fn monitor(machine: &Machine) -> Result<Followed> {
    let monitor = machine.follow(&Call::new("bridge", ["monitor", "fdb"]))?;
    // Until it is heard: an entry of no consequence comes and goes.
    let entry = "02:00:00:00:00:99 dev up0 self";
    let knock = format!("bridge fdb add {entry}; bridge fdb del {entry}");
    wait_for("bridge monitor listens", MONITOR_BOUND, || {
        machine.sh(&knock).is_ok() && monitor.lines.try_recv().is_ok()
    })?;
    Ok(monitor)
}

/// How long each change took until the kernel told of it.
fn seen(changes: &[Change], monitor: &Followed) -> Result<Vec<Duration>> {
    let asked = |change: &Change| (change.address.to_string(), change.asked);
    let mut missing: BTreeMap<String, Instant> = changes.iter().map(asked).collect();
    let deadline = Instant::now() + LAST_BOUND;
    let mut took = Vec::new();
    while !missing.is_empty() {
        let left = deadline.saturating_duration_since(Instant::now());
        let heard = monitor.lines.recv_timeout(left);
        ensure!(
            heard.is_ok(),
            "{} changes were not seen in the kernel",
            missing.len()
        );
        let (at, line) = heard?;
        let asked = added(&line).and_then(|address| missing.remove(address));
        took.extend(asked.map(|asked| at.saturating_duration_since(asked)));
    }
    Ok(took)
}

/// The underlay address in a line of the monitor's that tells of an entry, not of its end.
fn added(line: &str) -> Option<&str> {
    let mut words = line.split_whitespace();
    let gone = line.starts_with("Deleted");
    words.find(|word| *word == "dst").filter(|_| !gone)?;
    words.next()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_that_come_are_told_from_those_that_go() {
        let line = "02:a0:00:00:00:07 dev pv-4096 dst 198.18.3.9 self permanent";
        assert_eq!(added(line), Some("198.18.3.9"));
        assert_eq!(added(&format!("Deleted {line}")), None);
        assert_eq!(added("02:00:00:00:00:99 dev up0 self permanent"), None);
    }
}
