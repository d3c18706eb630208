//! Why the plugin could not be installed or removed: what was tried, on which file, what the
//! system said.

use std::io::{self, ErrorKind};
use std::path::PathBuf;

use engine::ErrorClass;

/// How much of a file an error shows, in characters.
const SHOWN_MAX: usize = 4096;

#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    #[error("can't find out where this pontoon is: {0}")]
    FindOneself(#[source] io::Error),
    #[error(
        "can't read the program {path}: {source}; it is looked for beside this pontoon: put {name} of the same version there ('make' builds both)"
    )]
    ReadProgram {
        name: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("can't read {path}: {source}")]
    Read { path: PathBuf, source: io::Error },
    #[error("{0} is no regular file; move it away, or choose another directory")]
    NotAFile(PathBuf),
    #[error("can't make the directory {path}: {source}; nothing was installed")]
    MakeDir { path: PathBuf, source: io::Error },
    #[error("can't write {path}: {source}; nothing was installed")]
    Write { path: PathBuf, source: io::Error },
    #[error("can't remove {path}: {source}")]
    Remove { path: PathBuf, source: io::Error },
    #[error(
        "{path} is there with other content; --force replaces it, --network chooses another name\nit has:\n{}this would write:\n{wanted}",
        shown(found)
    )]
    ConflistDiffers {
        path: PathBuf,
        found: String,
        wanted: String,
    },
}

impl InstallError {
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::ConflistDiffers { .. } | Self::NotAFile(_) => ErrorClass::Taken,
            Self::FindOneself(source)
            | Self::ReadProgram { source, .. }
            | Self::Read { source, .. }
            | Self::MakeDir { source, .. }
            | Self::Write { source, .. }
            | Self::Remove { source, .. } => match source.kind() {
                ErrorKind::PermissionDenied => ErrorClass::Permission,
                _ => ErrorClass::Other,
            },
        }
    }
}

/// A file's text for a terminal: without what moves the cursor, and not endless.
fn shown(text: &str) -> String {
    let plain = |c: char| match c {
        '\n' | '\t' => c,
        c if c.is_control() => '?',
        c => c,
    };
    let mut shown: String = text.chars().take(SHOWN_MAX).map(plain).collect();
    if !shown.ends_with('\n') {
        shown.push('\n');
    }
    shown
}
