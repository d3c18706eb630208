//! nftables natively: our own tables, written in one transaction and read back.
//!
//! [`transaction`] does nft steps, [`observe`] reads our tables, [`element`] looks up one
//! element, [`dropped`] counts what our rules kept away, [`trace`] follows a flow. Inside, from the bytes up: `wire` has the numbers, `expr` and `decode` the
//! instructions of the kernel's rule machine, `lower` and `lift` lead from our statements to
//! these and back over the table in `field`, `datum` has the values in keys, and `table`,
//! `chain`, `set` and `element` one kind of object each.
//! Other tables, also those of our name in other families, are never looked at.

mod chain;
mod datum;
mod decode;
mod drops;
mod element;
mod expr;
mod field;
mod lift;
mod lower;
mod observe;
mod set;
mod table;
#[cfg(test)]
mod tests;
pub mod trace;
mod transaction;
mod wire;

pub use drops::{Dropped, dropped};
pub use observe::{Ruleset, element, observe};
pub use transaction::{TransactionError, transaction};
pub use wire::{is_change, is_change_of_ours};
