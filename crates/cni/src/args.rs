//! `CNI_ARGS`: `KEY=VALUE` pairs with `;` between them.
//!
//! Which keys runtimes send: CRI-O and containerd `IgnoreUnknown` and the `K8S_` ones, podman
//! `IgnoreUnknown`, `K8S_POD_NAME` (the container's name), `IP` and `MAC`, nerdctl `IP` and `MAC`.

use model::ParseError;

use crate::wishes::{Asked, AskedError, parse_address};

/// What `CNI_ARGS` says, as far as it concerns Pontoon.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Args {
    pub asked: Asked,
    /// As given: a runtime's text, not a checked name.
    pub pod_name: Option<String>,
    /// As given: a runtime's text, not a checked name.
    pub pod_namespace: Option<String>,
}

/// Why a text is no `CNI_ARGS`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArgsError {
    #[error("{0:?} is not a pair KEY=VALUE")]
    Pair(String),
    #[error("IgnoreUnknown={0:?} is neither 1, true, 0 nor false")]
    IgnoreUnknown(String),
    #[error("IP={0:?} is not an address, or several with commas between them")]
    Address(String),
    #[error("IP: {0}")]
    Addresses(AskedError),
    #[error("MAC: {0}")]
    Mac(ParseError),
    #[error("unknown keys {}; IgnoreUnknown=1 lets them pass", .0.join(", "))]
    Unknown(Vec<String>),
}

impl Args {
    /// The last of equal keys counts, and an empty value of `IP` or `MAC` asks for nothing, as in
    /// the reference library.
    ///
    /// # Errors
    /// Malformed pairs and values, and unknown keys without `IgnoreUnknown`.
    pub fn parse(text: &str) -> Result<Self, ArgsError> {
        let mut args = Self::default();
        let mut ignores_unknown = false;
        let mut unknown = Vec::new();
        for pair in text.split(';').filter(|_| !text.is_empty()) {
            let (key, value) = pair
                .split_once('=')
                .filter(|(_, value)| !value.contains('='))
                .ok_or_else(|| ArgsError::Pair(shown(pair)))?;
            match key {
                "IgnoreUnknown" => ignores_unknown = parse_bool(value)?,
                "IP" => args.asked.addresses = parse_addresses(value)?,
                "MAC" if value.is_empty() => args.asked.mac = None,
                "MAC" => args.asked.mac = Some(value.parse().map_err(ArgsError::Mac)?),
                "K8S_POD_NAME" => args.pod_name = Some(value.to_owned()),
                "K8S_POD_NAMESPACE" => args.pod_namespace = Some(value.to_owned()),
                key if key.starts_with("K8S_") => {}
                key => unknown.push(shown(key)),
            }
        }
        if !unknown.is_empty() && !ignores_unknown {
            return Err(ArgsError::Unknown(unknown));
        }
        Ok(args)
    }
}

fn shown(text: &str) -> String {
    text.chars().take(80).collect()
}

fn parse_bool(text: &str) -> Result<bool, ArgsError> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "true" => Ok(true),
        "0" | "false" => Ok(false),
        _ => Err(ArgsError::IgnoreUnknown(shown(text))),
    }
}

fn parse_addresses(text: &str) -> Result<Vec<std::net::IpAddr>, ArgsError> {
    let parse = |one| parse_address(one).ok_or_else(|| ArgsError::Address(shown(text)));
    let addresses: Vec<_> = text
        .split(',')
        .filter(|_| !text.is_empty())
        .map(parse)
        .collect::<Result<_, _>>()?;
    Asked::check_addresses(&addresses).map_err(ArgsError::Addresses)?;
    Ok(addresses)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_runtimes_send_is_read() {
        let kubernetes = "IgnoreUnknown=1;K8S_POD_NAMESPACE=default;K8S_POD_NAME=web-0;\
            K8S_POD_INFRA_CONTAINER_ID=0123;K8S_POD_UID=77e1-02";
        let args = Args::parse(kubernetes).unwrap();
        assert_eq!(args.pod_namespace.as_deref(), Some("default"));
        assert_eq!(args.asked, Asked::default());

        let podman = "IgnoreUnknown=1;K8S_POD_NAME=web;MAC=02:70:00:00:00:01;IP=10.88.0.5";
        let asked = Args::parse(podman).unwrap().asked;
        assert_eq!(
            asked.addresses,
            ["10.88.0.5".parse::<std::net::IpAddr>().unwrap()]
        );
        assert_eq!(asked.mac.unwrap().to_string(), "02:70:00:00:00:01");

        let nomad = "IgnoreUnknown=true;NOMAD_REGION=global;NOMAD_JOB_ID=api";
        assert!(Args::parse(nomad).is_ok());
        assert_eq!(Args::parse("").unwrap(), Args::default());
    }

    #[test]
    fn addresses_come_with_or_without_a_length_and_one_a_family() {
        let two = Args::parse("IP=10.1.2.3/24,fd00::7").unwrap().asked;
        assert_eq!(two.addresses.len(), 2);
        assert!(Args::parse("IP=;MAC=").unwrap().asked.addresses.is_empty());
        assert_eq!(
            Args::parse("IP=10.1.2.3,10.1.2.4").unwrap_err().to_string(),
            "IP: two IPv4 addresses (10.1.2.3, 10.1.2.4); an endpoint has one of each family"
        );
    }

    #[test]
    fn what_is_malformed_is_refused() {
        for text in [
            ";",
            "A",
            "A=1;",
            "A=b=c;IgnoreUnknown=1",
            "IgnoreUnknown=2",
            "IP=x",
            "IP=10.0.0.1/33",
            "IP=10.0.0.1,",
            "MAC=1",
            "MAC=ff:ff:ff:ff:ff:ff",
            "ip=10.0.0.1",
        ] {
            assert!(Args::parse(text).is_err(), "{text:?}");
        }
        assert_eq!(
            Args::parse("FOO=1;IP=10.0.0.1;BAR=2")
                .unwrap_err()
                .to_string(),
            "unknown keys FOO, BAR; IgnoreUnknown=1 lets them pass"
        );
    }
}
