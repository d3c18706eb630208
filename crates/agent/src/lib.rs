//! The agent: keeps one node in its cluster and its kernel as the cluster and the records say.
//!
//! It is level-triggered. `reason` collects what may have changed (the store, a signal, the time),
//! `agent` looks at everything again: `agree` asks the store what the cluster is and claims this
//! node's part of it, the engine takes that over and heals. While the store is away the node goes
//! on with its records. `run` is the loop, `journal` says what became of each pass, once.
//! Nothing here touches the kernel itself, and no command needs the agent to run.

mod address;
mod agent;
mod agree;
mod alone;
mod backoff;
mod change;
mod error;
mod journal;
mod notify;
mod reason;
mod report;
mod run;
mod underlay;

pub use address::{AddressError, ClusterAddress, ClusterPlace};
pub use agent::{Agent, AgentSettings, Joined};
pub use agree::Unclaimed;
pub use alone::is_running;
pub use change::{NetworkRequest, RemovedOverlay, create_network, plan_removal, remove_network};
pub use error::AgentError;
pub use report::{Report, Trouble, read_report};
