//! Removing what is recorded as leaving: a detach's own endpoints, and with them those of all
//! others that are waiting for their turn.
//!
//! A removal costs the kernel two waits, whatever its size: for the freed elements of the
//! firewall, which stops everybody's next transaction, and for a device. So whoever has the turn
//! removes all in one transaction and one group of devices, and the others find theirs done. They
//! need no netfilter socket then. What a killed process leaves half way the next one in turn, or a
//! reconcile, finishes.

use std::collections::{BTreeMap, BTreeSet};

use model::{EndpointId, Network, NetworkId};
use netstate::{Plan, Step};
use store::{Durability, EndpointLife, EndpointRecord, NodeLock, OpenMode, Records, StoreError};

use crate::EngineError;
use crate::detach::{parts, unless_gone};
use crate::reconcile::remains;
use crate::session::Session;

/// How many endpoints of others are removed in one turn: as many as one transaction takes well.
const OTHERS_MAX: usize = 256;

type Leaving = Vec<(EndpointRecord, Network)>;

impl Session<'_> {
    /// Removes these endpoints, unless another process has in its turn, and what others have
    /// recorded as leaving. With an endpoint of ours goes the namespace.
    pub(crate) fn remove_leaving(
        &mut self,
        found: &[(EndpointRecord, Network)],
        netns: Option<String>,
    ) -> Result<(), EngineError> {
        let mut leaving = self.still_recorded(found)?;
        if leaving.is_empty() {
            return Ok(());
        }
        let own: BTreeSet<EndpointId> = leaving
            .iter()
            .map(|(record, _)| record.endpoint.id)
            .collect();
        self.add_others(&mut leaving)?;
        let plan = self.removal(parts(&leaving), netns);
        let (firewall, devices) = before_devices(&plan);
        let ports = leaving.iter().map(|(record, _)| &record.endpoint);
        self.withdraw_from_fast_path(ports.map(|e| (e.network, &e.port)));
        self.apply(&firewall)?;
        // What is left carries names that nobody gets again, so that anybody may finish it; and
        // removing a device takes the kernel a grace period of some 18 ms, which others need not
        // wait for.
        self.unlock();
        let failures = match self.apply_and_shorten_log(&devices, &leaving) {
            Ok(()) => None,
            Err(EngineError::Apply(failures)) => Some(failures),
            Err(other) => return Err(other),
        };
        let stays = |record: &EndpointRecord| {
            let failures = failures.as_ref();
            failures.is_some_and(|failures| remains(failures, record))
        };
        let gone = leaving.iter().map(|(record, _)| record);
        self.forget_all(gone.filter(|record| !stays(record)))?;
        self.crash.pass();
        let own_stays = leaving
            .iter()
            .any(|(record, _)| own.contains(&record.endpoint.id) && stays(record));
        match failures {
            Some(failures) if own_stays => Err(EngineError::Apply(failures)),
            // Another's own turn comes, and tells its own user.
            Some(_) | None => Ok(()),
        }
    }

    fn still_recorded(&self, found: &[(EndpointRecord, Network)]) -> Result<Leaving, EngineError> {
        let mut still = Vec::new();
        for (record, network) in found {
            if self.records.has_endpoint(record.endpoint.id)? {
                still.push((record.clone(), network.clone()));
            }
        }
        Ok(still)
    }

    /// Those whose namespace stays: one that goes too is its own process's to remove.
    fn add_others(&self, leaving: &mut Leaving) -> Result<(), EngineError> {
        let own: BTreeSet<EndpointId> = leaving
            .iter()
            .map(|(record, _)| record.endpoint.id)
            .collect();
        let mut networks: BTreeMap<NetworkId, Network> = BTreeMap::new();
        let others = self.records.unfinished_endpoints()?.into_iter();
        let others = others.filter(|record| {
            record.life == EndpointLife::Detaching && !own.contains(&record.endpoint.id)
        });
        for record in others.take(OTHERS_MAX) {
            let id = record.endpoint.network;
            let network = match networks.get(&id) {
                Some(network) => network.clone(),
                None => {
                    let network = self.network_of(&record.endpoint)?;
                    networks.entry(id).or_insert(network).clone()
                }
            };
            leaving.push((record, network));
        }
        Ok(())
    }

    /// Applies a plan, and while the kernel takes its time has the records' log copied, so that
    /// the next attach finds it short; but not where others are at work, which would wait for it.
    fn apply_and_shorten_log(&mut self, plan: &Plan, leaving: &Leaving) -> Result<(), EngineError> {
        let (dir, node) = (self.settings.state_dir.as_path(), self.node());
        let count = leaving.len();
        let shorten = move || -> Result<(), StoreError> {
            if NodeLock::is_free(dir) {
                let mut records = Records::open(dir, OpenMode::ReadWrite, node)?;
                if records.unfinished_endpoints()?.len() <= count {
                    records.shorten_log();
                }
            }
            Ok(())
        };
        std::thread::scope(|scope| {
            // Whoever opens the records next can do it as well.
            scope.spawn(|| shorten().is_ok());
            self.apply(plan)
        })
    }

    fn forget_all<'a>(
        &mut self,
        gone: impl Iterator<Item = &'a EndpointRecord>,
    ) -> Result<(), EngineError> {
        let now = self.settings.now_secs;
        let mut gone = gone;
        let forgotten = self.records.transaction(Durability::Process, |records| {
            gone.try_for_each(|record| {
                unless_gone(records.delete_endpoint(record.endpoint.id, now))
            })
        });
        Ok(forgotten?)
    }
}

/// A removal in two: up to the devices, and they with what comes behind.
fn before_devices(plan: &Plan) -> (Plan, Plan) {
    let is_device = |step: &Step| matches!(step, Step::DelLink(_));
    let at = plan.steps.iter().position(is_device);
    let (before, devices) = plan.steps.split_at(at.unwrap_or(plan.steps.len()));
    let part = |steps: &[Step]| Plan {
        steps: steps.to_vec(),
    };
    (part(before), part(devices))
}
