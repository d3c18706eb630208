//! What the commands of a cluster refuse, and the exit codes of its store's errors.

use std::net::SocketAddr;
use std::path::PathBuf;

use agent::AgentError;
use engine::ErrorClass;
use model::{NetworkName, NodeName, Overlay};
use store::cluster::ClusterError;

use crate::print;

#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    #[error("no cluster is named: --cluster static:FILE or etcd:URL[,URL…], or PONTOON_CLUSTER")]
    NoCluster,
    #[error("this node is in no cluster; 'pontoon agent --cluster ADDRESS' has it join one")]
    NotInACluster,
    #[error("there is no node {0} in the cluster")]
    NodeMissing(NodeName),
    #[error(
        "network {0} is the whole cluster's: name the cluster with --cluster to remove it on every node"
    )]
    OfTheCluster(NetworkName),
    #[error(
        "the cluster is what {} says: add this there, on every node\n\n{}",
        path.display(),
        print::overlay_as_toml(overlay)
    )]
    FileToChange { path: PathBuf, overlay: Overlay },
    #[error("{given} times --node-prefix for {subnets} --subnet; at most one for each")]
    TooManyNodePrefixes { given: usize, subnets: usize },
    #[error(
        "everybody who reaches {0} could read the metrics; name a loopback address, as 127.0.0.1:9477, or add --metrics-public"
    )]
    PublicMetrics(SocketAddr),
    #[error("the hostname {0:?} is no node's name; give one with --node")]
    Hostname(String),
}

impl CommandError {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotInACluster | Self::NodeMissing(_) => ErrorClass::Missing,
            Self::NoCluster
            | Self::OfTheCluster(_)
            | Self::FileToChange { .. }
            | Self::TooManyNodePrefixes { .. }
            | Self::PublicMetrics(_)
            | Self::Hostname(_) => ErrorClass::Usage,
        }
    }
}

/// What kind of trouble a cluster's store has; `None` where it is the store itself.
pub fn class_of_store(error: &ClusterError) -> Option<ErrorClass> {
    Some(match error {
        ClusterError::Unavailable { .. }
        | ClusterError::Denied { .. }
        | ClusterError::Refused { .. }
        | ClusterError::Contended { .. }
        | ClusterError::Corrupt(_)
        | ClusterError::ReadFile { .. } => return None,
        ClusterError::Settings { .. }
        | ClusterError::File { .. }
        | ClusterError::ReadOnly { .. }
        | ClusterError::Overlay { .. }
        | ClusterError::Endpoints { .. }
        | ClusterError::UnderlayOther { .. }
        | ClusterError::Underlay(_) => ErrorClass::Usage,
        ClusterError::NetworkNameTaken(_)
        | ClusterError::VniTaken { .. }
        | ClusterError::PrefixTaken { .. }
        | ClusterError::NetworkInUse { .. }
        | ClusterError::NodeNameTaken { .. } => ErrorClass::Taken,
        ClusterError::NetworkUnknown(_)
        | ClusterError::NodeUnknown(_)
        | ClusterError::NodeNotListed { .. } => ErrorClass::Missing,
        ClusterError::VniExhausted | ClusterError::Full { .. } => ErrorClass::Exhausted,
    })
}

/// As for a store's error; an error of the agent's own is no store's.
pub fn class_of_agent(error: &AgentError) -> Option<ErrorClass> {
    match error {
        AgentError::Cluster(error) => class_of_store(error),
        AgentError::Engine(error) => Some(error.class()),
        AgentError::NoUnderlay => Some(ErrorClass::Missing),
        AgentError::NotAlone(_) => Some(ErrorClass::Busy),
        AgentError::Lock { source, .. } => Some(match source.kind() {
            std::io::ErrorKind::PermissionDenied => ErrorClass::Permission,
            _ => ErrorClass::Records,
        }),
        AgentError::Metrics { source, .. } => Some(match source.kind() {
            std::io::ErrorKind::AddrInUse => ErrorClass::Taken,
            std::io::ErrorKind::PermissionDenied => ErrorClass::Permission,
            _ => ErrorClass::Usage,
        }),
        AgentError::Signals { .. } | AgentError::Thread { .. } => Some(ErrorClass::Other),
    }
}
