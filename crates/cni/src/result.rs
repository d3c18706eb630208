//! The result of an ADD, and the `prevResult` that comes back with later calls.
//!
//! A result is foreign text as far as other plugins made it: what isn't known here is kept and
//! handed on, so that a chain loses nothing.

mod cidr;

use std::net::IpAddr;

use model::Family;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use crate::version::SpecVersion;

pub use cidr::Cidr;

/// Fields that nobody here knows.
type Rest = Map<String, Value>;

/// What an attachment is made of.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Success {
    #[serde(default, deserialize_with = "or_default")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<Interface>,
    #[serde(default, deserialize_with = "or_default")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ips: Vec<Address>,
    #[serde(default, deserialize_with = "or_default")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub routes: Vec<Route>,
    #[serde(default, deserialize_with = "or_default")]
    #[serde(skip_serializing_if = "Dns::is_empty")]
    pub dns: Dns,
    #[serde(flatten)]
    pub rest: Rest,
}

/// A network interface, on the node or in a container.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Interface {
    pub name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<String>,
    /// The namespace's path as `CNI_NETNS` has it. `None` or empty: on the node.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<String>,
    /// In bytes. Since 1.1.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    /// Since 1.1.0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket_path: Option<String>,
    /// Since 1.1.0.
    #[serde(rename = "pciID", skip_serializing_if = "Option::is_none")]
    pub pci_id: Option<String>,
    #[serde(flatten)]
    pub rest: Rest,
}

/// An address of an interface: an entry of `ips`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Address {
    pub address: Cidr,
    #[serde(default, deserialize_with = "address_or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// An index into `interfaces`. Another plugin's may point at nothing: see `interface_of`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<u32>,
    #[serde(flatten)]
    pub rest: Rest,
}

/// A route inside the container.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Route {
    pub dst: Cidr,
    #[serde(default, deserialize_with = "address_or_none")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gw: Option<IpAddr>,
    /// In bytes. Since 1.1.0, as the rest of the numbers.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mtu: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advmss: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub table: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scope: Option<u32>,
    #[serde(flatten)]
    pub rest: Rest,
}

/// What a resolver inside the container should use.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Dns {
    #[serde(default, deserialize_with = "or_default")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub nameservers: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub domain: Option<String>,
    #[serde(default, deserialize_with = "or_default")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub search: Vec<String>,
    #[serde(default, deserialize_with = "or_default")]
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    #[serde(flatten)]
    pub rest: Rest,
}

/// Why a JSON value is no result.
#[derive(Debug, thiserror::Error)]
pub enum ResultError {
    #[error("not a result of the CNI specification: {0}")]
    Shape(serde_json::Error),
    #[error("a result of version {0:?}, which Pontoon doesn't speak")]
    Version(String),
}

impl Success {
    /// Reads a result. Its own `cniVersion` may be missing (before 1.0.0 plugins left it out);
    /// it is then one of `version`, the configuration's.
    ///
    /// # Errors
    /// What is no result, or one of an unknown version.
    pub fn parse(value: &Value, version: SpecVersion) -> Result<Self, ResultError> {
        let mut result = Self::deserialize(value).map_err(ResultError::Shape)?;
        let version = match result.rest.get("cniVersion").and_then(Value::as_str) {
            None | Some("") => version,
            Some(text) => text
                .parse()
                .map_err(|_| ResultError::Version(text.to_owned()))?,
        };
        // libcni leaves a twin of the field, written as Go writes it.
        result
            .rest
            .retain(|key, _| !key.eq_ignore_ascii_case("cniVersion"));
        for address in &mut result.ips {
            address.rest.remove("version");
        }
        if version < SpecVersion::V1_1_0 {
            result
                .interfaces
                .iter_mut()
                .for_each(Interface::set_newer_apart);
            result.routes.iter_mut().for_each(Route::set_newer_apart);
        }
        Ok(result)
    }

    /// The JSON for standard output, in a version's form.
    pub fn print(&self, version: SpecVersion) -> String {
        crate::failure::to_json(&self.to_value(version))
    }

    fn to_value(&self, version: SpecVersion) -> Value {
        let mut result = self.clone();
        if version < SpecVersion::V1_1_0 {
            result.interfaces.iter_mut().for_each(Interface::drop_newer);
            result.routes.iter_mut().for_each(Route::drop_newer);
        }
        if version < SpecVersion::V1_0_0 {
            for address in &mut result.ips {
                let digit = match address.address.family() {
                    Family::Ipv4 => "4",
                    Family::Ipv6 => "6",
                };
                address.rest.insert("version".to_owned(), digit.into());
            }
        }
        result
            .rest
            .insert("cniVersion".to_owned(), version.as_str().into());
        serde_json::to_value(result).unwrap_or_default()
    }

    /// This result behind that of the plugins before in the chain, which stays whole.
    #[must_use]
    pub fn behind(self, previous: Success) -> Success {
        let shift = u32::try_from(previous.interfaces.len()).unwrap_or(u32::MAX);
        let mut all = previous;
        all.interfaces.extend(self.interfaces);
        all.ips.extend(self.ips.into_iter().map(|address| Address {
            interface: address.interface.map(|index| index.saturating_add(shift)),
            ..address
        }));
        for route in self.routes {
            if !all.routes.contains(&route) {
                all.routes.push(route);
            }
        }
        all.dns.add(self.dns);
        all.rest.extend(self.rest);
        all
    }

    /// The interface that an address of this result is on, where it says one that there is.
    pub fn interface_of(&self, address: &Address) -> Option<&Interface> {
        self.interfaces
            .get(usize::try_from(address.interface?).ok()?)
    }
}

/// Puts a known field among the unknown ones, where another version's printing leaves it alone.
fn set_apart<T: Into<Value>>(rest: &mut Rest, name: &str, field: &mut Option<T>) {
    if let Some(value) = field.take() {
        rest.insert(name.to_owned(), value.into());
    }
}

impl Interface {
    /// Some plugins say 1.1.0's fields before 1.1.0: they are kept as unknown ones are.
    fn set_newer_apart(&mut self) {
        set_apart(&mut self.rest, "mtu", &mut self.mtu);
        set_apart(&mut self.rest, "socketPath", &mut self.socket_path);
        set_apart(&mut self.rest, "pciID", &mut self.pci_id);
    }

    fn drop_newer(&mut self) {
        (self.mtu, self.socket_path, self.pci_id) = (None, None, None);
    }
}

impl Route {
    /// A route to `dst` by `gw`, or by the gateway of the container's address.
    pub fn new(dst: Cidr, gw: Option<IpAddr>) -> Self {
        Self {
            dst,
            gw,
            mtu: None,
            advmss: None,
            priority: None,
            table: None,
            scope: None,
            rest: Rest::new(),
        }
    }

    fn set_newer_apart(&mut self) {
        set_apart(&mut self.rest, "mtu", &mut self.mtu);
        set_apart(&mut self.rest, "advmss", &mut self.advmss);
        set_apart(&mut self.rest, "priority", &mut self.priority);
        set_apart(&mut self.rest, "table", &mut self.table);
        set_apart(&mut self.rest, "scope", &mut self.scope);
    }

    fn drop_newer(&mut self) {
        (self.mtu, self.advmss, self.priority) = (None, None, None);
        (self.table, self.scope) = (None, None);
    }
}

impl Dns {
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Adds what isn't there yet, behind what is.
    fn add(&mut self, other: Dns) {
        let add = |to: &mut Vec<String>, from: Vec<String>| {
            for one in from {
                if !to.contains(&one) {
                    to.push(one);
                }
            }
        };
        add(&mut self.nameservers, other.nameservers);
        add(&mut self.search, other.search);
        add(&mut self.options, other.options);
        self.domain = self.domain.take().or(other.domain);
        self.rest.extend(other.rest);
    }

    /// Each list of the other's that isn't empty takes this one's place.
    pub(crate) fn replace_with(&mut self, other: Dns) {
        let replace = |to: &mut Vec<String>, from: Vec<String>| {
            if !from.is_empty() {
                *to = from;
            }
        };
        replace(&mut self.nameservers, other.nameservers);
        replace(&mut self.search, other.search);
        replace(&mut self.options, other.options);
    }
}

/// `null` for what is not there, as Go may write it.
fn or_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + Default,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// An empty text for no address, as Go may write it.
fn address_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<IpAddr>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.as_deref() {
        None | Some("") => Ok(None),
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
    }
}
