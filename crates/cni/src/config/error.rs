//! What can be wrong with a configuration.

use std::net::IpAddr;

use model::{Family, ParseError, Prefix};

use crate::config::CONFIG_BYTES_MAX;
use crate::failure::Code;
use crate::fields::{FieldPath, Shown};
use crate::result::ResultError;
use crate::wishes::AskedError;

/// Why a configuration is refused. The text says what is wrong with which field; `advice` says
/// what to do.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    #[error("the configuration is longer than {CONFIG_BYTES_MAX} bytes")]
    TooLong,
    #[error("decode the configuration: {0}")]
    Decode(serde_json::Error),
    #[error("name: the configuration has no name")]
    NoName,
    #[error("{0}: longer than the name of a Pontoon network can be")]
    NameTooLong(FieldPath),
    #[error("{field}: {value} is not {expected}")]
    Expected {
        field: FieldPath,
        value: Shown,
        expected: &'static str,
    },
    #[error("{field}: {source}")]
    Word {
        field: FieldPath,
        source: ParseError,
    },
    #[error("{field}: {value} is not supported")]
    Unsupported {
        field: FieldPath,
        value: Shown,
        advice: &'static str,
    },
    #[error("{field}: not a field that Pontoon knows (its value is {value})")]
    Unknown {
        field: FieldPath,
        value: Shown,
        near: Option<&'static str>,
    },
    #[error("{field}: a second {family} subnet; a network has at most one of each family")]
    SecondSubnet { field: FieldPath, family: Family },
    #[error("{field}: {own} is not the {family} subnet that ipam says, {ipam}", family = .own.family())]
    SubnetsDiffer {
        field: FieldPath,
        own: Prefix,
        ipam: Prefix,
    },
    #[error("{field}: {address} is not an address that containers can have in {prefix}")]
    OutsideSubnet {
        field: FieldPath,
        address: IpAddr,
        prefix: Prefix,
    },
    #[error("{field}: {address} is in none of the subnets that the configuration says")]
    NoSubnetFor { field: FieldPath, address: IpAddr },
    #[error("{field}: {second} is a second {family} gateway; {first} is one already", family = Family::of(*.first))]
    SecondGateway {
        field: FieldPath,
        first: IpAddr,
        second: IpAddr,
    },
    #[error("{field}: {asked} is not the gateway, {gateway}")]
    RouteGateway {
        field: FieldPath,
        asked: IpAddr,
        gateway: IpAddr,
    },
    #[error("{field}: {source}")]
    Asked {
        field: FieldPath,
        source: AskedError,
    },
    #[error("{field}: {source}")]
    Previous {
        field: FieldPath,
        source: ResultError,
    },
}

impl ConfigError {
    pub(crate) fn code(&self) -> Code {
        match self {
            Self::TooLong | Self::Decode(_) => Code::Decode,
            Self::Unsupported { .. } | Self::Unknown { .. } => Code::UnsupportedField,
            _ => Code::InvalidConfig,
        }
    }

    /// What to do; empty where the error says it all.
    pub(crate) fn advice(&self) -> String {
        match self {
            Self::NoName => "give the network list a name".to_owned(),
            Self::NameTooLong(_) => {
                "give a name of at most 63 characters in \"network\"".to_owned()
            }
            Self::Unsupported { advice, .. } => (*advice).to_owned(),
            Self::Unknown { near, .. } => match near {
                Some(near) => format!("did you mean {near:?}?"),
                None => "leave it out: what it asks for would not happen".to_owned(),
            },
            Self::NoSubnetFor { .. } => {
                "give the subnet that holds it as well, or leave it out".to_owned()
            }
            Self::RouteGateway { .. } => "leave gw out: it is always the gateway".to_owned(),
            _ => String::new(),
        }
    }
}
