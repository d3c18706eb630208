//! What a runtime asks for one attachment: addresses and a MAC.
//!
//! Three places may say it. Which of them counts is decided here and nowhere else.

use std::net::IpAddr;

use model::{Family, Mac};

use crate::args::Args;
use crate::config::Config;

/// What one place asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Asked {
    /// At most one of each family.
    pub addresses: Vec<IpAddr>,
    pub mac: Option<Mac>,
}

/// Why what is asked can't be had by one endpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AskedError {
    #[error("two {family} addresses ({first}, {second}); an endpoint has one of each family")]
    TwoOfFamily {
        family: Family,
        first: IpAddr,
        second: IpAddr,
    },
}

impl Asked {
    pub(crate) fn check_addresses(addresses: &[IpAddr]) -> Result<(), AskedError> {
        for family in Family::BOTH {
            let mut of_family = addresses.iter().filter(|a| Family::of(**a) == family);
            if let (Some(&first), Some(&second)) = (of_family.next(), of_family.next()) {
                return Err(AskedError::TwoOfFamily {
                    family,
                    first,
                    second,
                });
            }
        }
        Ok(())
    }
}

/// What the attachment is to have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wishes {
    /// At most one of each family, IPv4 first.
    pub addresses: Vec<IpAddr>,
    pub mac: Option<Mac>,
}

impl Wishes {
    /// `runtimeConfig` goes before `args.cni`, and that before `CNI_ARGS`, which a plugin must
    /// ignore where `args` says the same (CONVENTIONS.md, CNI_ARGS). Each family is decided by
    /// itself: nerdctl asks for IPv4 in `CNI_ARGS` and for IPv6 in `runtimeConfig`.
    pub fn combine(config: &Config, args: &Args) -> Self {
        let places = [&config.runtime_asked, &config.args_asked, &args.asked];
        let of_family = |family: Family| {
            places
                .iter()
                .flat_map(|place| &place.addresses)
                .find(|address| Family::of(**address) == family)
                .copied()
        };
        Self {
            addresses: Family::BOTH.into_iter().filter_map(of_family).collect(),
            mac: places.iter().find_map(|place| place.mac),
        }
    }
}

/// An address as the conventions write it: a length may stand behind it and means nothing, since
/// the network has its own.
pub(crate) fn parse_address(text: &str) -> Option<IpAddr> {
    let (address, len) = match text.split_once('/') {
        Some((address, len)) => (address, Some(len)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    if let Some(len) = len {
        let plain = len.bytes().all(|b| b.is_ascii_digit());
        let bits: u8 = len.parse().ok().filter(|_| plain)?;
        if bits > Family::of(address).bits() {
            return None;
        }
    }
    Some(address.to_canonical())
}
