//! Waiting until the nodes have their networks.

use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};

use model::NetworkName;
use serde::Deserialize;

use crate::error::LabError;
use crate::node::Node;
use crate::spec::Spec;
use crate::{Tools, run};

/// How long a lab may take to become ready. Three nodes take less than a second.
pub const READY_BOUND: Duration = Duration::from_secs(30);
/// Between two looks.
pub const PAUSE: Duration = Duration::from_millis(20);

/// A network as a node lists it.
#[derive(Deserialize)]
struct Listed {
    name: NetworkName,
}

/// A node and the agent that was started on it.
pub struct Started {
    pub node: Node,
    pub agent: Child,
}

/// Waits until every node has its networks in the kernel.
pub fn wait(
    spec: &Spec,
    started: &mut [Started],
    tools: &Tools,
    progress: &mut dyn FnMut(&Node),
) -> Result<(), LabError> {
    let deadline = Instant::now() + READY_BOUND;
    for Started { node, agent } in started {
        progress(node);
        while !is_ready(spec, node, tools) {
            check_alive(node, agent)?;
            if Instant::now() > deadline {
                return Err(LabError::NotReady {
                    node: node.name.clone(),
                    waited: READY_BOUND,
                    log: run::last_words(&node.log()),
                });
            }
            thread::sleep(PAUSE);
        }
    }
    Ok(())
}

fn check_alive(node: &Node, agent: &mut Child) -> Result<(), LabError> {
    match agent.try_wait() {
        Ok(Some(status)) => Err(LabError::AgentEnded {
            node: node.name.clone(),
            status: status.to_string(),
            log: run::last_words(&node.log()),
        }),
        // A child that can't be asked about is one that runs, as far as anybody knows.
        Ok(None) | Err(_) => Ok(()),
    }
}

/// Whether the node knows all networks, and the kernel has what it knows. A node whose agent has
/// not begun can't be asked: it is not ready.
fn is_ready(spec: &Spec, node: &Node, tools: &Tools) -> bool {
    let pontoon = |words: &[&str]| {
        let mut command = node.command(&tools.pontoon, tools)?;
        run::output(command.args(words), "pontoon")
    };
    let Ok(listed) = pontoon(&["network", "ls", "--json"]) else {
        return false;
    };
    let listed: Vec<Listed> = serde_json::from_str(&listed).unwrap_or_default();
    let mut wanted = spec.networks.iter();
    wanted.all(|network| listed.iter().any(|listed| listed.name == network.name))
        && pontoon(&["reconcile", "--dry-run"]).is_ok()
}
