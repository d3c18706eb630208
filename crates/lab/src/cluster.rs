//! The lab's nodes and networks as a cluster: the file that names them to the agents, or what is
//! created in the store.

use std::fmt::Write;
use std::fs;
use std::path::Path;

use model::Span;
use store::cluster::{ClusterError, ClusterStore, Static};

use crate::error::LabError;
use crate::node::Node;
use crate::place;
use crate::spec::{NetworkSpec, Spec, StoreKind};

/// Networks are numbered from here.
const FIRST_VNI: usize = 100;

/// Writes the file and reads it as an agent does: what it refuses is refused before anything is
/// made.
pub fn write(spec: &Spec, nodes: &[Node]) -> Result<(), LabError> {
    let path = place::cluster_file(&spec.name);
    fs::write(&path, text(spec, nodes)).map_err(|source| LabError::WriteFile {
        path: path.clone(),
        source,
    })?;
    check(&path)?;
    if spec.store != StoreKind::Static {
        // A server has it from here on; the file would only mislead.
        fs::remove_file(&path).map_err(|source| LabError::Remove { path, source })?;
    }
    Ok(())
}

fn check(path: &Path) -> Result<(), LabError> {
    match Static::new(path).read() {
        Ok(_) => Ok(()),
        // The file is the lab's own: its user knows networks, not lines.
        Err(ClusterError::File { fault, .. }) => Err(LabError::Cluster(fault)),
        Err(other) => Err(LabError::ClusterFile(other)),
    }
}

/// The calls of `pontoon` that create the networks in a store.
pub fn creations(spec: &Spec) -> Vec<Vec<String>> {
    let line = |(index, network): (usize, &NetworkSpec)| {
        let mut line = ["network", "create", network.name.as_str(), "--overlay"]
            .map(str::to_owned)
            .to_vec();
        for subnet in &network.subnets {
            line.extend(["--subnet".to_owned(), subnet.to_string()]);
        }
        line.extend(["--backend".to_owned(), network.backend.to_string()]);
        if network.span == Span::Stretched {
            line.push("--stretch".to_owned());
        }
        if !spec.names.are_off() {
            line.push("--names".to_owned());
        }
        line.extend(["--vni".to_owned(), (FIRST_VNI + index).to_string()]);
        line
    };
    spec.networks.iter().enumerate().map(line).collect()
}

/// Names and prefixes have no character that TOML would want escaped. Node n1 has slot 1: its
/// subnet of 10.50.0.0/16 is 10.50.1.0/24. A server hands out subnets from 0 on.
fn text(spec: &Spec, nodes: &[Node]) -> String {
    let first_slot = match spec.store {
        StoreKind::Static => 1,
        StoreKind::Etcd | StoreKind::EtcdTls => 0,
    };
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
            "\n[[node]]\nname = \"{name}\"\nunderlay = [{}]\nslot = {}\n",
            quoted(underlay),
            number - 1 + first_slot
        );
    }
    for (index, network) in spec.networks.iter().enumerate() {
        let _ = write!(
            text,
            "\n[[network]]\nname = \"{}\"\nsubnets = [{}]\nvni = {}\nbackend = \"{}\"\nstretch = {}\nnames = {}\n",
            network.name,
            quoted(&network.subnets),
            FIRST_VNI + index,
            network.backend,
            network.span == Span::Stretched,
            !spec.names.are_off(),
        );
    }
    text
}

fn quoted<T: ToString>(all: &[T]) -> String {
    let texts = all.iter().map(|one| format!("\"{}\"", one.to_string()));
    texts.collect::<Vec<_>>().join(", ")
}
