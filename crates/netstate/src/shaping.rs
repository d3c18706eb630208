//! How fast a port may be: a queue at its device for what the container receives, and for what it
//! sends a detour through the queue of a device that is there for that alone. Only what leaves a
//! device can wait; and the container's own end is not asked, for a container may change it.

use model::Rate;

/// The queue at a device's way out: a token bucket (tc-tbf(8)) that carries our mark in its handle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queue {
    pub rate: Rate,
    /// What may leave at once after a pause, in bytes, of whole [`BURST_UNIT`]s: the kernel keeps
    /// it as a time, and tells it no finer.
    pub burst_bytes: u32,
    /// What may wait, in bytes; more is dropped.
    pub limit_bytes: u32,
}

/// In bytes.
pub const BURST_UNIT: u32 = 4096;
/// The number of our queues' handle, and the preference of our filters ("po").
pub const QUEUE_MARK: u16 = 0x706f;
