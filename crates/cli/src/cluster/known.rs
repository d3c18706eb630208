//! The cluster as far as a command can tell: from its store, or from the node's records.

use std::path::Path;

use agent::{ClusterPlace, read_report};
use anyhow::{Error, Result};
use engine::{Engine, now_secs};
use model::{Cluster, NodeName};
use serde::Serialize;
use store::cluster::ClusterError;

use super::error::CommandError;

/// Who says what the cluster is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "source", rename_all = "snake_case")]
pub enum Source {
    Store {
        cluster: String,
    },
    /// The node's own records, as the agent or a command last left them.
    Records {
        /// The cluster that an agent on these records was told of.
        cluster: Option<String>,
        /// Since an agent last agreed with the cluster.
        age_secs: Option<u64>,
        /// Why it is not the store that says it, where it was asked.
        because: Option<String>,
    },
}

/// A cluster and who says so.
#[derive(Debug, Serialize)]
pub struct Known {
    #[serde(flatten)]
    pub source: Source,
    /// This node's name, where it is in a cluster.
    pub me: Option<NodeName>,
    #[serde(flatten)]
    pub cluster: Cluster,
}

/// Asks the store, if there is one to ask and it answers; else the records.
///
/// # Errors
/// A store that can't be asked like this, a file with a fault; a node that knows of no cluster.
pub fn known(engine: &Engine, state_dir: &Path, place: Option<&ClusterPlace>) -> Result<Known> {
    let membership = engine.membership()?;
    let me = membership.as_ref().map(|membership| membership.me.clone());
    let asked = place.map(|place| {
        let snapshot = place.open().and_then(|mut store| store.read());
        (place, snapshot)
    });
    let because = match asked {
        Some((place, Ok(snapshot))) => {
            return Ok(Known {
                source: Source::Store {
                    cluster: place.address.to_string(),
                },
                me,
                cluster: snapshot.cluster,
            });
        }
        Some((_, Err(error))) if membership.is_none() || is_the_users(&error) => {
            return Err(error.into());
        }
        Some((_, Err(error))) => Some(in_one_line(error)),
        None => None,
    };
    let report = read_report(state_dir);
    let synced_at = report.as_ref().and_then(|report| report.synced_at);
    Ok(Known {
        source: Source::Records {
            cluster: report.map(|report| report.cluster),
            age_secs: synced_at.map(|at| now_secs().saturating_sub(at)),
            because,
        },
        me,
        cluster: membership.ok_or(CommandError::NotInACluster)?.cluster,
    })
}

/// Whether whoever called can put it right.
fn is_the_users(error: &ClusterError) -> bool {
    matches!(
        error,
        ClusterError::File { .. } | ClusterError::Settings { .. }
    )
}

fn in_one_line(error: ClusterError) -> String {
    crate::exit::message(&Error::from(error))
}
