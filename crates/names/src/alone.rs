//! A process of its own: apart from whoever started it.

use std::io;

/// Begins a session: signals of a terminal are not for this process any more.
///
/// # Errors
/// It leads a process group already.
pub fn own_session() -> io::Result<()> {
    rustix::process::setsid()?;
    Ok(())
}
