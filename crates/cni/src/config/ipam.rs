//! `ipam`: the words of `host-local`. Pontoon numbers endpoints itself, from its own records.

use std::net::IpAddr;

use model::{AddressRange, Prefix, Subnet};

use crate::config::ConfigError;
use crate::fields::{Case, Field, FieldPath, Fields};

/// A subnet as some field says it.
#[derive(Debug)]
pub(crate) struct StatedSubnet {
    pub path: FieldPath,
    pub prefix: Prefix,
    pub gateway: Option<IpAddr>,
    pub range: Option<AddressRange>,
}

/// What `ipam` says.
#[derive(Debug, Default)]
pub(crate) struct Ipam<'a> {
    pub subnets: Vec<StatedSubnet>,
    pub routes: Vec<DefaultRoute<'a>>,
    pub resolv_conf: Option<String>,
}

/// A default route, as it is given to every endpoint of a network that isn't internal.
#[derive(Debug)]
pub(crate) struct DefaultRoute<'a> {
    pub field: Field<'a>,
    pub dst: Prefix,
    pub gateway: Option<(FieldPath, IpAddr)>,
}

pub(crate) fn parse_ipam<'a>(
    top: &mut Fields<'a>,
    ip_ranges: Option<Field<'a>>,
) -> Result<Ipam<'a>, ConfigError> {
    let mut ipam = Ipam::default();
    if let Some(field) = ip_ranges {
        range_sets(&field, Case::Any, &mut ipam.subnets)?;
    }
    let Some(field) = top.take("ipam") else {
        return Ok(ipam);
    };
    let mut fields = field.fields(Case::Exact)?;
    if let Some(kind) = fields.take("type")
        && kind.text()? != "host-local"
    {
        let advice = "Pontoon numbers endpoints itself: the type is \"host-local\", or left out";
        return Err(kind.unsupported(advice));
    }
    if let Some(dir) = fields.take("dataDir") {
        let advice = "the addresses given out are in Pontoon's own records; leave it out";
        return Err(dir.unsupported(advice));
    }
    if let Some(single) = single_range(&mut fields)? {
        add_subnet(&mut ipam.subnets, single)?;
    }
    if let Some(sets) = fields.take("ranges") {
        range_sets(&sets, Case::Exact, &mut ipam.subnets)?;
    }
    if let Some(routes) = fields.take("routes") {
        ipam.routes = routes
            .list()?
            .map(|r| default_route(r))
            .collect::<Result<_, _>>()?;
    }
    ipam.resolv_conf = fields
        .take("resolvConf")
        .filter(|field| !field.is_empty_text())
        .map(|field| absolute_path(&field))
        .transpose()?;
    fields.finish()?;
    Ok(ipam)
}

/// The older form: the fields of one range beside `type`.
fn single_range(fields: &mut Fields) -> Result<Option<StatedSubnet>, ConfigError> {
    let subnet = fields.take("subnet");
    match subnet {
        Some(subnet) => range(fields, &subnet).map(Some),
        None => {
            for name in ["rangeStart", "rangeEnd", "gateway"] {
                if let Some(field) = fields.take(name).filter(|f| !f.is_empty_text()) {
                    let address = field.address()?;
                    return Err(ConfigError::NoSubnetFor {
                        field: field.path,
                        address,
                    });
                }
            }
            Ok(None)
        }
    }
}

/// Sets of ranges: one set an address, so one a family; one range a set, the bridge's subnet.
fn range_sets(
    sets: &Field,
    case: Case,
    subnets: &mut Vec<StatedSubnet>,
) -> Result<(), ConfigError> {
    for set in sets.list()? {
        let mut ranges = set.list()?;
        let one = ranges
            .next()
            .ok_or_else(|| set.expected("a list of one range"))?;
        if let Some(second) = ranges.next() {
            let advice =
                "a Pontoon network has one subnet of each family: leave one range in each set";
            return Err(second.unsupported(advice));
        }
        let mut fields = one.fields(case)?;
        let subnet = fields
            .take("subnet")
            .ok_or_else(|| one.expected("a range with a subnet"))?;
        let stated = range(&mut fields, &subnet)?;
        fields.finish()?;
        add_subnet(subnets, stated)?;
    }
    Ok(())
}

pub(crate) fn add_subnet(
    subnets: &mut Vec<StatedSubnet>,
    stated: StatedSubnet,
) -> Result<(), ConfigError> {
    let family = stated.prefix.family();
    if subnets.iter().any(|s| s.prefix.family() == family) {
        return Err(ConfigError::SecondSubnet {
            field: stated.path,
            family,
        });
    }
    subnets.push(stated);
    Ok(())
}

pub(crate) fn stated_subnet(subnet: &Field) -> Result<StatedSubnet, ConfigError> {
    let prefix: Prefix = subnet.word()?;
    Ok(StatedSubnet {
        path: subnet.path.clone(),
        prefix: prefix
            .check_for_containers()
            .map_err(|source| subnet.wrong(source))?,
        gateway: None,
        range: None,
    })
}

fn range(fields: &mut Fields, subnet: &Field) -> Result<StatedSubnet, ConfigError> {
    let mut stated = stated_subnet(subnet)?;
    let prefix = stated.prefix;
    let start = usable_address(fields.take("rangeStart"), prefix)?;
    let end = usable_address(fields.take("rangeEnd"), prefix)?;
    if start.is_some() || end.is_some() {
        let (lowest, highest) = usable_ends(prefix);
        let (first, last) = (start.unwrap_or(lowest), end.unwrap_or(highest));
        let range = AddressRange::new(first, last).map_err(|source| ConfigError::Word {
            field: fields.path.child("rangeStart"),
            source,
        })?;
        stated.range = Some(range);
    }
    stated.gateway = usable_address(fields.take("gateway"), prefix)?;
    Ok(stated)
}

fn usable_address(field: Option<Field>, prefix: Prefix) -> Result<Option<IpAddr>, ConfigError> {
    let Some(field) = field.filter(|field| !field.is_empty_text()) else {
        return Ok(None);
    };
    let address = field.address()?;
    if !prefix.is_usable(address) {
        return Err(ConfigError::OutsideSubnet {
            field: field.path,
            address,
            prefix,
        });
    }
    Ok(Some(address))
}

/// The first and the last address that a device may have.
fn usable_ends(prefix: Prefix) -> (IpAddr, IpAddr) {
    match (prefix.address(), prefix.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => (
            IpAddr::V4((u32::from(first) + 1).into()),
            IpAddr::V4((u32::from(last) - 1).into()),
        ),
        (IpAddr::V6(first), last) => (IpAddr::V6((u128::from(first) + 1).into()), last),
        (first, last) => (first, last),
    }
}

fn default_route(field: Field<'_>) -> Result<DefaultRoute<'_>, ConfigError> {
    let mut fields = field.fields(Case::Exact)?;
    let dst_field = fields
        .take("dst")
        .ok_or_else(|| field.expected("a route with dst"))?;
    let dst: Prefix = dst_field.word()?;
    if !dst.is_any() {
        let advice = "endpoints get a default route and no others; leave it out";
        return Err(dst_field.unsupported(advice));
    }
    for name in ["mtu", "advmss", "priority", "table", "scope"] {
        if let Some(field) = fields.take(name) {
            return Err(field.unsupported("a default route has no words of its own; leave it out"));
        }
    }
    let gateway = match fields.take("gw").filter(|gw| !gw.is_empty_text()) {
        Some(gw) => Some((gw.path.clone(), gw.address()?)),
        None => None,
    };
    fields.finish()?;
    Ok(DefaultRoute {
        field,
        dst,
        gateway,
    })
}

impl DefaultRoute<'_> {
    /// A network whose subnets are said has no default route of another family.
    pub(crate) fn check_family(&self, subnets: &[StatedSubnet]) -> Result<(), ConfigError> {
        let family = self.dst.family();
        if subnets.is_empty() || subnets.iter().any(|s| s.prefix.family() == family) {
            return Ok(());
        }
        let advice = "the network has no subnet of this family; leave it out, or give one";
        Err(self.field.unsupported(advice))
    }

    /// A next hop is the gateway of its family, or it is none.
    pub(crate) fn check_gateway(&self, subnets: &[StatedSubnet]) -> Result<(), ConfigError> {
        let Some((path, asked)) = &self.gateway else {
            return Ok(());
        };
        let family = self.dst.family();
        let Some(stated) = subnets.iter().find(|s| s.prefix.family() == family) else {
            return Err(ConfigError::NoSubnetFor {
                field: path.clone(),
                address: *asked,
            });
        };
        let subnet =
            Subnet::new(stated.prefix, stated.gateway).map_err(|source| ConfigError::Word {
                field: stated.path.clone(),
                source,
            })?;
        if subnet.gateway != *asked {
            return Err(ConfigError::RouteGateway {
                field: path.clone(),
                asked: *asked,
                gateway: subnet.gateway,
            });
        }
        Ok(())
    }
}

fn absolute_path(field: &Field) -> Result<String, ConfigError> {
    let text = field.text()?;
    let clean = text.starts_with('/')
        && text.len() < 4096
        && !text.chars().any(char::is_control)
        && text.split('/').all(|part| part != "..");
    if !clean {
        return Err(field.expected("an absolute path without '..'"));
    }
    Ok(text.to_owned())
}
