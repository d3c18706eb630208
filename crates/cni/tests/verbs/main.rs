//! The plugin as runtimes call it: every verb, on a real kernel, alone and in chains with the
//! reference plugins. What words mean is tested in `golden` and `hostile`, runtimes in `runtimes`.

#![allow(clippy::unwrap_used)]

mod add;
mod chain;
mod clean_up;
mod driver;
mod ground;
mod look;
mod many;
mod names;
