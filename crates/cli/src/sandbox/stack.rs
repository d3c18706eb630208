//! The stack of a container: what of the kernel it has beside its network.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::Result;
use engine::Engine;
use model::{EndpointName, Rates, Target};
use netstate::stack::Stack;
use sandbox::cgroup::{Cgroups, Usage};
use sandbox::container::State;
use sandbox::limit::Limits;
use sandbox::{InNamespace, Known, SandboxError, namespaces};
use serde::Serialize;

use super::heal::{id_of, place};
use super::print;
use crate::print::{Out, stack as stack_text};

/// A stack, and the container that it is of.
#[derive(Debug, Serialize)]
struct Shown {
    #[serde(flatten)]
    stack: Stack,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<Inside>,
}

/// What a container is to the kernel.
#[derive(Debug, Serialize)]
pub struct Inside {
    pub name: EndpointName,
    pub pid: u32,
    pub namespaces: Vec<InNamespace>,
    /// Below the root of each hierarchy.
    pub cgroup: String,
    pub limits: Limits,
    pub rates: Rates,
    pub usage: Usage,
    /// Bytes since it began.
    pub net_received: Option<u64>,
    pub net_sent: Option<u64>,
}

/// Of a target, of the container with this name or in this namespace, or of the node.
pub fn stack(engine: &Engine, target: Option<Target>, out: Out) -> Result<()> {
    let (target, known) = match target {
        None => (None, None),
        Some(target) => {
            let known = container_at(engine, &target)?;
            let init = known.as_ref().and_then(init);
            (Some(init.map_or(target, Target::Pid)), known)
        }
    };
    let shown = Shown {
        stack: engine.stack(target.as_ref())?,
        container: known.and_then(|known| inside(engine, &known)),
    };
    out.show(&shown, |shown| {
        let inside = shown.container.as_ref().map(print::inside);
        stack_text(&shown.stack) + &inside.unwrap_or_default()
    })
}

/// The number of a container's first process.
fn init(known: &Known) -> Option<u32> {
    let status = known.status.as_ref()?;
    status.init.as_ref().map(|init| init.pid)
}

/// A named namespace goes before a container with its name.
fn container_at(engine: &Engine, target: &Target) -> Result<Option<Known>> {
    let place = place(engine)?;
    if let Target::Named(name) = target
        && !Path::new(&target.path()).exists()
    {
        let Ok(name) = name.parse::<EndpointName>() else {
            return Ok(None);
        };
        return match place.find(&name) {
            Ok(known) if known.state == State::Running => Ok(Some(known)),
            Ok(_) => Err(SandboxError::NotRunning(name).into()),
            Err(SandboxError::ContainerMissing(_)) => Ok(None),
            Err(error) => Err(error.into()),
        };
    }
    let Some(wanted) = identity(&target.path()) else {
        return Ok(None);
    };
    let lives_there = |known: &Known| {
        let init = init(known).filter(|_| known.state == State::Running);
        init.and_then(|pid| identity(&format!("/proc/{pid}/ns/net"))) == Some(wanted)
    };
    Ok(place.all()?.into_iter().find(lives_there))
}

/// What a file is, whatever it is called.
fn identity(path: &str) -> Option<(u64, u64)> {
    let meta = fs::metadata(path).ok()?;
    Some((meta.dev(), meta.ino()))
}

/// None where it ends in this moment.
fn inside(engine: &Engine, known: &Known) -> Option<Inside> {
    let container = &known.container;
    let pid = init(known)?;
    let id = id_of(&container.name).ok();
    let endpoints = engine.endpoints().unwrap_or_default();
    let of_it = endpoints.into_iter().find(|status| {
        let cni = status.endpoint.cni.as_ref();
        cni.is_some_and(|cni| Some(&cni.container) == id.as_ref())
    });
    let traffic = known.traffic();
    Some(Inside {
        name: container.name.clone(),
        pid,
        namespaces: namespaces(pid),
        cgroup: container.cgroup.clone(),
        limits: container.limits.clone(),
        rates: of_it
            .map(|status| status.endpoint.rates)
            .unwrap_or_default(),
        usage: Cgroups::find().usage(&container.cgroup),
        net_received: traffic.map(|(received, _)| received),
        net_sent: traffic.map(|(_, sent)| sent),
    })
}
