//! What can go wrong with a cluster's store.

use std::error::Error;
use std::io;
use std::net::IpAddr;
use std::path::PathBuf;

use model::{NetworkName, NodeId, NodeName, ParseError, Prefix, Vni};

use super::document::FileFault;
use super::told::NotItsOwn;

/// What a store's own library said.
pub type Said = Box<dyn Error + Send + Sync>;

/// A record that could not be read, by its key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{key}: {why}")]
pub struct Unreadable {
    pub key: String,
    /// What the parser said, or what the record does not agree with.
    pub why: String,
}

/// Why the cluster could not be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ClusterError {
    /// Nobody answers, or not in time; the next try may succeed.
    #[error("the cluster store {store} does not answer")]
    Unavailable { store: String, source: Said },
    /// It answers, and refuses the caller: certificate, user, password or permission.
    #[error("the cluster store {store} does not let this node in")]
    Denied { store: String, source: Said },
    /// It answers, and can't do it: no space, say.
    #[error("the cluster store {store} refused")]
    Refused { store: String, source: Said },
    /// Addresses, certificates or a password that no store can be asked with.
    #[error("can't ask the cluster store {store}")]
    Settings { store: String, source: Said },
    #[error("can't read {}", path.display())]
    ReadFile { path: PathBuf, source: io::Error },
    #[error("{}:{line}: {fault}", path.display())]
    File {
        path: PathBuf,
        line: usize,
        #[source]
        fault: Box<FileFault>,
    },
    #[error("the cluster is what {} says; change it there, on every node", path.display())]
    ReadOnly { path: PathBuf },
    #[error("others kept changing {key}; try again")]
    Contended { key: String },
    #[error("the record {0}")]
    Corrupt(Unreadable),

    #[error("there is already an overlay network {0}")]
    NetworkNameTaken(NetworkName),
    #[error("VNI {vni} is taken by the overlay network {by}")]
    VniTaken { vni: Vni, by: NetworkName },
    #[error("{prefix} overlaps {taken} of the overlay network {by}")]
    PrefixTaken {
        prefix: Prefix,
        taken: Prefix,
        by: NetworkName,
    },
    #[error("every VNI that is picked by itself is taken; name one with --vni")]
    VniExhausted,
    #[error("the network {name} can't be an overlay")]
    Overlay {
        name: NetworkName,
        source: ParseError,
    },
    #[error("there is no overlay network {0}")]
    NetworkUnknown(NetworkName),
    #[error("node {node} has {subnet} of the network {network}")]
    NetworkInUse {
        network: NetworkName,
        node: NodeName,
        subnet: Prefix,
    },
    #[error("the network {network} has {slots} node subnets, and all are taken")]
    Full { network: NetworkName, slots: u128 },
    #[error(
        "the node name {name} is taken by another machine ({by}), which was heard of within a day; give this one another name, or remove the other with `pontoon node rm {name}`"
    )]
    NodeNameTaken { name: NodeName, by: NodeId },
    #[error("node {node} can't tell of its endpoints: {why}")]
    Endpoints { node: NodeName, why: NotItsOwn },
    #[error("there is no node {0} in the cluster")]
    NodeUnknown(NodeName),
    #[error("there is no node {node} in {}", path.display())]
    NodeNotListed { node: NodeName, path: PathBuf },
    #[error("node {node} says that it has {}, and {} says {}", list(said), path.display(), list(listed))]
    UnderlayOther {
        node: NodeName,
        said: Vec<IpAddr>,
        path: PathBuf,
        listed: Vec<IpAddr>,
    },
    #[error(
        "{} is no underlay of a node: one address that others reach it by, or one of each family",
        list(.0)
    )]
    Underlay(Vec<IpAddr>),
}

impl ClusterError {
    /// Whether the caller goes on with what it knows and asks again later.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Unavailable { .. } | Self::Contended { .. })
    }
}

fn list(addresses: &[IpAddr]) -> String {
    match addresses {
        [] => "no address".to_owned(),
        some => {
            let texts: Vec<String> = some.iter().map(ToString::to_string).collect();
            texts.join(" and ")
        }
    }
}
