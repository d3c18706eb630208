//! `pontoon limit`: other limits for a container that runs, all of them or none.

use std::path::Path;

use anyhow::Result;
use engine::{Engine, Mode};
use model::{EndpointName, Rate, Rates};
use netstate::Plan;
use sandbox::cgroup::{Cgroups, Changed, Step};
use sandbox::container::{Container, Root, State};
use sandbox::limit::Limits;
use sandbox::{Known, SandboxError};
use serde::Serialize;

use super::args::{Amounts, Limit};
use super::error::ContainerError;
use super::heal::{IFNAME, id_of, place};
use super::print;
use crate::print::Out;

/// What a container is limited to now.
#[derive(Debug, Serialize)]
pub struct Limited {
    pub name: EndpointName,
    pub limits: Limits,
    /// Where they were changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rates: Option<Rates>,
}

#[derive(Debug, Serialize)]
pub struct LimitPlan {
    pub limits: Vec<Step>,
    pub network: Plan,
}

#[derive(Debug, Serialize)]
struct Shown {
    dry_run: bool,
    outcome: Limited,
    plan: LimitPlan,
}

pub fn limit(args: &Limit, engine: &Engine, out: Out) -> Result<()> {
    let mode = match args.dry.dry_run {
        true => Mode::DryRun,
        false => Mode::Apply,
    };
    let place = place(engine)?;
    let _lock = match mode {
        Mode::Apply => Some(place.lock()?),
        Mode::DryRun => None,
    };
    let known = place.find(&args.name)?;
    if known.state != State::Running {
        return Err(SandboxError::NotRunning(args.name.clone()).into());
    }
    let cgroups = Cgroups::find();
    check(&args.limits, &known.container, &cgroups)?;
    let to = wished(&args.limits, &known.container);
    let steps = cgroups.plan_change(&known.container, &to);
    let network = match mode {
        Mode::DryRun => set_rates(engine, &args.name, args.limits.net_rate, mode)?,
        Mode::Apply => apply(&args.limits, engine, &known, (&cgroups, &to, &steps))?,
    };
    let shown = Shown {
        dry_run: args.dry.dry_run,
        outcome: Limited {
            name: to.name,
            limits: to.limits,
            rates: args.limits.net_rate.map(|rate| Rates::both(Some(rate))),
        },
        plan: LimitPlan {
            limits: steps,
            network,
        },
    };
    out.show(&shown, |shown| match mode {
        Mode::DryRun => print::limit_plan(&shown.plan),
        Mode::Apply => print::limited(&shown.outcome),
    })
}

/// Refuses what this machine can't enforce, of what is wished for alone.
fn check(wish: &Amounts, container: &Container, cgroups: &Cgroups) -> Result<()> {
    let root = match &container.root {
        Root::Machine => Path::new("/"),
        Root::Dir(dir) => dir,
    };
    let device = wish.io_device.clone();
    let limits = Limits {
        io_device: device.or_else(|| container.limits.io_device.clone()),
        ..wish.limits()
    };
    let refused = limits.unenforceable(cgroups, root).into_iter().next();
    if let Some(unenforceable) = refused {
        let error = anyhow::Error::from(SandboxError::from(unenforceable));
        return Err(error.context("nothing was changed"));
    }
    if let Some(Err(source)) = wish.net_rate.map(|_| engine::try_rates()) {
        let error = anyhow::Error::from(ContainerError::NetRate { source });
        return Err(error.context("nothing was changed"));
    }
    Ok(())
}

/// The container as it is to be recorded.
fn wished(wish: &Amounts, container: &Container) -> Container {
    let (wish, old) = (wish.limits(), container.limits.clone());
    Container {
        limits: Limits {
            memory: wish.memory.or(old.memory),
            cpus: wish.cpus.or(old.cpus),
            cpuset: wish.cpuset.or(old.cpuset),
            pids: wish.pids.or(old.pids),
            io_read: wish.io_read.or(old.io_read),
            io_write: wish.io_write.or(old.io_write),
            io_device: wish.io_device.or(old.io_device),
            net_class: old.net_class,
            net_prio: old.net_prio,
        },
        ..container.clone()
    }
}

fn apply(
    wish: &Amounts,
    engine: &Engine,
    known: &Known,
    (cgroups, to, steps): (&Cgroups, &Container, &[Step]),
) -> Result<Plan> {
    let before = match wish.net_rate {
        Some(_) => rates(engine, known)?,
        None => None,
    };
    let changed = cgroups.change(to, steps.to_vec())?;
    match finish(wish, engine, known, to) {
        Ok(plan) => Ok(plan),
        Err(error) => {
            take_back(changed, known, cgroups);
            if let Some(before) = before {
                // The first error is the one to report.
                let container = id_of(&to.name)?;
                let _ = engine.set_rates((&container, &IFNAME.parse()?), before, Mode::Apply);
            }
            Err(error)
        }
    }
}

/// The endpoint's rates and the record.
fn finish(wish: &Amounts, engine: &Engine, known: &Known, to: &Container) -> Result<Plan> {
    let plan = set_rates(engine, &to.name, wish.net_rate, Mode::Apply)?;
    if !is_running(known) {
        return Err(SandboxError::NotRunning(to.name.clone()).into());
    }
    known.home.write_container(to)?;
    Ok(plan)
}

fn set_rates(engine: &Engine, name: &EndpointName, rate: Option<Rate>, mode: Mode) -> Result<Plan> {
    if rate.is_none() {
        return Ok(Plan::default());
    }
    let container = id_of(name)?;
    let rates = Rates::both(rate);
    let change = engine.set_rates((&container, &IFNAME.parse()?), rates, mode)?;
    Ok(change.plan)
}

/// Those of its endpoint today.
fn rates(engine: &Engine, known: &Known) -> Result<Option<Rates>> {
    let id = id_of(&known.container.name)?;
    let endpoints = engine.endpoints()?.into_iter().map(|one| one.endpoint);
    let is_its = |cni: &model::CniAttachment| cni.container == id;
    let mut its = endpoints.filter(|one| one.cni.as_ref().is_some_and(is_its));
    Ok(its.next().map(|one| one.rates))
}

fn is_running(known: &Known) -> bool {
    let init = known.status.as_ref().and_then(|one| one.init.as_ref());
    init.is_some_and(sandbox::ProcessId::is_alive)
}

/// A container that has ended meanwhile, and was cleaned up, may have been given groups again.
fn take_back(changed: Changed, known: &Known, cgroups: &Cgroups) {
    changed.undo();
    if !is_running(known) {
        // What is left of it now the next command that looks removes.
        let _ = cgroups.group(&known.container.cgroup).end();
    }
}
