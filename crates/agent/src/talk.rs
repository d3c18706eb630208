//! Talking with the cluster, on a thread of its own: a store that takes its time keeps nobody from
//! healing the node.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender};

use model::{ClusterNode, NetworkName, Overlay};
use store::cluster::{ClusterError, ClusterStore, Member, Told};

use crate::AgentError;
use crate::agree::{Agreed, Said, Wish, agree};
use crate::reason::Reason;
use crate::underlay::Underlay;

/// Which networks a look claims a part of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Claims {
    /// Those that were not known at the last look.
    New,
    All,
}

/// What the store is asked.
#[derive(Debug)]
pub enum Call {
    /// Whether it answers.
    Probe,
    Agree(Box<Question>),
}

/// One question: what is the cluster by now, with this node in it?
#[derive(Debug)]
pub struct Question {
    pub me: Member,
    pub claims: Claims,
    /// The networks as they were known.
    pub known: BTreeMap<NetworkName, Overlay>,
    /// This node's, of which the others are told.
    pub told: Told,
    pub now_secs: u64,
}

pub type Answer = Result<Agreed, AgentError>;

/// What a call came to.
#[derive(Debug)]
pub enum Return {
    Probed(Result<(), ClusterError>),
    Agreed(Box<Answer>),
}

/// Who asks the store.
pub struct Talk {
    pub store: Box<dyn ClusterStore>,
    pub underlay: Underlay,
    said: Said,
}

impl Talk {
    pub fn new(store: Box<dyn ClusterStore>, underlay: Underlay) -> Self {
        Self {
            store,
            underlay,
            said: Said::default(),
        }
    }

    pub fn ask(&mut self, question: &Question) -> Answer {
        let none = BTreeMap::new();
        let underlay = &self.underlay;
        let name = &question.me.name;
        let wish = Wish {
            me: &question.me,
            underlay: &|listed: Option<&ClusterNode>| underlay.resolve(name, listed),
            now_secs: question.now_secs,
            known: match question.claims {
                Claims::All => &none,
                Claims::New => &question.known,
            },
            told: &question.told,
        };
        agree(&mut *self.store, &wish, &mut self.said)
    }

    /// Answers calls until nobody calls any more. A return is a reason to look.
    pub fn run(mut self, calls: &Receiver<Call>, returns: &Sender<Return>, into: &Sender<Reason>) {
        for call in calls {
            let outcome = match call {
                Call::Probe => Return::Probed(self.store.probe()),
                Call::Agree(question) => Return::Agreed(Box::new(self.ask(&question))),
            };
            if returns.send(outcome).is_err() || into.send(Reason::Answer).is_err() {
                return;
            }
        }
    }
}
