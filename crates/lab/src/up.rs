//! Making a lab, whole or not at all.

use std::fs;

use rustix::process::geteuid;

use crate::error::LabError;
use crate::lock::LabsLock;
use crate::node::{self, Node};
use crate::ready::{self, Started};
use crate::spec::{self, LabName, Spec, StoreKind};
use crate::{Lab, Tools, agent, cluster, down, etcd, mounts, namespaces, place, run, switch, tls};

/// What `up` is about to do.
#[derive(Debug, Clone, Copy)]
pub enum Stage<'a> {
    Make(&'a Node),
    /// Until the store answers.
    Store,
    Wait(&'a Node),
}

/// Makes a lab and waits until every node has its networks. What was made is removed again where
/// that fails.
///
/// # Errors
/// `Exists`, `Remains`, `NetnsTaken`; `Cluster` where the networks don't fit together; `AgentEnded`
/// and `NotReady` with what the agent said; what the system refused.
pub fn up(spec: &Spec, tools: &Tools, tell: &mut dyn FnMut(Stage<'_>)) -> Result<Lab, LabError> {
    place::check_outside()?;
    if !geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    spec.check()?;
    check_programs(spec.store)?;
    let lock = LabsLock::acquire(tools.lock_wait)?;
    check_free(&spec.name)?;
    let nodes = node::all(spec);
    let made = make(spec, nodes, tools, tell);
    if made.is_err() {
        // The first error is the one to tell; what can't be removed `down` names again.
        let _ = down::clear(&spec.name);
        let _ = lock.release_and_tidy();
        return made.map(|_| Lab { spec: spec.clone() });
    }
    drop(lock);
    let waited = made.and_then(|mut started| {
        ready::wait(spec, &mut started, tools, &mut |node| {
            tell(Stage::Wait(node));
        })
    });
    if waited.is_err() {
        let _ = down(&spec.name, tools.lock_wait);
    }
    waited.map(|()| Lab { spec: spec.clone() })
}

/// Whether the machine has what the lab's store is made of.
fn check_programs(store: StoreKind) -> Result<(), LabError> {
    let wanted: &[(&str, &str)] = match store {
        StoreKind::Static => &[],
        StoreKind::Etcd => &[(etcd::PROGRAM, "etcd-server")],
        StoreKind::EtcdTls => &[(etcd::PROGRAM, "etcd-server"), (tls::PROGRAM, tls::PROGRAM)],
    };
    let missing = wanted.iter().find(|(program, _)| !run::is_there(program));
    missing.map_or(Ok(()), |&(program, package)| {
        Err(LabError::NoProgram { program, package })
    })
}

/// Whether nothing has a name that the lab needs.
fn check_free(lab: &LabName) -> Result<(), LabError> {
    if place::lab_dir(lab).exists() {
        return Err(match spec::read(lab) {
            Ok(spec) => LabError::Exists {
                lab: lab.clone(),
                nodes: spec.nodes.number(),
            },
            Err(_) => LabError::Remains(lab.clone()),
        });
    }
    for name in place::netns_names(lab) {
        if place::netns_path(&name).symlink_metadata().is_ok() {
            return Err(if down::is_ours(lab, &name) {
                LabError::Remains(lab.clone())
            } else {
                LabError::NetnsTaken(name)
            });
        }
    }
    Ok(())
}

/// The lab's own file comes after its file system and before all else, so that whatever is there
/// of a lab has a directory.
fn make(
    spec: &Spec,
    nodes: Vec<Node>,
    tools: &Tools,
    tell: &mut dyn FnMut(Stage<'_>),
) -> Result<Vec<Started>, LabError> {
    let dir = place::lab_dir(&spec.name);
    fs::create_dir(&dir).map_err(|source| LabError::MakeDir {
        path: dir.clone(),
        source,
    })?;
    mounts::mount_memory(&dir)?;
    spec::write(spec)?;
    cluster::write(spec, &nodes)?;
    mounts::share_netns_dir(place::NETNS_DIR.as_ref())?;
    namespaces::make_plain(&spec.name, &place::switch_netns(&spec.name), tools)?;
    let machine = etcd::of(spec);
    if let Some(machine) = &machine {
        namespaces::make_plain(&spec.name, &machine.netns, tools)?;
    }
    for node in &nodes {
        tell(Stage::Make(node));
        namespaces::make(node, tools)?;
    }
    let plugs = nodes.iter().map(Node::plug);
    let plugs: Vec<_> = plugs.chain(machine.iter().map(|m| m.plug(spec))).collect();
    switch::make(spec, &plugs, tools)?;
    if let (Some(machine), Some(first)) = (&machine, nodes.first()) {
        tell(Stage::Store);
        let mut etcd = etcd::make(spec, machine, &nodes, tools)?;
        etcd::fill(spec, machine, &mut etcd, first, tools)?;
    }
    let start = |node: Node| {
        let agent = agent::start(&node, tools)?;
        Ok(Started { node, agent })
    };
    nodes.into_iter().map(start).collect()
}
