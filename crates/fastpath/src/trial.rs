//! Whether the running kernel takes the programs, found out by giving them to it.

use model::NodeId;

use crate::attach::{Hook, Side};
use crate::error::{FastPathError, Result};
use crate::node::FastPath;
use crate::place::mount_bpffs;
use crate::programs;

/// No node has these.
const TRIAL: u64 = 0;
const DEVICE: &str = "lo";

/// Loads the programs, which the kernel looks through, and puts them on the loopback device.
///
/// The caller is in a network namespace and a mount namespace that are nobody else's: they take
/// everything with them.
///
/// # Errors
/// A build without the programs; a missing right; a kernel that refuses.
pub fn try_out() -> Result<Hook> {
    if !programs::is_built() {
        return Err(FastPathError::NotBuilt);
    }
    mount_bpffs()?;
    let fast_path = FastPath::of(NodeId::from_bits(TRIAL));
    fast_path.turn_on(&[], 0)?;
    let Ok(device) = DEVICE.parse() else {
        return Err(FastPathError::NoProgram(DEVICE));
    };
    for sides in [Side::OF_PORT, Side::OF_UPLINK] {
        fast_path.attach_sides(sides, |side, attacher| {
            attacher.ensure(&device, &fast_path.place.uplink(&device, side))
        })?;
        // One after the other: where they are filters, two of a side would have one place.
        fast_path.detach_uplinks_but(&[])?;
    }
    Ok(fast_path.hook)
}
