//! What a lab is made of, by the words of its user: nodes, and the store's machine where there is
//! one. Each has a cable, a process that matters, and programs that run there.

use std::ffi::OsStr;
use std::process::Command;

use model::NodeName;

use crate::error::LabError;
use crate::etcd::{self, StoreMachine};
use crate::node::Node;
use crate::spec::Spec;
use crate::switch::Port;
use crate::{Tools, agent, place, process, switch};

/// A machine of a lab.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Part {
    Node(Box<Node>),
    Store(StoreMachine),
}

impl Part {
    fn word(&self) -> &str {
        match self {
            Self::Node(node) => node.name.as_str(),
            Self::Store(_) => place::STORE,
        }
    }

    /// A program there.
    ///
    /// # Errors
    /// `NodeDead`.
    pub fn command(&self, program: impl AsRef<OsStr>, tools: &Tools) -> Result<Command, LabError> {
        match self {
            Self::Node(node) => node.command(program, tools),
            Self::Store(store) => Ok(store.command(program, tools)),
        }
    }

    /// Its agent, or its etcd.
    fn pid(&self) -> Option<u32> {
        match self {
            Self::Node(node) => agent::pid_of(node),
            Self::Store(store) => store.pid(),
        }
    }

    /// Pulls its cable out of the switch. Success where it is out.
    ///
    /// # Errors
    /// `Command`: what `ip` said.
    pub fn cut(&self, spec: &Spec, tools: &Tools) -> Result<(), LabError> {
        switch::set_port(spec, self.word(), Port::Down, tools)
    }

    /// Ends its agent, or its etcd. Success where none runs.
    ///
    /// # Errors
    /// `StillRunning`.
    pub fn stop(&self) -> Result<(), LabError> {
        let netns = match self {
            Self::Node(node) => node.netns_file(),
            Self::Store(store) => store.netns_file(),
        };
        self.pid().map_or(Ok(()), |pid| process::end(pid, &netns))
    }

    /// Puts the cable back in, and starts the agent or the etcd where none runs.
    ///
    /// # Errors
    /// `Command`: what `ip` said; `Start`; `StoreEnded`, `StoreNotReady`.
    pub fn heal(&self, spec: &Spec, tools: &Tools) -> Result<(), LabError> {
        switch::set_port(spec, self.word(), Port::Up, tools)?;
        if self.pid().is_some() {
            return Ok(());
        }
        match self {
            Self::Node(node) => agent::start(node, tools).map(drop),
            Self::Store(store) => etcd::restart(spec, store, tools),
        }
    }
}

/// The names of all parts of a lab.
pub fn words(parts: &[Part]) -> Vec<NodeName> {
    parts
        .iter()
        .filter_map(|part| part.word().parse().ok())
        .collect()
}

/// The part of this name.
pub fn find(spec: &Spec, parts: Vec<Part>, name: &NodeName) -> Result<Part, LabError> {
    let parts_there = words(&parts);
    let mut parts = parts.into_iter();
    parts
        .find(|part| part.word() == name.as_str())
        .ok_or_else(|| LabError::NoPart {
            part: name.clone(),
            lab: spec.name.clone(),
            parts: parts_there,
        })
}
