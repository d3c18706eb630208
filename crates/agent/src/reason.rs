//! Why to look again: the store or the kernel has news, a signal came, it is time.
//!
//! Each source is a thread that puts what it has into one inbox. It does so once and then waits
//! until somebody has looked: a source never fills the inbox.

use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use engine::{Monitor, News};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use store::cluster::{ClusterStore, Revision};

use crate::AgentError;

/// Between two questions to a store that fails at once.
const FAILED_PAUSE: Duration = Duration::from_secs(1);
/// Of one wait for the kernel.
const LONG: Duration = Duration::from_secs(3600);

/// Why to look again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Something in the kernel changed that may be ours.
    Kernel,
    /// One of us has attached or detached endpoints.
    Endpoints,
    /// Somebody's rules changed, and nothing that is ours.
    Rules,
    /// The cluster changed, or may have.
    Cluster,
    /// The cluster said what it is, or failed to.
    Answer,
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
    listen: Sender<()>,
    /// For who else has reasons.
    pub into: Sender<Reason>,
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
            into: into.clone(),
        };
        start("watch", move || watch.run())?;
        let (listen, listened) = channel();
        let told = into.clone();
        start("monitor", move || listen_to_kernel(&listened, &told))?;
        Ok(Self {
            reasons,
            since,
            listen,
            into,
        })
    }

    /// What changes in the kernel from now on is a reason.
    pub fn listen_on(&self) {
        let _ = self.listen.send(());
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
                Ok(reason) => return reason,
                Err(RecvTimeoutError::Timeout) if wait < left => {}
                Err(RecvTimeoutError::Timeout) => return Reason::Time,
                // All sources are gone: time goes on.
                Err(RecvTimeoutError::Disconnected) => thread::sleep(wait),
            }
        }
    }
}

pub fn start(name: &str, body: impl FnOnce() + Send + 'static) -> Result<(), AgentError> {
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

/// Tells of the kernel's news, once each time that somebody asks for them.
fn listen_to_kernel(listened: &Receiver<()>, into: &Sender<Reason>) {
    let mut monitor = None;
    while listened.recv().is_ok() {
        while listened.try_recv().is_ok() {}
        if !hear(&mut monitor, into) {
            // Looking at once might find the same: the time is a reason too.
            thread::sleep(FAILED_PAUSE);
        }
        if into.send(Reason::Kernel).is_err() {
            return;
        }
    }
}

/// Waits for news; false where there is nothing to hear them by. A monitor that fails is opened
/// anew.
fn hear(monitor: &mut Option<Monitor>, into: &Sender<Reason>) -> bool {
    if monitor.is_none() {
        *monitor = Monitor::open().ok();
        // What changed before it was open, nobody has heard.
        return monitor.is_some();
    }
    loop {
        match monitor.as_mut().map(|monitor| monitor.wait(LONG)) {
            Some(Ok(News::Nothing)) => {}
            Some(Ok(News::Changed)) => return true,
            // Nothing to look for; and whoever is gone needs no news.
            Some(Ok(News::OthersRules)) => drop(into.send(Reason::Rules)),
            Some(Ok(News::Endpoints)) => drop(into.send(Reason::Endpoints)),
            Some(Err(_)) | None => {
                *monitor = None;
                return false;
            }
        }
    }
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

    fn inbox() -> Inbox {
        let (into, reasons) = channel();
        Inbox {
            reasons,
            since: channel().0,
            listen: channel().0,
            into,
        }
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_millis(30)
    }

    #[test]
    fn reasons_come_in_their_order() {
        let inbox = inbox();
        for reason in [Reason::Cluster, Reason::Stop] {
            inbox.into.send(reason).unwrap();
        }
        for reason in [Reason::Cluster, Reason::Stop, Reason::Time] {
            assert_eq!(inbox.wait_for_reason(soon(), None, || ()), reason);
        }
    }

    #[test]
    fn a_wait_ends_in_time_and_beats_meanwhile() {
        let inbox = inbox();
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
