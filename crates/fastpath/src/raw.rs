//! The maps' words as aya reads and writes them: as bytes.
#![allow(unsafe_code)]

use aya::Pod;
use fastpath_wire::{Counters, Overlay, Part, Port, Settings, Uplink};

/// A value of a map.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub(crate) struct Raw<T>(pub T);

// SAFETY: two words of 64 bits and two of 32, without padding; all bits mean something.
unsafe impl Pod for Raw<Settings> {}
// SAFETY: two words of 32 bits, one of 64, eight bytes, two words of 32 bits, six of 64, without
// padding; all bits mean something.
unsafe impl Pod for Raw<Port> {}
// SAFETY: words of 64 bits.
unsafe impl Pod for Raw<Counters> {}
// SAFETY: two words of 32 bits.
unsafe impl Pod for Raw<Overlay> {}
// SAFETY: as above.
unsafe impl Pod for Raw<Uplink> {}
// SAFETY: as above.
unsafe impl Pod for Raw<Part> {}
