//! The configuration list of a Pontoon network: the plugin's words, and only what the user said.

use std::collections::BTreeMap;
use std::net::IpAddr;

use engine::EngineError;
use model::{AddressRange, IfName, MtuSetting, Network, NetworkName, ParseError, Prefix, Subnet};
use serde::{Deserialize, Serialize};

use super::PLUGIN;
use crate::args::CniInstall;

/// What a runtime may ask of the plugin.
const CAPABILITIES: [&str; 5] = ["bandwidth", "dns", "ips", "mac", "portMappings"];
/// And of a network with names.
const ALIASES: &str = "aliases";

/// A list with Pontoon's plugin and no other.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Conflist {
    cni_version: String,
    name: NetworkName,
    plugins: [Plugin; 1],
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Plugin {
    #[serde(rename = "type")]
    kind: String,
    network: NetworkName,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    subnets: Vec<Prefix>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ipam: Option<Ipam>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    internal: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mtu: Option<MtuSetting>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bridge: Option<IfName>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    names: bool,
    capabilities: BTreeMap<String, bool>,
}

/// The words of `host-local`: a set of one range for each subnet that gives out a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Ipam {
    ranges: Vec<[Range; 1]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Range {
    subnet: Prefix,
    range_start: IpAddr,
    range_end: IpAddr,
}

impl Conflist {
    /// # Errors
    /// Subnets and ranges that `pontoon network create` refuses too.
    pub fn new(args: CniInstall) -> Result<Self, EngineError> {
        let subnets = subnets(&args)?;
        let ranges: Vec<_> = subnets.iter().filter_map(range).collect();
        let network = args.places.network;
        let plugin = Plugin {
            kind: PLUGIN.to_owned(),
            network: network.clone(),
            subnets: subnets.iter().map(|subnet| subnet.prefix).collect(),
            ipam: (!ranges.is_empty()).then_some(Ipam { ranges }),
            internal: args.internal,
            mtu: args.mtu,
            bridge: args.bridge,
            names: args.names,
            capabilities: capabilities(args.names),
        };
        Ok(Self {
            cni_version: args.cni_version,
            name: network,
            plugins: [plugin],
        })
    }

    /// The file's text.
    pub fn print(&self) -> String {
        // Names, numbers and texts: nothing that JSON has no form for.
        let text = serde_json::to_string_pretty(self).unwrap_or_default();
        format!("{text}\n")
    }
}

/// Whether a file is one that install writes for this network, whatever else was said to it.
pub fn is_written_here(bytes: &[u8], network: &NetworkName) -> bool {
    let Ok(list) = serde_json::from_slice::<Conflist>(bytes) else {
        return false;
    };
    let [plugin] = &list.plugins;
    list.name == *network
        && plugin.network == *network
        && plugin.kind == PLUGIN
        && plugin.capabilities == capabilities(plugin.names)
        && list.print().as_bytes() == bytes
}

fn capabilities(names: bool) -> BTreeMap<String, bool> {
    let aliases = names.then_some(ALIASES);
    let all = CAPABILITIES.into_iter().chain(aliases);
    all.map(|name| (name.to_owned(), true)).collect()
}

/// The subnets as a new network would have them; none where none is said.
fn subnets(args: &CniInstall) -> Result<Vec<Subnet>, EngineError> {
    if args.subnet.is_empty() {
        return Ok(Vec::new());
    }
    let prefixes = args.subnet.iter();
    let mut subnets: Vec<Subnet> = prefixes
        .map(|prefix| Subnet::new(*prefix, None))
        .collect::<Result<_, _>>()?;
    for range in &args.ip_range {
        let mut subnets = subnets.iter_mut();
        let subnet = subnets.find(|subnet| subnet.prefix.contains(range.first()));
        let subnet = subnet.ok_or(ParseError::RangeOfNoSubnet(*range))?;
        if let Some(other) = subnet.range {
            return Err(EngineError::TwoRanges(other, *range));
        }
        *subnet = subnet.with_range(*range)?;
    }
    let mtu = args.mtu.unwrap_or(MtuSetting::Auto);
    Ok(Network::check_subnets(subnets, mtu)?)
}

/// A subnet's range as `host-local` takes it: without the prefix's own ends.
fn range(subnet: &Subnet) -> Option<[Range; 1]> {
    let range: AddressRange = subnet.range?;
    let prefix = subnet.prefix;
    let inside = |address: IpAddr, step: i8| match prefix.is_usable(address) {
        true => address,
        false => beside(address, step),
    };
    Some([Range {
        subnet: prefix,
        range_start: inside(range.first(), 1),
        range_end: inside(range.last(), -1),
    }])
}

/// The address one above or one below.
fn beside(address: IpAddr, step: i8) -> IpAddr {
    match address {
        IpAddr::V4(v4) => IpAddr::V4(u32::from(v4).saturating_add_signed(step.into()).into()),
        IpAddr::V6(v6) => IpAddr::V6(u128::from(v6).saturating_add_signed(step.into()).into()),
    }
}
