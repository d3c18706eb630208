//! The contract on etcd: read, decide, and change in one transaction what nobody else has changed
//! meanwhile; otherwise read again.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Names, NetworkName, NodeName, Overlay, Prefix};
use store::cluster::{
    CHANGE_TRIES, ClusterError, ClusterStore, Member, Revision, Snapshot, Told, rules,
};

use crate::change::Change;
use crate::connection::{Connection, Next};
use crate::error::{Consequence, Fault};
use crate::keys::{Key, Keys};
use crate::settings::EtcdSettings;
use crate::view::View;
use crate::wire;

/// A cluster in etcd. It connects when it is first asked, and anew when it must.
pub struct Etcd {
    pub(crate) connection: Connection,
    pub(crate) keys: Keys,
    pub(crate) silent_grace: Duration,
}

/// What an attempt came to.
pub(crate) enum Attempt<T> {
    Done(T),
    /// Somebody was faster, or an answer got lost: read again. With the key that was wanted.
    Again(Key),
}

impl Etcd {
    /// Asks nobody yet.
    ///
    /// # Errors
    /// `Settings` without endpoints, or where the process can't have a runtime.
    pub fn new(settings: EtcdSettings) -> Result<Self, ClusterError> {
        let keys = Keys::new(&settings.prefix);
        let silent_grace = settings.silent_grace;
        Ok(Self {
            connection: Connection::new(Arc::new(settings))?,
            keys,
            silent_grace,
        })
    }

    pub(crate) fn view(&mut self) -> Result<View, ClusterError> {
        let (key, range_end) = self.keys.all();
        let request = wire::RangeRequest { key, range_end };
        let answer = self.connection.ask(wire::RANGE, &request);
        let answer: wire::RangeResponse = answer.map_err(|fault| self.refuse(fault))?;
        let header = answer.header.ok_or_else(|| self.torn("a header"))?;
        Ok(View::new(&header, &answer.kvs, &self.keys))
    }

    pub(crate) fn refuse(&self, fault: Fault) -> ClusterError {
        self.connection.refuse(fault)
    }

    pub(crate) fn torn(&self, missing: &'static str) -> ClusterError {
        let endpoint = self.connection.endpoint();
        self.refuse(Fault::Torn { endpoint, missing })
    }

    /// Attempts until one is done, each with its number from 0 on.
    pub(crate) fn retry<T>(
        &mut self,
        mut attempt: impl FnMut(&mut Self, u32) -> Result<Attempt<T>, ClusterError>,
    ) -> Result<T, ClusterError> {
        let mut wanted = None;
        for number in 0..CHANGE_TRIES {
            match attempt(self, number)? {
                Attempt::Done(done) => return Ok(done),
                Attempt::Again(key) => wanted = Some(key),
            }
        }
        let key = wanted.map(|key| self.keys.print(&key)).unwrap_or_default();
        Err(ClusterError::Contended { key })
    }

    /// Makes a change, which `key` names; `done` where it was made.
    pub(crate) fn commit<T>(
        &mut self,
        change: Result<Change, Fault>,
        key: Key,
        done: T,
    ) -> Result<Attempt<T>, ClusterError> {
        let request = change.map_err(|fault| self.refuse(fault))?.into_request();
        let answer = self.connection.ask(wire::TXN, &request);
        let answer: wire::TxnResponse = match answer {
            Ok(answer) => answer,
            Err(fault) if fault.consequence() == Consequence::ReadAgain => {
                return Ok(Attempt::Again(key));
            }
            Err(fault) => return Err(self.refuse(fault)),
        };
        Ok(if answer.succeeded {
            Attempt::Done(done)
        } else {
            Attempt::Again(key)
        })
    }

    /// One watch, from its beginning.
    fn watch(&mut self, since: &Revision, deadline: Instant) -> Result<Watched, ClusterError> {
        let (key, range_end) = self.keys.cluster();
        let start_revision = since.count.cast_signed() + 1;
        let request = wire::WatchRequest {
            create: Some(wire::WatchCreate {
                key,
                range_end,
                start_revision,
            }),
        };
        let opened = self.connection.open(wire::WATCH, &request);
        let (first, mut stream) = opened.map_err(|fault| self.refuse(fault))?;
        let mut watched = watched(&first, since);
        while watched == Watched::Nothing {
            let left = deadline.saturating_duration_since(Instant::now());
            watched = match self.connection.next(&mut stream, left) {
                Next::Answer(answer) => self::watched(&answer, since),
                Next::Silence => return Ok(Watched::Nothing),
                // Who comes back may have missed anything.
                Next::End => Watched::Change,
            };
        }
        Ok(watched)
    }
}

/// What a watch saw.
#[derive(Debug, PartialEq, Eq)]
enum Watched {
    Nothing,
    Change,
    Refused(String),
}

/// What an answer means to who knows the cluster as of `since`. A server that counts less, or
/// counts something else, was restored; one that has forgotten what came after can't tell it.
fn watched(answer: &wire::WatchResponse, since: &Revision) -> Watched {
    let other_past = answer.header.as_ref().is_some_and(|header| {
        header.cluster_id != since.of || header.revision.cast_unsigned() < since.count
    });
    if !answer.events.is_empty() || answer.compact_revision != 0 {
        Watched::Change
    } else if answer.canceled {
        Watched::Refused(answer.cancel_reason.clone())
    } else if other_past {
        Watched::Change
    } else {
        Watched::Nothing
    }
}

impl ClusterStore for Etcd {
    fn read(&mut self) -> Result<Snapshot, ClusterError> {
        Ok(self.view()?.into_snapshot(&self.keys))
    }

    fn wait(&mut self, since: &Revision, bound: Duration) -> Result<bool, ClusterError> {
        let deadline = Instant::now() + bound;
        let mut watched = self.watch(since, deadline)?;
        if matches!(watched, Watched::Refused(_)) && self.connection.has_login() {
            // Inside a watch, a login that is too old looks like one that may not read.
            let fresh = self.connection.log_in();
            fresh.map_err(|fault| self.refuse(fault))?;
            watched = self.watch(since, deadline)?;
        }
        match watched {
            Watched::Nothing => Ok(false),
            Watched::Change => Ok(true),
            Watched::Refused(reason) => {
                let endpoint = self.connection.endpoint();
                Err(self.refuse(Fault::WatchRefused { endpoint, reason }))
            }
        }
    }

    /// By a key that nobody has: a server without a quorum does not answer that either.
    fn probe(&mut self) -> Result<(), ClusterError> {
        let request = wire::RangeRequest {
            key: self.keys.nobodys(),
            range_end: Vec::new(),
        };
        let answer = self.connection.ask(wire::RANGE, &request);
        let answer: Result<wire::RangeResponse, Fault> = answer;
        answer.map(drop).map_err(|fault| self.refuse(fault))
    }

    fn create_network(&mut self, overlay: &Overlay) -> Result<(), ClusterError> {
        self.retry(|etcd, attempt| etcd.try_create(overlay, attempt))
    }

    fn set_names(&mut self, network: &NetworkName, names: Names) -> Result<bool, ClusterError> {
        self.retry(|etcd, _| etcd.try_set_names(network, names))
    }

    fn remove_network(&mut self, name: &NetworkName) -> Result<(), ClusterError> {
        self.retry(|etcd, attempt| etcd.try_remove_network(name, attempt))
    }

    fn join(
        &mut self,
        member: &Member,
        underlay: &[IpAddr],
        now_secs: u64,
    ) -> Result<(), ClusterError> {
        let underlay = rules::check_underlay(underlay)?;
        self.retry(|etcd, _| etcd.try_join(member, &underlay, now_secs))
    }

    fn claim(
        &mut self,
        network: &NetworkName,
        member: &Member,
    ) -> Result<Vec<Prefix>, ClusterError> {
        self.retry(|etcd, attempt| etcd.try_claim(network, member, attempt))
    }

    fn tell_endpoints(&mut self, member: &Member, told: &Told) -> Result<bool, ClusterError> {
        self.retry(|etcd, _| etcd.try_tell(member, told))
    }

    fn release(&mut self, network: &NetworkName, member: &Member) -> Result<(), ClusterError> {
        self.retry(|etcd, _| etcd.try_release(network, member))
    }

    fn remove_node(&mut self, name: &NodeName) -> Result<(), ClusterError> {
        self.retry(|etcd, attempt| etcd.try_remove_node(name, attempt))
    }

    fn expire(&mut self, _now_secs: u64) -> Result<Vec<NodeName>, ClusterError> {
        let mut gone = Vec::new();
        for name in self.view()?.silent() {
            if self.retry(|etcd, _| etcd.try_expire(&name))? {
                gone.push(name);
            }
        }
        Ok(gone)
    }
}
