//! What a lab is made of, as asked for and as kept beside it.

use std::collections::BTreeSet;
use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::str::FromStr;

use model::{Backend, Family, Mtu, Names, NetworkName, Prefix, Span};
use serde::{Deserialize, Serialize};

use crate::error::LabError;
use crate::place;

/// The most nodes that one lab has.
pub const NODES_MAX: u8 = 16;
/// The longest name of a lab, in bytes: names of namespaces and hosts begin with it.
const NAME_MAX: usize = 32;
/// The word for one Ethernet over all nodes, in the place of a backend.
const STRETCH: &str = "stretch";
/// The least MTU of an underlay, in bytes: what IPv6 needs (RFC 8200 section 5).
const MTU_MIN: u16 = 1280;

/// The name of a lab: 1 to 32 lower-case letters, digits and `-`, the first a letter or digit.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct LabName(String);

impl LabName {
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for LabName {
    type Err = LabError;
    fn from_str(text: &str) -> Result<Self, LabError> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        let well_formed = (1..=NAME_MAX).contains(&text.len()) && text.bytes().all(allowed);
        if well_formed && !text.starts_with('-') {
            return Ok(Self(text.to_owned()));
        }
        Err(LabError::Name(text.to_owned()))
    }
}

impl TryFrom<String> for LabName {
    type Error = LabError;
    fn try_from(text: String) -> Result<Self, LabError> {
        text.parse()
    }
}

impl From<LabName> for String {
    fn from(name: LabName) -> String {
        name.0
    }
}

impl fmt::Display for LabName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How many nodes a lab has: 1 to 16.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct NodeCount(u8);

impl NodeCount {
    pub fn number(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for NodeCount {
    type Error = LabError;
    fn try_from(number: u8) -> Result<Self, LabError> {
        if (1..=NODES_MAX).contains(&number) {
            return Ok(Self(number));
        }
        Err(LabError::NodeCount(number.to_string()))
    }
}

impl FromStr for NodeCount {
    type Err = LabError;
    fn from_str(text: &str) -> Result<Self, LabError> {
        let number: Option<u8> = text.parse().ok();
        let refuse = || LabError::NodeCount(text.to_owned());
        Self::try_from(number.ok_or_else(refuse)?).map_err(|_| refuse())
    }
}

impl From<NodeCount> for u8 {
    fn from(count: NodeCount) -> u8 {
        count.0
    }
}

/// A network over all nodes: `NAME=CIDR[,CIDR][:vxlan|stretch|routed|ipip]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NetworkSpec {
    pub name: NetworkName,
    pub subnets: Vec<Prefix>,
    pub backend: Backend,
    #[serde(default)]
    pub span: Span,
}

impl FromStr for NetworkSpec {
    type Err = LabError;
    fn from_str(text: &str) -> Result<Self, LabError> {
        let (name, rest) = text
            .split_once('=')
            .ok_or_else(|| LabError::NetworkText(text.to_owned()))?;
        let (subnets, backend, span) = split_way(rest)?;
        let subnets = subnets.split(',').map(str::parse);
        Ok(Self {
            name: name.parse()?,
            subnets: subnets.collect::<Result<_, _>>()?,
            backend,
            span,
        })
    }
}

/// How it crosses stands behind the last colon; an IPv6 prefix has colons too, and a length there.
fn split_way(text: &str) -> Result<(&str, Backend, Span), LabError> {
    match text.rsplit_once(':') {
        // Frames cross in VXLAN only.
        Some((subnets, STRETCH)) => Ok((subnets, Backend::Vxlan, Span::Stretched)),
        Some((subnets, word)) if !word.contains('/') => Ok((subnets, word.parse()?, Span::Node)),
        _ => Ok((text, Backend::Vxlan, Span::Node)),
    }
}

/// The families of the nodes' addresses in the underlay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Underlay {
    Both,
    Ipv4,
    Ipv6,
}

impl Underlay {
    pub fn families(self) -> &'static [Family] {
        match self {
            Self::Both => &Family::BOTH,
            Self::Ipv4 => &[Family::Ipv4],
            Self::Ipv6 => &[Family::Ipv6],
        }
    }
}

/// What the nodes agree by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StoreKind {
    /// A file that names the nodes.
    Static,
    /// An etcd on the underlay.
    Etcd,
    /// The same, with a certificate of its own and one for each node.
    EtcdTls,
}

impl StoreKind {
    pub(crate) fn has_server(self) -> bool {
        self != Self::Static
    }
}

/// A lab as asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    pub name: LabName,
    pub nodes: NodeCount,
    pub underlay: Underlay,
    pub underlay_mtu: Mtu,
    pub networks: Vec<NetworkSpec>,
    /// Of all of them.
    #[serde(default)]
    pub names: Names,
    pub store: StoreKind,
}

impl Spec {
    /// What `lab up` makes where no network is named.
    pub fn usual_networks() -> Vec<NetworkSpec> {
        let text = "web=10.50.0.0/16,fd00:50::/48";
        text.parse().into_iter().collect()
    }

    /// What the cluster's own rules don't look at.
    ///
    /// # Errors
    /// `MtuTooSmall`, `TwoNetworks`.
    pub fn check(&self) -> Result<(), LabError> {
        if self.underlay_mtu.bytes() < MTU_MIN {
            return Err(LabError::MtuTooSmall(self.underlay_mtu));
        }
        let mut names = BTreeSet::new();
        match self.networks.iter().find(|n| !names.insert(&n.name)) {
            Some(twice) => Err(LabError::TwoNetworks(twice.name.clone())),
            None => Ok(()),
        }
    }
}

/// Keeps the lab's own file. It is whole or not there: `down` needs none of it.
pub(crate) fn write(spec: &Spec) -> Result<(), LabError> {
    let path = place::spec_file(&spec.name);
    let failed = |source| LabError::WriteFile {
        path: path.clone(),
        source,
    };
    let text = serde_json::to_string_pretty(spec).map_err(|error| failed(error.into()))?;
    let draft = path.with_extension("new");
    fs::write(&draft, text).map_err(failed)?;
    fs::rename(&draft, &path).map_err(failed)
}

pub(crate) fn read(name: &LabName) -> Result<Spec, LabError> {
    let path = place::spec_file(name);
    let failed = |source| LabError::ReadFile {
        path: path.clone(),
        source,
    };
    let text = fs::read_to_string(&path).map_err(|source| match source.kind() {
        ErrorKind::NotFound => LabError::NoLab(name.clone()),
        _ => failed(source),
    })?;
    serde_json::from_str(&text).map_err(|error| failed(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn network(text: &str) -> Result<NetworkSpec, LabError> {
        text.parse()
    }

    #[test]
    fn a_network_is_a_name_prefixes_and_a_backend() {
        let web = network("web=10.50.0.0/16,fd00:50::/48").unwrap();
        assert_eq!((web.subnets.len(), web.backend), (2, Backend::Vxlan));
        assert_eq!(vec![web], Spec::usual_networks());
        let flat = network("flat=fd00:51::/48:routed").unwrap();
        assert_eq!(flat.subnets, ["fd00:51::/48".parse().unwrap()]);
        assert_eq!((flat.backend, flat.span), (Backend::Routed, Span::Node));
        let wide = network("wide=10.52.0.0/16,fd00:52::/48:stretch").unwrap();
        assert_eq!((wide.backend, wide.span), (Backend::Vxlan, Span::Stretched));
        for text in [
            "web",
            "=10.0.0.0/8",
            "web=",
            "web=10.0.0.0",
            "web=10.0.0.0/8:",
            "web=10.0.0.0/8:ospf",
            "web=10.0.0.0/8:stretch:routed",
            "web=10.0.0.0/8:routed:stretch",
            "web=10.0.0.0/8,",
            "web=10.0.0.1/8",
        ] {
            assert!(network(text).is_err(), "{text}");
        }
    }

    #[test]
    fn names_of_labs_fit_into_names_of_files_and_hosts() {
        for text in ["lab", "a", "ci-7"] {
            assert_eq!(text.parse::<LabName>().unwrap().as_str(), text);
        }
        let long = "a".repeat(NAME_MAX + 1);
        for text in ["", "-a", "a/b", "..", "A", "a b", "a\n", &long] {
            assert!(text.parse::<LabName>().is_err(), "{text:?}");
        }
    }

    #[test]
    fn a_lab_has_one_to_sixteen_nodes() {
        for text in ["1", "16"] {
            assert!(text.parse::<NodeCount>().is_ok(), "{text}");
        }
        for text in ["0", "17", "300", "-1", "x"] {
            let said = text.parse::<NodeCount>().unwrap_err().to_string();
            assert!(said.contains(text), "{said}");
        }
    }
}
