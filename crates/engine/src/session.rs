//! One call's hold on the node: its lock, its records, its kernel.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use kernel::Kernel;
use model::{EndpointId, Network, NodeId};
use netstate::{Alias, KernelState, NodeFacts, Plan};
use plan::{EndpointView, NetworkView, View};
use store::{EndpointLife, EndpointRecord, NetworkLife, NodeLock, OpenMode, Records, RemovalsTurn};

use crate::fault::CrashPoints;
use crate::overlay::network_view;
use crate::{EngineError, Failure, Failures, Mode};

/// What a call depends on besides records and kernel.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where the node's records are.
    pub state_dir: PathBuf,
    /// The time, in seconds since 1970.
    pub now_secs: u64,
    /// Random bits: for the identity of new records and for unique-local prefixes.
    pub random: u64,
    /// How long to wait for another process that holds the node's lock.
    pub lock_wait: Duration,
    /// Gets each plan before it is applied.
    pub announce: fn(&Plan),
}

/// The time of now, in seconds since 1970: for [`Settings`], and for who shows how old something is.
pub fn now_secs() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

impl Settings {
    fn lock(&self) -> Result<NodeLock, EngineError> {
        Ok(NodeLock::acquire(&self.state_dir, self.lock_wait)?)
    }
}

/// A node, as every front end calls it.
#[derive(Debug)]
pub struct Engine {
    pub(crate) settings: Settings,
}

impl Engine {
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// A session for a call that changes something, or would: a dry run changes a copy of the
    /// records that is forgotten, and no kernel.
    pub(crate) fn session(&self, mode: Mode) -> Result<Session<'_>, EngineError> {
        self.session_with(mode, OpenMode::ReadWrite)
    }

    /// A session for a call that takes some milliseconds, until it reconciles: who opens the records
    /// meanwhile waits.
    pub(crate) fn session_alone(&self, mode: Mode) -> Result<Session<'_>, EngineError> {
        self.session_with(mode, OpenMode::Alone)
    }

    fn session_with(&self, mode: Mode, open: OpenMode) -> Result<Session<'_>, EngineError> {
        let kernel = Kernel::open()?;
        match mode {
            Mode::Apply => {
                let lock = self.settings.lock()?;
                self.opened(mode, open, kernel, Some(lock))
            }
            Mode::DryRun => self.opened(mode, OpenMode::Scratch, kernel, None),
        }
    }

    /// A session without the node's lock, which may change nothing but records that nobody else
    /// changes.
    pub(crate) fn session_unlocked(&self, mode: Mode) -> Result<Session<'_>, EngineError> {
        let open = match mode {
            Mode::Apply => OpenMode::ReadWrite,
            Mode::DryRun => OpenMode::Scratch,
        };
        self.opened(mode, open, Kernel::open()?, None)
    }

    fn opened(
        &self,
        mode: Mode,
        open: OpenMode,
        mut kernel: Kernel,
        lock: Option<NodeLock>,
    ) -> Result<Session<'_>, EngineError> {
        let settings = &self.settings;
        let dir = &settings.state_dir;
        let mut records = Records::open(dir, open, NodeId::from_bits(settings.random))?;
        let boot = check_home(settings, &mut kernel, &mut records)?;
        Ok(Session {
            settings,
            records,
            lock,
            kernel,
            mode,
            boot,
            begun: None,
            crash: CrashPoints::default(),
            turn: None,
        })
    }

    /// The records alone, for calls that only read them.
    pub(crate) fn records(&self) -> Result<Records, EngineError> {
        let fresh = NodeId::from_bits(self.settings.random);
        Ok(Records::open(
            &self.settings.state_dir,
            OpenMode::ReadOnly,
            fresh,
        )?)
    }
}

/// Whether the records were made in this boot of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Boot {
    Same,
    /// Nothing that the records speak of is in the kernel any more.
    New,
}

/// Records belong to one namespace: run from another by mistake they would move it there.
fn check_home(
    settings: &Settings,
    kernel: &mut Kernel,
    records: &mut Records,
) -> Result<Boot, EngineError> {
    let here = kernel.node_netns()?;
    let boot = match records.home() {
        Some(home) if home == here => return Ok(Boot::Same),
        Some(home) if home.boot == here.boot => {
            return Err(EngineError::OtherNamespace {
                state_dir: settings.state_dir.clone(),
            });
        }
        Some(_) => Boot::New,
        None => Boot::Same,
    };
    // After a reboot the reconcile that follows moves the records here when it has succeeded.
    if boot == Boot::Same {
        records.set_home(&here)?;
    }
    Ok(boot)
}

#[derive(Debug)]
pub(crate) struct Session<'e> {
    pub(crate) settings: &'e Settings,
    /// Before the lock: who waits for that one finds them closed, and may have them alone.
    pub(crate) records: Records,
    lock: Option<NodeLock>,
    pub(crate) kernel: Kernel,
    pub(crate) mode: Mode,
    pub(crate) boot: Boot,
    /// The endpoint that this very call is attaching: unfinished, but not left behind.
    pub(crate) begun: Option<EndpointId>,
    pub(crate) crash: CrashPoints,
    /// Behind the kernel, whose sockets close first: closing one of netfilter's waits while
    /// somebody's removed elements wait to be freed, and makes everybody wait.
    turn: Option<RemovalsTurn>,
}

impl Session<'_> {
    pub(crate) fn node(&self) -> NodeId {
        self.records.node_id()
    }

    /// The mark of these records, on what is only there to be removed.
    pub(crate) fn mark(&self) -> Alias {
        Alias {
            node: self.node(),
            purpose: String::new(),
        }
    }

    /// Lets other processes on while the kernel takes its time. What follows may only be what
    /// anybody may finish.
    pub(crate) fn unlock(&mut self) {
        self.lock = None;
    }

    /// Waits for the turn to remove what is leaving, and for the node's lock.
    pub(crate) fn take_turn(&mut self) -> Result<(), EngineError> {
        let settings = self.settings;
        let turn = RemovalsTurn::acquire(&settings.state_dir, settings.lock_wait)?;
        self.lock = Some(settings.lock()?);
        self.turn = Some(turn);
        Ok(())
    }

    pub(crate) fn has_turn(&self) -> bool {
        self.turn.is_some()
    }

    /// After a reboot everything is put right before anything else is done.
    pub(crate) fn settle(&mut self) -> Result<(), EngineError> {
        match self.boot {
            Boot::New => self.reconcile_rest(),
            Boot::Same => Ok(()),
        }
    }

    /// Before something new is made also what a process that died left half way is taken back: it
    /// would hold its names, addresses and ports until the next reconcile.
    pub(crate) fn settle_all(&mut self) -> Result<(), EngineError> {
        self.settle()?;
        // A detach may still be on its way, without the lock.
        if self.records.is_half_way()? {
            // What can't be put right concerns this call only where both want the same; the next
            // reconcile reports it.
            let _ = self.reconcile_rest();
        }
        Ok(())
    }

    /// What the node knows, without what has begun to be removed or never came to be.
    pub(crate) fn view(&mut self, facts: &NodeFacts) -> Result<View, EngineError> {
        let membership = self.records.membership()?;
        let mut networks = Vec::new();
        for record in self.records.networks()? {
            if record.life != NetworkLife::Ready {
                continue;
            }
            let endpoints = self.records.endpoints_of_network(record.network.id)?;
            let attached = endpoints
                .into_iter()
                .filter(|e| e.life == EndpointLife::Attached);
            networks.push(NetworkView {
                endpoints: attached.map(endpoint_view).collect(),
                ..network_view(membership.as_ref(), &record.network, facts)?
            });
        }
        Ok(View {
            node: self.node(),
            networks,
            ra_uplinks: facts.ra_uplinks.clone(),
        })
    }

    /// A network as it is today, without its endpoints.
    pub(crate) fn network_view(
        &self,
        network: &Network,
        facts: &NodeFacts,
    ) -> Result<NetworkView, EngineError> {
        network_view(self.records.membership()?.as_ref(), network, facts)
    }

    /// Applies a plan, or in a dry run does nothing.
    pub(crate) fn apply(&mut self, plan: &Plan) -> Result<(), EngineError> {
        if self.mode == Mode::DryRun || plan.is_empty() {
            return Ok(());
        }
        (self.settings.announce)(plan);
        let crash = &mut self.crash;
        apply_all(&mut self.kernel, plan, &mut || crash.pass())
    }
}

/// Applies a plan; what failed comes back as one error.
pub(crate) fn apply_all(
    kernel: &mut Kernel,
    plan: &Plan,
    checkpoint: &mut dyn FnMut(),
) -> Result<(), EngineError> {
    let report = kernel.apply(plan, checkpoint);
    if report.is_success() {
        return Ok(());
    }
    let failed = report.failed.into_iter().filter_map(|(index, error)| {
        let step = plan.steps.get(index)?.clone();
        Some(Failure { step, error })
    });
    Err(EngineError::Apply(Failures {
        failed: failed.collect(),
        skipped: report.skipped.len(),
    }))
}

pub(crate) fn endpoint_view(record: EndpointRecord) -> EndpointView {
    EndpointView {
        endpoint: record.endpoint,
        origin: record.origin,
    }
}

/// Refuses to plan where the namespace's tables belong to other records or to somebody else.
pub(crate) fn check_tables(observed: &KernelState, own: NodeId) -> Result<(), EngineError> {
    for (family, mark) in &observed.tables {
        match mark.parse::<Alias>() {
            Ok(mark) if mark.node == own => {}
            Ok(mark) => {
                return Err(EngineError::OtherRecords {
                    owner: mark.node,
                    own,
                });
            }
            Err(_) => return Err(EngineError::TableTaken(*family)),
        }
    }
    Ok(())
}
