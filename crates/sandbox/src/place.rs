//! Where the files of containers are: one directory each, in memory, gone with the boot.
//!
//! The directories can be passed by anybody, since the root user of a container, who is nobody on
//! the machine, must reach its own; what they hold is for root alone unless it is to be mounted
//! inside.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use model::EndpointName;
use rustix::fs::{FlockOperation, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::container::{Container, State, Status, state};
use crate::error::SandboxError;

const BASE: &str = "/run/pontoon/containers";
const CONTAINER: &str = "container.json";
const STATUS: &str = "status.json";
const LOCK: &str = "lock";
const PASSABLE: u32 = 0o711;
const PRIVATE: u32 = 0o600;

/// The containers of one node.
#[derive(Debug, Clone)]
pub struct Place {
    dir: PathBuf,
}

/// One container's directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    dir: PathBuf,
}

/// A container with all that is known of it.
#[derive(Debug, Clone)]
pub struct Known {
    pub home: Home,
    pub container: Container,
    pub status: Option<Status>,
    pub state: State,
}

impl Known {
    /// Bytes that it has received and sent, on all devices but its loopback.
    pub fn traffic(&self) -> Option<(u64, u64)> {
        let init = self.status.as_ref()?.init.as_ref()?;
        let text = fs::read_to_string(format!("/proc/{}/net/dev", init.pid)).ok()?;
        // Read from whoever has the number; it counts if that is still the container's.
        init.is_alive().then(|| sum_traffic(&text))
    }
}

/// Lines of `DEVICE: BYTES PACKETS …`, sixteen numbers of which the ninth are the bytes sent.
fn sum_traffic(text: &str) -> (u64, u64) {
    let devices = text.lines().filter_map(|line| line.split_once(':'));
    let devices = devices.filter(|(name, _)| name.trim() != "lo");
    devices.fold((0, 0), |(received, sent), (_, numbers)| {
        let numbers: Vec<u64> = numbers
            .split_whitespace()
            .filter_map(|n| n.parse().ok())
            .collect();
        let number = |index: usize| numbers.get(index).copied().unwrap_or_default();
        (received + number(0), sent + number(8))
    })
}

impl Place {
    /// The containers of the node whose records have this identity.
    pub fn of_node(node: &str) -> Self {
        Self {
            dir: Path::new(BASE).join(node),
        }
    }

    pub fn home(&self, name: &EndpointName) -> Home {
        Home {
            dir: self.dir.join(name.as_str()),
        }
    }

    /// Keeps others from making or removing containers until it is dropped.
    ///
    /// # Errors
    /// A directory that can't be made.
    pub fn lock(&self) -> Result<File, SandboxError> {
        make_passable(&self.dir)?;
        let path = self.dir.with_extension(LOCK);
        let open = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(PRIVATE)
            .open(&path);
        let locked = open.and_then(|file| {
            flock(&file, FlockOperation::LockExclusive)?;
            Ok(file)
        });
        locked.map_err(|source| SandboxError::Make { path, source })
    }

    /// Makes a container's directory.
    ///
    /// # Errors
    /// `NameTaken`; a directory that can't be made.
    pub fn make(&self, name: &EndpointName) -> Result<Home, SandboxError> {
        let home = self.home(name);
        match DirBuilder::new().mode(PASSABLE).create(&home.dir) {
            Ok(()) => open_to_all(&home.dir).map(|()| home),
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                Err(SandboxError::NameTaken(name.clone()))
            }
            Err(source) => Err(SandboxError::Make {
                path: home.dir,
                source,
            }),
        }
    }

    /// One container.
    ///
    /// # Errors
    /// `ContainerMissing`; files that can't be read.
    pub fn find(&self, name: &EndpointName) -> Result<Known, SandboxError> {
        let home = self.home(name);
        let missing = || SandboxError::ContainerMissing(name.clone());
        home.look()?.ok_or_else(missing)
    }

    /// All containers, by name. A directory without a container in it is one that is being made,
    /// or was left by who died doing so: `unfinished` names these.
    ///
    /// # Errors
    /// Files that can't be read.
    pub fn all(&self) -> Result<Vec<Known>, SandboxError> {
        let homes = self.homes()?;
        homes
            .into_iter()
            .filter_map(|home| home.look().transpose())
            .collect()
    }

    /// Directories without a container in them.
    ///
    /// # Errors
    /// Files that can't be read.
    pub fn unfinished(&self) -> Result<Vec<Home>, SandboxError> {
        let mut homes = self.homes()?;
        homes.retain(|home| !home.file(CONTAINER).exists());
        Ok(homes)
    }

    fn homes(&self) -> Result<Vec<Home>, SandboxError> {
        let failed = |source| SandboxError::Read {
            path: self.dir.clone(),
            source,
        };
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(error)),
        };
        let mut homes = Vec::new();
        for entry in entries {
            let dir = entry.map_err(failed)?.path();
            if dir.is_dir() {
                homes.push(Home { dir });
            }
        }
        homes.sort_by(|a, b| a.dir.cmp(&b.dir));
        Ok(homes)
    }
}

impl Home {
    /// The home that a supervisor is told of.
    pub fn at(dir: PathBuf) -> Self {
        Self { dir }
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn file(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }

    /// What is known of the container; `None` where there is none, or none yet.
    ///
    /// # Errors
    /// Files that can't be read.
    pub fn look(&self) -> Result<Option<Known>, SandboxError> {
        let Some(container) = read_json::<Container>(&self.file(CONTAINER))? else {
            return Ok(None);
        };
        let status = read_json::<Status>(&self.file(STATUS))?;
        let state = state(&container, status.as_ref());
        Ok(Some(Known {
            home: self.clone(),
            container,
            status,
            state,
        }))
    }

    /// # Errors
    /// A file that can't be written.
    pub fn write_container(&self, container: &Container) -> Result<(), SandboxError> {
        self.write_json(CONTAINER, container)
    }

    /// # Errors
    /// A file that can't be written.
    pub fn write_status(&self, status: &Status) -> Result<(), SandboxError> {
        self.write_json(STATUS, status)
    }

    /// Writes a document whole or not at all.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write_json(&self, name: &str, value: &impl Serialize) -> Result<(), SandboxError> {
        let path = self.file(name);
        let failed = |source| SandboxError::Write {
            path: path.clone(),
            source,
        };
        let text = serde_json::to_vec_pretty(value)
            .map_err(io::Error::from)
            .map_err(failed)?;
        let fresh = self.file(&format!("{name}.new"));
        let written = write_file(&fresh, &text, PRIVATE).and_then(|()| fs::rename(&fresh, &path));
        written.map_err(failed)
    }

    /// Writes a file that is mounted inside: in place, and for everybody to read.
    ///
    /// # Errors
    /// A file that can't be written.
    pub fn write_shown(&self, name: &str, text: &str) -> Result<(), SandboxError> {
        let path = self.file(name);
        let written = write_file(&path, text.as_bytes(), 0o644);
        written.map_err(|source| SandboxError::Write { path, source })
    }

    /// # Errors
    /// A directory that can't be removed. One that is gone is success.
    pub fn remove(&self) -> Result<(), SandboxError> {
        match fs::remove_dir_all(&self.dir) {
            Err(source) if source.kind() != ErrorKind::NotFound => Err(SandboxError::Remove {
                path: self.dir.clone(),
                source,
            }),
            _ => Ok(()),
        }
    }
}

fn write_file(path: &Path, bytes: &[u8], mode: u32) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options
        .create(true)
        .truncate(true)
        .write(true)
        .mode(mode)
        .open(path)?;
    file.set_permissions(fs::Permissions::from_mode(mode))?;
    file.write_all(bytes)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, SandboxError> {
    let bytes = match fs::read(path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => {
            return Err(SandboxError::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    let parsed = serde_json::from_slice(&bytes);
    parsed.map(Some).map_err(|source| SandboxError::Parse {
        path: path.to_owned(),
        source,
    })
}

/// Makes a directory below /run that anybody may pass and nobody but root may list.
fn make_passable(dir: &Path) -> Result<(), SandboxError> {
    let made = DirBuilder::new().recursive(true).mode(PASSABLE).create(dir);
    made.map_err(|source| SandboxError::Make {
        path: dir.to_owned(),
        source,
    })?;
    let own = dir
        .ancestors()
        .take_while(|dir| dir.starts_with("/run/pontoon"));
    own.collect::<Vec<_>>()
        .into_iter()
        .try_for_each(open_to_all)
}

/// Whatever the caller's umask is.
fn open_to_all(dir: &Path) -> Result<(), SandboxError> {
    let set = fs::set_permissions(dir, fs::Permissions::from_mode(PASSABLE));
    set.map_err(|source| SandboxError::Make {
        path: dir.to_owned(),
        source,
    })
}
