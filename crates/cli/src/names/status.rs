//! What is answered, and by whom: from the records, and from what the server says of itself.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use anyhow::Result;
use engine::{Engine, EngineError};
use model::{NetworkKind, NodeId};
use names::{Book, Listed};
use serde::Serialize;
use store::{Membership, NamesLock, OpenMode, Records};

/// All that is answered, and by whom.
#[derive(Debug, Serialize)]
pub struct Status {
    pub server: Option<Server>,
    pub networks: Vec<Network>,
}

#[derive(Debug, Serialize)]
pub struct Server {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Questions that it refused for being too many, by the address that asked.
    pub refused: BTreeMap<IpAddr, u64>,
}

#[derive(Debug, Serialize)]
pub struct Network {
    #[serde(flatten)]
    pub listed: Listed,
    /// The gateways at which nobody answers.
    pub silent: Vec<IpAddr>,
    pub told: Told,
}

/// Whether the other nodes are told of this one's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Told {
    /// There are no others.
    Here,
    /// With how many endpoints that are too many to be told.
    ByTheStore { left_out: usize },
    /// The cluster is a file, which no node writes.
    NotByAFile,
}

pub fn status(engine: &Engine, state_dir: &Path) -> Result<Status> {
    // Nothing is made: where there are no records, none are read.
    let records = Records::open(state_dir, OpenMode::ReadOnly, NodeId::from_bits(0))
        .map_err(EngineError::from)?;
    let book = Book::read(&records).map_err(EngineError::from)?;
    let membership = records.membership().map_err(EngineError::from)?;
    let left_out = engine.named()?.left_out;
    let networks = book.listed().iter().map(|listed| {
        let gateways = listed.gateways.iter().copied();
        let left_out = left_out.get(&listed.network).copied();
        Network {
            silent: gateways
                .filter(|gateway| !names::answers(*gateway))
                .collect(),
            told: told(listed, membership.as_ref(), left_out.unwrap_or_default()),
            listed: listed.clone(),
        }
    });
    Ok(Status {
        networks: networks.collect(),
        server: NamesLock::is_held(state_dir).then(|| server(state_dir)),
    })
}

fn server(state_dir: &Path) -> Server {
    let pid = NamesLock::holder(state_dir).map(|holder| holder.pid);
    // An earlier one's is no news.
    let report = names::read_report(state_dir).filter(|report| Some(report.pid) == pid);
    Server {
        pid,
        refused: report.map(|report| report.refused).unwrap_or_default(),
    }
}

/// A file gives nodes no identity.
fn told(listed: &Listed, membership: Option<&Membership>, left_out: usize) -> Told {
    let me = membership.and_then(|known| known.cluster.nodes.get(&known.me));
    match (listed.kind, me) {
        (NetworkKind::Bridge, _) | (NetworkKind::Overlay, None) => Told::Here,
        (NetworkKind::Overlay, Some(me)) if me.id.is_none() => Told::NotByAFile,
        (NetworkKind::Overlay, Some(_)) => Told::ByTheStore { left_out },
    }
}
