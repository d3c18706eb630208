//! The targets that are open: a bounded number of them.

use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

use model::Target;

use crate::error::KernelError;
use crate::home::Home;
use crate::namespace::Namespace;

/// Targets open at once, each with a few descriptors; the oldest goes first.
const TARGETS_MAX: usize = 32;

#[derive(Debug, Default)]
pub struct Targets {
    open: BTreeMap<Target, Entry>,
    /// In the order in which they were opened.
    order: VecDeque<Target>,
    /// Counts the calls from outside: between two of them a name may change hands.
    pass: u64,
}

#[derive(Debug)]
struct Entry {
    namespace: Namespace,
    /// When it was last found to be where its name leads.
    seen: u64,
}

impl Targets {
    /// From now on, each target's name is looked at before what is open of it is used.
    pub fn look_again(&mut self) {
        self.pass += 1;
    }

    /// The namespace of a target, opened at most once.
    ///
    /// # Errors
    /// Those of [`Namespace::of_target`]; `EnterTarget`, `OpenSocket`; `TargetIsNode`, told by
    /// the node's cookie.
    pub fn open(
        &mut self,
        target: &Target,
        node: u64,
        home: Rc<Home>,
    ) -> Result<&mut Namespace, KernelError> {
        self.drop_if_moved(target)?;
        if !self.open.contains_key(target) {
            let mut namespace = Namespace::of_target(target, home)?;
            if namespace.cookie()? == node {
                return Err(KernelError::TargetIsNode(target.clone()));
            }
            self.insert(target, namespace);
        }
        self.open
            .get_mut(target)
            .map(|entry| &mut entry.namespace)
            .ok_or_else(|| KernelError::TargetMissing(target.clone()))
    }

    fn drop_if_moved(&mut self, target: &Target) -> Result<(), KernelError> {
        let Some(entry) = self.open.get_mut(target) else {
            return Ok(());
        };
        if entry.seen == self.pass {
            return Ok(());
        }
        let stays = entry.namespace.is_at(target);
        if matches!(stays, Ok(true)) {
            entry.seen = self.pass;
            entry.namespace.forget_indexes();
        } else {
            self.forget(target);
        }
        stays.map(|_| ())
    }

    pub fn insert(&mut self, target: &Target, namespace: Namespace) {
        self.forget(target);
        if self.order.len() >= TARGETS_MAX
            && let Some(oldest) = self.order.pop_front()
        {
            self.open.remove(&oldest);
        }
        self.order.push_back(target.clone());
        let seen = self.pass;
        self.open.insert(target.clone(), Entry { namespace, seen });
    }

    /// The namespace of a target that is open already.
    pub fn get(&self, target: &Target) -> Option<&Namespace> {
        self.open.get(target).map(|entry| &entry.namespace)
    }

    pub fn forget(&mut self, target: &Target) {
        if self.open.remove(target).is_some() {
            self.order.retain(|open| open != target);
        }
    }
}
