//! How the agent is at this moment, for whoever asks: one place that the loop writes and the API's
//! threads read.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use engine::{Settings, now_secs};
use model::NodeName;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::agent::{AgentSettings, Pass};
use crate::meters::{Cause, Meters};
use crate::report::{Report, Trouble};

/// How many records that are not believed are shown, and how much is said of one, in characters.
const LEFT_OUT_MOST: usize = 16;
const LEFT_OUT_CHARS: usize = 400;
/// A look that takes longer hangs.
const HANGS: Duration = Duration::from_secs(60);

/// What an agent answers about itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentStatus {
    pub version: String,
    pub pid: u32,
    pub node: NodeName,
    /// The cluster's address, as given.
    pub cluster: String,
    /// In seconds since 1970, as all times here.
    pub started_at: u64,
    /// When it last agreed with the cluster.
    pub synced_at: Option<u64>,
    /// When it last looked at the node.
    pub looked_at: Option<u64>,
    pub trouble: Option<Trouble>,
    /// Records of the cluster, or parts of them, that are not believed, and why.
    #[serde(default)]
    pub left_out: Vec<String>,
    pub looks: u64,
    /// Things that were found otherwise than they should have been.
    pub mended: u64,
    pub nodes: usize,
    pub networks: usize,
}

/// The board itself; a handle of it.
#[derive(Debug, Clone)]
pub struct Board(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    node: NodeName,
    state_dir: PathBuf,
    engine: Settings,
    started_at: u64,
    looked_at: Option<u64>,
    report: Report,
    /// As it was last written.
    written: Option<Report>,
    /// Whether that could be done.
    can_write: bool,
    meters: Meters,
    /// Since when the loop is at work.
    busy: Option<Instant>,
}

impl Board {
    pub fn new(settings: &AgentSettings) -> Self {
        Self(Arc::new(Mutex::new(State {
            node: settings.name.clone(),
            state_dir: settings.engine.state_dir.clone(),
            engine: settings.engine.clone(),
            started_at: now_secs(),
            looked_at: None,
            report: Report {
                cluster: settings.place.address.to_string(),
                ..Report::default()
            },
            written: None,
            can_write: true,
            meters: Meters::default(),
            busy: None,
        })))
    }

    /// Whoever panicked while writing left numbers, which are whole.
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn begin(&self) {
        self.state().busy = Some(Instant::now());
    }

    pub fn end(&self) {
        self.state().busy = None;
    }

    pub fn count(&self, change: impl FnOnce(&mut Meters)) {
        change(&mut self.state().meters);
    }

    /// Counts steps, given as Debug prints them: the kind comes first.
    pub fn count_steps(&self, steps: impl Iterator<Item = String>) {
        let mut state = self.state();
        for step in steps {
            let kind = step.split(|c: char| !c.is_ascii_alphanumeric()).next();
            let kind = kind.unwrap_or_default().to_owned();
            *state.meters.steps.entry(kind).or_default() += 1;
        }
    }

    pub fn took(&self, cause: Cause, time: Duration) {
        let mut state = self.state();
        *state.meters.passes.entry(cause).or_default() += 1;
        state.meters.pass_time += time;
        state.meters.last_pass = time;
        state.looked_at = Some(now_secs());
    }

    /// After a look, at the cluster or at the node alone.
    pub fn looked(&self, fault: Option<String>, at_cluster: Option<&Pass>, now: u64) {
        let mut state = self.state();
        let agreed = at_cluster.map(|pass| &pass.agreed);
        if let Some(Ok(agreed)) = agreed {
            let cluster = &agreed.membership.cluster;
            state.meters.nodes = cluster.nodes.len();
            state.meters.networks = cluster.networks.len();
            let left_out = agreed.unreadable.iter().take(LEFT_OUT_MOST);
            let shown = |said: String| said.chars().take(LEFT_OUT_CHARS).collect();
            state.report.left_out = left_out.map(|said| shown(said.to_string())).collect();
        }
        if at_cluster.is_some() && fault.is_some() {
            state.meters.failed_passes += 1;
        }
        if let Some(Err(crate::AgentError::Cluster(_))) = agreed {
            state.meters.store_errors += 1;
        }
        let has_agreed = matches!(agreed, Some(Ok(_)));
        state.report.looked(fault, has_agreed, now);
        state.write();
    }

    pub fn status(&self) -> AgentStatus {
        let state = self.state();
        let Report {
            cluster,
            synced_at,
            trouble,
            left_out,
        } = state.report.clone();
        AgentStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            pid: std::process::id(),
            node: state.node.clone(),
            cluster,
            started_at: state.started_at,
            synced_at,
            looked_at: state.looked_at,
            trouble: state.hangs().or(trouble),
            left_out,
            looks: state.meters.passes.values().sum(),
            mended: state.meters.mended,
            nodes: state.meters.nodes,
            networks: state.meters.networks,
        }
    }

    pub fn meters(&self) -> Meters {
        self.state().meters.clone()
    }

    /// For whoever asks the engine about the records.
    pub fn engine(&self) -> engine::Engine {
        engine::Engine::new(self.state().engine.clone())
    }
}

impl State {
    fn hangs(&self) -> Option<Trouble> {
        let busy = self.busy?.elapsed();
        (busy > HANGS).then(|| Trouble {
            message: format!("a look has taken {} seconds so far", busy.as_secs()),
            since: now_secs().saturating_sub(busy.as_secs()),
        })
    }

    fn write(&mut self) {
        if self.written.as_ref() == Some(&self.report) {
            return;
        }
        let outcome = self.report.write(&self.state_dir);
        if let Err(error) = &outcome
            && self.can_write
        {
            warn!("'pontoon status' will not know when the cluster was last heard: {error}");
        }
        self.can_write = outcome.is_ok();
        self.written = outcome.is_ok().then(|| self.report.clone());
    }
}
