//! What can fail, with the object it failed on.

use std::io;
use std::path::PathBuf;

use aya::EbpfError;
use aya::maps::MapError;
use aya::pin::PinError;
use aya::programs::ProgramError;
use model::IfName;

/// A fast path that could not be loaded, changed or read. Traffic goes on by the kernel's way.
#[derive(Debug, thiserror::Error)]
pub enum FastPathError {
    #[error(
        "this pontoon was built without the fast path: run scripts/setup fastpath and build again"
    )]
    NotBuilt,
    #[error("can't mount a BPF filesystem at {}", path.display())]
    Mount { path: PathBuf, source: io::Error },
    #[error("can't make {}", path.display())]
    MakeDir { path: PathBuf, source: io::Error },
    #[error("can't read {}", path.display())]
    ReadDir { path: PathBuf, source: io::Error },
    #[error("can't remove {}", path.display())]
    Remove { path: PathBuf, source: io::Error },
    #[error("can't load the fast path's programs")]
    Load(#[source] Box<EbpfError>),
    #[error("the object has no program {0}")]
    NoProgram(&'static str),
    #[error("the kernel refuses the program {program}")]
    Program {
        program: &'static str,
        source: Box<ProgramError>,
    },
    #[error("can't pin {}", path.display())]
    Pin {
        path: PathBuf,
        source: Box<PinError>,
    },
    #[error("can't use the map {map}")]
    Map {
        map: &'static str,
        source: Box<MapError>,
    },
    #[error("the map of counters is full: more ports than the fast path has room for")]
    NoCounters,
    #[error("can't attach to {port}")]
    Attach {
        port: IfName,
        source: Box<ProgramError>,
    },
    #[error("can't look at {port}")]
    Look { port: IfName, source: io::Error },
}

pub(crate) type Result<T> = std::result::Result<T, FastPathError>;

impl FastPathError {
    /// Whether the caller lacks the right: `CAP_BPF`, `CAP_NET_ADMIN`, or root for the mount.
    pub fn is_permission(&self) -> bool {
        let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(self);
        while let Some(error) = cause {
            let denied = error
                .downcast_ref::<io::Error>()
                .is_some_and(|io| io.kind() == io::ErrorKind::PermissionDenied);
            if denied {
                return true;
            }
            cause = error.source();
        }
        false
    }
}

/// What went wrong with the map of this name.
pub(crate) fn in_map(map: &'static str) -> impl Fn(MapError) -> FastPathError {
    move |source| FastPathError::Map {
        map,
        source: Box::new(source),
    }
}
