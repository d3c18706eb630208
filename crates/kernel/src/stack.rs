//! Everything of one namespace, as a person reads it.

use std::collections::{BTreeMap, BTreeSet};

use model::{Family, Proto};
use netstate::nft::{NftFamily, text};
use netstate::stack::{
    DeviceState, Stack, StackAddress, StackChain, StackDevice, StackFdb, StackNeighbour, StackPeer,
    StackRoute, StackSocket, StackTable, StackVxlan,
};

use crate::base_chains::base_chains;
use crate::error::KernelError;
use crate::firewall;
use crate::foreign;
use crate::namespace::Namespace;
use crate::rtnl::address::AddressInfo;
use crate::rtnl::link_read::LinkInfo;
use crate::rtnl::neighbour::NeighbourInfo;
use crate::rtnl::route::RouteInfo;
use crate::sockets::bound;

type Names = BTreeMap<u32, String>;

pub fn stack(namespace: &mut Namespace) -> Result<Stack, KernelError> {
    let links = namespace.links()?;
    let names: Names = links.iter().map(|l| (l.index, l.name.clone())).collect();
    let mut stack = Stack {
        devices: links.iter().map(|link| device(link, &names)).collect(),
        addresses: all(&namespace.addresses()?, |info| address(info, &names)),
        routes: all(&namespace.routes(0)?, |info| route(info, &names)),
        neighbours: neighbours(namespace, &names)?,
        fdb: fdb(namespace, &links)?,
        sockets: sockets(namespace)?,
        chains: base_chains(namespace)?,
        tables: tables(namespace)?,
    };
    let foreign = foreign_tables(namespace, &stack.chains)?;
    stack.tables.extend(foreign);
    stack.devices.sort();
    stack.addresses.sort();
    stack.routes.sort();
    stack.neighbours.sort();
    stack.fdb.sort();
    Ok(stack)
}

fn all<I, T>(infos: &[I], read: impl Fn(&I) -> Option<T>) -> Vec<T> {
    infos.iter().filter_map(read).collect()
}

fn mac_text(mac: [u8; 6]) -> String {
    let [a, b, c, d, e, f] = mac;
    format!("{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{f:02x}")
}

fn device(info: &LinkInfo, names: &Names) -> StackDevice {
    let plain = if info.is_loopback() {
        "loopback"
    } else {
        "hardware"
    };
    let state = match (info.is_up(), info.has_carrier()) {
        (true, true) => DeviceState::Up,
        (true, false) => DeviceState::NoCarrier,
        (false, _) => DeviceState::Down,
    };
    let peer = match (info.lower, info.lower_nsid) {
        (_, Some(number)) => Some(StackPeer::Elsewhere(number)),
        (Some(index), None) if index != info.index => {
            names.get(&index).cloned().map(StackPeer::Here)
        }
        _ => None,
    };
    StackDevice {
        name: info.name.clone(),
        kind: info.kind.clone().unwrap_or_else(|| plain.to_owned()),
        state,
        mtu: info.mtu,
        mac: info.mac.filter(|mac| *mac != [0; 6]).map(mac_text),
        master: info.master.and_then(|index| names.get(&index)).cloned(),
        hairpin: info.hairpin,
        peer,
        vxlan: info.vxlan.as_ref().map(|vxlan| StackVxlan {
            vni: vxlan.vni,
            local: vxlan.local,
            port: vxlan.port,
        }),
        alias: info.alias.clone(),
    }
}

fn address(info: &AddressInfo, names: &Names) -> Option<StackAddress> {
    let scope = match info.scope {
        libc::RT_SCOPE_UNIVERSE => "global".to_owned(),
        libc::RT_SCOPE_SITE => "site".to_owned(),
        libc::RT_SCOPE_LINK => "link".to_owned(),
        libc::RT_SCOPE_HOST => "host".to_owned(),
        other => other.to_string(),
    };
    // The bit of a secondary IPv4 address is that of a temporary IPv6 one.
    let second = match info.address.is_ipv4() {
        true => "secondary",
        false => "temporary",
    };
    let flags = [
        (libc::IFA_F_SECONDARY, second),
        (libc::IFA_F_TENTATIVE, "tentative"),
        (libc::IFA_F_DADFAILED, "dadfailed"),
        (libc::IFA_F_DEPRECATED, "deprecated"),
        (libc::IFA_F_NODAD, "nodad"),
    ];
    Some(StackAddress {
        device: names.get(&info.index)?.clone(),
        address: info.address,
        prefix_len: info.prefix_len,
        scope,
        flags: flags
            .into_iter()
            .filter(|(bit, _)| info.flags & bit != 0)
            .map(|(_, name)| name.to_owned())
            .collect(),
    })
}

/// `None` for the routes to the namespace's own addresses and to groups.
fn route(info: &RouteInfo, names: &Names) -> Option<StackRoute> {
    let kind = match info.kind {
        libc::RTN_UNICAST => "unicast",
        libc::RTN_BLACKHOLE => "blackhole",
        libc::RTN_UNREACHABLE => "unreachable",
        libc::RTN_PROHIBIT => "prohibit",
        libc::RTN_THROW => "throw",
        _ => return None,
    };
    (!info.is_local()).then(|| StackRoute {
        table: (!info.is_main()).then_some(info.table),
        prefix: info.prefix.to_string(),
        kind: kind.to_owned(),
        via: info.via,
        device: info.index.and_then(|index| names.get(&index)).cloned(),
        source: info.source,
        protocol: protocol_text(info.protocol),
        metric: info.metric,
    })
}

/// As `/etc/iproute2/rt_protos` names the common ones.
fn protocol_text(protocol: u8) -> String {
    match protocol {
        libc::RTPROT_KERNEL => "kernel".to_owned(),
        libc::RTPROT_BOOT => "boot".to_owned(),
        libc::RTPROT_STATIC => "static".to_owned(),
        libc::RTPROT_REDIRECT => "redirect".to_owned(),
        9 => "ra".to_owned(),
        16 => "dhcp".to_owned(),
        netstate::ROUTE_PROTOCOL => text::TABLE.to_owned(),
        other => other.to_string(),
    }
}

fn neighbours(
    namespace: &mut Namespace,
    names: &Names,
) -> Result<Vec<StackNeighbour>, KernelError> {
    let mut infos: Vec<NeighbourInfo> = Vec::new();
    for family in Family::BOTH {
        infos.extend(namespace.neighbours(family)?);
    }
    Ok(all(&infos, |info| {
        Some(StackNeighbour {
            device: names.get(&info.index)?.clone(),
            address: info.address,
            mac: info.mac.map(mac_text),
            state: state_text(info.state).to_owned(),
        })
    }))
}

/// Of the VXLAN devices, anybody's.
fn fdb(namespace: &mut Namespace, links: &[LinkInfo]) -> Result<Vec<StackFdb>, KernelError> {
    let mut entries = Vec::new();
    for link in links.iter().filter(|link| link.vxlan.is_some()) {
        let infos = namespace.forwarding(link.index)?;
        entries.extend(infos.into_iter().map(|info| {
            StackFdb {
                device: link.name.clone(),
                mac: info.mac.map(mac_text),
                remote: info.remote,
                state: match info.is_permanent() {
                    true => "permanent",
                    false => state_text(info.state),
                }
                .to_owned(),
            }
        }));
    }
    Ok(entries)
}

fn state_text(state: u16) -> &'static str {
    match state {
        libc::NUD_INCOMPLETE => "incomplete",
        libc::NUD_REACHABLE => "reachable",
        libc::NUD_STALE => "stale",
        libc::NUD_DELAY => "delay",
        libc::NUD_PROBE => "probe",
        libc::NUD_FAILED => "failed",
        libc::NUD_PERMANENT => "permanent",
        _ => "unknown",
    }
}

fn sockets(namespace: &mut Namespace) -> Result<Vec<StackSocket>, KernelError> {
    let mut sockets = Vec::new();
    for proto in [Proto::Tcp, Proto::Udp] {
        sockets.extend(bound(namespace, proto)?.into_iter().map(|b| StackSocket {
            proto: proto.to_string(),
            address: b.listener.address,
            port: b.listener.port,
        }));
    }
    sockets.sort();
    Ok(sockets)
}

fn tables(namespace: &mut Namespace) -> Result<Vec<StackTable>, KernelError> {
    let state = firewall::observe(namespace)?;
    let families = [NftFamily::Inet, NftFamily::Bridge].into_iter();
    let ours = families.filter(|family| state.tables.contains_key(family));
    Ok(ours
        .map(|family| StackTable {
            family: family.to_string(),
            name: text::TABLE.to_owned(),
            text: text::table(family, &state),
        })
        .collect())
}

/// Foreign tables, as far as they can be listed.
fn foreign_tables(
    namespace: &Namespace,
    chains: &[StackChain],
) -> Result<Vec<StackTable>, KernelError> {
    let foreign = chains.iter().filter(|chain| chain.table != text::TABLE);
    let names = foreign.map(|chain| (chain.family.clone(), chain.table.clone()));
    let names: BTreeSet<(String, String)> = names.collect();
    namespace.visit(|| {
        let tables = names.into_iter();
        tables
            .filter_map(|(family, name)| read_table(family, name))
            .collect()
    })
}

fn read_table(family: String, name: String) -> Option<StackTable> {
    let text = foreign::listed(&["--stateless", "list", "table"], [&family, &name])?;
    Some(StackTable { family, name, text })
}
