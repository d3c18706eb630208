//! What is where. The machine sees of a lab the names `LAB-n1`, `LAB-n2`, …, `LAB-underlay` and
//! `LAB-store` under `/run/netns`, and the directory `/run/pontoon-lab/LAB`, a file system in
//! memory:
//!
//! ```text
//! lab.json         what was asked for
//! cluster.toml     the cluster, as all nodes read it where no server has it
//! store/data       what etcd keeps, where there is one
//! store/etcd.log   what it says
//! store/tls        certificates, where they are asked for
//! n1/uts           the node's UTS namespace, mounted on this file
//! n1/keeper        the process that keeps its mount namespace
//! n1/run           what the node sees as /run
//! n1/state         the node's records
//! n1/agent.log     what its agent says
//! ```
//!
//! A namespace is the lab's when its loopback device says so: a name alone may be anybody's.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::LabError;
use crate::spec::{LabName, NODES_MAX};

pub const DIR: &str = "/run/pontoon-lab";
pub const NETNS_DIR: &str = "/run/netns";
/// The word of the store's machine, as `n1` is that of a node.
pub const STORE: &str = "store";
/// The file that a node's own `/run` has there, with the node's name.
const INSIDE: &str = "/run/pontoon-lab/node";

pub fn lab_dir(lab: &LabName) -> PathBuf {
    Path::new(DIR).join(lab.as_str())
}

pub fn spec_file(lab: &LabName) -> PathBuf {
    lab_dir(lab).join("lab.json")
}

pub fn cluster_file(lab: &LabName) -> PathBuf {
    lab_dir(lab).join("cluster.toml")
}

pub fn store_dir(lab: &LabName) -> PathBuf {
    lab_dir(lab).join(STORE)
}

/// The word of node `number`, counted from 1.
pub fn node_word(number: u8) -> String {
    format!("n{number}")
}

pub fn node_netns(lab: &LabName, number: u8) -> String {
    format!("{lab}-{}", node_word(number))
}

pub fn switch_netns(lab: &LabName) -> String {
    format!("{lab}-underlay")
}

pub fn store_netns(lab: &LabName) -> String {
    format!("{lab}-{STORE}")
}

/// Every name under `/run/netns` that a lab of this name may have.
pub fn netns_names(lab: &LabName) -> Vec<String> {
    let nodes = (1..=NODES_MAX).map(|number| node_netns(lab, number));
    nodes.chain([switch_netns(lab), store_netns(lab)]).collect()
}

pub fn netns_path(name: &str) -> PathBuf {
    Path::new(NETNS_DIR).join(name)
}

/// What the loopback device of each of the lab's namespaces is marked with.
pub fn mark(lab: &LabName) -> String {
    format!("pontoon-lab:{lab}")
}

/// Makes the file by which a node knows that it is one, in what becomes the node's `/run`.
pub fn write_inside(run: &Path, node: &str) -> std::io::Result<()> {
    let inside = INSIDE.trim_start_matches("/run/");
    fs::write(run.join(inside), node)
}

/// A lab is run from the machine, not from one of its nodes, whose mounts are others.
pub fn check_outside() -> Result<(), LabError> {
    match fs::read_to_string(INSIDE) {
        Ok(node) => Err(LabError::InsideNode(node)),
        Err(_) => Ok(()),
    }
}
