//! Names: of networks, endpoints and interfaces.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::ParseError;

/// The longest network or endpoint name, in bytes (a DNS label, RFC 1035 section 2.3.4).
const NAME_MAX: usize = 63;
/// The longest interface name, in bytes (`IFNAMSIZ` - 1, `include/uapi/linux/if.h`).
const IFNAME_MAX: usize = 15;
/// The longest CNI id taken, in bytes (`NAME_MAX`: runtimes name files after them). The
/// specification sets no bound.
const CNI_ID_MAX: usize = 255;

/// Letters, digits, `-`, `_` and `.`, the first a letter or digit.
fn is_word(text: &str, max: usize) -> bool {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    let all_allowed = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'));
    starts_well && all_allowed && text.len() <= max
}

fn is_name(text: &str) -> bool {
    is_word(text, NAME_MAX)
}

fn is_cni_id(text: &str) -> bool {
    is_word(text, CNI_ID_MAX)
}

fn is_ifname(text: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_graphic() && !matches!(b, b'/' | b':' | b'%');
    let well_formed = (1..=IFNAME_MAX).contains(&text.len()) && text.bytes().all(allowed);
    well_formed && !matches!(text, "." | ".." | "all" | "default")
}

fn no_name(text: String) -> ParseError {
    ParseError::Name {
        text,
        max: NAME_MAX,
    }
}

macro_rules! checked_name {
    ($(#[$doc:meta])* $name:ident, $check:path, $refuse:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = ParseError;
            fn try_from(text: String) -> Result<Self, ParseError> {
                if $check(&text) { Ok(Self(text)) } else { Err($refuse(text)) }
            }
        }

        impl FromStr for $name {
            type Err = ParseError;
            fn from_str(text: &str) -> Result<Self, ParseError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

checked_name! {
    /// The name of a network on its node: 1 to 63 letters, digits, `-`, `_`, `.`.
    NetworkName, is_name, no_name
}
checked_name! {
    /// The name of an endpoint in its network: 1 to 63 letters, digits, `-`, `_`, `.`.
    EndpointName, is_name, no_name
}
checked_name! {
    /// The name of a node in its cluster: 1 to 63 letters, digits, `-`, `_`, `.`.
    NodeName, is_name, no_name
}
impl EndpointName {
    /// The longest one, in bytes.
    pub const MAX: usize = NAME_MAX;
}
checked_name! {
    /// The name of a network interface: 1 to 15 bytes that `dev_valid_name` (net/core/dev.c)
    /// accepts, less `%`, which the kernel expands on creation, and less the two names that stand
    /// for all devices below `/proc/sys/net`.
    IfName, is_ifname, ParseError::IfName
}
checked_name! {
    /// A runtime's id of a container: 1 to 255 letters, digits, `_`, `.`, `-`, the first a letter
    /// or digit (CNI specification 1.1.0, section 2, Parameters).
    ContainerId, is_cni_id, ParseError::CniId
}
checked_name! {
    /// The name of a CNI configuration list: as [`ContainerId`] (section 1).
    ListName, is_cni_id, ParseError::CniId
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_names_are_refused() {
        let long = "a".repeat(64);
        for text in [
            "", "../x", "a/b", "a b", "a\0b", "-a", ".a", "ä", "a\n", &long,
        ] {
            assert!(NetworkName::from_str(text).is_err(), "{text:?}");
            assert!(EndpointName::from_str(text).is_err(), "{text:?}");
        }
        for text in [
            "",
            ".",
            "..",
            "a/b",
            "a b",
            "a\0b",
            "eth%d",
            "a:1",
            "all",
            "0123456789abcdef",
        ] {
            assert!(IfName::from_str(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn ids_of_runtimes_are_accepted() {
        let (sha256, longest) = ("a".repeat(64), "a".repeat(CNI_ID_MAX));
        for text in [
            "c1",
            "0",
            "my_pod-1.2",
            "cnitool-77383ca0a071",
            &sha256,
            &longest,
        ] {
            assert_eq!(ContainerId::from_str(text).unwrap().as_str(), text);
        }
    }

    #[test]
    fn hostile_ids_are_refused() {
        let long = "a".repeat(CNI_ID_MAX + 1);
        for text in [
            "", ".", "..", "../x", "a/b", "a b", "a\0b", "a\n", "-a", "_a", ".a", "ä", "%d", &long,
        ] {
            assert!(ContainerId::from_str(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn names_of_the_field_are_accepted() {
        for text in ["web", "Web-1", "a.b_c", "0"] {
            assert_eq!(NetworkName::from_str(text).unwrap().as_str(), text);
        }
        for text in ["eth0", "cbr0", "veth@x", "enp0s31f6", "0123456789abcde"] {
            assert_eq!(IfName::from_str(text).unwrap().as_str(), text);
        }
    }
}
