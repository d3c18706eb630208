//! The architecture's drawing as a table, against the crates' manifests.
//!
//! Dependencies of tests alone are free: a test may stand anywhere. A crate begins here, with a
//! line in `ROOMS`, and in ARCHITECTURE.md, before it begins on disk.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::finding::Finding;

/// Each crate and the crates it may use.
const ROOMS: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("ipam", &["model"]),
    ("netstate", &["model"]),
    ("plan", &["model", "ipam", "netstate"]),
    ("store", &["model", "ipam"]),
    ("store-etcd", &["model", "store"]),
    ("kernel", &["model", "netstate"]),
    (
        "engine",
        &[
            "model", "ipam", "netstate", "plan", "store", "kernel", "fastpath",
        ],
    ),
    ("fastpath-wire", &[]),
    ("fastpath", &["model", "fastpath-wire"]),
    ("lab", &["model", "store"]),
    ("names", &["model", "store"]),
    ("sandbox", &["model"]),
    ("agent", &["model", "engine", "store", "store-etcd"]),
    (
        "cli",
        &[
            "model",
            "netstate",
            "engine",
            "agent",
            "fastpath",
            "lab",
            "names",
            "sandbox",
            "store",
            "store-etcd",
        ],
    ),
    ("cni", &["model", "engine", "names"]),
    // Off the drawing: the tests' ground, other kernels for it, the figures, this check.
    ("testnet", &[]),
    ("kernels", &[]),
    ("bench", &["model", "store", "store-etcd", "testnet"]),
    ("tidy", &[]),
];

/// Crates from outside that belong in some rooms only; a name ending in `*` stands for all that
/// begin so.
const OUTSIDERS: &[(&str, &[&str])] = &[
    ("anyhow", &["cli", "bench", "kernels", "testnet", "tidy"]),
    ("aya", &["fastpath"]),
    ("clap", &["cli", "bench", "kernels"]),
    ("libcontainer", &["sandbox"]),
    ("seccompiler", &["sandbox"]),
    ("hickory-*", &["names", "testnet"]),
    ("httparse", &["agent"]),
    ("libc", &["kernel", "sandbox", "testnet"]),
    ("netlink-*", &["kernel"]),
    ("nix", &["kernel", "testnet"]),
    ("rtnetlink", &["kernel"]),
    ("rusqlite", &["store"]),
    // In `agent` for whose call it is, in `store` for flock(2) alone; in `lab` for that, mounts and signals.
    (
        "rustix",
        &[
            "agent", "fastpath", "kernel", "kernels", "lab", "names", "sandbox", "store", "testnet",
        ],
    ),
    // In the adapter behind a blocking trait, until the agent is there.
    ("tokio*", &["store-etcd"]),
    ("tonic*", &["store-etcd"]),
    ("signal-hook*", &["agent"]),
    ("tracing", &["agent"]),
    ("tracing-subscriber", &["cli"]),
];

/// One crate's manifest, as far as the drawing goes.
#[derive(Debug)]
pub struct Manifest {
    name: String,
    file: String,
    text: String,
    dependencies: Vec<String>,
}

/// Reads what `cargo metadata --no-deps` prints, and the manifests it names.
pub fn parse_manifests(metadata: &str, root: &Path) -> Result<Vec<Manifest>> {
    let metadata: Metadata = serde_json::from_str(metadata).context("parse cargo metadata")?;
    metadata
        .packages
        .into_iter()
        .map(|package| manifest(package, root))
        .collect()
}

fn manifest(package: Package, root: &Path) -> Result<Manifest> {
    let path = Path::new(&package.manifest_path);
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let file = path.strip_prefix(root).unwrap_or(path);
    Ok(Manifest {
        name: package.name,
        file: file.display().to_string(),
        text,
        dependencies: package
            .dependencies
            .into_iter()
            .filter(|dependency| dependency.kind.as_deref() != Some("dev"))
            .map(|dependency| dependency.name)
            .collect(),
    })
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    /// "dev", "build", or null for what ships.
    kind: Option<String>,
}

/// Every dependency that the drawing does not have.
pub fn check(manifests: &[Manifest]) -> Vec<Finding> {
    manifests.iter().flat_map(check_manifest).collect()
}

fn check_manifest(manifest: &Manifest) -> Vec<Finding> {
    let Some(allowed) = lookup(ROOMS, &manifest.name) else {
        let what = format!(
            "crate {} is not in the architecture's drawing (crates/tidy/src/rooms.rs)",
            manifest.name
        );
        return vec![Finding::new(&manifest.file, 1, what)];
    };
    manifest
        .dependencies
        .iter()
        .filter_map(|dependency| {
            let what = objection(&manifest.name, allowed, dependency)?;
            let line = line_of(&manifest.text, dependency);
            Some(Finding::new(&manifest.file, line, what))
        })
        .collect()
}

fn objection(room: &str, allowed: &[&str], dependency: &str) -> Option<String> {
    if lookup(ROOMS, dependency).is_some() {
        let fits = allowed.contains(&dependency);
        return (!fits).then(|| format!("{room} may use {}, not {dependency}", list(allowed)));
    }
    let rooms = lookup(OUTSIDERS, dependency)?;
    let fits = rooms.contains(&room);
    (!fits).then(|| format!("{dependency} belongs in {}, not in {room}", list(rooms)))
}

fn lookup(
    table: &[(&str, &'static [&'static str])],
    name: &str,
) -> Option<&'static [&'static str]> {
    let fits = |pattern: &str| match pattern.strip_suffix('*') {
        Some(start) => name.starts_with(start),
        None => name == pattern,
    };
    table
        .iter()
        .find(|(pattern, _)| fits(pattern))
        .map(|(_, value)| *value)
}

fn list(names: &[&str]) -> String {
    if names.is_empty() {
        return "no crate yet".to_owned();
    }
    names.join(", ")
}

/// Where a manifest names a dependency; the first line when it does so in a way not known here.
fn line_of(manifest: &str, dependency: &str) -> usize {
    manifest
        .lines()
        .position(|line| {
            line.strip_prefix(dependency)
                .is_some_and(|rest| rest.starts_with(['.', ' ', '=']))
        })
        .map_or(1, |index| index + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(name: &str, dependencies: &[&str]) -> Vec<String> {
        let text: String = dependencies
            .iter()
            .map(|dependency| format!("{dependency}.workspace = true\n"))
            .collect();
        let manifest = Manifest {
            name: name.to_owned(),
            file: format!("crates/{name}/Cargo.toml"),
            text: format!("[dependencies]\n{text}"),
            dependencies: dependencies.iter().map(|&name| name.to_owned()).collect(),
        };
        check(&[manifest]).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn the_drawing_itself_passes() {
        for (name, allowed) in ROOMS {
            assert_eq!(found(name, allowed), Vec::<String>::new());
        }
        assert!(found("store", &["model", "rustix", "rusqlite", "thiserror"]).is_empty());
    }

    #[test]
    fn dependencies_point_one_way() {
        assert_eq!(
            found("plan", &["model", "kernel"]),
            ["crates/plan/Cargo.toml:3: plan may use model, ipam, netstate, not kernel"]
        );
        assert_eq!(found("kernel", &["testnet"]).len(), 1);
    }

    #[test]
    fn outsiders_stay_in_their_rooms() {
        assert_eq!(
            found("plan", &["libc"]),
            ["crates/plan/Cargo.toml:2: libc belongs in kernel, sandbox, testnet, not in plan"]
        );
        assert_eq!(
            found("engine", &["anyhow", "netlink-sys", "tokio-util"]).len(),
            3
        );
    }

    #[test]
    fn a_crate_that_is_not_drawn_is_found() {
        let found = found("helper", &[]);
        assert!(found[0].contains("crate helper is not in"), "{found:?}");
    }

    #[test]
    fn dependencies_of_tests_are_free() {
        let dir = std::env::temp_dir().join(format!("tidy-{}", std::process::id()));
        fs::create_dir_all(&dir).unwrap();
        let path = dir.join("Cargo.toml");
        fs::write(&path, "").unwrap();
        let metadata = serde_json::json!({"packages": [{
            "name": "model",
            "manifest_path": path,
            "dependencies": [
                {"name": "testnet", "kind": "dev"},
                {"name": "kernel", "kind": "build"},
                {"name": "plan", "kind": null},
            ],
        }]});
        let manifests = parse_manifests(&metadata.to_string(), &dir);
        fs::remove_dir_all(&dir).unwrap();
        let manifests = manifests.unwrap();
        assert_eq!(manifests[0].file, "Cargo.toml");
        assert_eq!(manifests[0].dependencies, ["kernel", "plan"]);
    }
}
