//! Why to look again: the store has news, a signal came, it is time.
//!
//! Each source is a thread that puts what it has into one inbox. The kernel's own news (a netlink
//! monitor) come in here, as one more thread, when `kernel` offers them: until then what is
//! flushed or deleted is found at the next look, and `--resync` says when that is.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use store::cluster::{ClusterStore, Revision};

use crate::AgentError;

/// Between two questions to a store that fails at once.
const FAILED_PAUSE: Duration = Duration::from_secs(1);

/// Why to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// The cluster changed, or may have.
    Cluster,
    /// Nothing was heard for a while.
    Time,
    /// The administrator asks.
    Resync,
    Stop,
}

/// Where reasons arrive.
pub struct Inbox {
    reasons: Receiver<Reason>,
    since: Sender<Revision>,
}

impl Inbox {
    /// Starts the sources. `store` is a handle of the watch's own.
    pub fn open(store: Box<dyn ClusterStore>, bound: Duration) -> Result<Self, AgentError> {
        let (into, reasons) = channel();
        let (since, read) = channel();
        listen_for_signals(into.clone())?;
        let watch = Watch {
            store,
            bound,
            read,
            into,
        };
        start("watch", move || watch.run())?;
        Ok(Self { reasons, since })
    }

    /// What changes in the cluster after this moment is a reason.
    pub fn watch_from(&self, since: Revision) {
        // A watch that ended took its thread's panic message along; the time is still a reason.
        let _ = self.since.send(since);
    }

    /// Waits for a reason until `deadline`, and does `beat` every `every` meanwhile.
    pub fn wait_for_reason(
        &self,
        deadline: Instant,
        every: Option<Duration>,
        mut beat: impl FnMut(),
    ) -> Reason {
        loop {
            beat();
            let left = deadline.saturating_duration_since(Instant::now());
            let wait = every.map_or(left, |every| left.min(every));
            match self.reasons.recv_timeout(wait) {
                Ok(reason) => return self.weightiest(reason),
                Err(RecvTimeoutError::Timeout) if wait < left => {}
                Err(RecvTimeoutError::Timeout) => return Reason::Time,
                // All sources are gone: time goes on.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(wait),
            }
        }
    }

    /// One look answers all that came meanwhile.
    fn weightiest(&self, first: Reason) -> Reason {
        let weight = |reason: &Reason| match reason {
            Reason::Cluster => 0,
            Reason::Time => 1,
            Reason::Resync => 2,
            Reason::Stop => 3,
        };
        let rest = self.reasons.try_iter().max_by_key(weight);
        rest.into_iter()
            .chain([first])
            .max_by_key(weight)
            .unwrap_or(first)
    }
}

fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), AgentError> {
    let started = thread::Builder::new().name(name.to_owned()).spawn(body);
    started
        .map(drop)
        .map_err(|source| AgentError::Thread { source })
}

fn listen_for_signals(into: Sender<Reason>) -> Result<(), AgentError> {
    let signals = Signals::new([SIGTERM, SIGINT, SIGHUP]);
    let mut signals = signals.map_err(|source| AgentError::Signals { source })?;
    start("signals", move || {
        for signal in signals.forever() {
            let reason = match signal {
                SIGHUP => Reason::Resync,
                _ => Reason::Stop,
            };
            if into.send(reason).is_err() {
                return;
            }
        }
    })
}

/// The thread that waits for the store.
struct Watch {
    store: Box<dyn ClusterStore>,
    /// Of one wait: no answer for so long is no news.
    bound: Duration,
    /// The moments that the agent has read.
    read: Receiver<Revision>,
    into: Sender<Reason>,
}

impl Watch {
    /// After each reason it waits until the cluster was read: one reason a look is enough.
    fn run(mut self) {
        while let Ok(since) = self.read.recv() {
            let since = self.read.try_iter().last().unwrap_or(since);
            self.wait_from(since);
            if self.into.send(Reason::Cluster).is_err() {
                return;
            }
        }
    }

    fn wait_from(&mut self, mut since: Revision) {
        loop {
            match self.store.wait(&since, self.bound) {
                Ok(true) => return,
                Ok(false) => since = self.read.try_iter().last().unwrap_or(since),
                // What is wrong, the look that follows finds and says.
                Err(_) => {
                    thread::sleep(FAILED_PAUSE);
                    return;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use store::cluster::Memory;

    use super::*;

    /// Long against what is waited for.
    const BOUND: Duration = Duration::from_secs(20);

    fn inbox(reasons: &[Reason]) -> Inbox {
        let (into, from) = channel();
        for reason in reasons {
            into.send(*reason).unwrap();
        }
        Inbox {
            reasons: from,
            since: channel().0,
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(30)
    }

    #[test]
    fn what_came_meanwhile_is_one_reason_and_an_end_is_not_missed() {
        let inbox = inbox(&[Reason::Cluster, Reason::Stop, Reason::Cluster]);
        assert_eq!(inbox.wait_for_reason(soon(), None, || ()), Reason::Stop);
    }

    #[test]
    fn a_wait_ends_in_time_and_beats_meanwhile() {
        let (_into, from) = channel();
        let inbox = Inbox {
            reasons: from,
            since: channel().0,
        };
        let mut beats = 0;
        let every = Some(Duration::from_millis(5));
        assert_eq!(
            inbox.wait_for_reason(soon(), every, || beats += 1),
            Reason::Time
        );
        assert!(beats >= 2, "{beats}");
    }

    #[test]
    fn the_watch_tells_of_a_change_after_what_was_read() {
        let mut store = Memory::default();
        let (into, reasons) = channel();
        let (since, read) = channel();
        let watch = Watch {
            store: Box::new(store.clone()),
            bound: BOUND,
            read,
            into,
        };
        let thread = thread::spawn(move || watch.run());
        since.send(store.read().unwrap().revision).unwrap();
        let me = store::cluster::Member {
            name: "a".parse().unwrap(),
            id: model::NodeId::from_bits(1),
        };
        store.join(&me, &["192.0.2.1".parse().unwrap()], 0).unwrap();
        assert_eq!(reasons.recv_timeout(BOUND), Ok(Reason::Cluster));
        // Not told twice: nobody has read what changed.
        assert!(reasons.try_recv().is_err());
        drop(since);
        thread.join().unwrap();
    }
}
