//! Where the programs, maps and attachments of a node are pinned: our folder in bpffs.
//!
//!     /sys/fs/bpf/pontoon/NODE/SETTINGS, PORTS, …      maps
//!                              pontoon_in, pontoon_out  programs
//!                              networks/ID/PORT-in, …   attachments, of networks that it is on for
//!                              uplinks/DEVICE-in, …     and of devices that lead to other nodes
//!
//! bpffs forgets everything when the machine restarts, as the kernel does.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use model::{IfName, NetworkId, NodeId};
use rustix::fs::{FsWord, statfs};
use rustix::mount::{MountFlags, mount};

use crate::attach::Side;
use crate::error::{FastPathError, Result};

const BPFFS: &str = "/sys/fs/bpf";
/// `include/uapi/linux/magic.h`.
const BPF_FS_MAGIC: FsWord = 0xcafe_4a11;

#[derive(Debug, Clone)]
pub(crate) struct Place {
    root: PathBuf,
}

impl Place {
    pub fn of(node: NodeId) -> Self {
        let root = Path::new(BPFFS).join("pontoon").join(node.to_string());
        Self { root }
    }

    pub fn pin(&self, name: &str) -> PathBuf {
        self.root.join(name)
    }

    fn networks_dir(&self) -> PathBuf {
        self.root.join("networks")
    }

    pub fn network(&self, network: NetworkId) -> PathBuf {
        self.networks_dir().join(network.0.to_string())
    }

    pub fn link(&self, network: NetworkId, port: &IfName, side: Side) -> PathBuf {
        self.network(network)
            .join(format!("{port}-{}", side.word()))
    }

    fn uplinks_dir(&self) -> PathBuf {
        self.root.join("uplinks")
    }

    pub fn uplink(&self, device: &IfName, side: Side) -> PathBuf {
        self.uplinks_dir().join(format!("{device}-{}", side.word()))
    }

    /// The devices that have an attachment to other nodes.
    pub fn uplinks(&self) -> Result<Vec<IfName>> {
        Ok(devices(&names_in(&self.uplinks_dir())?))
    }

    pub fn is_on(&self, network: NetworkId) -> bool {
        self.network(network).is_dir()
    }

    /// Makes the folder, and mounts bpffs where it is not, as `ip` and `bpftool` do.
    pub fn make(&self) -> Result<()> {
        let is_bpffs = statfs(BPFFS).is_ok_and(|it| it.f_type == BPF_FS_MAGIC);
        if !is_bpffs {
            mount_bpffs()?;
        }
        make_dir(self.networks_dir())?;
        make_dir(self.uplinks_dir())
    }

    pub fn make_network(&self, network: NetworkId) -> Result<()> {
        make_dir(self.network(network))
    }

    /// The networks that it is on for.
    pub fn networks(&self) -> Result<Vec<NetworkId>> {
        let mut networks: Vec<NetworkId> = names_in(&self.networks_dir())?
            .iter()
            .filter_map(|name| name.parse().ok().map(NetworkId))
            .collect();
        networks.sort();
        Ok(networks)
    }

    /// The ports that have an attachment in a network.
    pub fn ports(&self, network: NetworkId) -> Result<Vec<IfName>> {
        Ok(devices(&names_in(&self.network(network))?))
    }

    pub fn remove_network(&self, network: NetworkId) -> Result<()> {
        remove_with_files(&self.network(network))
    }

    pub fn remove(&self) -> Result<()> {
        for network in self.networks()? {
            self.remove_network(network)?;
        }
        remove_dir(&self.networks_dir())?;
        remove_with_files(&self.uplinks_dir())?;
        remove_with_files(&self.root)
    }
}

/// One that is empty, over what is there.
pub(crate) fn mount_bpffs() -> Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    let mounted = mount("bpf", BPFFS, "bpf", flags, Some(c"mode=0700"));
    mounted.map_err(|errno| FastPathError::Mount {
        path: BPFFS.into(),
        source: errno.into(),
    })
}

/// The devices that pins of attachments are named after.
fn devices(pins: &[String]) -> Vec<IfName> {
    let device = |pin: &String| pin.rsplit_once('-')?.0.parse().ok();
    let mut devices: Vec<IfName> = pins.iter().filter_map(device).collect();
    devices.sort();
    devices.dedup();
    devices
}

fn remove_with_files(dir: &Path) -> Result<()> {
    for name in names_in(dir)? {
        remove_file(&dir.join(name))?;
    }
    remove_dir(dir)
}

fn make_dir(path: PathBuf) -> Result<()> {
    fs::create_dir_all(&path).map_err(|source| FastPathError::MakeDir { path, source })
}

fn names_in(dir: &Path) -> Result<Vec<String>> {
    let failed = |source| FastPathError::ReadDir {
        path: dir.to_owned(),
        source,
    };
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    entries
        .map(|entry| {
            Ok(entry
                .map_err(failed)?
                .file_name()
                .to_string_lossy()
                .into_owned())
        })
        .collect()
}

pub(crate) fn remove_file(path: &Path) -> Result<()> {
    gone(fs::remove_file(path), path)
}

fn remove_dir(path: &Path) -> Result<()> {
    gone(fs::remove_dir(path), path)
}

fn gone(removed: io::Result<()>, path: &Path) -> Result<()> {
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(FastPathError::Remove {
            path: path.to_owned(),
            source: error,
        }),
        _ => Ok(()),
    }
}
