//! Waiting for what a contender has to do: in vain, it is not measured, and the others are.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Between two looks. Short against what is waited for, long against a look.
const PAUSE: Duration = Duration::from_millis(10);

/// Looks until `condition` holds.
///
/// # Errors
/// When it does not within `bound`, naming `what`.
pub fn wait_for(what: &str, bound: Duration, mut condition: impl FnMut() -> bool) -> Result<()> {
    let deadline = Instant::now() + bound;
    while !condition() {
        if Instant::now() >= deadline {
            bail!("{what}: not within {bound:?}");
        }
        thread::park_timeout(PAUSE);
    }
    Ok(())
}
