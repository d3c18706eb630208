//! What every changing call answers.

use netstate::Plan;

/// Whether a call changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    Apply,
    /// Everything is checked and planned, nothing is written, nothing is changed.
    DryRun,
}

/// The outcome of a change and the plan that led, or would lead, to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change<T> {
    pub outcome: T,
    pub plan: Plan,
}
