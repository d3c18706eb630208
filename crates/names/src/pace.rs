//! How fast one asker may ask: who asks faster takes the node's processor from the others, and is
//! not answered. A bucket of tokens for each, kept as the moment at which it is full again.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::time::{Duration, Instant};

/// Questions a second that one address may ask, for as long as it likes: more than a busy resolver
/// of one container asks, and a tenth of what one processor answers.
const EACH: Duration = Duration::from_millis(1);
/// How many it may ask at once, after some silence.
const AT_ONCE: u32 = 2000;
/// How often one that goes on is complained of.
const COMPLAIN_EVERY: Duration = Duration::from_secs(60);

/// What becomes of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Answered,
    Refused,
    /// It is time to say so.
    Complained,
}

/// Who asks how fast.
#[derive(Debug, Default)]
pub struct Pace {
    full_at: HashMap<IpAddr, Instant>,
    refused: BTreeMap<IpAddr, Refused>,
}

#[derive(Debug)]
struct Refused {
    questions: u64,
    complained: Instant,
}

impl Pace {
    /// Takes a token of an asker that is known: nobody else gets a bucket.
    pub fn take(&mut self, asker: IpAddr, now: Instant) -> Verdict {
        let full_at = self.full_at.entry(asker).or_insert(now);
        let from = (*full_at).max(now);
        if from + EACH <= now + EACH * AT_ONCE {
            *full_at = from + EACH;
            return Verdict::Answered;
        }
        let Some(refused) = self.refused.get_mut(&asker) else {
            let first = Refused {
                questions: 1,
                complained: now,
            };
            self.refused.insert(asker, first);
            return Verdict::Complained;
        };
        refused.questions += 1;
        if now < refused.complained + COMPLAIN_EVERY {
            return Verdict::Refused;
        }
        refused.complained = now;
        Verdict::Complained
    }

    /// Forgets buckets that are full, and what was refused to who is not there any more.
    pub fn forget(&mut self, now: Instant, is_there: impl Fn(IpAddr) -> bool) {
        self.full_at.retain(|_, full_at| *full_at > now);
        self.refused.retain(|asker, _| is_there(*asker));
    }

    /// How many questions were refused, by who asked them.
    pub fn refused(&self) -> BTreeMap<IpAddr, u64> {
        let all = self.refused.iter();
        all.map(|(asker, refused)| (*asker, refused.questions))
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 5, 0, 10));
    const OTHER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(10, 5, 0, 11));

    fn answered(pace: &mut Pace, asker: IpAddr, now: Instant, questions: usize) -> usize {
        let verdicts = (0..questions).map(|_| pace.take(asker, now));
        verdicts.filter(|v| *v == Verdict::Answered).count()
    }

    #[test]
    fn who_asks_too_much_waits_and_nobody_else_does() {
        let mut pace = Pace::default();
        let now = Instant::now();
        assert_eq!(answered(&mut pace, ONE, now, 5000), 2000);
        assert_eq!(answered(&mut pace, OTHER, now, 10), 10);
        let later = now + Duration::from_millis(100);
        assert_eq!(answered(&mut pace, ONE, later, 5000), 100);
        let much_later = now + Duration::from_secs(3600);
        assert_eq!(answered(&mut pace, ONE, much_later, 5000), 2000);
        assert_eq!(pace.refused(), BTreeMap::from([(ONE, 3000 + 4900 + 3000)]));
    }

    #[test]
    fn it_is_complained_of_now_and_then() {
        let mut pace = Pace::default();
        let now = Instant::now();
        answered(&mut pace, ONE, now, 2000);
        assert_eq!(pace.take(ONE, now), Verdict::Complained);
        assert_eq!(pace.take(ONE, now), Verdict::Refused);
        let later = now + COMPLAIN_EVERY;
        answered(&mut pace, ONE, later, 2000);
        assert_eq!(pace.take(ONE, later), Verdict::Complained);
    }

    #[test]
    fn who_is_gone_and_who_is_quiet_take_no_room() {
        let mut pace = Pace::default();
        let now = Instant::now();
        answered(&mut pace, ONE, now, 3000);
        answered(&mut pace, OTHER, now, 1);
        pace.forget(now + Duration::from_millis(10), |asker| asker == ONE);
        assert_eq!(pace.full_at.keys().collect::<Vec<_>>(), [&ONE]);
        assert_eq!(pace.refused().len(), 1);
        pace.forget(now + Duration::from_secs(60), |_| false);
        assert!(pace.full_at.is_empty() && pace.refused().is_empty());
    }
}
