//! What is mounted in a container, in order.

use std::fs;
use std::path::{Component, Path, PathBuf};

use serde_json::{Value, json};

use super::{HOSTNAME, HOSTS, RESOLV_CONF};
use crate::container::{Access, Bind, Container, Root};
use crate::error::SandboxError;
use crate::place::Home;

/// Directories of the machine's root that a container gets its own of, or none.
const OWN: [&str; 12] = [
    "boot",
    "dev",
    "home",
    "lost+found",
    "media",
    "mnt",
    "proc",
    "root",
    "run",
    "srv",
    "sys",
    "tmp",
];
/// The most of memory that the kernel's own file systems of a container take.
const SMALL: &str = "size=65536k";

/// One mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    pub on: PathBuf,
    pub what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A file system of the kernel's, its source and options.
    Kernel(&'static str, &'static str, Vec<&'static str>),
    /// A directory or file of the machine's.
    Bind(PathBuf, Access),
}

impl Mount {
    pub fn oci(&self) -> Value {
        match &self.what {
            What::Kernel(kind, source, options) => json!({
                "destination": self.on, "type": kind, "source": source, "options": options,
            }),
            What::Bind(source, access) => {
                let mut options = vec!["rbind", "nosuid", "nodev"];
                match access {
                    Access::Write => {}
                    // crun takes the target of a recursive option for a directory.
                    Access::Read if self.is_file() => options.push("ro"),
                    Access::Read => options.push("rro"),
                }
                json!({
                    "destination": self.on, "type": "bind", "source": source, "options": options,
                })
            }
        }
    }

    /// Whether what is mounted is a file.
    pub fn is_file(&self) -> bool {
        matches!(&self.what, What::Bind(source, _) if !source.is_dir())
    }
}

/// All mounts of a container.
///
/// # Errors
/// A mount that can't be.
pub fn of(home: &Home, container: &Container) -> Result<Vec<Mount>, SandboxError> {
    let mut mounts = match container.root {
        Root::Machine => machine()?,
        Root::Dir(_) => Vec::new(),
    };
    mounts.extend(kernel_file_systems());
    if container.root == Root::Machine {
        let dir = |on: &str| kernel(on, "tmpfs", &["nosuid", "nodev", "mode=755"]);
        mounts.extend([
            dir("/home"),
            kernel("/root", "tmpfs", &["nosuid", "nodev", "mode=700"]),
        ]);
    }
    let mut own = vec![(HOSTS, "/etc/hosts"), (HOSTNAME, "/etc/hostname")];
    if !container.nameservers.is_empty() {
        own.push((RESOLV_CONF, "/etc/resolv.conf"));
    }
    for (file, on) in own {
        if container.root != Root::Machine || Path::new(on).exists() {
            mounts.push(Mount {
                on: on.into(),
                what: What::Bind(home.file(file), Access::Read),
            });
        }
    }
    for bind in &container.mounts {
        mounts.push(bound(bind, container)?);
    }
    Ok(mounts)
}

fn kernel(on: &str, kind: &'static str, options: &[&'static str]) -> Mount {
    Mount {
        on: on.into(),
        what: What::Kernel(kind, kind, options.to_vec()),
    }
}

fn kernel_file_systems() -> Vec<Mount> {
    let closed = ["nosuid", "noexec", "nodev"];
    let sys = [&closed[..], &["ro"]].concat();
    vec![
        kernel("/proc", "proc", &closed),
        kernel("/sys", "sysfs", &sys),
        kernel(
            "/dev",
            "tmpfs",
            &["nosuid", "strictatime", "mode=755", SMALL],
        ),
        kernel(
            "/dev/pts",
            "devpts",
            &[
                "nosuid",
                "noexec",
                "newinstance",
                "ptmxmode=0666",
                "mode=0620",
                "gid=5",
            ],
        ),
        kernel(
            "/dev/shm",
            "tmpfs",
            &["nosuid", "noexec", "nodev", "mode=1777", SMALL],
        ),
        kernel("/dev/mqueue", "mqueue", &closed),
        kernel("/tmp", "tmpfs", &["nosuid", "nodev", "mode=1777"]),
        kernel("/run", "tmpfs", &["nosuid", "nodev", "mode=755"]),
    ]
}

/// The machine's directories for reading.
fn machine() -> Result<Vec<Mount>, SandboxError> {
    let failed = |source| SandboxError::OpenRoot {
        path: "/".into(),
        source,
    };
    let mut mounts = Vec::new();
    for entry in fs::read_dir("/").map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let is_own = OWN.iter().any(|own| entry.file_name() == *own);
        if !is_own && entry.file_type().map_err(failed)?.is_dir() {
            mounts.push(Mount {
                on: entry.path(),
                what: What::Bind(entry.path(), Access::Read),
            });
        }
    }
    mounts.sort_by(|a, b| a.on.cmp(&b.on));
    Ok(mounts)
}

fn bound(bind: &Bind, container: &Container) -> Result<Mount, SandboxError> {
    let target = &bind.target;
    let plain = |part: Component<'_>| matches!(part, Component::Normal(_) | Component::RootDir);
    if !target.is_absolute() || !target.components().all(plain) || target.parent().is_none() {
        return Err(SandboxError::TargetPath(target.clone()));
    }
    let source = bind
        .source
        .canonicalize()
        .map_err(|source| SandboxError::OpenMount {
            path: bind.source.clone(),
            source,
        })?;
    if source.to_str().is_none() || target.to_str().is_none() {
        return Err(SandboxError::NotText(bind.source.clone()));
    }
    if container.root == Root::Machine && is_machines(target) && !target.exists() {
        return Err(SandboxError::TargetMissing(target.clone()));
    }
    Ok(Mount {
        on: target.clone(),
        what: What::Bind(source, bind.access),
    })
}

/// Whether a path is in a directory that the container has of the machine, to read alone.
fn is_machines(path: &Path) -> bool {
    let mut parts = path.components().skip(1);
    let Some(Component::Normal(first)) = parts.next() else {
        return false;
    };
    Path::new("/").join(first).is_dir() && OWN.iter().all(|own| first != *own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_the_machines_is_told_from_what_is_new() {
        assert!(is_machines(Path::new("/usr/no/such")) && is_machines(Path::new("/etc")));
        assert!(!is_machines(Path::new("/tmp/a")) && !is_machines(Path::new("/no-such-dir/a")));
    }
}
