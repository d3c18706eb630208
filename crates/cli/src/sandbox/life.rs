//! Looking at containers and ending them.

use std::io::{self, Write};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use engine::Engine;
use model::EndpointName;
use sandbox::cgroup::{Cgroups, Usage};
use sandbox::container::State;
use sandbox::{How, Known, Reader, SandboxError, Stream};
use serde::Serialize;

use super::args::{Logs, Ps, Rm, Stats, Stop};
use super::error::ContainerError;
use super::heal::{heal, place};
use super::print;
use crate::print::Out;

/// How long a killed container may take to be cleaned up.
const END_BOUND: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(5);
/// How often a log is looked at that is followed.
const FOLLOW_PAUSE: Duration = Duration::from_millis(100);
/// Between the two looks that tell how busy a container is.
const SAMPLE: Duration = Duration::from_millis(250);

/// A container as people and machines read it.
#[derive(Debug, Serialize)]
pub struct Listed {
    pub name: EndpointName,
    pub network: model::NetworkName,
    #[serde(flatten)]
    pub state: State,
    pub addresses: Vec<String>,
    pub pid: Option<u32>,
    pub created_secs: u64,
    pub started_secs: Option<u64>,
    pub hostname: EndpointName,
    pub limits: sandbox::limit::Limits,
    pub users: sandbox::container::Users,
    pub command: Vec<String>,
}

pub fn ps(args: &Ps, engine: &Engine, out: Out) -> Result<()> {
    heal(engine)?;
    let endpoints = engine.endpoints()?;
    let mut listed = Vec::new();
    for known in place(engine)?.all()? {
        if !args.all && matches!(known.state, State::Ended(_)) {
            continue;
        }
        let own = endpoints.iter().find(|status| {
            let endpoint = &status.endpoint;
            status.network_name == known.container.network && endpoint.name == known.container.name
        });
        let addresses = own.map(|status| status.cidrs.clone()).unwrap_or_default();
        listed.push(list(known, addresses));
    }
    out.show(&listed, |listed| print::listed(listed))
}

fn list(known: Known, addresses: Vec<String>) -> Listed {
    let Known {
        container,
        status,
        state,
        ..
    } = known;
    let init = status.as_ref().and_then(|status| status.init.as_ref());
    let is_alive = matches!(state, State::Running | State::Creating);
    Listed {
        pid: init.filter(|_| is_alive).map(|init| init.pid),
        started_secs: status.as_ref().and_then(|status| status.started_secs),
        name: container.name,
        network: container.network,
        state,
        addresses,
        created_secs: container.created_secs,
        hostname: container.hostname,
        limits: container.limits,
        users: container.users,
        command: container.command,
    }
}

pub fn logs(args: &Logs, engine: &Engine) -> Result<()> {
    let known = place(engine)?.find(&args.name)?;
    let mut reader = Reader::new(&known.home);
    loop {
        // Looked at before the log is read: what was written before the end is shown.
        let over = !matches!(known.home.look()?, Some(known) if known.state == State::Running);
        let entries = reader.entries().map_err(|source| ContainerError::ReadLog {
            name: args.name.clone(),
            source,
        })?;
        for entry in &entries {
            let head = match args.timestamps {
                true => format!("{}.{:03} ", entry.millis / 1000, entry.millis % 1000),
                false => String::new(),
            };
            let said = [head.as_bytes(), &entry.text].concat();
            let written = match entry.stream {
                Stream::Output => io::stdout().write_all(&said),
                Stream::Error => io::stderr().write_all(&said),
            };
            match written {
                // `pontoon logs … | head` has read enough.
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(()),
                written => written?,
            }
        }
        io::stdout().flush()?;
        if !args.follow || over {
            return Ok(());
        }
        thread::sleep(FOLLOW_PAUSE);
    }
}

pub fn stop(args: &Stop, engine: &Engine) -> Result<()> {
    heal(engine)?;
    for name in &args.names {
        let known = place(engine)?.find(name)?;
        if known.state != State::Running {
            return Err(SandboxError::NotRunning(name.clone()).into());
        }
        signal(&known, How::Term)?;
        if !wait(&known, Duration::from_secs(args.time)) {
            kill(&known)?;
        }
    }
    Ok(())
}

pub fn rm(args: &Rm, engine: &Engine) -> Result<()> {
    heal(engine)?;
    let place = place(engine)?;
    let names = match args.all {
        true => place
            .all()?
            .into_iter()
            .map(|known| known.container.name)
            .collect(),
        false => args.names.clone(),
    };
    for name in &names {
        let known = place.find(name)?;
        if matches!(known.state, State::Running | State::Creating) {
            if !args.force {
                return Err(SandboxError::Running(name.clone()).into());
            }
            kill(&known)?;
        }
        known.home.remove()?;
    }
    heal(engine)
}

fn signal(known: &Known, how: How) -> Result<()> {
    let init = known
        .status
        .as_ref()
        .and_then(|status| status.init.as_ref());
    let sent = init.map_or(Ok(false), |init| init.end(how));
    sent.map(drop).map_err(|errno| {
        let (name, source) = (known.container.name.clone(), errno.into());
        ContainerError::Signal { name, source }.into()
    })
}

/// Kills a container and waits until its supervisor has cleaned up.
fn kill(known: &Known) -> Result<()> {
    signal(known, How::Kill)?;
    if wait(known, END_BOUND) {
        return Ok(());
    }
    Err(ContainerError::DoesNotEnd {
        name: known.container.name.clone(),
        bound: END_BOUND,
    }
    .into())
}

/// Whether the supervisor has ended within this time.
fn wait(known: &Known, bound: Duration) -> bool {
    let Some(status) = &known.status else {
        return true;
    };
    let deadline = Instant::now() + bound;
    while status.supervisor.is_alive() {
        if Instant::now() > deadline {
            return false;
        }
        thread::sleep(PAUSE);
    }
    true
}

/// What a container uses, as people and machines read it.
#[derive(Debug, Serialize)]
pub struct Used {
    pub name: EndpointName,
    /// Hundredths of a CPU, over a quarter of a second.
    pub cpu_percent: Option<u64>,
    #[serde(flatten)]
    pub usage: Usage,
    pub memory_limit: Option<u64>,
    /// Bytes since it began.
    pub net_received: Option<u64>,
    pub net_sent: Option<u64>,
}

pub fn stats(args: &Stats, engine: &Engine, out: Out) -> Result<()> {
    let cgroups = Cgroups::find();
    loop {
        let running = running(args, engine)?;
        let sample = |known: &Known| cgroups.usage(&known.container.cgroup);
        let before: Vec<Usage> = running.iter().map(sample).collect();
        let begun = Instant::now();
        thread::sleep(SAMPLE);
        let elapsed = begun.elapsed();
        let used = running
            .iter()
            .zip(&before)
            .map(|(known, before)| used(known, before, sample(known), elapsed));
        out.show(&used.collect::<Vec<_>>(), |used| print::used(used))?;
        if !args.follow {
            return Ok(());
        }
        thread::sleep(Duration::from_secs(1).saturating_sub(SAMPLE));
    }
}

fn running(args: &Stats, engine: &Engine) -> Result<Vec<Known>> {
    let place = place(engine)?;
    if args.names.is_empty() {
        let mut all = place.all()?;
        all.retain(|known| known.state == State::Running);
        return Ok(all);
    }
    let mut named = Vec::new();
    for name in &args.names {
        let known = place.find(name)?;
        if known.state != State::Running {
            return Err(SandboxError::NotRunning(name.clone()).into());
        }
        named.push(known);
    }
    Ok(named)
}

fn used(known: &Known, before: &Usage, usage: Usage, elapsed: Duration) -> Used {
    let micros = usage.cpu_micros.zip(before.cpu_micros);
    let elapsed = u64::try_from(elapsed.as_micros())
        .unwrap_or(u64::MAX)
        .max(1);
    let traffic = known.traffic();
    Used {
        name: known.container.name.clone(),
        cpu_percent: micros.map(|(after, before)| after.saturating_sub(before) * 100 / elapsed),
        usage,
        memory_limit: known
            .container
            .limits
            .memory
            .map(sandbox::limit::Bytes::get),
        net_received: traffic.map(|(received, _)| received),
        net_sent: traffic.map(|(_, sent)| sent),
    }
}
