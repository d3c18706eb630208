//! The course of a server: one for a node's records, for as long as it is of use.

use std::path::Path;
use std::time::Duration;

use store::NamesLock;

use crate::error::{Complaint, NamesError};
use crate::server::Server;
use crate::watch::Watch;

/// How long a server lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stay {
    /// Until no network has names.
    WhileUsed,
    /// Until a signal ends it.
    Always,
}

/// Answers for names. `ready` is called when the first networks' questions are waited for.
///
/// # Errors
/// Another process that answers for longer than `wait`; a kernel that lets nobody wait.
pub fn serve(
    dir: &Path,
    stay: Stay,
    wait: Duration,
    tell: &dyn Fn(&Complaint),
    ready: &dyn Fn(),
) -> Result<(), NamesError> {
    loop {
        let lock = NamesLock::acquire(dir, wait).map_err(NamesError::Lock)?;
        let mut server = Server::new(dir, tell)?;
        ready();
        while stay == Stay::Always || !server.book.listed().is_empty() {
            server.turn()?;
        }
        // Who attaches now finds the task free, or is found by this last look: it has recorded
        // its network before.
        drop(lock);
        if !is_of_use(dir) {
            return Ok(());
        }
    }
}

fn is_of_use(dir: &Path) -> bool {
    let looked = Watch::new(dir).ok().map(|mut watch| watch.look());
    let book = looked.and_then(Result::ok).flatten();
    book.is_some_and(|book| !book.listed().is_empty())
}
