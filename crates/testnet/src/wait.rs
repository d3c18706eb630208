//! Waiting on a condition: the only place of the tests that lets time pass.

use std::thread;
use std::time::{Duration, Instant};

use crate::patience::patient;

/// Between two looks. Short against what is waited for, long against a look.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until `condition` holds. `bound` is for real hardware: see [`patient`].
///
/// # Panics
/// When it does not within `bound`, naming `what`.
pub fn wait_until(what: &str, bound: Duration, mut condition: impl FnMut() -> bool) {
    let bound = patient(bound);
    let deadline = Instant::now() + bound;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}: not within {bound:?}");
        thread::park_timeout(PAUSE);
    }
}
