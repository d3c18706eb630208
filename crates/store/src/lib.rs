//! The node's records: which networks and endpoints it has, in SQLite, for several processes
//! at once.
//!
//! `record` says what is kept, `lock` who may change it, `open` how the file is made and opened,
//! `records` how a change is committed. `network`, `endpoint`, `attachment`, `address` and
//! `publish` hold the questions and changes. Nothing here knows the kernel or decides anything:
//! `engine` brings records and kernel together.

mod address;
mod attachment;
pub mod cluster;
mod column;
mod endpoint;
mod error;
mod lock;
mod membership;
mod network;
mod open;
mod publish;
#[cfg(test)]
mod query_plans;
mod record;
mod records;

pub use address::{HeldAddress, Hold, Resting, TAKEN_PAGE};
pub use error::{Cause, Damage, StoreError};
pub use lock::{Holder, NamesLock, NodeLock, RemovalsTurn};
pub use membership::Membership;
pub use open::OpenMode;
pub use record::{
    EndpointLife, EndpointRecord, NetworkLife, NetworkRecord, Owner, PortOwner, UnknownWord,
};
pub use records::{Durability, Records};
