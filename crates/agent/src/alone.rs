//! One agent on one set of records: a locked file says that it runs. The kernel lets go of the
//! lock when the process ends, however it ends.

use std::fs::{DirBuilder, File, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use crate::AgentError;

const FILE: &str = "agent.lock";
/// As the records are: for root alone.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// Held for as long as the agent runs.
#[derive(Debug)]
pub struct Alone {
    _file: File,
}

impl Alone {
    pub fn acquire(state_dir: &Path) -> Result<Self, AgentError> {
        let path = state_dir.join(FILE);
        let failed = |source| AgentError::Lock {
            path: path.clone(),
            source,
        };
        let mut dir = DirBuilder::new();
        dir.recursive(true).mode(DIR_MODE);
        dir.create(state_dir).map_err(failed)?;
        let file = open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self { _file: file }),
            Err(TryLockError::WouldBlock) => Err(AgentError::NotAlone(path)),
            Err(TryLockError::Error(source)) => Err(failed(source)),
        }
    }
}

fn open(path: &PathBuf) -> std::io::Result<File> {
    let mut options = File::options();
    options.write(true).create(true).truncate(false);
    options.mode(FILE_MODE).open(path)
}

/// Whether an agent runs on these records.
pub fn is_running(state_dir: &Path) -> bool {
    let Ok(file) = File::open(state_dir.join(FILE)) else {
        return false;
    };
    matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_second_agent_is_refused_and_the_first_is_seen() {
        let dir = std::env::temp_dir().join(format!("pontoon-alone-{}", std::process::id()));
        assert!(!is_running(&dir));
        let first = Alone::acquire(&dir).unwrap();
        assert!(is_running(&dir));
        assert!(matches!(Alone::acquire(&dir), Err(AgentError::NotAlone(_))));
        drop(first);
        assert!(!is_running(&dir));
        assert!(Alone::acquire(&dir).is_ok());
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
