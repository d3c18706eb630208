//! Following a probe through the node: what each chain says of it, and where it ends.
//!
//! It changes no record and needs no lock. The table that marks the probe's packets is gone with
//! its socket, whatever ends this process.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, Instant};

use kernel::{Kernel, Tracer};
use model::{EndpointName, Family, IfName, NetworkName, Target};
use netstate::Netns;
use netstate::nft::text::TABLE;
use netstate::stack::StackNeighbour;
use netstate::trace::{
    Answer, Finding, KnownBy, ProbeProto, Sighting, TraceBy, TracePlan, TracedFlow, finding,
    first_each_way,
};
use serde::Serialize;

use crate::{EndpointStatus, Engine, EngineError};

/// How long reports may come behind the packet they are of.
const REPORTS_LATE: Duration = Duration::from_millis(50);
/// How long the answer to somebody else's packet may take.
const ANSWER_LATE: Duration = Duration::from_millis(500);

/// An endpoint by its name, and by its network's where several have it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EndpointPath {
    pub name: EndpointName,
    pub network: Option<NetworkName>,
}

/// Who sends.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeFrom {
    Node,
    Endpoint(EndpointPath),
    /// Somebody else, who sends what is followed: we send nothing.
    Outside(IpAddr),
}

/// Who is to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeTo {
    Address(IpAddr),
    Endpoint(EndpointPath),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceRequest {
    pub from: ProbeFrom,
    pub to: ProbeTo,
    pub proto: ProbeProto,
    /// How long an answer is waited for, or somebody else's packet.
    pub wait: Duration,
}

/// A probe's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Traced {
    pub destination: IpAddr,
    pub proto: ProbeProto,
    /// In microseconds, where it was answered.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub answered_after: Option<u64>,
    #[serde(flatten)]
    pub end: Finding,
    /// Why a rule of ours dropped it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Of the first packet each way.
    pub sightings: Vec<Sighting>,
    /// Who was asked for and did not answer: addresses that nobody has, in the sender's namespace
    /// and in the node's.
    pub unresolved: Vec<StackNeighbour>,
    /// Whose the ports are that it passed.
    pub ports: BTreeMap<IfName, String>,
    /// The table that marked its packets, as nft lines.
    pub plan: Vec<String>,
}

/// A probe that is ready, and the table for it.
struct Prepared {
    kernel: Kernel,
    /// Nothing where somebody else sends.
    probe: Option<kernel::Probe>,
    netns: Netns,
    destination: IpAddr,
    plan: TracePlan,
}

impl Engine {
    /// The lines that `trace` would do, before it sends anything.
    ///
    /// # Errors
    /// Those of [`Engine::trace`].
    pub fn trace_plan(&self, request: &TraceRequest) -> Result<Vec<String>, EngineError> {
        Ok(self.prepare(request)?.plan.lines())
    }

    /// Sends a probe and follows it and its answer through the node's firewall. `announce` gets the
    /// table that marks it before it is made.
    ///
    /// # Errors
    /// An endpoint that is not there or has no address of the family asked for; what the kernel
    /// refuses.
    pub fn trace(
        &self,
        request: &TraceRequest,
        announce: fn(&TracePlan),
    ) -> Result<Traced, EngineError> {
        let Prepared {
            mut kernel,
            mut probe,
            netns,
            destination,
            plan,
        } = self.prepare(request)?;
        announce(&plan);
        let mut tracer = Tracer::open(plan.clone())?;
        let start = Instant::now();
        let end = start + request.wait;
        let answer = match &mut probe {
            Some(probe) => probe.send().unwrap_or_else(|| probe.wait(end)),
            None => Answer::NotOurs,
        };
        let took = start.elapsed();
        let late = match answer {
            Answer::NotOurs if tracer.hear_some(end)? => ANSWER_LATE,
            _ => REPORTS_LATE,
        };
        tracer.hear(Instant::now() + late)?;
        let sightings = first_each_way(&plan, kernel.sightings(tracer)?);
        let end = finding(&plan, &answer, &sightings);
        let unresolved = match answer {
            Answer::Answered | Answer::Refused => Vec::new(),
            Answer::Silence | Answer::Unreachable(_) | Answer::NotOurs => {
                unresolved(&mut kernel, &netns, destination)?
            }
        };
        let is_answer = matches!(answer, Answer::Answered | Answer::Refused);
        Ok(Traced {
            destination,
            proto: request.proto,
            answered_after: is_answer.then(|| u64::try_from(took.as_micros()).unwrap_or(u64::MAX)),
            reason: reason(&end),
            end,
            ports: self.ports_of(&sightings)?,
            sightings,
            unresolved,
            plan: plan.lines(),
        })
    }

    fn prepare(&self, request: &TraceRequest) -> Result<Prepared, EngineError> {
        let TraceRequest {
            from, to, proto, ..
        } = request;
        let (netns, addresses) = match from {
            ProbeFrom::Node => (Netns::Node, None),
            ProbeFrom::Outside(sender) => (Netns::Node, Some(vec![*sender])),
            ProbeFrom::Endpoint(path) => {
                let from = self.endpoint_at(path)?.endpoint;
                (Netns::Target(from.target), Some(from.addresses))
            }
        };
        let destination = self.destination(to, addresses.as_deref())?;
        let mut kernel = Kernel::open()?;
        let (probe, flow) = match from {
            ProbeFrom::Outside(sender) => {
                let flow = TracedFlow {
                    family: Family::of(*sender),
                    proto: *proto,
                    by: KnownBy::Sender(*sender),
                };
                (None, flow)
            }
            ProbeFrom::Node | ProbeFrom::Endpoint(_) => {
                let identifier = self.settings.random as u16;
                let probe = kernel.probe(&netns, destination, *proto, identifier)?;
                let flow = probe.flow();
                (Some(probe), flow)
            }
        };
        Ok(Prepared {
            kernel,
            probe,
            netns,
            destination,
            plan: TracePlan::new(std::process::id(), flow),
        })
    }

    fn endpoint_at(&self, path: &EndpointPath) -> Result<EndpointStatus, EngineError> {
        self.endpoint_named(&path.name, path.network.as_ref())
    }

    /// The address to send to: of a family that the sender has, where it is an endpoint.
    fn destination(&self, to: &ProbeTo, sender: Option<&[IpAddr]>) -> Result<IpAddr, EngineError> {
        let path = match to {
            ProbeTo::Address(address) => return Ok(*address),
            ProbeTo::Endpoint(path) => path,
        };
        let found = self.endpoint_at(path)?;
        let has = |family| {
            sender.is_none_or(|own| own.iter().any(|address| Family::of(*address) == family))
        };
        let addresses = &found.endpoint.addresses;
        let mut fit = addresses.iter().filter(|a| has(Family::of(**a)));
        let none = || EngineError::NoCommonFamily(found.endpoint.name.clone());
        fit.next().copied().ok_or_else(none)
    }

    fn ports_of(&self, sightings: &[Sighting]) -> Result<BTreeMap<IfName, String>, EngineError> {
        let seen = |port: &IfName| {
            let is_it = |device: &Option<String>| device.as_deref() == Some(port.as_str());
            sightings
                .iter()
                .any(|s| is_it(&s.input) || is_it(&s.output))
        };
        let mut endpoints = self.endpoints()?;
        endpoints.retain(|status| seen(&status.endpoint.port));
        let named = endpoints.into_iter().map(|status| {
            let name = format!("{}/{}", status.network_name, status.endpoint.name);
            (status.endpoint.port, name)
        });
        Ok(named.collect())
    }
}

fn reason(end: &Finding) -> Option<&'static str> {
    match end {
        Finding::Dropped { sighting, .. } if sighting.table == TABLE => match &sighting.by {
            TraceBy::Rule(_, Some(text)) => plan::reason(&sighting.chain, text),
            _ => None,
        },
        _ => None,
    }
}

/// Neighbours that were asked for and did not answer, where the probe's way may lead by them.
fn unresolved(
    kernel: &mut Kernel,
    from: &Netns,
    destination: IpAddr,
) -> Result<Vec<StackNeighbour>, EngineError> {
    let target: Option<&Target> = match from {
        Netns::Node => None,
        Netns::Target(target) => Some(target),
    };
    let mut stacks = vec![kernel.stack(None)?];
    if target.is_some() {
        stacks.push(kernel.stack(target)?);
    }
    let mut all = Vec::new();
    for stack in stacks {
        let routes = stack.routes;
        let matters = |neighbour: &StackNeighbour| {
            let is_lost = matches!(neighbour.state.as_str(), "incomplete" | "failed");
            let mut gateways = routes.iter().filter_map(|route| route.via);
            is_lost
                && (neighbour.address == destination
                    || gateways.any(|via| via == neighbour.address))
        };
        all.extend(stack.neighbours.into_iter().filter(matters));
    }
    all.sort();
    all.dedup();
    Ok(all)
}
