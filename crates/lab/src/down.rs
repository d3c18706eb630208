//! Removing a lab, or what is left of one: found by its names, known by its marks. Each step is
//! done whatever became of those before, and done again by the next `down`.

use std::process::Command;
use std::time::Duration;

use rustix::process::geteuid;
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::lock::LabsLock;
use crate::node::{self, Node};
use crate::process::Namespaces;
use crate::spec::{LabName, NODES_MAX};
use crate::{mounts, place, process, run};

/// What was removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Gone {
    pub name: LabName,
    /// Names under `/run/netns`.
    pub namespaces: Vec<String>,
    /// How many processes were killed.
    pub processes: usize,
    /// Whether there was a lab, or something of one.
    pub was_there: bool,
}

/// Removes the lab of this name: processes, namespaces, mounts, files. Success where there is none.
///
/// # Errors
/// `Busy`, `NotRoot`, `InsideNode`; `Left` where something can't be removed: all else is.
pub fn down(lab: &LabName, wait: Duration) -> Result<Gone, LabError> {
    place::check_outside()?;
    if !geteuid().is_root() {
        return Err(LabError::NotRoot);
    }
    let lock = LabsLock::acquire(wait)?;
    let gone = clear(lab);
    lock.release_and_tidy()?;
    gone
}

/// The same for who has the lock.
pub fn clear(lab: &LabName) -> Result<Gone, LabError> {
    let dir = place::lab_dir(lab);
    let was_there = dir.symlink_metadata().is_ok();
    let names = place::netns_names(lab).into_iter();
    let names: Vec<String> = names.filter(|name| is_ours(lab, name)).collect();
    let mut errors = Vec::new();
    let processes = process::kill_all(&namespaces(lab, &names));
    let processes = keep(processes, &mut errors).unwrap_or_default();
    for name in &names {
        keep(
            mounts::remove_namespace(&place::netns_path(name)),
            &mut errors,
        );
    }
    if was_there {
        keep(mounts::remove_memory(&dir), &mut errors);
    }
    if errors.is_empty() {
        return Ok(Gone {
            name: lab.clone(),
            was_there: was_there || !names.is_empty(),
            namespaces: names,
            processes,
        });
    }
    Err(LabError::Left(errors))
}

fn keep<T>(outcome: Result<T, LabError>, errors: &mut Vec<LabError>) -> Option<T> {
    outcome.map_err(|error| errors.push(error)).ok()
}

/// The namespaces that the lab's processes are in. A mount namespace is the lab's as far as its
/// keeper is in it: others in the lab's networks may have the machine's mounts.
fn namespaces(lab: &LabName, names: &[String]) -> Namespaces {
    let nodes: Vec<Node> = (1..=NODES_MAX)
        .filter_map(|number| node::numbered(lab, number))
        .collect();
    let networks = names.iter().map(|name| place::netns_path(name));
    let files = networks.chain(nodes.iter().map(Node::uts_file));
    let held = files.filter_map(|file| mounts::hold_namespace(&file));
    let mounts = nodes.iter().filter_map(Node::hold_mounts);
    Namespaces::of(held.chain(mounts).collect())
}

/// A device as `ip -j link` prints it.
#[derive(Deserialize)]
struct Device {
    #[serde(default)]
    ifalias: String,
}

/// Whether a name under `/run/netns` is the lab's: its loopback device is marked so. So is an empty
/// file where the lab has its directory: `up` takes no name that is there, and was killed before
/// it mounted the namespace.
pub fn is_ours(lab: &LabName, name: &str) -> bool {
    let path = place::netns_path(name);
    if mounts::is_namespace(&path) {
        return marked_lab(name).as_deref() == Some(&place::mark(lab));
    }
    let meta = path.symlink_metadata();
    let is_empty = meta.is_ok_and(|meta| meta.is_file() && meta.len() == 0);
    is_empty && mounts::is_mounted(&place::lab_dir(lab))
}

fn marked_lab(name: &str) -> Option<String> {
    let mut command = Command::new("ip");
    command.args(["-n", name, "-j", "link", "show", "lo"]);
    let text = run::output(&mut command, "ip link show lo").ok()?;
    let devices: Vec<Device> = serde_json::from_str(&text).ok()?;
    devices.into_iter().next().map(|device| device.ifalias)
}
