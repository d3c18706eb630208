//! A disk for the guest, whose files are the host's otherwise: rates of reads and writes are kept
//! by disk alone. An image beside the desk's other files, empty for each machine and gone with it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use rustix::mount::{MountFlags, mount};
use serde::{Deserialize, Serialize};

/// Debian's kernels have it as a module, and nobody in the guest need listen for new devices.
pub const DRIVER: &str = "virtio_blk";
/// The file system, which the kernel loads when it is mounted.
const KIND: &str = "ext4";
/// The guest has no other disk.
const DEVICE: &str = "/dev/vda";

/// How large it is, and where the guest has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Disk {
    pub mib: u32,
    pub on: PathBuf,
}

impl Disk {
    /// Makes an image, which takes the host's disk only where the guest has written, and answers
    /// what QEMU is told of it.
    pub fn make(&self, image: &Path) -> Result<String> {
        let file = File::create(image).with_context(|| format!("make {}", image.display()))?;
        let bytes = u64::from(self.mib) << 20;
        file.set_len(bytes).context("give the disk its size")?;
        let made = Command::new(format!("/sbin/mkfs.{KIND}"))
            .arg("-q")
            .arg(image)
            .output()
            .with_context(|| format!("start mkfs.{KIND}: run 'scripts/setup kernels'"))?;
        let said = String::from_utf8_lossy(&made.stderr);
        ensure!(made.status.success(), "mkfs.{KIND}: {}", said.trim());
        let name = image.to_str().filter(|name| !name.contains([',', ' ']));
        let name = name.with_context(|| format!("{} can't be told to QEMU", image.display()))?;
        // Nobody needs it after the machine: the host's cache is good enough.
        Ok(format!(
            "-drive file={name},format=raw,if=virtio,cache=unsafe"
        ))
    }

    /// Mounts it in the guest, for everybody, as the directory it covers is.
    pub fn mount(&self) -> Result<()> {
        let on = self.on.display();
        mount(DEVICE, &self.on, KIND, MountFlags::empty(), None)
            .with_context(|| format!("mount {DEVICE} on {on}"))?;
        let anybody = std::os::unix::fs::PermissionsExt::from_mode(0o1777);
        fs::set_permissions(&self.on, anybody).with_context(|| format!("open {on} to everybody"))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn an_image_has_its_size_and_a_file_system_and_takes_little() {
        let dir = std::env::temp_dir().join(format!("kernels-disk-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let image = dir.join("disk.img");
        let disk = Disk {
            mib: 64,
            on: "/var/tmp".into(),
        };
        let told = disk.make(&image).unwrap();
        assert!(told.contains(image.to_str().unwrap()), "{told}");
        let (data, bytes) = (fs::metadata(&image).unwrap(), fs::read(&image).unwrap());
        assert_eq!(data.len(), 64 << 20);
        assert!(data.blocks() * 512 < 16 << 20, "{} blocks", data.blocks());
        // The magic number of ext4's superblock.
        assert_eq!(bytes[1024 + 56..1024 + 58], [0x53, 0xef]);
        assert!(disk.make(&dir.join("a,b")).is_err());
        fs::remove_dir_all(dir).unwrap();
    }
}
