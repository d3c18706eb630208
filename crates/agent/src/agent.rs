//! One look at everything: what the cluster is, what this node makes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use engine::{Adopted, Change, Engine, EngineError, Mode, Settings, TakeOver, now_secs};
use model::{NetworkName, NodeName};
use serde::Serialize;
use store::Membership;
use store::cluster::{Member, Told};

use crate::agree::{Agreed, Unclaimed};
use crate::talk::{Answer, Claims, Question, Talk};
use crate::tell::tellable;
use crate::underlay::Underlay;
use crate::{AgentError, ClusterAddress, ClusterPlace};

/// What an agent is told.
#[derive(Debug, Clone)]
pub struct AgentSettings {
    pub name: NodeName,
    pub place: ClusterPlace,
    /// The node's addresses in the underlay. Without one, what the cluster's file says, or what
    /// the default routes use.
    pub underlay: Vec<IpAddr>,
    /// How long to wait for news before everything is looked at again.
    pub resync: Duration,
    /// Where to answer questions for metrics besides the agent's own socket.
    pub metrics: Option<SocketAddr>,
    /// For the engine; the time in it is set anew at each look.
    pub engine: Settings,
    /// Has names answered for where an endpoint could ask.
    pub keep_names: KeepNames,
}

/// Given the node and its state directory; says what is wrong.
pub type KeepNames = fn(&Engine, &Path) -> Result<(), String>;

/// One node's agent: what it does to the node.
pub struct Agent {
    pub(crate) settings: AgentSettings,
    pub(crate) underlay: Underlay,
    pub(crate) known: Option<Membership>,
    /// Whether the records were there and the kernel put right by them once.
    settled: bool,
}

/// What came of one look.
pub(crate) struct Pass {
    /// What the cluster is; without, the node went on with its records.
    pub agreed: Result<Agreed, AgentError>,
    pub change: Result<Change<Adopted>, EngineError>,
}

/// What joining did.
#[derive(Debug, Serialize)]
pub struct Joined {
    pub node: NodeName,
    /// Networks that this node could get no part of.
    pub unclaimed: Vec<Unclaimed>,
    #[serde(flatten)]
    pub adopted: Adopted,
}

impl Joined {
    /// Whether this node has a network otherwise than the cluster, or not at all.
    pub fn lacks_something(&self) -> bool {
        let adopted = &self.adopted;
        !(self.unclaimed.is_empty() && adopted.refused.is_empty() && adopted.stranded.is_empty())
    }
}

impl Agent {
    /// Nobody is asked yet.
    pub fn new(settings: AgentSettings) -> Self {
        Self {
            underlay: Underlay::new(settings.underlay.clone(), &settings.place.address),
            known: None,
            settled: false,
            settings,
        }
    }

    /// Who asks the cluster for this agent.
    pub(crate) fn talk(&self) -> Result<Talk, AgentError> {
        Ok(Talk::new(
            self.settings.place.open()?,
            self.underlay.clone(),
        ))
    }

    /// Joins the cluster, takes over what it agreed on, and is done.
    ///
    /// # Errors
    /// A store that can't be asked or refuses: the kernel is then what the records say. Those of
    /// the engine.
    pub fn once(mut self) -> Result<Change<Joined>, AgentError> {
        let mut talk = self.talk()?;
        let first = self.settle()?;
        let answer = talk.ask(&self.question(Claims::All)?);
        let pass = self.take(answer);
        let agreed = pass.agreed?;
        let Change { outcome, plan } = joined(first, pass.change?);
        Ok(Change {
            outcome: Joined {
                node: agreed.membership.me,
                unclaimed: agreed.unclaimed,
                adopted: outcome,
            },
            plan,
        })
    }

    fn engine(&self) -> Engine {
        Engine::new(Settings {
            now_secs: now_secs(),
            ..self.settings.engine.clone()
        })
    }

    /// Before the cluster is asked for the first time: after a reboot the networks are back
    /// whether it answers or not, and the records have the identity that this node joins with.
    pub(crate) fn settle(&mut self) -> Result<Change<Adopted>, AgentError> {
        if self.settled {
            return Ok(nothing());
        }
        let engine = self.engine();
        let change = match heal(&engine) {
            Ok(change) => change,
            // The records are there; the look that follows tries the steps again.
            Err(EngineError::Apply(_)) => nothing(),
            Err(error) => return Err(error.into()),
        };
        self.known = engine.membership()?;
        self.settled = true;
        Ok(change)
    }

    /// What to ask the cluster.
    pub(crate) fn question(&self, claims: Claims) -> Result<Question, AgentError> {
        let known = self.known.as_ref();
        Ok(Question {
            me: Member {
                name: self.settings.name.clone(),
                id: self.engine().node_id()?,
            },
            claims,
            known: known.map_or_else(BTreeMap::new, |known| known.cluster.networks.clone()),
            told: self.told()?,
            now_secs: now_secs(),
        })
    }

    /// Whether this node's endpoints are others than the cluster was told of, where anybody can tell
    /// it.
    pub(crate) fn has_to_tell(&self) -> Result<bool, EngineError> {
        let name = &self.settings.name;
        let known = self.known.as_ref();
        let me = known.and_then(|known| Some((&known.cluster, known.cluster.nodes.get(name)?)));
        match (&self.settings.place.address, me) {
            (ClusterAddress::Static(_), _) | (_, None) => Ok(false),
            (ClusterAddress::Etcd(_), Some((cluster, me))) => {
                let now = tellable(&self.told()?, cluster, me);
                Ok(now.endpoints != me.endpoints || now.named != me.named)
            }
        }
    }

    /// This node's endpoints, as far as the others are told of them.
    fn told(&self) -> Result<Told, EngineError> {
        let engine = self.engine();
        Ok(Told {
            endpoints: engine.whereabouts()?,
            named: engine.named()?.told,
        })
    }

    /// Takes over what the cluster answered; without an answer the node is as its records say.
    pub(crate) fn take(&mut self, answer: Answer) -> Pass {
        let engine = self.engine();
        let (agreed, change) = match answer {
            Ok(agreed) => {
                self.known = Some(agreed.membership.clone());
                adopt(&engine, agreed)
            }
            Err(error) => (Err(error), heal(&engine)),
        };
        Pass { agreed, change }
    }

    /// Makes the node as its records say.
    pub(crate) fn heal(&self) -> Result<Change<Adopted>, EngineError> {
        heal(&self.engine())
    }

    /// Keeps the fast path, where it is on, on what is there now.
    pub(crate) fn ensure_fast_path(&self) -> Result<(), EngineError> {
        self.engine().ensure_fast_path().map(drop)
    }

    /// Makes every flow of the fast path prove itself again: rules have changed.
    pub(crate) fn void_fast_path_proofs(&self) -> Result<(), EngineError> {
        self.engine().void_fast_path_proofs()
    }

    /// Has names answered for, where anybody could ask.
    pub(crate) fn keep_names(&self) -> Result<(), String> {
        (self.settings.keep_names)(&self.engine(), &self.settings.engine.state_dir)
    }

    /// The networks that the cluster has names for.
    pub(crate) fn networks_with_names(&self) -> BTreeSet<NetworkName> {
        let known = self.known.iter();
        let networks = known.flat_map(|known| known.cluster.networks.values());
        let named = networks.filter(|overlay| !overlay.names.are_off());
        named.map(|overlay| overlay.name.clone()).collect()
    }

    /// This node's underlay addresses as they are now; none where it has not what it should.
    pub(crate) fn underlay_now(&self) -> Option<Vec<IpAddr>> {
        let name = &self.settings.name;
        let known = self.known.as_ref();
        let listed = known.and_then(|known| known.cluster.nodes.get(name));
        self.underlay.resolve(name, listed).ok()
    }
}

/// Takes over what the cluster is. What only the cluster can put right leaves the node as its
/// records have it.
fn adopt(
    engine: &Engine,
    agreed: Agreed,
) -> (
    Result<Agreed, AgentError>,
    Result<Change<Adopted>, EngineError>,
) {
    match engine.adopt(&agreed.membership, Mode::Apply) {
        Err(error @ (EngineError::NotAMember(_) | EngineError::UnderlayMissing { .. })) => {
            (Err(error.into()), heal(engine))
        }
        outcome => (Ok(agreed), outcome),
    }
}

fn heal(engine: &Engine) -> Result<Change<Adopted>, EngineError> {
    let Change { outcome, plan } = engine.reconcile(TakeOver::No, Mode::Apply)?;
    Ok(Change {
        outcome: Adopted {
            reconciled: outcome,
            ..Adopted::default()
        },
        plan,
    })
}

fn nothing() -> Change<Adopted> {
    Change {
        outcome: Adopted::default(),
        plan: Default::default(),
    }
}

/// Two changes, one after the other, as one. The first is of the records alone.
fn joined(first: Change<Adopted>, mut then: Change<Adopted>) -> Change<Adopted> {
    let mut all = first.outcome.reconciled;
    let last = &mut then.outcome.reconciled;
    all.released.append(&mut last.released);
    all.removed_networks.append(&mut last.removed_networks);
    all.findings.append(&mut last.findings);
    then.outcome.reconciled = all;
    let mut plan = first.plan;
    plan.steps.append(&mut then.plan.steps);
    then.plan = plan;
    then
}

impl Pass {
    /// A look that never began.
    pub fn of_nothing(error: AgentError) -> Self {
        Self {
            agreed: Err(error),
            change: Ok(nothing()),
        }
    }

    /// Why not everything is as it should be, where something failed as a whole.
    pub fn fault(&self) -> Option<String> {
        if let Err(error) = &self.agreed {
            return Some(error.in_one_line());
        }
        self.change
            .as_ref()
            .err()
            .map(|e| crate::error::in_one_line(e))
    }

    /// Whether the store was asked and does not answer.
    pub fn is_unanswered(&self) -> bool {
        match &self.agreed {
            Err(AgentError::Cluster(error)) => error.is_passing(),
            Ok(_) | Err(_) => false,
        }
    }

    pub fn membership(&self) -> Option<&Membership> {
        self.agreed.as_ref().ok().map(|agreed| &agreed.membership)
    }
}
