//! Reading JSON objects field by field, so that every refusal names the field by its path and
//! what nobody asked for is refused as well.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use model::ParseError;
use serde_json::{Map, Value};

use crate::config::ConfigError;

/// The longest piece of foreign text shown to a person, in characters.
const SHOWN_MAX: usize = 80;

/// Where in the configuration a value stands: `ipam.ranges[0][1].subnet`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldPath(String);

impl FieldPath {
    pub(crate) fn root() -> Self {
        Self(String::new())
    }

    pub(crate) fn child(&self, key: &str) -> Self {
        let mut path = self.0.clone();
        if !path.is_empty() {
            path.push('.');
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/');
        path.extend(
            key.chars()
                .take(SHOWN_MAX)
                .map(|c| if plain(c) { c } else { '?' }),
        );
        Self(path)
    }

    fn index(&self, index: usize) -> Self {
        Self(format!("{}[{index}]", self.0))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("the configuration");
        }
        f.write_str(&self.0)
    }
}

/// A value as a refusal shows it: its JSON, plain ASCII, cut where it is long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shown(String);

impl Shown {
    pub(crate) fn of(value: &Value) -> Self {
        let text = value.to_string();
        let plain = |c: char| if c.is_ascii() { c } else { '?' };
        let mut cut: String = text.chars().take(SHOWN_MAX).map(plain).collect();
        if text.len() > cut.len() {
            cut.push_str("...");
        }
        Self(cut)
    }
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How keys are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Case {
    Exact,
    /// As Go reads JSON. What runtimes generate needs it: containerd's library writes `HostPort`
    /// and `Servers` where the conventions have `hostPort` and `servers`.
    Any,
}

/// A value and where it stands.
#[derive(Debug, Clone)]
pub(crate) struct Field<'a> {
    pub path: FieldPath,
    pub value: &'a Value,
}

impl<'a> Field<'a> {
    pub fn text(&self) -> Result<&'a str, ConfigError> {
        self.value.as_str().ok_or_else(|| self.expected("a string"))
    }

    /// An empty text, which Go writes for an address or a path that is not there.
    pub fn is_empty_text(&self) -> bool {
        self.value.as_str() == Some("")
    }

    pub fn boolean(&self) -> Result<bool, ConfigError> {
        self.value
            .as_bool()
            .ok_or_else(|| self.expected("true or false"))
    }

    pub fn list(&self) -> Result<impl Iterator<Item = Field<'a>> + use<'a>, ConfigError> {
        let items = self
            .value
            .as_array()
            .ok_or_else(|| self.expected("a list"))?;
        let path = self.path.clone();
        Ok(items.iter().enumerate().map(move |(index, value)| Field {
            path: path.index(index),
            value,
        }))
    }

    pub fn fields(&self, case: Case) -> Result<Fields<'a>, ConfigError> {
        let map = self
            .value
            .as_object()
            .ok_or_else(|| self.expected("an object"))?;
        Ok(Fields {
            path: self.path.clone(),
            map,
            case,
            asked: Vec::new(),
            taken: BTreeSet::new(),
        })
    }

    pub fn word<T: FromStr<Err = ParseError>>(&self) -> Result<T, ConfigError> {
        self.text()?.parse().map_err(|source| self.wrong(source))
    }

    pub fn address(&self) -> Result<IpAddr, ConfigError> {
        let address: Option<IpAddr> = self.text()?.parse().ok();
        address
            .map(|address| address.to_canonical())
            .ok_or_else(|| self.expected("an IPv4 or IPv6 address"))
    }

    pub fn expected(&self, expected: &'static str) -> ConfigError {
        ConfigError::Expected {
            field: self.path.clone(),
            value: Shown::of(self.value),
            expected,
        }
    }

    pub fn wrong(&self, source: ParseError) -> ConfigError {
        ConfigError::Word {
            field: self.path.clone(),
            source,
        }
    }

    pub fn unsupported(&self, advice: &'static str) -> ConfigError {
        ConfigError::Unsupported {
            field: self.path.clone(),
            value: Shown::of(self.value),
            advice,
        }
    }
}

/// The fields of an object, asked for one by one.
#[derive(Debug)]
pub(crate) struct Fields<'a> {
    pub path: FieldPath,
    map: &'a Map<String, Value>,
    case: Case,
    asked: Vec<&'static str>,
    taken: BTreeSet<&'a str>,
}

impl<'a> Fields<'a> {
    /// The field of this name. `null` is what Go writes for what is not there.
    pub fn take(&mut self, name: &'static str) -> Option<Field<'a>> {
        self.take_with_null(name).filter(|f| !f.value.is_null())
    }

    pub fn take_with_null(&mut self, name: &'static str) -> Option<Field<'a>> {
        self.asked.push(name);
        let (key, value) = match (self.map.get_key_value(name), self.case) {
            (None, Case::Any) => self
                .map
                .iter()
                .find(|(key, _)| key.eq_ignore_ascii_case(name))?,
            (found, _) => found?,
        };
        self.taken.insert(key);
        Some(Field {
            path: self.path.child(key),
            value,
        })
    }

    pub fn take_boolean(&mut self, name: &'static str) -> Result<Option<bool>, ConfigError> {
        self.take(name).map(|field| field.boolean()).transpose()
    }

    pub fn take_word<T>(&mut self, name: &'static str) -> Result<Option<T>, ConfigError>
    where
        T: FromStr<Err = ParseError>,
    {
        self.take(name).map(|field| field.word()).transpose()
    }

    /// Passes over fields that are somebody else's.
    pub fn skip(&mut self, is_skipped: impl Fn(&str) -> bool) {
        let skipped = self.map.keys().map(String::as_str);
        self.taken.extend(skipped.filter(|key| is_skipped(key)));
    }

    /// # Errors
    /// `Unknown` where the object has a field that was not asked for.
    pub fn finish(self) -> Result<(), ConfigError> {
        let is_left = |key: &&String| !self.taken.contains(key.as_str());
        let Some(key) = self.map.keys().find(is_left) else {
            return Ok(());
        };
        Err(ConfigError::Unknown {
            field: self.path.child(key),
            value: Shown::of(&self.map[key]),
            near: self
                .asked
                .iter()
                .find(|asked| asked.eq_ignore_ascii_case(key))
                .copied(),
        })
    }
}
