//! The node's lock: one process at a time changes records and kernel. And the removals' turn: one
//! process at a time removes what all of them have given up. And the task of answering for names.
//!
//! The kernel releases each with the process that holds it, however that dies. Readers of the
//! records don't need it.

use std::fmt;
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

use crate::StoreError;
use crate::error::from_io;

/// The locks' files in the state directory.
const FILE: &str = "lock";
const REMOVALS_FILE: &str = "removals.lock";
const NAMES_FILE: &str = "names.lock";
/// How much of the holder's command line is kept, in bytes.
const COMMAND_MAX: usize = 256;
/// How long the holder's line is, in characters: a number, a blank and a command.
const HOLDER_BYTES: usize = COMMAND_MAX + 16;
/// The state directory is root's alone.
const DIR_MODE: u32 = 0o700;
const FILE_MODE: u32 = 0o600;

/// The process that has the lock, by its own account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    pub pid: u32,
    pub command: String,
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.command)
    }
}

/// The node's lock, held until dropped.
#[derive(Debug)]
pub struct NodeLock {
    /// Closing it is the release.
    _file: File,
}

impl NodeLock {
    /// Takes the lock of this state directory, which is made where there is none. Waits for at
    /// most `wait`; who waits gets it in turn.
    ///
    /// # Errors
    /// `LockTimeout` names the holder; those of making and opening the file.
    pub fn acquire(dir: &Path, wait: Duration) -> Result<Self, StoreError> {
        let _file = acquire(dir, FILE, wait)?;
        Ok(Self { _file })
    }

    /// Whether nobody holds the lock at this moment.
    pub fn is_free(dir: &Path) -> bool {
        let tried = File::open(dir.join(FILE))
            .map(|file| flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok());
        tried.unwrap_or(false)
    }
}

/// The turn to remove what is recorded as leaving, held until dropped. Who waits for it finds its
/// own removed, as a rule, when it comes. Never waited for under the node's lock.
#[derive(Debug)]
pub struct RemovalsTurn {
    /// Closing it is the release.
    _file: File,
}

impl RemovalsTurn {
    /// Waits for at most `wait`.
    ///
    /// # Errors
    /// Those of [`NodeLock::acquire`].
    pub fn acquire(dir: &Path, wait: Duration) -> Result<Self, StoreError> {
        let _file = acquire(dir, REMOVALS_FILE, wait)?;
        Ok(Self { _file })
    }
}

/// The task of answering for names, held until dropped: one process for these records has it.
#[derive(Debug)]
pub struct NamesLock {
    /// Closing it is the release.
    _file: File,
}

impl NamesLock {
    /// Waits for at most `wait`.
    ///
    /// # Errors
    /// Those of [`NodeLock::acquire`].
    pub fn acquire(dir: &Path, wait: Duration) -> Result<Self, StoreError> {
        let _file = acquire(dir, NAMES_FILE, wait)?;
        Ok(Self { _file })
    }

    /// Whether somebody has it at this moment. Who asks is in nobody's way but that of one who
    /// begins just now, and waits.
    pub fn is_held(dir: &Path) -> bool {
        let tried = File::open(dir.join(NAMES_FILE))
            .map(|file| flock(&file, FlockOperation::NonBlockingLockShared));
        matches!(tried, Ok(Err(Errno::WOULDBLOCK)))
    }

    /// Who has it, by its own account.
    pub fn holder(dir: &Path) -> Option<Holder> {
        Self::is_held(dir).then(|| read_holder(&dir.join(NAMES_FILE)))?
    }
}

fn acquire(dir: &Path, file: &str, wait: Duration) -> Result<File, StoreError> {
    ensure_dir(dir)?;
    let path = dir.join(file);
    let refuse = |source| {
        from_io(&path, source, |path, source| StoreError::Lock {
            path,
            source,
        })
    };
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(FILE_MODE)
        .open(&path)
        .map_err(refuse)?;
    match lock_within(file, wait).map_err(refuse)? {
        Some(file) => {
            write_holder(&file);
            Ok(file)
        }
        None => Err(StoreError::LockTimeout {
            holder: read_holder(&path),
            path,
            waited: wait,
        }),
    }
}

/// Makes the state directory, for root alone; one that is there keeps its mode.
pub(crate) fn ensure_dir(dir: &Path) -> Result<(), StoreError> {
    DirBuilder::new()
        .recursive(true)
        .mode(DIR_MODE)
        .create(dir)
        .map_err(|source| {
            from_io(dir, source, |path, source| StoreError::CreateDir {
                path,
                source,
            })
        })
}

/// Locks the file for this process alone; `None` when others hold it all the time. flock(2) has
/// no time limit of its own, so a thread waits: when it gets the lock too late, nobody takes
/// the file from it, and the lock is free again as the file closes.
pub(crate) fn lock_within(file: File, wait: Duration) -> io::Result<Option<File>> {
    match flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => return Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => {}
        Err(errno) => return Err(errno.into()),
    }
    let (sender, receiver) = mpsc::sync_channel(1);
    thread::Builder::new()
        .name("node-lock".to_owned())
        .spawn(move || {
            let locked = rustix::io::retry_on_intr(|| flock(&file, FlockOperation::LockExclusive));
            // Fails when nobody waits any more: then the file closes here.
            let _ = sender.send(locked.map(|()| file));
        })?;
    match receiver.recv_timeout(wait) {
        Ok(locked) => Ok(Some(locked?)),
        Err(_) => Ok(None),
    }
}

/// Writes who has the lock into its file. It only serves the others' error message, so that a
/// full disk is no reason to fail.
fn write_holder(file: &File) {
    let mut words = std::env::args_os();
    let program = words.next().map(PathBuf::from).unwrap_or_default();
    let mut command = program
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    for word in words {
        command.push(' ');
        command.push_str(&word.to_string_lossy());
    }
    let printable = |c: char| if c.is_control() { '?' } else { c };
    let command: String = command
        .char_indices()
        .take_while(|(at, _)| *at < COMMAND_MAX)
        .map(|(_, c)| printable(c))
        .collect();
    // Always as long: cutting a file costs ext4 half a millisecond, and a flush when it is closed.
    let line = format!("{} {command}", std::process::id());
    let line = format!("{line:<HOLDER_BYTES$.HOLDER_BYTES$}\n");
    let _ = file.write_all_at(line.as_bytes(), 0);
}

fn read_holder(path: &Path) -> Option<Holder> {
    let mut text = String::new();
    File::open(path)
        .ok()?
        .take(2 * COMMAND_MAX as u64)
        .read_to_string(&mut text)
        .ok()?;
    let (pid, command) = text.trim_end().split_once(' ')?;
    Some(Holder {
        pid: pid.parse().ok()?,
        command: command.to_owned(),
    })
}
