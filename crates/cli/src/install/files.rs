//! Files that are there whole or not at all: written aside, then renamed.

use std::fs::{self, DirBuilder, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::error::InstallError;

const DIR_MODE: u32 = 0o755;
/// Whoever runs a file as its owner needs this bit of it.
const OWNER_RUNS: u32 = 0o100;

/// A file as it is to be.
#[derive(Debug)]
pub struct File {
    pub path: PathBuf,
    pub bytes: Vec<u8>,
    pub mode: u32,
}

/// What is where a file is to be.
#[derive(Debug, PartialEq, Eq)]
pub enum Place {
    Empty,
    /// The file as it is to be.
    Same,
    /// Something else.
    Other(Vec<u8>),
}

impl File {
    /// A mode that an administrator has made stricter is left alone, unless the file could not be
    /// run any more.
    pub fn look(&self) -> Result<Place, InstallError> {
        let Some(found) = read(&self.path)? else {
            return Ok(Place::Empty);
        };
        let mode = fs::metadata(&self.path).map_err(|source| self.unreadable(source))?;
        let runs = mode.permissions().mode() & self.mode & OWNER_RUNS;
        let same = found == self.bytes && runs == self.mode & OWNER_RUNS;
        Ok(if same {
            Place::Same
        } else {
            Place::Other(found)
        })
    }

    fn unreadable(&self, source: io::Error) -> InstallError {
        let path = self.path.clone();
        InstallError::Read { path, source }
    }
}

/// A regular file's bytes; `None` where nothing is.
pub fn read(path: &Path) -> Result<Option<Vec<u8>>, InstallError> {
    let read = || {
        // Anything else may never end.
        if !fs::metadata(path)?.is_file() {
            return Ok(None);
        }
        fs::read(path).map(Some)
    };
    match read() {
        Ok(Some(bytes)) => Ok(Some(bytes)),
        Ok(None) => Err(InstallError::NotAFile(path.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(InstallError::Read {
            path: path.to_owned(),
            source,
        }),
    }
}

/// The regular files of a directory, sorted; none where there is no directory.
pub fn list(dir: &Path) -> Result<Vec<PathBuf>, InstallError> {
    let entries = || {
        let all = fs::read_dir(dir)?.map(|entry| entry.map(|entry| entry.path()));
        all.collect::<io::Result<Vec<PathBuf>>>()
    };
    match entries() {
        Ok(mut paths) => {
            paths.retain(|path| path.is_file());
            paths.sort();
            Ok(paths)
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(source) => Err(InstallError::Read {
            path: dir.to_owned(),
            source,
        }),
    }
}

pub fn remove(path: &Path) -> Result<(), InstallError> {
    match fs::remove_file(path).and_then(|()| sync_dir(path)) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        done => done.map_err(|source| InstallError::Remove {
            path: path.to_owned(),
            source,
        }),
    }
}

/// Directories made on the way, removed again unless they are kept.
#[derive(Debug, Default)]
pub struct MadeDirs(Vec<PathBuf>);

impl MadeDirs {
    /// Makes the directories above a file where there are none.
    pub fn ensure(&mut self, file: &Path) -> Result<(), InstallError> {
        let above = file.ancestors().skip(1);
        let missing = above.take_while(|dir| !dir.as_os_str().is_empty() && !dir.exists());
        for dir in missing.collect::<Vec<_>>().into_iter().rev() {
            match DirBuilder::new().mode(DIR_MODE).create(dir) {
                Ok(()) => self.0.push(dir.to_owned()),
                // Another process was faster.
                Err(error) if error.kind() == ErrorKind::AlreadyExists && dir.is_dir() => {}
                Err(source) => {
                    let path = dir.to_owned();
                    return Err(InstallError::MakeDir { path, source });
                }
            }
        }
        Ok(())
    }

    pub fn keep(mut self) {
        self.0.clear();
    }
}

impl Drop for MadeDirs {
    fn drop(&mut self) {
        for dir in self.0.iter().rev() {
            // One that somebody has put something in stays.
            let _ = fs::remove_dir(dir);
        }
    }
}

/// A file written aside, in the directory that it is for. Dropped, it leaves nothing aside.
#[derive(Debug)]
pub struct Staged {
    path: PathBuf,
    /// The new file until it has its name.
    new: PathBuf,
    /// What it replaces, until that is sure.
    old: PathBuf,
    stage: Stage,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Aside,
    /// It has its name, which stood for nothing before.
    Written,
    /// It has its name, and `old` what that stood for.
    Replaced,
}

impl Staged {
    /// # Errors
    /// `Write`.
    pub fn new(file: &File) -> Result<Self, InstallError> {
        // Runtimes watch the directory, and read what ends as a configuration does.
        let aside = |end: &str| {
            let name = file.path.file_name().unwrap_or_default().to_string_lossy();
            let pid = std::process::id();
            file.path.with_file_name(format!(".{name}.{pid}.{end}"))
        };
        let staged = Self {
            path: file.path.clone(),
            new: aside("new"),
            old: aside("old"),
            stage: Stage::Aside,
        };
        staged
            .write(file)
            .map_err(|source| staged.unwritable(source))?;
        Ok(staged)
    }

    fn write(&self, file: &File) -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut new = options
            .write(true)
            .create_new(true)
            .mode(file.mode)
            .open(&self.new)?;
        new.write_all(&file.bytes)?;
        // Whatever the umask is.
        new.set_permissions(Permissions::from_mode(file.mode))?;
        new.sync_all()
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// `Write`.
    pub fn commit(&mut self) -> Result<(), InstallError> {
        let renamed = self.rename().and_then(|()| sync_dir(&self.path));
        renamed.map_err(|source| self.unwritable(source))
    }

    fn rename(&mut self) -> io::Result<()> {
        let stage = match fs::hard_link(&self.path, &self.old) {
            Ok(()) => Stage::Replaced,
            Err(error) if error.kind() == ErrorKind::NotFound => Stage::Written,
            Err(error) => return Err(error),
        };
        fs::rename(&self.new, &self.path)?;
        self.stage = stage;
        Ok(())
    }

    /// Takes a commit back, where there was one.
    pub fn undo(&mut self) {
        // The error that led here is the one to report.
        let _ = match self.stage {
            Stage::Aside => Ok(()),
            Stage::Written => fs::remove_file(&self.path),
            Stage::Replaced => fs::rename(&self.old, &self.path),
        };
    }

    fn unwritable(&self, source: io::Error) -> InstallError {
        let path = self.path.clone();
        InstallError::Write { path, source }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        for aside in [&self.new, &self.old] {
            // Which of them are there depends on how far it came.
            let _ = fs::remove_file(aside);
        }
    }
}

/// Makes a change of names in a file's directory last.
fn sync_dir(path: &Path) -> io::Result<()> {
    let dir = path.parent().filter(|dir| !dir.as_os_str().is_empty());
    fs::File::open(dir.unwrap_or(Path::new(".")))?.sync_all()
}
