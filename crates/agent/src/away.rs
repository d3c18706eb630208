//! A store that does not answer: who waits for it is back soon after its return, and a thousand who
//! wait cost it little. Whether it answers is asked often, and is all that is asked; what the
//! cluster is, with a look at the whole node, rarely.

use std::time::{Duration, Instant};

use crate::backoff::Backoff;

/// Between two probes, from one's beginning to the other's, before each node's part of it: who waits
/// has agreed again within 2 s of the store's return.
const PROBE_EVERY: Duration = Duration::from_millis(1250);
/// Where a probe itself takes longer.
const PROBE_PAUSE: Duration = Duration::from_millis(100);

/// What is asked next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Next {
    Probe(Instant),
    Look(Instant),
}

/// What is known of a store that did not answer at the last look.
#[derive(Debug)]
pub struct Away {
    look_at: Instant,
    /// Of the last probe.
    probed_at: Option<Instant>,
    answered: bool,
    /// It answered a probe, and not the question which followed.
    in_vain: bool,
}

impl Away {
    /// It was looked at, in vain, and `wait` is to pass before the next look. `before` is what was
    /// known until then.
    pub fn since(now: Instant, wait: Duration, before: Option<&Self>) -> Self {
        Self {
            look_at: now + wait,
            probed_at: None,
            answered: false,
            in_vain: before.is_some_and(|away| away.answered),
        }
    }

    pub fn probed(&mut self, now: Instant) {
        self.probed_at = Some(now);
    }

    /// It answered the probe.
    pub fn answered(&mut self) {
        self.answered = true;
    }

    pub fn next(&self, now: Instant, backoff: &Backoff) -> Next {
        let every = backoff.own_part(PROBE_EVERY);
        let probe_at = match self.probed_at {
            None => now + every,
            Some(last) => (last + every).max(now + PROBE_PAUSE),
        };
        if self.in_vain || self.look_at <= probe_at {
            Next::Look(self.look_at)
        } else {
            Next::Probe(probe_at)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(name: &str) -> Backoff {
        Backoff::new(&name.parse().unwrap())
    }

    /// Probes and looks at a store that is away for so long, and at nothing takes any time.
    fn asked(seconds: u64, of_probe: Duration) -> (usize, usize) {
        let mut backoff = backoff("a");
        let (begin, mut probes, mut looks) = (Instant::now(), 0, 1);
        let mut now = begin;
        let mut away = Away::since(now, backoff.failed(), None);
        while now < begin + Duration::from_secs(seconds) {
            match away.next(now, &backoff) {
                Next::Probe(at) => {
                    probes += 1;
                    away.probed(at);
                    now = at + of_probe;
                }
                Next::Look(at) => {
                    looks += 1;
                    now = at.max(now);
                    away = Away::since(now, backoff.failed(), Some(&away));
                }
            }
        }
        (probes, looks)
    }

    #[test]
    fn a_store_that_is_away_is_probed_each_second_and_looked_at_rarely() {
        let (probes, looks) = asked(600, Duration::ZERO);
        assert!((400..640).contains(&probes), "{probes}");
        assert!((60..90).contains(&looks), "{looks}");
        // One that takes its time is not asked by two at once.
        let (probes, _) = asked(600, Duration::from_secs(2));
        assert!((200..300).contains(&probes), "{probes}");
    }

    #[test]
    fn a_store_that_answers_probes_alone_is_left_alone() {
        let mut backoff = backoff("a");
        let now = Instant::now();
        let wait = backoff.failed() * 8;
        let mut away = Away::since(now, wait, None);
        let Next::Probe(at) = away.next(now, &backoff) else {
            panic!("{away:?}");
        };
        away.probed(at);
        away.answered();
        let away = Away::since(at, wait, Some(&away));
        assert_eq!(away.next(at, &backoff), Next::Look(at + wait));
    }

    #[test]
    fn nodes_do_not_probe_alike() {
        let now = Instant::now();
        let at = |n: u32| {
            let backoff = backoff(&format!("node{n}"));
            let away = Away::since(now, Duration::from_secs(10), None);
            match away.next(now, &backoff) {
                Next::Probe(at) => at,
                Next::Look(at) => panic!("{at:?}"),
            }
        };
        let times: std::collections::BTreeSet<Instant> = (0..50).map(at).collect();
        assert!(times.len() > 10, "{times:?}");
        let last = times.last().copied().unwrap();
        assert!(last <= now + PROBE_EVERY);
    }
}
