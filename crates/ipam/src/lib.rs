//! Which address, which prefix: the arithmetic of numbering.
//!
//! Nothing here remembers anything. What is taken is a parameter, asked for page by page so
//! that one allocation costs the same in an empty network and in a full one. `store` keeps the
//! claims; `engine` brings both together.

mod address;
mod node_subnet;
mod pool;

pub use address::{COOL_DOWN_SECS, next_free};
pub use node_subnet::{free_slot, node_subnet, slot_of, slots};
pub use pool::{PoolError, free_prefix, free_ula};
