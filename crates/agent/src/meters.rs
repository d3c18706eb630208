//! What the agent counts while it runs. `metrics` prints it.

use std::collections::BTreeMap;
use std::time::Duration;

/// Why a look was taken, as far as it is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// The cluster answered, or did not.
    Cluster,
    /// The kernel changed.
    Kernel,
}

impl Cause {
    pub fn word(self) -> &'static str {
        match self {
            Self::Cluster => "cluster",
            Self::Kernel => "kernel",
        }
    }
}

/// All since the agent began.
#[derive(Debug, Clone, Default)]
pub struct Meters {
    pub passes: BTreeMap<Cause, u64>,
    pub failed_passes: u64,
    /// The time that all passes took, and the last one.
    pub pass_time: Duration,
    pub last_pass: Duration,
    /// Steps of the plans, by the tool and object of the line that a person would have typed.
    pub steps: BTreeMap<String, u64>,
    /// Things that were found otherwise than they should have been.
    pub mended: u64,
    pub store_errors: u64,
    pub kernel_news: u64,
    pub nodes: usize,
    pub networks: usize,
}
