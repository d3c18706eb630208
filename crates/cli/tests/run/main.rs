//! `pontoon run` and its companions on a real kernel: what a container may take, see and do, how
//! it ends, and that nothing stays behind.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "the other targets use what this one does not")]
#[path = "../it/node.rs"]
mod node;

mod bundle;
mod change;
mod death;
mod escape;
mod ground;
mod groups;
mod isolation;
mod life;
mod limits;
mod order;
mod rate;
mod readme;
mod stack;
