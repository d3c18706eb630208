//! The agent: keeps one node in its cluster and its kernel as the cluster and the records say.
//!
//! It is level-triggered. `reason` collects what may have changed (the store, the kernel, a signal,
//! the time), `run` is the loop that looks again. `talk` asks the store, on a thread of its own,
//! what the cluster is, and claims this node's part of it (`agree`); `agent` has the engine take
//! that over, or heal the node as its records say, which news of the kernel lead to at once,
//! whatever the store does. `journal` says what became of each look, `board` shows it to who asks
//! at the socket (`api`). Nothing here touches the kernel itself, and no command needs the agent
//! to run.

mod address;
mod agent;
mod agree;
mod alone;
mod api;
mod away;
mod backoff;
mod board;
mod change;
mod error;
mod journal;
mod meters;
mod metrics;
mod notify;
mod pace;
mod reason;
mod report;
mod run;
mod talk;
mod tell;
mod underlay;
mod usage;

pub use address::{AddressError, ClusterAddress, ClusterPlace};
pub use agent::{Agent, AgentSettings, Joined, KeepNames};
pub use agree::Unclaimed;
pub use alone::is_running;
pub use api::{AskError, ask_status};
pub use board::AgentStatus;
pub use change::{NetworkRequest, RemovedOverlay, create_network, plan_removal, remove_network};
pub use error::AgentError;
pub use report::{Report, Trouble, read_report};
