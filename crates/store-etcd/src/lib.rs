//! The cluster in etcd: an adapter for `store::cluster::ClusterStore`, etcd 3.4 and later.
//!
//! `keys` says what is kept where, `record` how, `view` reads it all at once, `change` makes each
//! change one transaction, `network` and `node` attempt them, `connection` asks one server after the other within bounds, `wire` is
//! the part of etcd's protocol that is used. Nothing here decides what may enter a cluster:
//! `store::cluster::rules` does.
//!
//! The adapter has a runtime of its own and blocks: it is called from plain threads, never from
//! a thread of a tokio runtime.
//!
//! One key is bound to a lease of etcd's: a node's sign of life, for the grace time. So the
//! server's clock says who is silent, whatever the nodes' clocks say, and a server that was away
//! starts the time anew. Subnets have no lease: they go with their node, in one transaction, when
//! somebody removes it.

mod change;
mod connection;
mod endpoint;
mod error;
mod keys;
mod network;
mod node;
mod record;
mod settings;
mod store;
mod view;
mod wire;

pub use self::store::Etcd;
pub use error::Fault;
pub use settings::{DEFAULT_PREFIX, EtcdSettings, Login, TlsFiles};
