//! What a call that fails answers: the specification's error object and its codes.

use serde::{Serialize, Serializer};

use crate::call::CallError;
use crate::config::ConfigError;
use crate::version::{SpecVersion, VersionError};

/// The specification's codes (1.1.0, section 5, Error), and ours above 99.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    IncompatibleVersion,
    UnsupportedField,
    /// The runtime need not clean up.
    UnknownContainer,
    InvalidEnvironment,
    Io,
    Decode,
    InvalidConfig,
    /// Something passes by itself: the runtime should try again.
    TryAgain,
    /// STATUS: no ADD can be served.
    Unavailable,
    /// STATUS: no ADD can be served, and what is attached may be cut off.
    LimitedConnectivity,
    /// 100 and this.
    Own(u8),
}

impl Code {
    pub fn number(self) -> u32 {
        match self {
            Self::IncompatibleVersion => 1,
            Self::UnsupportedField => 2,
            Self::UnknownContainer => 3,
            Self::InvalidEnvironment => 4,
            Self::Io => 5,
            Self::Decode => 6,
            Self::InvalidConfig => 7,
            Self::TryAgain => 11,
            Self::Unavailable => 50,
            Self::LimitedConnectivity => 51,
            Self::Own(offset) => 100 + u32::from(offset),
        }
    }
}

impl Serialize for Code {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u32(self.number())
    }
}

/// Why a call can't be understood.
#[derive(Debug, thiserror::Error)]
pub enum CniError {
    #[error(transparent)]
    Version(#[from] VersionError),
    #[error(transparent)]
    Call(#[from] CallError),
    #[error(transparent)]
    Config(#[from] ConfigError),
}

impl CniError {
    pub fn code(&self) -> Code {
        match self {
            Self::Version(_) => Code::IncompatibleVersion,
            Self::Call(_) => Code::InvalidEnvironment,
            Self::Config(error) => error.code(),
        }
    }

    /// What to do; empty where the error says it all.
    pub fn advice(&self) -> String {
        match self {
            Self::Version(VersionError::Absent | VersionError::Unknown(_)) => {
                let versions = SpecVersion::ALL.map(SpecVersion::as_str);
                format!("set cniVersion to one of {}", versions.join(", "))
            }
            Self::Version(VersionError::NoVerb { since, .. }) => {
                format!("set cniVersion to {since} or later")
            }
            Self::Call(CallError::NoCommand | CallError::UnknownVerb(_)) => {
                "set CNI_COMMAND to ADD, DEL, CHECK, GC, STATUS or VERSION".to_owned()
            }
            Self::Call(_) => String::new(),
            Self::Config(error) => error.advice(),
        }
    }
}

/// The longest message, in characters: it may quote what came in, which may be of any length.
const MSG_MAX: usize = 1000;

fn cut(text: String) -> String {
    match text.char_indices().nth(MSG_MAX) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    }
}

/// The error object, for standard output.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    pub cni_version: SpecVersion,
    pub code: Code,
    /// What was tried, on what, and what is wrong.
    pub msg: String,
    /// What to do.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub details: String,
}

impl Failure {
    pub fn new(version: SpecVersion, code: Code, msg: String, details: String) -> Self {
        Self {
            cni_version: version,
            code,
            msg: cut(msg),
            details,
        }
    }

    pub fn of(version: SpecVersion, error: &CniError) -> Self {
        Self::new(version, error.code(), error.to_string(), error.advice())
    }

    /// The JSON for standard output.
    pub fn print(&self) -> String {
        to_json(self)
    }
}

/// JSON of our own types, none of which can fail: their keys are strings and no value is foreign
/// code.
pub(crate) fn to_json(value: &impl Serialize) -> String {
    serde_json::to_string(value).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_the_specifications_object() {
        let error = CniError::from(VersionError::Absent);
        assert_eq!(
            Failure::of(SpecVersion::LATEST, &error).print(),
            r#"{"cniVersion":"1.1.0","code":1,"msg":"cniVersion is absent, which means version 0.1.0 of the CNI specification","details":"set cniVersion to one of 0.3.1, 0.4.0, 1.0.0, 1.1.0"}"#
        );
        assert_eq!(Code::Own(3).number(), 103);
    }

    #[test]
    fn what_the_environment_lacks_is_code_4() {
        let error = CniError::from(crate::call::Call::parse(&|_| None).unwrap_err());
        assert_eq!(error.code().number(), 4);
        assert!(error.advice().contains("CNI_COMMAND"));
    }

    #[test]
    fn long_foreign_text_is_cut() {
        let error = CniError::from(ConfigError::Expected {
            field: crate::fields::FieldPath::root(),
            value: crate::fields::Shown::of(&"ä".repeat(5000).into()),
            expected: "short",
        });
        let failure = Failure::of(SpecVersion::LATEST, &error);
        assert!(failure.msg.len() < 200, "{}", failure.msg);
        assert!(cut("ä".repeat(5000)).chars().count() <= MSG_MAX + 3);
    }
}
