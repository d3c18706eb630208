//! One process at a time makes or removes labs: a lock on their common directory, which is made
//! with the first lab and goes with the last.

use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::error::LabError;
use crate::place;

/// Between two tries.
const PAUSE: Duration = Duration::from_millis(20);

/// The lock, held until dropped; the kernel releases it with the process, however that dies.
#[derive(Debug)]
pub struct LabsLock {
    /// Closing it is the release.
    _dir: File,
}

impl LabsLock {
    /// Waits for at most `wait`.
    pub fn acquire(wait: Duration) -> Result<Self, LabError> {
        let path = Path::new(place::DIR);
        let failed = |source| LabError::Lock {
            path: path.to_owned(),
            source,
        };
        let deadline = Instant::now() + wait;
        loop {
            make_dir(path)?;
            match try_lock(path) {
                Ok(Some(dir)) => return Ok(Self { _dir: dir }),
                Ok(None) if Instant::now() < deadline => thread::sleep(PAUSE),
                Ok(None) => return Err(LabError::Busy(wait)),
                Err(source) => return Err(failed(source)),
            }
        }
    }

    /// Removes the common directory where no lab is in it, and releases the lock.
    pub fn release_and_tidy(self) -> Result<(), LabError> {
        let path = Path::new(place::DIR);
        match fs::remove_dir(path) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == ErrorKind::DirectoryNotEmpty => Ok(()),
            Err(source) => Err(LabError::Remove {
                path: path.to_owned(),
                source,
            }),
        }
    }
}

fn make_dir(path: &Path) -> Result<(), LabError> {
    match fs::create_dir(path) {
        Err(source) if source.kind() != ErrorKind::AlreadyExists => Err(LabError::MakeDir {
            path: path.to_owned(),
            source,
        }),
        _ => Ok(()),
    }
}

/// `None` where somebody has it, or it was removed as this process came.
fn try_lock(path: &Path) -> io::Result<Option<File>> {
    let gone = |error: &io::Error| error.kind() == ErrorKind::NotFound;
    let dir = match File::open(path) {
        Err(error) if gone(&error) => return Ok(None),
        dir => dir?,
    };
    match flock(&dir, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    }
    let same = match fs::metadata(path) {
        Err(error) if gone(&error) => false,
        there => there?.ino() == dir.metadata()?.ino(),
    };
    Ok(same.then_some(dir))
}
