//! Crash points: where a test may kill the process.
//!
//! A debug build dies by SIGKILL at the N-th point when `PONTOON_KILL_AT=N` is set, so that a
//! test can walk every step of every command. A release build has no such code.

/// Counts the points passed.
#[derive(Debug, Default)]
pub(crate) struct CrashPoints {
    #[cfg(debug_assertions)]
    passed: u32,
}

impl CrashPoints {
    /// One more point is passed, or the process ends here.
    pub(crate) fn pass(&mut self) {
        #[cfg(debug_assertions)]
        {
            self.passed += 1;
            let at = std::env::var("PONTOON_KILL_AT");
            if at.is_ok_and(|at| at.parse() == Ok(self.passed)) {
                kernel::die();
            }
        }
    }
}
