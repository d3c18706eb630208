//! Attach, detach, network create and rm, reconcile: records, then plan, then kernel, under the
//! node's lock. What the command line, the CNI plugin and the agent all call.
//!
//! Every change has the same course: check it against the records and the node, write it down
//! as begun, apply its part of the plan, write it down as done. A process that dies on the way
//! leaves a record that says so, and the next `reconcile` takes the change back. Nothing here
//! speaks to a user.

mod admit;
mod attach;
mod audit;
mod backend;
mod change;
mod check;
mod crossing;
mod detach;
mod doctor;
mod error;
mod fast;
mod fault;
mod inspect;
mod leaving;
mod limiting;
mod naming;
mod network;
mod overlay;
mod ports;
mod rates;
mod reconcile;
mod rehearsal;
mod request;
mod session;
mod trace;
mod whereabouts;

pub use audit::{AddressState, AddressStatus, Owner};
pub use change::{Change, Mode};
pub use check::Checked;
pub use crossing::Crossing;
pub use doctor::{Check, Health};
pub use error::{EngineError, ErrorClass, Failure, Failures, Holder, PortHolder, of_fast_path};
pub use inspect::{EndpointStatus, NetworkStatus};
pub use kernel::{Dropped, KernelError, Monitor, News, dropped};
pub use overlay::{Adopted, RefusedNetwork};
pub use rates::try_rates;
pub use reconcile::{Known, Reconciled, Released, Why};
pub use request::{
    AttachRequest, DetachRequest, Detachee, Difference, NetnsAfter, NetnsBefore, NetworkChoice,
    NewNetwork, SubnetChoice, TakeOver,
};
pub use session::{Engine, Settings, now_secs};
pub use trace::{EndpointPath, ProbeFrom, ProbeTo, TraceRequest, Traced};
pub use whereabouts::NamedHere;
