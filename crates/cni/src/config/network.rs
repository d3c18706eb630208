//! The network: Pontoon's own words, and those of the reference `bridge` plugin.

use model::{Family, MTU_MIN_IPV6, MtuSetting, Names, NetworkName, NetworkWish, ParseError, Reach};

use crate::config::ConfigError;
use crate::config::ipam::{Ipam, StatedSubnet, add_subnet, stated_subnet};
use crate::fields::{Case, Field, Fields};

pub(crate) fn parse_network(
    top: &mut Fields,
    name: NetworkName,
    ipam: Ipam,
) -> Result<NetworkWish, ConfigError> {
    refuse_foreign_wishes(top)?;
    let reach = reach(top, &ipam)?;
    let names = names(top)?;
    let mut subnets = subnets(top, ipam.subnets)?;
    gateways(top, &mut subnets)?;
    for route in &ipam.routes {
        route.check_family(&subnets)?;
        route.check_gateway(&subnets)?;
    }
    Ok(NetworkWish {
        name,
        bridge: top.take_word("bridge")?,
        mtu: mtu(top, &subnets)?,
        reach,
        names,
        gateways: subnets.iter().filter_map(|s| s.gateway).collect(),
        ranges: subnets.iter().filter_map(|s| s.range).collect(),
        subnets: subnets.iter().map(|s| s.prefix).collect(),
    })
}

/// The values of a word that ask for nothing but what Pontoon does.
#[derive(Debug, Clone, Copy)]
enum Fitting {
    Only(bool),
    Either,
    Zero,
    Empty,
    Text(&'static str),
}

impl Fitting {
    fn expected(self) -> &'static str {
        match self {
            Self::Only(_) | Self::Either => "true or false",
            Self::Zero => "a number",
            Self::Empty => "a list",
            Self::Text(_) => "a string",
        }
    }

    /// `None` where the value is of another type.
    fn fits(self, field: &Field) -> Option<bool> {
        match self {
            Self::Only(only) => field.value.as_bool().map(|value| value == only),
            Self::Either => field.value.as_bool().map(|_| true),
            Self::Zero => field.value.as_f64().map(|value| value == 0.0),
            Self::Empty => field.value.as_array().map(Vec::is_empty),
            Self::Text(only) => field.value.as_str().map(|value| value == only),
        }
    }
}

/// Words of the reference `bridge` plugin that change nothing here: what fits, and what to do
/// about any other value.
const BRIDGE_WORDS: &[(&str, Fitting, &str)] = &[
    (
        "isGateway",
        Fitting::Only(true),
        "the node always has the gateway's address on a Pontoon bridge; set it to true or leave it out",
    ),
    (
        "ipMasqBackend",
        Fitting::Text("nftables"),
        "Pontoon's rules are nftables'; leave it out",
    ),
    // Published ports come back to the container itself by source NAT, so that no port of the
    // bridge needs hairpin mode.
    ("hairpinMode", Fitting::Either, ""),
    (
        "promiscMode",
        Fitting::Only(false),
        "a Pontoon bridge reaches every endpoint without promiscuous mode; leave it out",
    ),
    ("vlan", Fitting::Zero, NO_VLANS),
    ("vlanTrunk", Fitting::Empty, NO_VLANS),
    // Says something about VLANs alone.
    ("preserveDefaultVlan", Fitting::Either, ""),
    (
        "enabledad",
        Fitting::Only(false),
        "addresses are unique by Pontoon's records and work at once; leave it out",
    ),
    (
        "forceAddress",
        Fitting::Only(false),
        "a Pontoon bridge has the network's own gateway addresses; leave it out",
    ),
    (
        "disableContainerInterface",
        Fitting::Only(false),
        "an endpoint's interface is always up; leave it out",
    ),
    (
        "portIsolation",
        Fitting::Only(false),
        "the endpoints of one network reach each other; give each its own network to part them",
    ),
    (
        "macspoofchk",
        Fitting::Only(true),
        "a container never sends from another's addresses on a Pontoon network; leave it out",
    ),
];

const NO_VLANS: &str = "Pontoon has no VLANs: make a network of each; leave it out";

fn refuse_foreign_wishes(top: &mut Fields) -> Result<(), ConfigError> {
    for (name, fitting, advice) in BRIDGE_WORDS {
        let Some(field) = top.take(name) else {
            continue;
        };
        match fitting.fits(&field) {
            Some(true) => {}
            Some(false) => return Err(field.unsupported(advice)),
            None => return Err(field.expected(fitting.expected())),
        }
    }
    Ok(())
}

/// An internal network has no default route and no source NAT; any other has both. A word that
/// asks for either says that the network is not internal.
fn reach(top: &mut Fields, ipam: &Ipam) -> Result<Option<Reach>, ConfigError> {
    let internal = top.take_boolean("internal")?;
    let mut asks_outside: Option<Field> = ipam.routes.first().map(|route| route.field.clone());
    let words = [
        (
            "ipMasq",
            "the way out is always masqueraded: leave it out, or have none with \"internal\": true",
        ),
        (
            "isDefaultGateway",
            "endpoints get a default route: leave it out, or have none with \"internal\": true",
        ),
    ];
    for (name, advice) in words {
        let Some(field) = top.take(name) else {
            continue;
        };
        let a_route_is_asked = name == "isDefaultGateway" && !ipam.routes.is_empty();
        if field.boolean()? {
            asks_outside = Some(field);
        } else if internal != Some(true) && !a_route_is_asked {
            return Err(field.unsupported(advice));
        }
    }
    match (internal, asks_outside) {
        (Some(true), Some(field)) => {
            Err(field.unsupported("an internal network has no way out; leave this or internal out"))
        }
        (Some(true), None) => Ok(Some(Reach::Internal)),
        (Some(false), _) | (None, Some(_)) => Ok(Some(Reach::Outside)),
        (None, None) => Ok(None),
    }
}

/// `names`; what has the capability `aliases` has names too, unless it says otherwise.
fn names(top: &mut Fields) -> Result<Option<Names>, ConfigError> {
    let said = top.take_boolean("names")?;
    let capable = match top.take("capabilities") {
        Some(field) => field.fields(Case::Exact)?.take_boolean("aliases")?,
        None => None,
    };
    Ok(match (said, capable) {
        (Some(true), _) | (None, Some(true)) => Some(Names::On),
        (Some(false), _) => Some(Names::Off),
        (None, _) => None,
    })
}

/// A field of one value, or another of several.
fn one_or_many<'a>(
    top: &mut Fields<'a>,
    one: &'static str,
    many: &'static str,
) -> Result<Vec<Field<'a>>, ConfigError> {
    let mut fields: Vec<Field> = top.take(one).into_iter().collect();
    if let Some(list) = top.take(many) {
        fields.extend(list.list()?);
    }
    Ok(fields)
}

/// Our own words and `ipam`'s, which may say the same subnet twice but not two.
fn subnets(top: &mut Fields, ipam: Vec<StatedSubnet>) -> Result<Vec<StatedSubnet>, ConfigError> {
    let mut own = Vec::new();
    for field in one_or_many(top, "subnet", "subnets")? {
        add_subnet(&mut own, stated_subnet(&field)?)?;
    }
    let mut all = ipam;
    for stated in own {
        let family = stated.prefix.family();
        match all.iter().find(|s| s.prefix.family() == family) {
            None => all.push(stated),
            Some(same) if same.prefix == stated.prefix => {}
            Some(other) => {
                return Err(ConfigError::SubnetsDiffer {
                    field: stated.path,
                    own: stated.prefix,
                    ipam: other.prefix,
                });
            }
        }
    }
    all.sort_by_key(|s| s.prefix.family());
    Ok(all)
}

fn gateways(top: &mut Fields, subnets: &mut [StatedSubnet]) -> Result<(), ConfigError> {
    for field in one_or_many(top, "gateway", "gateways")? {
        let address = field.address()?;
        let stated = subnets.iter_mut().find(|s| s.prefix.contains(address));
        let Some(stated) = stated else {
            return Err(ConfigError::NoSubnetFor {
                field: field.path,
                address,
            });
        };
        if !stated.prefix.is_usable(address) {
            return Err(ConfigError::OutsideSubnet {
                field: field.path,
                address,
                prefix: stated.prefix,
            });
        }
        if let Some(first) = stated.gateway
            && first != address
        {
            return Err(ConfigError::SecondGateway {
                field: field.path,
                first,
                second: address,
            });
        }
        stated.gateway = Some(address);
    }
    Ok(())
}

/// A number of bytes or `auto`, which is what the reference plugin's 0 stands for.
fn mtu(top: &mut Fields, subnets: &[StatedSubnet]) -> Result<Option<MtuSetting>, ConfigError> {
    let Some(field) = top.take("mtu") else {
        return Ok(None);
    };
    let number = field.value.as_u64();
    let setting = match number {
        Some(0) => MtuSetting::Auto,
        Some(bytes) => bytes
            .to_string()
            .parse()
            .map_err(|source| field.wrong(source))?,
        None if field.value.is_string() => field.word()?,
        None => return Err(field.expected("a number of bytes, or \"auto\"")),
    };
    if let MtuSetting::Fixed(mtu) = setting
        && mtu.bytes() < MTU_MIN_IPV6
        && subnets.iter().any(|s| s.prefix.family() == Family::Ipv6)
    {
        return Err(field.wrong(ParseError::MtuBelowIpv6(mtu.bytes())));
    }
    Ok(Some(setting))
}
