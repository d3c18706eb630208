//! An endpoint by its names: what it is asked for by, on its own node and on others that are told.

use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::{Alias, Endpoint, EndpointName, Family, ParseError};

/// So many characters of a container's id are a name of it: what runtimes show people.
const SHORT_ID: usize = 12;
/// How many aliases there are at most, with the short id of a container.
const ALIASES_MOST: usize = Alias::MOST + 1;

/// The names and the addresses of an endpoint.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct Named {
    name: EndpointName,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    aliases: Vec<Alias>,
    addresses: Vec<IpAddr>,
}

/// A [`Named`] as it is read.
#[derive(Deserialize)]
struct Unchecked {
    name: EndpointName,
    #[serde(default)]
    aliases: Vec<Alias>,
    addresses: Vec<IpAddr>,
}

impl TryFrom<Unchecked> for Named {
    type Error = ParseError;
    fn try_from(read: Unchecked) -> Result<Self, ParseError> {
        Self::new(read.name, read.aliases, read.addresses)
    }
}

impl Named {
    /// # Errors
    /// More aliases than an endpoint has; anything but one address, or one of IPv4 and then one of
    /// IPv6.
    pub fn new(
        name: EndpointName,
        aliases: Vec<Alias>,
        addresses: Vec<IpAddr>,
    ) -> Result<Self, ParseError> {
        if aliases.len() > ALIASES_MOST {
            return Err(ParseError::TooManyAliases(ALIASES_MOST));
        }
        let families: Vec<Family> = addresses.iter().map(|a| Family::of(*a)).collect();
        match families.as_slice() {
            [_] | [Family::Ipv4, Family::Ipv6] => Ok(Self {
                name,
                aliases,
                addresses,
            }),
            _ => Err(ParseError::EndpointAddresses(addresses)),
        }
    }

    /// Of an endpoint as recorded: with the short id of a runtime's container.
    pub fn of(endpoint: &Endpoint) -> Self {
        let short = endpoint.cni.as_ref().and_then(|cni| {
            let short: String = cni.container.as_str().chars().take(SHORT_ID).collect();
            short.parse::<Alias>().ok()
        });
        let mut aliases = endpoint.aliases.clone();
        aliases.extend(short.filter(|short| !endpoint.aliases.contains(short)));
        Self {
            name: endpoint.name.clone(),
            aliases,
            addresses: endpoint.addresses.clone(),
        }
    }

    /// IPv4 first.
    pub fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// What resolvers ask for, in lower case: each once, its own name first.
    pub fn names(&self) -> Vec<String> {
        let mut names: Vec<String> = self.name.in_dns().into_iter().collect();
        for alias in &self.aliases {
            if names.first().is_none_or(|own| own != alias.as_str()) {
                names.push(alias.to_string());
            }
        }
        names
    }

    /// How long it is where it is told, in bytes of JSON.
    pub fn told_bytes(&self) -> usize {
        /// Quotes, and a comma or a bracket.
        const AROUND: usize = 3;
        let frame = r#"{"name":,"aliases":,"addresses":}"#.len() + AROUND;
        let aliases = self.aliases.iter().map(|alias| alias.as_str().len());
        let addresses = self.addresses.iter().map(|a| a.to_string().len());
        let texts = aliases.chain(addresses).map(|text| text + AROUND);
        frame + self.name.as_str().len() + texts.sum::<usize>() + 2 * AROUND
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_is_checked_where_it_is_read() {
        let read = serde_json::from_str::<Named>;
        for text in [
            r#"{"name":"Web.1","aliases":["db","x"],"addresses":["10.50.1.2","fd00::2"]}"#,
            r#"{"name":"web","addresses":["fd00::2"]}"#,
        ] {
            let named = read(text).unwrap();
            assert_eq!(serde_json::to_string(&named).unwrap(), text);
            let bytes = named.told_bytes();
            assert!(bytes >= text.len() && bytes < text.len() + 30, "{bytes}");
        }
        let many: Vec<String> = (0..ALIASES_MOST + 1).map(|n| format!("\"a{n}\"")).collect();
        let many = format!(
            r#"{{"name":"a","aliases":[{}],"addresses":["10.50.1.2"]}}"#,
            many.join(",")
        );
        for text in [
            many.as_str(),
            r#"{"name":"../a","addresses":["10.50.1.2"]}"#,
            r#"{"name":"a","aliases":["a b"],"addresses":["10.50.1.2"]}"#,
            r#"{"name":"a","addresses":[]}"#,
            r#"{"name":"a","addresses":["10.50.1.2","10.50.1.3"]}"#,
            r#"{"name":"a","addresses":["fd00::2","10.50.1.2"]}"#,
            r#"{"addresses":["10.50.1.2"]}"#,
        ] {
            assert!(read(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_are_in_lower_case_and_each_once() {
        let text = r#"{"name":"Web","aliases":["web","db"],"addresses":["10.50.1.2"]}"#;
        let named: Named = serde_json::from_str(text).unwrap();
        assert_eq!(named.names(), ["web", "db"]);
        let text = r#"{"name":"a..b","aliases":["db"],"addresses":["10.50.1.2"]}"#;
        let named: Named = serde_json::from_str(text).unwrap();
        assert_eq!(named.names(), ["db"]);
    }
}
