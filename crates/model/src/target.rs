//! Targets: how a person or a runtime names the namespace to attach.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// Where `ip netns` keeps named namespaces (ip-netns(8)).
const NETNS_DIR: &str = "/run/netns";
/// The longest path taken, in bytes (`PATH_MAX` - 1).
const PATH_MAX: usize = 4095;
/// The longest namespace name, in bytes (`NAME_MAX`).
const NAME_MAX: usize = 255;

/// A network namespace as named by the caller.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Target {
    /// A name under `/run/netns`, as `ip netns add` makes them.
    Named(String),
    /// An absolute path to a namespace file.
    Path(String),
    /// The namespace of a process.
    Pid(u32),
}

impl Target {
    /// The file that stands for the namespace.
    pub fn path(&self) -> String {
        match self {
            Self::Named(name) => format!("{NETNS_DIR}/{name}"),
            Self::Path(path) => path.clone(),
            Self::Pid(pid) => format!("/proc/{pid}/ns/net"),
        }
    }

    /// A short name for what is attached: the namespace's, or `pid-N`.
    pub fn short_name(&self) -> String {
        match self {
            Self::Named(name) => name.clone(),
            Self::Path(path) => path.rsplit('/').next().unwrap_or(path).to_owned(),
            Self::Pid(pid) => format!("pid-{pid}"),
        }
    }
}

fn is_netns_name(text: &str) -> bool {
    let allowed =
        |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b'@' | b'+' | b':');
    !text.is_empty()
        && text.len() <= NAME_MAX
        && !text.starts_with('-')
        && text != "."
        && text != ".."
        && text.bytes().all(allowed)
}

fn is_path(text: &str) -> bool {
    let clean = text.split('/').all(|part| part != "..") && !text.ends_with('/');
    text.starts_with('/') && text.len() <= PATH_MAX && clean && !text.chars().any(char::is_control)
}

impl FromStr for Target {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let refuse = || ParseError::Target(text.to_owned());
        if let Some(digits) = text.strip_prefix("pid:") {
            let pid: u32 = digits.parse().map_err(|_| refuse())?;
            return if pid == 0 {
                Err(refuse())
            } else {
                Ok(Self::Pid(pid))
            };
        }
        let in_netns_dir = [NETNS_DIR, "/var/run/netns"]
            .iter()
            .find_map(|dir| text.strip_prefix(dir)?.strip_prefix('/'));
        let name = in_netns_dir.unwrap_or(text);
        if is_netns_name(name) {
            return Ok(Self::Named(name.to_owned()));
        }
        if is_path(text) {
            return Ok(Self::Path(text.to_owned()));
        }
        Err(refuse())
    }
}

impl TryFrom<String> for Target {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Path(path) => f.write_str(path),
            Self::Pid(pid) => write!(f, "pid:{pid}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_three_forms_parse_and_print() {
        for text in [
            "netns0",
            "cni-1234-ab",
            "/proc/12/ns/net",
            "/tmp/ns",
            "pid:12",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
        let named: Target = "/var/run/netns/netns0".parse().unwrap();
        assert_eq!(named, Target::Named("netns0".into()));
        assert_eq!(named.path(), "/run/netns/netns0");
    }

    #[test]
    fn hostile_targets_are_refused() {
        for text in [
            "",
            "..",
            "../etc",
            "a/b",
            "/run/netns/../../etc/passwd",
            "pid:0",
            "pid:-1",
            "pid:x",
            "a b",
            "-n",
            "/tmp/a\nb",
            "/tmp/",
        ] {
            assert!(text.parse::<Target>().is_err(), "{text:?}");
        }
    }
}
