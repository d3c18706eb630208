//! The file that names the lab's nodes and networks to their agents.

use std::fmt::Write;
use std::fs;

use model::Cluster;
use store::cluster::{ClusterError, ClusterStore, Static};

use crate::error::LabError;
use crate::node::Node;
use crate::place;
use crate::spec::Spec;

/// Networks are numbered from here.
const FIRST_VNI: usize = 100;

/// Writes the file and reads it as an agent does: what it refuses is refused before anything is
/// made.
pub fn write(spec: &Spec, nodes: &[Node]) -> Result<Cluster, LabError> {
    let path = place::cluster_file(&spec.name);
    fs::write(&path, text(spec, nodes)).map_err(|source| LabError::WriteFile {
        path: path.clone(),
        source,
    })?;
    read(spec)
}

pub fn read(spec: &Spec) -> Result<Cluster, LabError> {
    let mut store = Static::new(&place::cluster_file(&spec.name));
    match store.read() {
        Ok(snapshot) => Ok(snapshot.cluster),
        // The file is the lab's own: its user knows networks, not lines.
        Err(ClusterError::File { fault, .. }) => Err(LabError::Cluster(fault)),
        Err(other) => Err(LabError::ClusterFile(other)),
    }
}

/// Names and prefixes have no character that TOML would want escaped. Node n1 has slot 1: its
/// subnet of 10.50.0.0/16 is 10.50.1.0/24.
fn text(spec: &Spec, nodes: &[Node]) -> String {
    let mut text =
        String::from("# Made by `pontoon lab up`; its agents follow what changes here.\n");
    for node in nodes {
        let Node {
            name,
            underlay,
            number,
            ..
        } = node;
        // Writing to a string can't fail.
        let _ = write!(
            text,
            "\n[[node]]\nname = \"{name}\"\nunderlay = [{}]\nslot = {number}\n",
            quoted(underlay)
        );
    }
    for (index, network) in spec.networks.iter().enumerate() {
        let _ = write!(
            text,
            "\n[[network]]\nname = \"{}\"\nsubnets = [{}]\nvni = {}\nbackend = \"{}\"\n",
            network.name,
            quoted(&network.subnets),
            FIRST_VNI + index,
            network.backend,
        );
    }
    text
}

fn quoted<T: ToString>(all: &[T]) -> String {
    let texts = all.iter().map(|one| format!("\"{}\"", one.to_string()));
    texts.collect::<Vec<_>>().join(", ")
}
