//! `.config/kernels.toml`: which kernels, which tests, and how long they may take.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;
use std::{env, fs};

use anyhow::{Context, Result, bail, ensure};
use serde::Deserialize;

use crate::disk::Disk;
use crate::job::Files;

/// Where `scripts/setup kernels` puts the kernels and virtme-ng, where not below the home's cache.
const CACHE_VARIABLE: &str = "PONTOON_KERNELS";

/// More than that testnet refuses.
const PATIENCE_MAX: u32 = 100;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// virtme-ng's version, for `scripts/setup`.
    virtme_ng: String,
    kernel: Vec<KernelEntry>,
    set: BTreeMap<String, TestSet>,
    pub machine: Machine,
}

/// One of Debian's kernels.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KernelEntry {
    /// As it is asked for, and as the table shows it.
    pub name: String,
    /// The Debian package that always depends on the newest one, for `scripts/setup`.
    package: String,
}

/// A set of tests.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestSet {
    /// In nextest's words.
    pub filter: String,
    /// How long all of them may take on one kernel.
    pub total_secs: u64,
}

/// The virtual machine, and what its slowness asks for.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Machine {
    pub cpus: u8,
    pub memory_mib: u32,
    /// How long until the first test begins.
    pub boot_secs: u64,
    /// How long one test may take.
    pub test_secs: u64,
    /// The same for tests in a module `heavy`.
    pub heavy_secs: u64,
    /// How much longer than its limit a test may seem to run, before the whole machine is taken to
    /// stand still: the guest ends tests at their limits.
    pub grace_secs: u64,
    /// By how much the tests' own waits are longer than on real hardware.
    pub patience: u32,
    /// Kernel modules that are loaded before the first test.
    #[serde(default)]
    pub modules: Vec<String>,
    #[serde(default)]
    pub files: Files,
    /// What the kernels are told beyond what virtme-ng tells them.
    #[serde(default)]
    pub append: Vec<String>,
    pub disk: Option<Disk>,
}

impl Machine {
    /// The same machine where everything takes `times` as long.
    pub fn slowed(self, times: u32) -> Self {
        let secs = u64::from(times);
        Self {
            boot_secs: self.boot_secs * secs,
            test_secs: self.test_secs * secs,
            heavy_secs: self.heavy_secs * secs,
            grace_secs: self.grace_secs * secs,
            patience: (self.patience * times).min(PATIENCE_MAX),
            ..self
        }
    }

    /// How long a test may take.
    pub fn limit_of(&self, test: &str) -> Duration {
        let is_heavy = test.split("::").any(|module| module == "heavy");
        Duration::from_secs(match is_heavy {
            true => self.heavy_secs,
            false => self.test_secs,
        })
    }
}

impl Config {
    /// Reads the file of the workspace that is worked in.
    pub fn read(workspace: &Path) -> Result<Self> {
        let path = workspace.join(".config/kernels.toml");
        let text = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
        let config: Self =
            toml::from_str(&text).with_context(|| format!("parse {}", path.display()))?;
        ensure!(
            !config.kernel.is_empty(),
            "{} names no kernel",
            path.display()
        );
        Ok(config)
    }

    /// The kernels of these names, all of them where none is named.
    pub fn kernels(&self, names: &[String]) -> Result<Vec<&KernelEntry>> {
        if names.is_empty() {
            return Ok(self.kernel.iter().collect());
        }
        let found = names.iter().map(|name| {
            let entry = self.kernel.iter().find(|entry| entry.name == *name);
            entry.with_context(|| {
                let known: Vec<&str> = self.kernel.iter().map(|k| &*k.name).collect();
                format!("there is no kernel {name}, but {}", known.join(" and "))
            })
        });
        found.collect()
    }

    pub fn set(&self, name: &str) -> Result<&TestSet> {
        let Some(set) = self.set.get(name) else {
            let known: Vec<&str> = self.set.keys().map(|name| &**name).collect();
            bail!("there is no set '{name}', but {}", known.join(" and "));
        };
        Ok(set)
    }

    /// The directory with what `scripts/setup kernels` has fetched.
    pub fn cache() -> Result<std::path::PathBuf> {
        if let Some(dir) = env::var_os(CACHE_VARIABLE) {
            return Ok(dir.into());
        }
        let home = env::home_dir().context("find the home directory")?;
        let cache = env::var_os("XDG_CACHE_HOME").map_or_else(|| home.join(".cache"), Into::into);
        Ok(cache.join("pontoon-kernels"))
    }

    /// The directory of virtme-ng's programs.
    pub fn virtme_bin(&self) -> Result<std::path::PathBuf> {
        let bin = Self::cache()?.join(format!("virtme-ng-{}/bin", self.virtme_ng));
        ensure!(
            bin.join("vng").exists(),
            "{} has no vng: run 'scripts/setup kernels'",
            bin.display()
        );
        Ok(bin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> Config {
        Config::read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")).unwrap()
    }

    #[test]
    fn the_file_of_this_workspace_is_read() {
        let config = config();
        assert!(config.kernels(&[]).unwrap().len() > 1);
        assert!(
            config
                .kernel
                .iter()
                .all(|kernel| kernel.package.starts_with("linux-image-"))
        );
        for name in ["smoke", "all"] {
            assert!(config.set(name).unwrap().total_secs > config.machine.test_secs);
        }
    }

    #[test]
    fn who_asks_for_something_else_learns_what_there_is() {
        let config = config();
        let error = config.set("none").unwrap_err().to_string();
        assert!(
            error.contains("'none'") && error.contains("all and smoke"),
            "{error}"
        );
        let error = config.kernels(&["2.4".to_owned()]).unwrap_err().to_string();
        assert!(
            error.contains("2.4") && error.contains("6.1 and"),
            "{error}"
        );
    }

    #[test]
    fn a_busy_machine_has_longer_limits() {
        let (machine, slowed) = (config().machine, config().machine.slowed(3));
        assert_eq!(slowed.test_secs, 3 * machine.test_secs);
        assert_eq!(slowed.cpus, machine.cpus);
        assert_eq!(config().machine.slowed(1000).patience, PATIENCE_MAX);
    }

    #[test]
    fn heavy_tests_have_more_time() {
        let machine = config().machine;
        assert!(machine.limit_of("inject::heavy::one") > machine.limit_of("inject::one"));
        assert_eq!(machine.limit_of("heavy_rain"), machine.limit_of("rain"));
    }
}
