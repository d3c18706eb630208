//! Versions of the CNI specification: which are spoken, and which verbs each has.
//!
//! Version 0.3.0 and older have another result or other field names and are refused.

use std::fmt;
use std::str::FromStr;

use serde::{Serialize, Serializer};
use serde_json::Value;

use crate::call::Verb;

/// A version of the specification that Pontoon speaks, the oldest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecVersion {
    V0_3_1,
    V0_4_0,
    V1_0_0,
    V1_1_0,
}

impl SpecVersion {
    pub const ALL: [SpecVersion; 4] = [Self::V0_3_1, Self::V0_4_0, Self::V1_0_0, Self::V1_1_0];
    /// What an answer is written in when the question's version isn't known.
    pub const LATEST: SpecVersion = Self::V1_1_0;

    pub fn as_str(self) -> &'static str {
        match self {
            Self::V0_3_1 => "0.3.1",
            Self::V0_4_0 => "0.4.0",
            Self::V1_0_0 => "1.0.0",
            Self::V1_1_0 => "1.1.0",
        }
    }

    /// # Errors
    /// `NoVerb` where this version doesn't have the verb yet.
    pub fn check_verb(self, verb: Verb) -> Result<(), VersionError> {
        let since = verb.since();
        if self < since {
            return Err(VersionError::NoVerb {
                verb,
                version: self,
                since,
            });
        }
        Ok(())
    }

    /// The version a configuration's `cniVersion` names. `None` is an absent field, which the
    /// specification takes for 0.1.0.
    pub(crate) fn of_field(field: Option<&Value>) -> Result<Self, VersionError> {
        match field {
            None | Some(Value::Null) => Err(VersionError::Absent),
            Some(Value::String(text)) => text.parse(),
            Some(other) => Err(VersionError::Unknown(other.to_string())),
        }
    }
}

impl FromStr for SpecVersion {
    type Err = VersionError;
    fn from_str(text: &str) -> Result<Self, VersionError> {
        Self::ALL
            .into_iter()
            .find(|version| version.as_str() == text)
            .ok_or_else(|| VersionError::Unknown(text.chars().take(40).collect()))
    }
}

impl fmt::Display for SpecVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for SpecVersion {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// Why a version can't be spoken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    #[error("cniVersion is absent, which means version 0.1.0 of the CNI specification")]
    Absent,
    #[error("cniVersion {0:?} is not a version of the CNI specification that Pontoon speaks")]
    Unknown(String),
    #[error("version {version} of the CNI specification has no {verb}; it came with {since}")]
    NoVerb {
        verb: Verb,
        version: SpecVersion,
        since: SpecVersion,
    },
}

/// The answer to VERSION.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Versions {
    pub cni_version: SpecVersion,
    pub supported_versions: [SpecVersion; 4],
}

impl Versions {
    /// The answer to what came on standard input: in the version asked, or in the latest where
    /// nothing readable was asked.
    pub fn answer(stdin: &[u8]) -> Self {
        Self {
            cni_version: peek_version(stdin).unwrap_or(SpecVersion::LATEST),
            supported_versions: SpecVersion::ALL,
        }
    }

    /// The JSON for standard output.
    pub fn print(self) -> String {
        crate::failure::to_json(&self)
    }
}

/// The version of a configuration that may be wrong otherwise, so that the refusal of it can be
/// written in its version.
pub fn peek_version(stdin: &[u8]) -> Option<SpecVersion> {
    let value = crate::config::decode(stdin).ok()?;
    SpecVersion::of_field(value.get("cniVersion")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_come_with_their_versions() {
        for version in SpecVersion::ALL {
            for verb in [Verb::Add, Verb::Del, Verb::Version] {
                assert!(version.check_verb(verb).is_ok());
            }
            let checks = version >= SpecVersion::V0_4_0;
            assert_eq!(version.check_verb(Verb::Check).is_ok(), checks);
            for verb in [Verb::Gc, Verb::Status] {
                assert_eq!(
                    version.check_verb(verb).is_ok(),
                    version == SpecVersion::LATEST
                );
            }
        }
    }

    #[test]
    fn versions_are_answered_in_the_version_asked() {
        for (stdin, version) in [
            (r#"{"cniVersion": "0.4.0"}"#, "0.4.0"),
            (r#"{"cniVersion": "9.9.9"}"#, "1.1.0"),
            ("", "1.1.0"),
        ] {
            let answer = Versions::answer(stdin.as_bytes()).print();
            let expected = format!(
                r#"{{"cniVersion":"{version}","supportedVersions":["0.3.1","0.4.0","1.0.0","1.1.0"]}}"#
            );
            assert_eq!(answer, expected);
        }
    }
}
