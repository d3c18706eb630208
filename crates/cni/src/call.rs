//! A call: what a runtime says in environment variables.
//!
//! The environment itself is the caller's: it comes in as a lookup.

use std::ffi::OsString;
use std::fmt;
use std::str::FromStr;

use model::{ContainerId, IfName, ParseError, Target};

use crate::args::{Args, ArgsError};
use crate::version::SpecVersion;

/// What a runtime wants done (CNI specification 1.1.0, section 2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verb {
    Add,
    Del,
    Check,
    Gc,
    Status,
    Version,
}

impl Verb {
    const ALL: [Verb; 6] = [
        Self::Add,
        Self::Del,
        Self::Check,
        Self::Gc,
        Self::Status,
        Self::Version,
    ];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Add => "ADD",
            Self::Del => "DEL",
            Self::Check => "CHECK",
            Self::Gc => "GC",
            Self::Status => "STATUS",
            Self::Version => "VERSION",
        }
    }

    /// The first of our versions that has the verb.
    pub fn since(self) -> SpecVersion {
        match self {
            Self::Add | Self::Del | Self::Version => SpecVersion::V0_3_1,
            Self::Check => SpecVersion::V0_4_0,
            Self::Gc | Self::Status => SpecVersion::V1_1_0,
        }
    }

    fn needs(self) -> &'static [&'static str] {
        match self {
            Self::Add | Self::Check => &[CONTAINER, NETNS, IFNAME],
            Self::Del => &[CONTAINER, IFNAME],
            Self::Gc | Self::Status => &[PATH],
            Self::Version => &[],
        }
    }
}

impl fmt::Display for Verb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Verb {
    type Err = CallError;
    fn from_str(text: &str) -> Result<Self, CallError> {
        Self::ALL
            .into_iter()
            .find(|verb| verb.as_str() == text)
            .ok_or_else(|| CallError::UnknownVerb(text.chars().take(40).collect()))
    }
}

const COMMAND: &str = "CNI_COMMAND";
const CONTAINER: &str = "CNI_CONTAINERID";
const NETNS: &str = "CNI_NETNS";
const IFNAME: &str = "CNI_IFNAME";
const ARGS: &str = "CNI_ARGS";
const PATH: &str = "CNI_PATH";

/// One call of the plugin, as far as the environment says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    pub verb: Verb,
    /// There for ADD, DEL and CHECK, and nothing otherwise.
    pub container: Option<ContainerId>,
    /// There for ADD and CHECK; DEL may come after the namespace is gone, without it.
    pub netns: Option<Target>,
    /// There for ADD, DEL and CHECK.
    pub ifname: Option<IfName>,
    /// Read for ADD and CHECK alone: what was asked for must not stand in the way of a DEL.
    pub args: Args,
}

/// Why the environment is no call.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CallError {
    #[error("CNI_COMMAND is not set: this is a CNI plugin, which a container runtime calls")]
    NoCommand,
    #[error("CNI_COMMAND {0:?} is not a verb of the CNI specification")]
    UnknownVerb(String),
    #[error("{verb} needs {}, which {} not set", .names.join(", "), if .names.len() == 1 { "is" } else { "are" })]
    Missing {
        verb: Verb,
        names: Vec<&'static str>,
    },
    #[error("{0} is not UTF-8 text")]
    NotText(&'static str),
    #[error("{name}: {source}")]
    Word {
        name: &'static str,
        source: ParseError,
    },
    #[error("CNI_ARGS: {0}")]
    Args(#[from] ArgsError),
}

type Lookup<'a> = &'a dyn Fn(&str) -> Option<OsString>;

impl Call {
    /// Reads the variables that the verb has. An empty variable is a missing one.
    ///
    /// # Errors
    /// Everything missing at once, or else the first that is wrong.
    pub fn parse(environment: Lookup) -> Result<Self, CallError> {
        let verb: Verb = text(environment, COMMAND)?
            .ok_or(CallError::NoCommand)?
            .parse()?;
        let is_missing = |name: &&&str| environment(name).is_none_or(|value| value.is_empty());
        let names: Vec<_> = verb.needs().iter().filter(is_missing).copied().collect();
        if !names.is_empty() {
            return Err(CallError::Missing { verb, names });
        }
        let mut call = Self {
            verb,
            container: None,
            netns: None,
            ifname: None,
            args: Args::default(),
        };
        if matches!(verb, Verb::Add | Verb::Del | Verb::Check) {
            call.container = word(environment, CONTAINER)?;
            call.ifname = word(environment, IFNAME)?;
            call.netns = netns(environment)?;
        }
        if matches!(verb, Verb::Add | Verb::Check) {
            call.args = Args::parse(&text(environment, ARGS)?.unwrap_or_default())?;
        }
        Ok(call)
    }
}

fn text(environment: Lookup, name: &'static str) -> Result<Option<String>, CallError> {
    let Some(value) = environment(name).filter(|value| !value.is_empty()) else {
        return Ok(None);
    };
    let text = value.into_string().map_err(|_| CallError::NotText(name))?;
    Ok(Some(text))
}

fn word<T: FromStr<Err = ParseError>>(
    environment: Lookup,
    name: &'static str,
) -> Result<Option<T>, CallError> {
    let parse = |text: String| text.parse();
    text(environment, name)?
        .map(parse)
        .transpose()
        .map_err(|source| CallError::Word { name, source })
}

/// A namespace's path. The short forms of targets are for people: a runtime gives a path.
fn netns(environment: Lookup) -> Result<Option<Target>, CallError> {
    match text(environment, NETNS)? {
        Some(text) if !text.starts_with('/') => Err(CallError::Word {
            name: NETNS,
            source: ParseError::Target(text),
        }),
        _ => word(environment, NETNS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn call(variables: &[(&str, &str)]) -> Result<Call, CallError> {
        Call::parse(&|name| {
            let (_, value) = variables.iter().find(|(known, _)| *known == name)?;
            Some(value.into())
        })
    }

    fn refusal(variables: &[(&str, &str)]) -> String {
        call(variables).unwrap_err().to_string()
    }

    #[test]
    fn an_add_is_read() {
        let call = call(&[
            (COMMAND, "ADD"),
            (CONTAINER, "c1"),
            (NETNS, "/var/run/netns/blue"),
            (IFNAME, "eth0"),
            (ARGS, "IgnoreUnknown=1;K8S_POD_NAME=web-0"),
        ])
        .unwrap();
        assert_eq!(call.verb, Verb::Add);
        assert_eq!(call.container.unwrap().as_str(), "c1");
        assert_eq!(call.netns, Some(Target::Named("blue".to_owned())));
        assert_eq!(call.ifname.unwrap().as_str(), "eth0");
        assert_eq!(call.args.pod_name.as_deref(), Some("web-0"));
    }

    #[test]
    fn everything_missing_is_named_at_once() {
        assert_eq!(
            refusal(&[(COMMAND, "ADD"), (NETNS, "")]),
            "ADD needs CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME, which are not set"
        );
        assert_eq!(
            refusal(&[(COMMAND, "DEL"), (CONTAINER, "c1")]),
            "DEL needs CNI_IFNAME, which is not set"
        );
        for verb in ["GC", "STATUS"] {
            assert!(refusal(&[(COMMAND, verb)]).contains("CNI_PATH, which is not set"));
            assert!(call(&[(COMMAND, verb), (PATH, "/opt/cni/bin")]).is_ok());
        }
        assert_eq!(call(&[]), Err(CallError::NoCommand));
        assert!(call(&[(COMMAND, "VERSION")]).is_ok());
    }

    #[test]
    fn a_del_needs_no_namespace_and_minds_no_arguments() {
        let del = [
            (COMMAND, "DEL"),
            (CONTAINER, "c1"),
            (IFNAME, "eth0"),
            (NETNS, ""),
            (ARGS, "nonsense"),
        ];
        assert_eq!(call(&del).unwrap().netns, None);
    }

    #[test]
    fn hostile_words_are_refused_naming_the_variable() {
        let add = |name: &'static str, value: &'static str| {
            let mut variables = vec![(name, value)];
            variables.extend([
                (COMMAND, "ADD"),
                (CONTAINER, "c1"),
                (NETNS, "/proc/7/ns/net"),
                (IFNAME, "eth0"),
            ]);
            refusal(&variables)
        };
        for (name, value) in [
            (CONTAINER, "../../etc"),
            (CONTAINER, "a\nb"),
            (NETNS, "/run/netns/../../etc/passwd"),
            (NETNS, "blue"),
            (NETNS, "pid:1"),
            (NETNS, "/a\0b"),
            (IFNAME, "0123456789abcdef"),
            (IFNAME, "a/b"),
            (IFNAME, "eth%d"),
            (ARGS, "x"),
            (COMMAND, "add"),
        ] {
            assert!(add(name, value).starts_with(name), "{name}={value:?}");
        }
    }
}
