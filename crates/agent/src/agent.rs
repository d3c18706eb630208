//! One look at everything: what the cluster is, what this node makes of it.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::{Adopted, Change, Engine, EngineError, Mode, Settings, TakeOver};
use model::{NetworkName, NodeName, Overlay};
use serde::Serialize;
use store::Membership;
use store::cluster::{ClusterStore, Member};

use crate::agree::{Agreed, Said, Unclaimed, Wish, agree};
use crate::underlay::Underlay;
use crate::{AgentError, ClusterPlace};

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
    /// For the engine; the time in it is set anew at each look.
    pub engine: Settings,
}

/// One node's agent.
pub struct Agent {
    pub(crate) settings: AgentSettings,
    underlay: Underlay,
    store: Box<dyn ClusterStore>,
    said: Said,
    known: BTreeMap<NetworkName, Overlay>,
    /// Whether the records were there and the kernel put right by them once.
    settled: bool,
}

/// Which networks a look claims a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Claims {
    All,
    /// Those that were not known at the last look.
    New,
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
    ///
    /// # Errors
    /// `Settings`: what no store can be asked with.
    pub fn new(settings: AgentSettings) -> Result<Self, AgentError> {
        Ok(Self {
            underlay: Underlay::new(settings.underlay.clone(), &settings.place.address),
            store: settings.place.open()?,
            said: Said::default(),
            known: BTreeMap::new(),
            settled: false,
            settings,
        })
    }

    /// Joins the cluster, takes over what it agreed on, and is done.
    ///
    /// # Errors
    /// A store that can't be asked or refuses: the kernel is then what the records say. Those of
    /// the engine.
    pub fn once(mut self) -> Result<Change<Joined>, AgentError> {
        let pass = self.pass(Claims::All);
        let agreed = pass.agreed?;
        let Change { outcome, plan } = pass.change?;
        Ok(Change {
            outcome: Joined {
                node: agreed.membership.me,
                unclaimed: agreed.unclaimed,
                adopted: outcome,
            },
            plan,
        })
    }

    pub(crate) fn pass(&mut self, claims: Claims) -> Pass {
        let engine = self.engine();
        let first = match self.settle(&engine) {
            Ok(first) => first,
            Err(error) => {
                return Pass {
                    agreed: Err(error),
                    change: Ok(nothing()),
                };
            }
        };
        let agreed = self.agree(&engine, claims);
        let (agreed, change) = match agreed {
            Ok(agreed) => adopt(&engine, agreed),
            Err(error) => (Err(error), heal(&engine)),
        };
        Pass {
            agreed,
            change: change.map(|change| joined(first, change)),
        }
    }

    fn engine(&self) -> Engine {
        Engine::new(Settings {
            now_secs: now_secs(),
            ..self.settings.engine.clone()
        })
    }

    /// Before the cluster is asked for the first time: after a reboot the networks are back
    /// whether it answers or not, and the records have the identity that this node joins with.
    fn settle(&mut self, engine: &Engine) -> Result<Change<Adopted>, AgentError> {
        if self.settled {
            return Ok(nothing());
        }
        let change = match heal(engine) {
            Ok(change) => change,
            // The records are there; the look that follows tries the steps again.
            Err(EngineError::Apply(_)) => nothing(),
            Err(error) => return Err(error.into()),
        };
        if let Some(known) = engine.membership()? {
            self.known = known.cluster.networks;
        }
        self.settled = true;
        Ok(change)
    }

    fn agree(&mut self, engine: &Engine, claims: Claims) -> Result<Agreed, AgentError> {
        let name = &self.settings.name;
        let me = Member {
            name: name.clone(),
            id: engine.node_id()?,
        };
        let none = BTreeMap::new();
        let wish = Wish {
            me: &me,
            underlay: &|listed| self.underlay.resolve(name, listed),
            now_secs: now_secs(),
            known: match claims {
                Claims::All => &none,
                Claims::New => &self.known,
            },
        };
        let agreed = agree(&mut *self.store, &wish, &mut self.said)?;
        self.known.clone_from(&agreed.membership.cluster.networks);
        Ok(agreed)
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

pub(crate) fn now_secs() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

impl Pass {
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

    pub fn membership(&self) -> Option<&Membership> {
        self.agreed.as_ref().ok().map(|agreed| &agreed.membership)
    }
}
