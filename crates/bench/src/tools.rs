//! The programs the bench compares with and measures by, found or named as missing.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// Where programs are that a user's PATH may lack.
const MORE_DIRS: &[&str] = &["/usr/sbin", "/sbin"];
const CNI_DIRS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];
const CNI_PLUGINS: &[&str] = &["bridge", "host-local", "portmap"];
const NETAVARK: &[&str] = &[
    "/usr/lib/podman/netavark",
    "/usr/libexec/podman/netavark",
    "/usr/local/libexec/podman/netavark",
];

/// What stands beside `pontoon`.
const COMPANIONS: &[&str] = &["pontoon-cni", "pontoon-sandbox", "pontoon-names"];

/// Or what is missing, by name, and what to do.
pub type Found<T> = Result<T, String>;

/// The programs that are started for each sample: all of them copies in one directory, as an
/// installation makes them.
///
/// The page cache has a copied file in folios of many pages, and one that a linker has written to
/// through its memory in single ones. Mapping the latter costs each start of a program as large as
/// `pontoon` 0.7 ms (`filemap_map_pages` in mm/filemap.c, Linux 6.18), and nobody runs it there.
#[derive(Debug, Clone)]
pub struct Programs {
    pub pontoon: Found<PathBuf>,
    /// The directory of the reference CNI plugins.
    pub cni_plugins: Found<PathBuf>,
    pub netavark: Found<PathBuf>,
}

impl Programs {
    /// Copies them into `dir`, which is made; `pontoon` from the file given, or else from beside
    /// the bench.
    pub fn install(given: Option<PathBuf>, dir: &Path) -> Self {
        let pontoon = pontoon(given).and_then(|binary| {
            let beside = COMPANIONS.iter().map(|name| binary.with_file_name(name));
            let mut companions = beside.filter(|file| file.is_file());
            companions.try_for_each(|file| copy(&file, dir).map(drop))?;
            copy(&binary, dir)
        });
        let cni_plugins = cni_plugins().and_then(|from| {
            let mut files = CNI_PLUGINS.iter().map(|name| from.join(name));
            files.try_for_each(|file| copy(&file, dir).map(drop))?;
            Ok(dir.to_owned())
        });
        Self {
            pontoon,
            cni_plugins,
            netavark: netavark().and_then(|file| copy(&file, dir)),
        }
    }
}

/// Gives the copy.
fn copy(file: &Path, dir: &Path) -> Found<PathBuf> {
    let to = dir.join(file.file_name().unwrap_or_default());
    let copied = fs::create_dir_all(dir).and_then(|()| fs::copy(file, &to));
    match copied {
        Ok(_) => Ok(to),
        Err(error) => Err(format!(
            "copy {} to {}: {error}",
            file.display(),
            to.display()
        )),
    }
}

pub fn program(name: &str) -> Found<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(MORE_DIRS.iter().map(PathBuf::from));
    let mut candidates = dirs.map(|dir| dir.join(name));
    let found = candidates.find(|candidate| candidate.is_file());
    found.ok_or_else(|| missing(name))
}

/// The directory of the reference CNI plugins. They call iptables.
fn cni_plugins() -> Found<PathBuf> {
    program("iptables")?;
    let whole = |dir: &&&str| {
        let mut plugins = CNI_PLUGINS.iter();
        plugins.all(|plugin| Path::new(dir).join(plugin).is_file())
    };
    let dir = CNI_DIRS.iter().find(whole).map(PathBuf::from);
    dir.ok_or_else(|| missing("containernetworking-plugins (bridge, host-local, portmap)"))
}

/// It calls iptables too.
pub fn netavark() -> Found<PathBuf> {
    program("iptables")?;
    let mut candidates = NETAVARK.iter().map(PathBuf::from);
    let found = candidates.find(|candidate| candidate.is_file());
    found.ok_or_else(|| missing("netavark"))
}

/// The `pontoon` built next to the bench, unless another is given.
fn pontoon(given: Option<PathBuf>) -> Found<PathBuf> {
    let found = match given {
        Some(binary) if binary.is_file() => Ok(binary),
        Some(binary) => Err(binary.display().to_string()),
        None => sibling("pontoon"),
    };
    found.map_err(|_| "pontoon is missing: cargo build --release --package cli".to_owned())
}

/// A program that was built next to this one.
pub fn sibling(name: &str) -> Found<PathBuf> {
    let beside = env::current_exe().ok();
    let beside = beside.and_then(|own| Some(own.parent()?.join(name)));
    let found = beside.filter(|binary| binary.is_file());
    found.ok_or_else(|| format!("{name} is missing: make bench builds it"))
}

/// Where Docker's programs are.
#[derive(Debug, Clone)]
pub struct Docker {
    pub dockerd: PathBuf,
    pub docker: PathBuf,
    /// For the programs that they start: containerd, runc, its shim.
    pub path: OsString,
}

/// Debian's Docker as unpacked into `dir`, or else the machine's own.
pub fn docker(dir: Option<&Path>) -> Found<Docker> {
    let own = env::var_os("PATH").unwrap_or_default();
    let mut dirs: Vec<PathBuf> = Vec::new();
    if let Some(dir) = dir {
        dirs.extend(["usr/sbin", "usr/bin"].map(|bin| dir.join(bin)));
    }
    dirs.extend(env::split_paths(&own));
    dirs.extend(MORE_DIRS.iter().map(PathBuf::from));
    let find = |name: &str| {
        let mut candidates = dirs.iter().map(|dir| dir.join(name));
        let found = candidates.find(|candidate| candidate.is_file());
        found.ok_or_else(|| missing(name))
    };
    let dockerd = find("dockerd")?;
    for name in ["containerd", "runc", "iptables"] {
        find(name)?;
    }
    // Its own client first: another one may speak another version.
    let beside = dockerd.parent().map(|sbin| sbin.join("../bin/docker"));
    let beside = beside.filter(|client| client.is_file());
    Ok(Docker {
        docker: beside.map_or_else(|| find("docker"), Ok)?,
        dockerd,
        path: env::join_paths(&dirs).map_err(|error| error.to_string())?,
    })
}

fn missing(name: &str) -> String {
    format!("{name} is missing: scripts/setup bench")
}
