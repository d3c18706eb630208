//! Real container runtimes on the plugin: podman, and containerd with `ctr` and through CRI.
//!
//! A test is a machine of its own (see `testnet`) with a [`pen::Pen`] on it, where the runtime, its
//! daemons and its containers live and die. The image is made on the spot; nothing is pulled.
//! Which plugin the tests run on is [`plugin::UNDER_TEST`]; [`control`] runs one body on the
//! reference plugins, so that a fault of the ground is not taken for one of ours. What a verb
//! answers in detail is not tested here: only what a user of a runtime sees.

mod containerd;
mod control;
mod cri;
mod ctr;
mod dns;
mod image;
mod pen;
mod plugin;
mod pod;
mod podman;
mod podman_life;
mod podman_names;
mod podman_traffic;
mod proto;
mod readme;
mod site;
