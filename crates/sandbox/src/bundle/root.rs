//! The directory that becomes `/`, and in it what is to be mounted on: a container's root user may
//! not make files there.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{Mode, OFlags, ResolveFlags, mkdirat, openat2};
use rustix::io::Errno;

use super::ROOTFS;
use super::mounts::Mount;
use crate::container::{Container, Root};
use crate::error::SandboxError;
use crate::place::Home;

/// Makes the root, and in it everything that is mounted on.
///
/// # Errors
/// `OpenRoot`; what can't be made.
pub fn prepare(home: &Home, container: &Container, mounts: &[Mount]) -> Result<(), SandboxError> {
    let dir = match &container.root {
        Root::Machine => {
            let dir = home.file(ROOTFS);
            fs::create_dir_all(&dir).map_err(|source| SandboxError::Make {
                path: dir.clone(),
                source,
            })?;
            copy_links(&dir)?;
            dir
        }
        Root::Dir(dir) => dir.clone(),
    };
    let root = File::open(&dir).and_then(|root| {
        let is_dir = root.metadata()?.is_dir();
        is_dir
            .then_some(root)
            .ok_or_else(|| io::Error::from(Errno::NOTDIR))
    });
    let root: OwnedFd = root
        .map_err(|source| SandboxError::OpenRoot {
            path: dir.clone(),
            source,
        })?
        .into();
    // What lies below another mount is made, or is there, in that.
    let is_covered = |mount: &Mount| {
        let above = |other: &Mount| other.on != mount.on && mount.on.starts_with(&other.on);
        mounts.iter().any(above)
    };
    for mount in mounts.iter().filter(|mount| !is_covered(mount)) {
        let made = make_inside(&root, mount);
        made.map_err(|errno| SandboxError::Make {
            path: dir.join(mount.on.strip_prefix("/").unwrap_or(&mount.on)),
            source: errno.into(),
        })?;
    }
    Ok(())
}

/// The machine's links to its directories, `/bin` and such.
fn copy_links(dir: &Path) -> Result<(), SandboxError> {
    let failed = |source| SandboxError::OpenRoot {
        path: "/".into(),
        source,
    };
    for entry in fs::read_dir("/").map_err(failed)? {
        let entry = entry.map_err(failed)?;
        if entry.file_type().map_err(failed)?.is_symlink() {
            let to = fs::read_link(entry.path()).map_err(failed)?;
            let path = dir.join(entry.file_name());
            std::os::unix::fs::symlink(to, &path)
                .map_err(|source| SandboxError::Make { path, source })?;
        }
    }
    Ok(())
}

/// Makes a directory or an empty file below the root, and the directories above it. Links are
/// followed as a process inside would follow them: none leads out.
fn make_inside(root: &OwnedFd, mount: &Mount) -> Result<(), Errno> {
    let below = mount.on.strip_prefix("/").unwrap_or(&mount.on);
    let mut path = PathBuf::new();
    let mut parts = below.components().peekable();
    while let Some(part) = parts.next() {
        let above = open_inside(root, &path)?;
        let is_last = parts.peek().is_none();
        let name = part.as_os_str();
        let there = match is_last && mount.is_file() {
            true => make_file(&above, Path::new(name)),
            false => mkdirat(&above, name, Mode::from_raw_mode(0o755)),
        };
        match there {
            Ok(()) | Err(Errno::EXIST) => path.push(name),
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn open_inside(root: &OwnedFd, path: &Path) -> Result<OwnedFd, Errno> {
    let path = if path.as_os_str().is_empty() {
        Path::new(".")
    } else {
        path
    };
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    openat2(root, path, flags, Mode::empty(), ResolveFlags::IN_ROOT)
}

fn make_file(dir: &OwnedFd, name: &Path) -> Result<(), Errno> {
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(dir, name, flags, Mode::from_raw_mode(0o644)).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bundle::mounts::What;
    use crate::container::Access;

    #[test]
    fn links_inside_a_root_do_not_lead_out_of_it() {
        let dir = std::env::temp_dir().join(format!("pontoon-root-{}", std::process::id()));
        let outside = dir.join("outside");
        let root = dir.join("root");
        fs::create_dir_all(&root).unwrap();
        fs::create_dir_all(&outside).unwrap();
        std::os::unix::fs::symlink(&outside, root.join("data")).unwrap();
        std::os::unix::fs::symlink("../../outside", root.join("up")).unwrap();
        let opened: OwnedFd = File::open(&root).unwrap().into();
        for on in ["/data/x", "/up/x"] {
            let mount = Mount {
                on: on.into(),
                what: What::Bind("/tmp".into(), Access::Read),
            };
            // Where it leads is not there inside.
            assert!(make_inside(&opened, &mount).is_err());
        }
        assert_eq!(fs::read_dir(&outside).unwrap().count(), 0);
        fs::remove_dir_all(&dir).unwrap();
    }
}
