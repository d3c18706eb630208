//! Making the kernel what the records say.

use std::collections::BTreeSet;

use model::{
    CniAttachment, Endpoint, EndpointId, EndpointName, ListName, NetnsOrigin, NetworkName, Target,
};
use netstate::{Alias, Interest, KernelState, Pair, Plan, Step, diff};
use plan::{View, desired, only_owned};
use serde::Serialize;
use store::{EndpointLife, EndpointRecord, NetworkLife};

use crate::session::{Boot, Session, check_tables};
use crate::{Change, Engine, EngineError, Failures, Mode, TakeOver};

/// How often one reconcile looks again. A pass may uncover what the one before it caused: a
/// device that comes back has lost its routes.
const PASSES: usize = 4;

/// What a reconcile found.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize)]
pub struct Reconciled {
    /// Endpoints whose namespace is gone, or that a process left half way.
    pub released: Vec<Released>,
    /// Networks that a process left half way.
    pub removed_networks: Vec<NetworkName>,
    /// What was wrong in the kernel, a sentence each, in the order of the plan.
    pub findings: Vec<String>,
}

/// An endpoint that is no longer recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Released {
    pub network: NetworkName,
    pub name: EndpointName,
    pub target: Target,
    pub why: Why,
}

/// Why an endpoint is released.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Why {
    NamespaceGone,
    /// Its runtime no longer knows it.
    Forgotten,
    AttachUnfinished,
    DetachUnfinished,
}

impl Engine {
    /// Makes the kernel what the records say, and forgets what is dead.
    ///
    /// # Errors
    /// Records that can't be read, tables that are somebody else's; steps that the kernel
    /// refuses, after all others are done.
    pub fn reconcile(
        &self,
        take_over: TakeOver,
        mode: Mode,
    ) -> Result<Change<Reconciled>, EngineError> {
        let mut session = self.session(mode)?;
        if take_over == TakeOver::Yes {
            session.take_over()?;
        }
        session.reconcile(None)
    }

    /// Reconciles, and releases what was attached by a configuration list whose runtime no longer
    /// knows it.
    ///
    /// # Errors
    /// Those of [`Engine::reconcile`].
    pub fn collect(&self, known: &Known, mode: Mode) -> Result<Change<Reconciled>, EngineError> {
        self.session(mode)?.reconcile(Some(known))
    }
}

/// What the runtime of a configuration list still knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    pub list: ListName,
    /// Container and interface, as the runtime spells them.
    pub attachments: BTreeSet<(String, String)>,
}

impl Known {
    fn has_forgotten(&self, endpoint: &Endpoint) -> bool {
        let key = |cni: &CniAttachment| (cni.container.to_string(), endpoint.ifname.to_string());
        let of_list = endpoint.cni.as_ref().filter(|cni| cni.list == self.list);
        of_list.is_some_and(|cni| !self.attachments.contains(&key(cni)))
    }
}

/// What is to be forgotten.
#[derive(Debug, Default)]
struct Doomed {
    endpoints: Vec<(EndpointRecord, Why)>,
}

impl Doomed {
    fn has(&self, id: EndpointId) -> bool {
        self.endpoints
            .iter()
            .any(|(record, _)| record.endpoint.id == id)
    }
}

impl Session<'_> {
    /// Reconciles on behalf of another call, which reports nothing of it.
    pub(crate) fn reconcile_rest(&mut self) -> Result<(), EngineError> {
        self.records.share()?;
        self.reconcile(None).map(|_| ())
    }

    pub(crate) fn reconcile(
        &mut self,
        known: Option<&Known>,
    ) -> Result<Change<Reconciled>, EngineError> {
        let records = self.records.endpoints()?;
        let (doomed, plan, failures) = self.converge_with_the_living(&records, known)?;
        let mut outcome = Reconciled {
            findings: plan.findings(),
            ..Reconciled::default()
        };
        self.forget(&doomed, failures.as_ref(), &mut outcome)?;
        if let Some(failures) = failures {
            return Err(EngineError::Apply(failures));
        }
        if self.boot == Boot::New {
            let here = self.kernel.node_netns()?;
            self.records.set_home(&here)?;
            self.boot = Boot::Same;
        }
        Ok(Change { outcome, plan })
    }

    /// Converges; and where a namespace has died since it was looked at, which may be why a step
    /// failed, forgets that one's endpoints too and goes on. The dead only get more, so that this
    /// ends.
    fn converge_with_the_living(
        &mut self,
        records: &[EndpointRecord],
        known: Option<&Known>,
    ) -> Result<(Doomed, Plan, Option<Failures>), EngineError> {
        let mut whole = Plan::default();
        let mut doomed = self.doomed(records, known)?;
        loop {
            let converged = self.converge(records, &doomed);
            if matches!(&converged, Ok((plan, None)) if plan.is_empty()) {
                return Ok((doomed, whole, None));
            }
            let now = self.doomed(records, known)?;
            let more_are_dead = now.endpoints.len() > doomed.endpoints.len();
            let (plan, failures) = match converged {
                Err(_) if more_are_dead => Default::default(),
                converged => converged?,
            };
            whole = whole.then(plan);
            if !more_are_dead {
                return Ok((doomed, whole, failures));
            }
            doomed = now;
        }
    }

    /// Endpoints that are dead, or that their runtime has forgotten.
    fn doomed(
        &mut self,
        records: &[EndpointRecord],
        known: Option<&Known>,
    ) -> Result<Doomed, EngineError> {
        let mut doomed = Doomed::default();
        let others = records.iter().filter(|r| self.begun != Some(r.endpoint.id));
        for record in others.cloned().collect::<Vec<_>>() {
            let attached = record.life == EndpointLife::Attached;
            let why = match known {
                Some(known) if attached && known.has_forgotten(&record.endpoint) => {
                    Some(Why::Forgotten)
                }
                _ => self.why_dead(&record)?,
            };
            if let Some(why) = why {
                doomed.endpoints.push((record, why));
            }
        }
        Ok(doomed)
    }

    /// Why an endpoint is to be forgotten, whatever its runtime says: its namespace is gone, or a
    /// process left it half way. Under the node's lock nobody else is on the way, except a
    /// detach, which anybody may finish.
    pub(crate) fn why_dead(&mut self, record: &EndpointRecord) -> Result<Option<Why>, EngineError> {
        Ok(match record.life {
            EndpointLife::Attaching => Some(Why::AttachUnfinished),
            EndpointLife::Detaching | EndpointLife::Deleting => Some(Why::DetachUnfinished),
            EndpointLife::Attached if self.is_alive(record)? => None,
            EndpointLife::Attached => Some(Why::NamespaceGone),
        })
    }

    pub(crate) fn is_alive(&mut self, record: &EndpointRecord) -> Result<bool, EngineError> {
        let Some(netns) = &record.netns else {
            return Ok(false);
        };
        Ok(self
            .kernel
            .target_is_alive(&record.endpoint.target, netns)?)
    }

    /// Plans and applies until nothing differs. In a dry run it plans once.
    fn converge(
        &mut self,
        records: &[EndpointRecord],
        doomed: &Doomed,
    ) -> Result<(Plan, Option<Failures>), EngineError> {
        let mut whole = Plan::default();
        for _ in 0..PASSES {
            let plan = self.plan_all(records, doomed)?;
            if plan.is_empty() {
                break;
            }
            whole.steps.extend(plan.steps.iter().cloned());
            match self.apply(&plan) {
                Ok(()) => {}
                Err(EngineError::Apply(failures)) => return Ok((whole, Some(failures))),
                Err(other) => return Err(other),
            }
            if self.mode == Mode::DryRun {
                break;
            }
        }
        Ok((whole, None))
    }

    fn plan_all(
        &mut self,
        records: &[EndpointRecord],
        doomed: &Doomed,
    ) -> Result<Plan, EngineError> {
        let facts = self.kernel.facts()?;
        let mut view = self.view(&facts)?;
        for network in &mut view.networks {
            network.endpoints.retain(|e| !doomed.has(e.endpoint.id));
        }
        let mut wanted = desired(&view);
        // These endpoints are alive, and so are the namespaces made for them. Whether one still
        // carries the mark is nothing to go by: it can be changed from inside.
        wanted.namespaces.clear();
        let interest = self.interest(&view, &wanted, records);
        let mut observed = self.kernel.observe(&interest)?;
        check_tables(&observed, view.node)?;
        observed
            .namespaces
            .extend(self.namespaces_to_delete(records, doomed)?);
        Ok(diff(&only_owned(observed, &view), &wanted))
    }

    /// Namespaces that a detach which died was to delete, whoever made them, where they are still
    /// the same and nothing else of ours is in them.
    fn namespaces_to_delete(
        &mut self,
        records: &[EndpointRecord],
        doomed: &Doomed,
    ) -> Result<Vec<(String, Alias)>, EngineError> {
        let mut names = Vec::new();
        let left = doomed.endpoints.iter().map(|(record, _)| record);
        for record in left.filter(|record| record.life == EndpointLife::Deleting) {
            let Target::Named(name) = &record.endpoint.target else {
                continue;
            };
            let stays = |e: &EndpointRecord| e.netns == record.netns && !doomed.has(e.endpoint.id);
            if !records.iter().any(stays) && self.is_alive(record)? {
                names.push((name.clone(), self.mark()));
            }
        }
        Ok(names)
    }

    fn interest(&self, view: &View, wanted: &KernelState, records: &[EndpointRecord]) -> Interest {
        let endpoints = view.networks.iter().flat_map(|network| &network.endpoints);
        let targets = endpoints.map(|view| {
            let endpoint = &view.endpoint;
            Pair {
                target: endpoint.target.clone(),
                ifname: endpoint.ifname.clone(),
                port: endpoint.port.clone(),
            }
        });
        Interest {
            node: view.node,
            targets: targets.collect(),
            sysctls: wanted.sysctls.keys().cloned().collect(),
            namespaces: self.made_namespaces(records),
        }
    }

    /// Namespaces that an attach which died may have left behind. Only those that carry our mark
    /// are ever observed.
    fn made_namespaces(&self, records: &[EndpointRecord]) -> BTreeSet<String> {
        let left = records.iter().filter(|record| {
            let unfinished = record.life == EndpointLife::Attaching;
            let own = self.begun == Some(record.endpoint.id);
            unfinished && !own && record.origin == NetnsOrigin::Made
        });
        let left = left.filter_map(|record| match &record.endpoint.target {
            Target::Named(name) => Some(name.clone()),
            Target::Path(_) | Target::Pid(_) => None,
        });
        left.collect()
    }

    /// Deletes the records of what is dead, unless its remains could not be removed.
    fn forget(
        &mut self,
        doomed: &Doomed,
        failures: Option<&Failures>,
        outcome: &mut Reconciled,
    ) -> Result<(), EngineError> {
        for (record, why) in &doomed.endpoints {
            let endpoint = &record.endpoint;
            if failures.is_some_and(|failures| remains(failures, record)) {
                continue;
            }
            outcome.released.push(Released {
                network: self.network_of(endpoint)?.name,
                name: endpoint.name.clone(),
                target: endpoint.target.clone(),
                why: *why,
            });
            self.forget_endpoint(endpoint.id)?;
            self.crash.pass();
        }
        if failures.is_some() {
            return Ok(());
        }
        for record in self.records.networks()? {
            if record.life == NetworkLife::Ready {
                continue;
            }
            outcome.removed_networks.push(record.network.name);
            self.records.delete_network(record.network.id)?;
            self.crash.pass();
        }
        Ok(())
    }

    /// Makes the marks that stand in this namespace ours: these records take the identity of the
    /// lost ones, and what they don't know of is removed as left over.
    fn take_over(&mut self) -> Result<(), EngineError> {
        let interest = Interest {
            node: self.node(),
            targets: Vec::new(),
            sysctls: Vec::new(),
            namespaces: BTreeSet::new(),
        };
        let observed = self.kernel.observe(&interest)?;
        match check_tables(&observed, interest.node) {
            Err(EngineError::OtherRecords { owner, .. }) => Ok(self.records.set_node_id(owner)?),
            result => result,
        }
    }
}

/// Whether a failed step was about to remove something of this endpoint.
pub(crate) fn remains(failures: &Failures, record: &EndpointRecord) -> bool {
    let endpoint = &record.endpoint;
    failures.failed.iter().any(|failure| match &failure.step {
        Step::DelLink(key) => key.name == endpoint.port,
        Step::DelNetns(name) => Target::Named(name.clone()) == endpoint.target,
        step => step.is_nft(),
    })
}
