//! The host's files a second time in the guest, kept in its memory once they are read.
//!
//! virtme-ng's root asks the host for every page again whenever a program starts: two seconds for
//! one of ours under emulation. Nothing here is written to; what a test writes goes where it went.

use std::collections::BTreeSet;
use std::env::consts::ARCH;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use rustix::mount::{MountFlags, mount, mount_bind};

use crate::job::Test;

/// What QEMU and the guest call the files.
const TAG: &str = "pontoon-host";
/// Where the guest mounts them.
const PLACE: &str = "/run/pontoon-host";
/// They are taken not to change while the machine runs.
const OPTIONS: &str = "version=9p2000.L,trans=virtio,access=any,msize=512000,cache=loose";

/// What QEMU is told, so that the guest can mount them.
pub fn qemu_options() -> String {
    // Inodes of all file systems of the host are seen as those of one.
    let shared = "local,path=/,security_model=none,readonly=on,multidevs=remap";
    format!("-fsdev {shared},id={TAG} -device virtio-9p-pci,fsdev={TAG},mount_tag={TAG}")
}

/// Has programs come from memory: those of the host and those that the tests start.
pub fn keep_in_memory(tests: &[(usize, Test)]) -> Result<()> {
    fs::create_dir_all(PLACE).with_context(|| format!("make {PLACE}"))?;
    let options = std::ffi::CString::new(OPTIONS).context("make the options")?;
    mount(TAG, PLACE, "9p", MountFlags::RDONLY, Some(&*options))
        .with_context(|| format!("mount the host's files on {PLACE}"))?;
    for path in paths(tests)? {
        let kept = Path::new(PLACE).join(path.strip_prefix("/").unwrap_or(&path));
        mount_bind(&kept, &path).with_context(|| format!("keep {} in memory", path.display()))?;
    }
    Ok(())
}

/// What is worth it. Not all of `/usr`: virtme-ng puts the kernel's modules there.
fn paths(tests: &[(usize, Test)]) -> Result<BTreeSet<PathBuf>> {
    let libraries = format!("/usr/lib/{ARCH}-linux-gnu");
    let of_host = ["/usr/bin", "/usr/sbin", &libraries].map(PathBuf::from);
    let mut paths: BTreeSet<PathBuf> = of_host.into_iter().filter(|path| path.is_dir()).collect();
    let binaries = tests.iter().map(|(_, test)| &test.binary);
    let dirs: BTreeSet<&Path> = binaries.filter_map(|path| path.parent()).collect();
    for dir in dirs {
        paths.insert(dir.to_owned());
        // Cargo has tests in `deps`, and what they start beside it.
        paths.extend(programs(dir.parent().unwrap_or(dir))?);
    }
    Ok(paths)
}

/// The files of a directory that can be started.
fn programs(dir: &Path) -> Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("list {}", dir.display()))?;
    let can_be_started = |path: &PathBuf| {
        let metadata = fs::metadata(path);
        metadata.is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
    };
    let paths = entries.flatten().map(|entry| entry.path());
    Ok(paths.filter(can_be_started).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_tests_are_made_of_and_start_is_kept() {
        let binary = std::env::current_exe().unwrap();
        let test = Test {
            suite: "kernels".to_owned(),
            name: "files".to_owned(),
            binary: binary.clone(),
            working_dir: "/".into(),
            limit_secs: 1,
        };
        let paths = paths(&[(0, test)]).unwrap();
        assert!(paths.contains(binary.parent().unwrap()));
        assert!(paths.contains(Path::new("/usr/bin")));
        assert!(paths.iter().all(|path| path.exists()), "{paths:?}");
    }
}
