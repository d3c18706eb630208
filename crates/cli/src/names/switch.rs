//! Giving a network names, or taking them away: here, or of one of the cluster's on every node.

use std::path::Path;
use std::process::ExitCode;

use agent::ClusterPlace;
use anyhow::Result;
use engine::{Engine, Mode};
use model::{Names, NetworkKind, NetworkName};
use serde::Serialize;

use super::{ensure_used, print};
use crate::print::Out;

/// A network of the whole cluster, as it is from now on.
#[derive(Debug, Serialize)]
pub struct Agreed {
    pub network: NetworkName,
    pub names: Names,
}

/// Which network, and how it is to be.
pub struct Switch {
    pub network: NetworkName,
    pub names: Names,
    /// The cluster, where one is named.
    pub place: Option<ClusterPlace>,
}

pub fn switch(wish: Switch, engine: &Engine, state_dir: &Path, out: Out) -> Result<ExitCode> {
    let Switch {
        network,
        names,
        place,
    } = wish;
    let here = engine.networks()?.into_iter();
    let mut here = here.map(|status| status.network);
    let here = here.find(|own| own.name == network);
    match place {
        Some(place) if here.is_none_or(|own| own.kind == NetworkKind::Overlay) => {
            place.open()?.set_names(&network, names)?;
            out.show(&Agreed { network, names }, print::agreed)?;
        }
        _ => {
            let change = engine.set_names(&network, names, Mode::Apply)?;
            ensure_used(engine, state_dir);
            out.change(Mode::Apply, &change, print::switched)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}
