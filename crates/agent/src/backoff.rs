//! How long to wait before what failed is tried again.

use std::time::Duration;

use model::NodeName;

const FIRST: Duration = Duration::from_secs(1);
/// The longest wait.
pub const LONGEST: Duration = Duration::from_secs(10);
/// Of a wait, the part by which nodes differ: a server that comes back is not asked by all at once.
const SPREAD_PERCENT: u32 = 25;

/// Waits that double, up to a bound.
#[derive(Debug)]
pub struct Backoff {
    /// Below 100: of this node.
    share: u32,
    failures: u32,
}

impl Backoff {
    pub fn new(name: &NodeName) -> Self {
        let sum = name.as_str().bytes().fold(0u32, |sum, byte| {
            sum.wrapping_mul(31).wrapping_add(byte.into())
        });
        Self {
            share: sum % 100,
            failures: 0,
        }
    }

    pub fn succeeded(&mut self) {
        self.failures = 0;
    }

    /// Whether the last try failed.
    pub fn is_waiting(&self) -> bool {
        self.failures > 0
    }

    /// The wait after one more failure.
    pub fn failed(&mut self) -> Duration {
        let factor = 1u32.checked_shl(self.failures).unwrap_or(u32::MAX);
        self.failures = self.failures.saturating_add(1);
        self.own_part(FIRST.saturating_mul(factor).min(LONGEST))
    }

    /// This node's part of a wait.
    pub fn own_part(&self, whole: Duration) -> Duration {
        whole - whole * (SPREAD_PERCENT * self.share / 100) / 100
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew_after_a_success() {
        let mut backoff = Backoff::new(&"a".parse().unwrap());
        let waits: Vec<Duration> = (0..40).map(|_| backoff.failed()).collect();
        assert!(waits.is_sorted());
        assert!(waits[0] <= FIRST && waits[0] >= FIRST * 3 / 4);
        assert!(waits[39] <= LONGEST && waits[39] >= LONGEST * 3 / 4);
        backoff.succeeded();
        assert_eq!(backoff.failed(), waits[0]);
    }

    #[test]
    fn nodes_do_not_wait_alike() {
        let waits: std::collections::BTreeSet<Duration> = (0..50)
            .map(|n| Backoff::new(&format!("node{n}").parse().unwrap()).failed())
            .collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
