//! When to look after news of the kernel: at once as a rule, and rarely where somebody goes on
//! changing things, so that neither a flood nor a quarrel costs more than its share.

use std::time::{Duration, Instant};

/// Between a look and the next one for news.
const LEAST: Duration = Duration::from_millis(50);
/// With the end of a burst and the look itself within a second.
const MOST: Duration = Duration::from_millis(400);
/// Rest for each part of a look's own time: a third of a processor at most goes to looks for news.
const SHARE: u32 = 2;
/// A look that takes long does not put the next one off for ever.
const LONGEST: Duration = Duration::from_secs(5);
/// After so long without news everything is forgotten.
const CALM: Duration = Duration::from_secs(5);

/// Rests that double while news keep coming.
#[derive(Debug, Default)]
pub struct Pace {
    rest: Duration,
    ended: Option<Instant>,
}

impl Pace {
    /// When to look for news that came at `now`.
    pub fn look_at(&self, now: Instant) -> Instant {
        match self.ended {
            Some(ended) => now.max(ended + self.rest),
            None => now,
        }
    }

    /// A look for news began and ended.
    pub fn looked(&mut self, began: Instant, ended: Instant) {
        let calm = self.ended.is_none_or(|last| began > last + CALM);
        let rest = match calm {
            true => LEAST,
            false => (self.rest * 2).clamp(LEAST, MOST),
        };
        let took = ended.saturating_duration_since(began);
        self.rest = rest.max(took.saturating_mul(SHARE)).min(LONGEST);
        self.ended = Some(ended);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOOK: Duration = Duration::from_millis(10);

    /// How many looks of `look` each there are in `seconds` of news without end.
    fn looks(look: Duration, seconds: u64) -> u32 {
        let mut pace = Pace::default();
        let begin = Instant::now();
        let (mut now, mut looks) = (begin, 0);
        while now < begin + Duration::from_secs(seconds) {
            let began = pace.look_at(now);
            now = began + look;
            pace.looked(began, now);
            looks += 1;
        }
        looks
    }

    #[test]
    fn the_first_news_are_looked_at_at_once_and_a_flood_rarely() {
        let now = Instant::now();
        assert_eq!(Pace::default().look_at(now), now);
        let flood = looks(LOOK, 60);
        assert!((100..180).contains(&flood), "{flood}");
    }

    #[test]
    fn long_looks_leave_most_of_the_time_to_others() {
        let flood = looks(Duration::from_millis(500), 60);
        assert!((30..45).contains(&flood), "{flood}");
    }

    #[test]
    fn after_a_calm_it_is_at_once_again() {
        let mut pace = Pace::default();
        let begin = Instant::now();
        for n in 0..20 {
            let began = begin + MOST * n;
            pace.looked(began, began + LOOK);
        }
        assert_eq!(pace.rest, MOST);
        let later = begin + MOST * 20 + CALM + LOOK;
        assert_eq!(pace.look_at(later), later);
        pace.looked(later, later + LOOK);
        assert_eq!(pace.rest, LEAST);
    }
}
