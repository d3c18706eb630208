//! `portMappings`, and where a mapping lands that names no address of the node.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::{Family, HostBind, ParseError, PortRange, Proto, Publish};

use crate::config::ConfigError;
use crate::fields::{Case, Field, Fields};

/// Where ports land that name no address of the node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum PublishPolicy {
    /// On every address.
    #[default]
    Any,
    /// On the node's loopback addresses.
    Localhost,
    /// Nowhere: mappings are refused.
    Off,
}

/// The ports to publish, neighbouring ones as ranges, in the order of protocol and port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ports {
    mappings: Vec<Publish>,
    policy: PublishPolicy,
}

impl Ports {
    pub fn policy(&self) -> PublishPolicy {
        self.policy
    }

    pub fn is_empty(&self) -> bool {
        self.mappings.is_empty()
    }

    /// What to publish for an endpoint with addresses of these families, the policy applied.
    ///
    /// `0.0.0.0` and `::` name no address either (nerdctl sends `0.0.0.0` for a port without
    /// one), so that the policy narrows them too.
    pub fn on(&self, families: &[Family]) -> Vec<Publish> {
        match self.policy {
            PublishPolicy::Any => self.mappings.clone(),
            PublishPolicy::Off => Vec::new(),
            PublishPolicy::Localhost => self
                .mappings
                .iter()
                .flat_map(|one| narrowed(*one, families))
                .collect(),
        }
    }
}

fn narrowed(publish: Publish, families: &[Family]) -> Vec<Publish> {
    let families = match publish.bind() {
        HostBind::Address(_) => return vec![publish],
        HostBind::AnyOf(family) => vec![family],
        HostBind::Any => families.to_vec(),
    };
    let on = |family| {
        let bind = HostBind::Address(loopback(family));
        let (ports, first) = (publish.node_ports(), publish.container_first());
        Publish::new(publish.proto(), bind, ports, first).ok()
    };
    families.into_iter().filter_map(on).collect()
}

fn loopback(family: Family) -> IpAddr {
    match family {
        Family::Ipv4 => Ipv4Addr::LOCALHOST.into(),
        Family::Ipv6 => Ipv6Addr::LOCALHOST.into(),
    }
}

pub(crate) fn parse_policy(
    top: &mut Fields,
    mappings: Option<Field>,
) -> Result<Ports, ConfigError> {
    let policy = match top.take("publish") {
        None => PublishPolicy::default(),
        Some(field) => match field.text()? {
            "any" => PublishPolicy::Any,
            "localhost" => PublishPolicy::Localhost,
            "off" => PublishPolicy::Off,
            _ => return Err(field.expected("\"any\", \"localhost\" or \"off\"")),
        },
    };
    let Some(field) = mappings else {
        return Ok(Ports {
            mappings: Vec::new(),
            policy,
        });
    };
    let singles = field
        .list()?
        .map(|one| single(&one))
        .collect::<Result<Vec<_>, _>>()?;
    if policy == PublishPolicy::Off && !singles.is_empty() {
        let advice = "this network publishes no ports (\"publish\": \"off\")";
        return Err(field.unsupported(advice));
    }
    Ok(Ports {
        mappings: merge(singles).map_err(|source| field.wrong(source))?,
        policy,
    })
}

/// One port of the node that leads to one of the container: what runtimes send, who make single
/// ports of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Single {
    proto: Proto,
    bind: HostBind,
    node: u16,
    container: u16,
}

fn single(field: &Field) -> Result<Single, ConfigError> {
    let mut fields = field.fields(Case::Any)?;
    let single = Single {
        proto: proto(fields.take("protocol"))?,
        bind: bind(fields.take("hostIP"))?,
        node: port(&mut fields, "hostPort", field)?,
        container: port(&mut fields, "containerPort", field)?,
    };
    fields.finish()?;
    Ok(single)
}

fn port(fields: &mut Fields, name: &'static str, mapping: &Field) -> Result<u16, ConfigError> {
    let field = fields
        .take(name)
        .ok_or_else(|| mapping.expected("a mapping with hostPort and containerPort"))?;
    let port = field.value.as_u64().and_then(|n| u16::try_from(n).ok());
    port.filter(|port| *port != 0)
        .ok_or_else(|| field.expected("a port, 1 to 65535"))
}

fn proto(field: Option<Field>) -> Result<Proto, ConfigError> {
    let Some(field) = field else {
        return Ok(Proto::Tcp);
    };
    match field.text()?.to_ascii_lowercase().as_str() {
        "" => Ok(Proto::Tcp),
        name => name
            .parse()
            .map_err(|_| field.expected("\"tcp\", \"udp\" or \"sctp\"")),
    }
}

fn bind(field: Option<Field>) -> Result<HostBind, ConfigError> {
    let Some(field) = field else {
        return Ok(HostBind::Any);
    };
    if field.text()?.is_empty() {
        return Ok(HostBind::Any);
    }
    let address = field.address()?;
    Ok(if address.is_unspecified() {
        HostBind::AnyOf(Family::of(address))
    } else {
        HostBind::Address(address)
    })
}

/// Neighbours as ranges: a range that keeps its ports is one element of the firewall, however
/// long. Which port leads where stays the same; a mapping said twice is one.
fn merge(mut singles: Vec<Single>) -> Result<Vec<Publish>, ParseError> {
    singles.sort_unstable();
    singles.dedup();
    let mut runs: Vec<(Single, u16)> = Vec::new();
    for one in singles {
        match runs.last_mut() {
            Some((first, count)) if follows(*first, *count, one) => *count += 1,
            _ => runs.push((one, 1)),
        }
    }
    runs.into_iter()
        .map(|(first, count)| publish(first, count))
        .collect()
}

fn follows(first: Single, count: u16, next: Single) -> bool {
    let end = |start: u16| start.checked_add(count);
    (first.proto, first.bind) == (next.proto, next.bind)
        && end(first.node) == Some(next.node)
        && end(first.container) == Some(next.container)
}

fn publish(first: Single, count: u16) -> Result<Publish, ParseError> {
    let ports = PortRange::new(first.node, first.node + (count - 1))?;
    Publish::new(first.proto, first.bind, ports, first.container)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    fn mapping(proto: Proto, bind: HostBind, node: u16, container: u16) -> Single {
        Single {
            proto,
            bind,
            node,
            container,
        }
    }

    fn any_single() -> impl Strategy<Value = Single> {
        let proto = prop_oneof![Just(Proto::Tcp), Just(Proto::Udp)];
        let bind = prop_oneof![
            Just(HostBind::Any),
            Just(HostBind::AnyOf(Family::Ipv4)),
            Just(HostBind::Address(loopback(Family::Ipv4))),
        ];
        let port = || prop_oneof![1u16..12, 65_530u16..=65_535];
        (proto, bind, port(), port())
            .prop_map(|(proto, bind, node, container)| mapping(proto, bind, node, container))
    }

    fn pairs(all: &[Publish]) -> BTreeSet<Single> {
        let each = |one: &Publish| {
            let (proto, bind, first) = (one.proto(), one.bind(), one.container_first());
            let ports = one.node_ports().ports().enumerate();
            ports
                .map(|(n, node)| mapping(proto, bind, node, first + n as u16))
                .collect::<Vec<_>>()
        };
        all.iter().flat_map(each).collect()
    }

    proptest! {
        /// Ranges lead exactly where the single mappings led.
        #[test]
        fn merging_keeps_every_pair_of_ports(
            singles in proptest::collection::vec(any_single(), 0..60),
        ) {
            let merged = merge(singles.clone()).unwrap();
            prop_assert_eq!(pairs(&merged), singles.iter().copied().collect());
            prop_assert!(merged.len() <= singles.len());
        }
    }

    #[test]
    fn a_range_that_a_runtime_took_apart_is_one_again() {
        let port = |n| mapping(Proto::Tcp, HostBind::Any, n, n);
        let all: Vec<Single> = (1..=65_535).rev().map(port).collect();
        let merged = merge(all).unwrap();
        assert_eq!(merged.len(), 1);
        assert_eq!(merged[0].node_ports().count(), 65_535);
    }

    #[test]
    fn localhost_narrows_what_names_no_address() {
        let address = HostBind::Address("192.0.2.1".parse().unwrap());
        let ports = Ports {
            policy: PublishPolicy::Localhost,
            mappings: merge(vec![
                mapping(Proto::Tcp, HostBind::Any, 80, 8080),
                mapping(Proto::Tcp, HostBind::AnyOf(Family::Ipv4), 81, 81),
                mapping(Proto::Tcp, address, 82, 82),
            ])
            .unwrap(),
        };
        let on = |families: &[Family]| -> Vec<String> {
            ports.on(families).iter().map(ToString::to_string).collect()
        };
        assert_eq!(
            on(&Family::BOTH),
            [
                "127.0.0.1:80:8080/tcp",
                "[::1]:80:8080/tcp",
                "127.0.0.1:81:81/tcp",
                "192.0.2.1:82:82/tcp"
            ]
        );
        assert_eq!(on(&[Family::Ipv4]).len(), 3);
    }
}
