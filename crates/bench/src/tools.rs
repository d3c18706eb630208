//! The programs the bench compares with and measures by, found or named as missing.

use std::env;
use std::path::{Path, PathBuf};

/// Where programs are that a user's PATH may lack.
const MORE_DIRS: &[&str] = &["/usr/sbin", "/sbin"];
const CNI_DIRS: &[&str] = &["/usr/lib/cni", "/opt/cni/bin", "/usr/libexec/cni"];
const CNI_PLUGINS: &[&str] = &["bridge", "host-local", "portmap"];
const NETAVARK: &[&str] = &[
    "/usr/lib/podman/netavark",
    "/usr/libexec/podman/netavark",
    "/usr/local/libexec/podman/netavark",
];

/// Or what is missing, by name, and what to do.
pub type Found<T> = Result<T, String>;

pub fn program(name: &str) -> Found<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let dirs = env::split_paths(&path).chain(MORE_DIRS.iter().map(PathBuf::from));
    let mut candidates = dirs.map(|dir| dir.join(name));
    let found = candidates.find(|candidate| candidate.is_file());
    found.ok_or_else(|| missing(name))
}

/// The directory of the reference CNI plugins. They call iptables.
pub fn cni_plugins() -> Found<PathBuf> {
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
pub fn pontoon(given: Option<PathBuf>) -> Found<PathBuf> {
    let sibling = || {
        env::current_exe()
            .ok()?
            .parent()
            .map(|dir| dir.join("pontoon"))
    };
    let found = given.or_else(sibling).filter(|binary| binary.is_file());
    found.ok_or_else(|| "pontoon is missing: cargo build --release --package cli".to_owned())
}

fn missing(name: &str) -> String {
    format!("{name} is missing: scripts/setup bench")
}
