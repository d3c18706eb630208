//! Which network namespace a kernel object is in.

use std::fmt;

use model::Target;
use serde::Serialize;

/// A network namespace as plans name it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Netns {
    /// The node's own: the one the command runs in.
    Node,
    /// An attached target's.
    Target(Target),
}

impl fmt::Display for Netns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Node => f.write_str("the node"),
            Self::Target(target) => target.fmt(f),
        }
    }
}
