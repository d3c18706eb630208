//! What a process has of whoever started it, and should not keep.

/// Closes all descriptors but the standard ones. For a process that is to outlive its parent, which
/// may wait for a pipe or a lock to be closed; the first thing it does.
#[allow(unsafe_code)]
pub fn close_inherited() {
    // SAFETY: called before this process opens a descriptor of its own, so that none is closed
    // that code of it owns.
    unsafe {
        libc::close_range(3, libc::c_uint::MAX, 0);
    }
}
