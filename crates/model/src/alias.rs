//! Aliases of endpoints, and whether a network answers for names at all.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{EndpointName, ParseError};

/// The longest label of a name, in bytes (RFC 1035 section 2.3.4).
const LABEL_MAX: usize = 63;

/// Whether the endpoints of a network find each other by name.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Names {
    #[default]
    Off,
    On,
}

impl Names {
    pub fn are_off(&self) -> bool {
        *self == Self::Off
    }
}

/// Another name of an endpoint, which it may share: one label of letters, digits and `-`, neither
/// first nor last (RFC 1123 section 2.1). Names are told apart without regard to case, so it is
/// kept in lower case.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Alias(String);

impl Alias {
    /// How many an endpoint has at most.
    pub const MOST: usize = 64;

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Each once, in their order.
    ///
    /// # Errors
    /// More than [`Alias::MOST`] of them.
    pub fn check_all(aliases: Vec<Self>) -> Result<Vec<Self>, ParseError> {
        let mut kept: Vec<Self> = Vec::new();
        for alias in aliases {
            if kept.contains(&alias) {
                continue;
            }
            if kept.len() == Self::MOST {
                return Err(ParseError::TooManyAliases(Self::MOST));
            }
            kept.push(alias);
        }
        Ok(kept)
    }
}

impl FromStr for Alias {
    type Err = ParseError;
    fn from_str(text: &str) -> Result<Self, ParseError> {
        let allowed = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        let ends_well = !text.starts_with('-') && !text.ends_with('-');
        if (1..=LABEL_MAX).contains(&text.len()) && ends_well && text.bytes().all(allowed) {
            return Ok(Self(text.to_ascii_lowercase()));
        }
        Err(ParseError::Alias(text.to_owned()))
    }
}

impl TryFrom<String> for Alias {
    type Error = ParseError;
    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Alias> for String {
    fn from(alias: Alias) -> Self {
        alias.0
    }
}

impl fmt::Display for Alias {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl EndpointName {
    /// The name as resolvers ask for it, in lower case; `None` for one that none can ask for, with
    /// a dot at its end or two in a row. Dots part it into labels.
    pub fn in_dns(&self) -> Option<String> {
        let labels = self.as_str().split('.');
        let whole = labels.clone().all(|label| !label.is_empty());
        whole.then(|| self.as_str().to_ascii_lowercase())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_labels_whatever_their_case() {
        let longest = "a".repeat(LABEL_MAX);
        for text in ["db", "DB-1", "0", "3com", &longest] {
            let alias: Alias = text.parse().unwrap();
            assert_eq!(alias.as_str(), text.to_ascii_lowercase());
        }
        let long = "a".repeat(LABEL_MAX + 1);
        for text in [
            "", "-a", "a-", "a.b", "a_b", "a b", "a\0", "ä", "*", "a\n", &long,
        ] {
            assert!(text.parse::<Alias>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn aliases_are_kept_once_and_bounded() {
        let alias = |n: usize| format!("a{n}").parse::<Alias>().unwrap();
        let twice = vec![alias(1), alias(2), alias(1)];
        assert_eq!(Alias::check_all(twice).unwrap(), [alias(1), alias(2)]);
        let most: Vec<Alias> = (0..Alias::MOST).map(alias).collect();
        assert_eq!(Alias::check_all(most.clone()).unwrap(), most);
        assert!(Alias::check_all((0..=Alias::MOST).map(alias).collect()).is_err());
    }

    #[test]
    fn names_that_no_resolver_can_ask_for_are_told_apart() {
        let name = |text: &str| text.parse::<EndpointName>().unwrap().in_dns();
        assert_eq!(name("Web_1").as_deref(), Some("web_1"));
        assert_eq!(name("a.B").as_deref(), Some("a.b"));
        assert_eq!(name("a."), None);
        assert_eq!(name("a..b"), None);
    }
}
