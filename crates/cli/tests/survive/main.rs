//! `pontoon` when things go wrong: killed, refused, flushed, rebooted, out of space. And what it
//! says of itself: plans as text, the README, JSON.

#![allow(clippy::unwrap_used)]

#[allow(dead_code, reason = "the other targets use what this one does not")]
#[path = "../it/node.rs"]
mod node;

mod death;
mod front;
mod ground;
mod heal;
mod inject;
mod json;
mod kill;
mod leaving;
mod reboot;
mod records;
mod shaping;
mod text;
