//! Steps as command lines for `sh`: iproute2, procps and nftables as Debian 12 has them.

use std::fmt;

use model::{Family, Target};

use crate::nft::text as nft_text;
use crate::{
    AddressKey, Learning, Link, LinkChange, LinkKey, LinkKind, Netns, NodePorts, QUEUE_MARK,
    ROUTE_PROTOCOL, Route, RouteKey, Step, SysctlKey, TUNNEL_TTL, Tunnel, Vxlan, Way,
};

/// The MAC of the entries that lead what no other entry does.
const NO_MAC: &str = "00:00:00:00:00:00";
/// An end of a veth pair: making one with more takes the kernel milliseconds.
const ONE_QUEUE: &str = "numtxqueues 1 numrxqueues 1";

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddNetns(name, mark) => {
                let mark = quote_words(&mark.to_string());
                write!(
                    f,
                    "ip netns add {name} && ip -n {name} link set lo alias {mark}"
                )
            }
            Self::DelNetns(name) => write!(f, "ip netns del {name}"),
            Self::AddLink(key, link) => add_link(f, key, link),
            Self::DelLink(key) => write!(f, "{} link del {}", ip(&key.netns), key.name),
            Self::SetLink(key, change) => set_link(f, key, change),
            Self::SetSysctl(key, value) => set_sysctl(f, key, value),
            Self::AddAddress(key) => address(f, key, "add"),
            Self::DelAddress(key) => address(f, key, "del"),
            Self::SetRoute(key, route) => set_route(f, key, route),
            Self::DelRoute(key) => {
                route_head(f, key, "del")?;
                route_tail(f, key)
            }
            Self::AddNeighbour(..)
            | Self::DelNeighbour(_)
            | Self::AddFdb(..)
            | Self::DelFdb(_)
            | Self::AddFlood(_)
            | Self::DelFlood(_)
            | Self::AddPortFdb(_)
            | Self::DelPortFdb(_) => entry(f, self),
            Self::SetQueue(..) | Self::DelQueue(_) | Self::AddDetour(..) | Self::DelDetour(_) => {
                shaping(f, self)
            }
            Self::ForgetFlows(address) => {
                let family = if address.is_ipv6() { " -f ipv6" } else { "" };
                // conntrack(8) fails where there is no such connection.
                write!(
                    f,
                    "conntrack -D{family} --reply-src {address} >/dev/null 2>&1 || true"
                )
            }
            Self::ForgetEarlyFlows(at) => forget_early_flows(f, at),
            nft => {
                let command = nft_text::command(nft).unwrap_or_default();
                write!(f, "nft {}", quote(&command))
            }
        }
    }
}

/// conntrack(8) knows no ranges.
fn forget_early_flows(f: &mut fmt::Formatter<'_>, at: &NodePorts) -> fmt::Result {
    let NodePorts { bind, ports } = at;
    let family = if bind.is_ipv6() { " -f ipv6" } else { "" };
    let to = match bind {
        any if any.is_unspecified() => String::new(),
        one => format!(" --orig-dst {one}"),
    };
    let delete = |port: &str| {
        format!("conntrack -D{family} -p udp{to} --orig-port-dst {port} >/dev/null 2>&1 || true")
    };
    let (first, last) = (ports.first(), ports.last());
    if ports.is_single() {
        return f.write_str(&delete(&first.to_string()));
    }
    write!(
        f,
        "for p in $(seq {first} {last}); do {}; done",
        delete("$p")
    )
}

/// Single quotes, unless nothing in the text means anything to a shell.
fn quote(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b" .,:/_=@-".contains(&b);
    if text.bytes().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

fn ip(netns: &Netns) -> String {
    match netns {
        Netns::Node => "ip".to_owned(),
        Netns::Target(Target::Named(name)) => format!("ip -n {name}"),
        Netns::Target(target) => format!("nsenter --net={} ip", quote(&target.path())),
    }
}

/// The kernel takes an alias, and a bridge's own MTU, only for a device that exists.
fn add_link(f: &mut fmt::Formatter<'_>, key: &LinkKey, link: &Link) -> fmt::Result {
    let Link {
        mac,
        mtu,
        alias,
        kind,
    } = link;
    let name = &key.name;
    let alias = quote_words(&alias.to_string());
    write!(f, "ip link add {name}")?;
    if let Some(mac) = mac {
        write!(f, " address {mac}")?;
    }
    match kind {
        LinkKind::Bridge => {
            write!(f, " type bridge no_linklocal_learn 1 mcast_snooping 0")?;
            write!(f, " && ip link set {name} mtu {mtu} alias {alias}")
        }
        LinkKind::Veth { port, peer } => {
            write!(f, " mtu {mtu}")?;
            if let Some(master) = &port.master {
                write!(f, " master {master}")?;
            }
            write!(f, " {ONE_QUEUE} type veth")?;
            if let Some(peer) = peer {
                write!(f, " peer name {}", peer.at.name)?;
                write!(f, " mtu {} address {} {ONE_QUEUE}", peer.mtu, peer.mac)?;
                if let Netns::Target(target) = &peer.at.netns {
                    write!(f, " netns {}", netns_argument(target))?;
                }
            }
            write!(f, " && ip link set {name} addrgenmode none alias {alias}")
        }
        LinkKind::Vxlan(vxlan) => {
            write!(f, " mtu {mtu}")?;
            add_vxlan(f, vxlan)?;
            write!(f, " && ip link set {name} addrgenmode none alias {alias}")
        }
        LinkKind::Tunnel(tunnel) => {
            write!(f, " mtu {mtu} type {} mode any", tunnel.kind())?;
            match tunnel {
                Tunnel::Ipv4 { local } => write!(f, " local {local} ttl {TUNNEL_TTL} pmtudisc")?,
                Tunnel::Ipv6 { local, remote } => {
                    write!(f, " local {local} remote {remote}")?;
                    write!(f, " hoplimit {TUNNEL_TTL} encaplimit none")?;
                }
            }
            write!(f, " && ip link set {name} addrgenmode none alias {alias}")
        }
        LinkKind::Ifb => {
            write!(f, " mtu {mtu} type ifb")?;
            write!(f, " && ip link set {name} addrgenmode none alias {alias}")
        }
    }
}

/// Queues and detours; nothing for any other step.
fn shaping(f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
    match step {
        Step::SetQueue(dev, queue) => write!(
            f,
            "tc qdisc replace dev {dev} root handle {QUEUE_MARK:x}: tbf rate {} burst {} limit {}",
            queue.rate, queue.burst_bytes, queue.limit_bytes
        ),
        Step::DelQueue(dev) => write!(f, "tc qdisc del dev {dev} root handle {QUEUE_MARK:x}:"),
        Step::AddDetour(dev, through) => write!(
            f,
            "tc qdisc replace dev {dev} ingress && tc filter add dev {dev} ingress pref {QUEUE_MARK} \
             protocol all u32 match u32 0 0 action mirred egress redirect dev {through}"
        ),
        Step::DelDetour(dev) => write!(f, "tc filter del dev {dev} ingress pref {QUEUE_MARK}"),
        _ => Ok(()),
    }
}

fn add_vxlan(f: &mut fmt::Formatter<'_>, vxlan: &Vxlan) -> fmt::Result {
    let Vxlan {
        vni,
        local,
        port,
        learning,
        master,
        suppress: _,
    } = vxlan;
    if let Some(master) = master {
        write!(f, " master {master}")?;
    }
    let learning = match learning {
        Learning::FromPackets => "learning",
        Learning::Never => "nolearning",
    };
    let checksum = match Family::of(*local) {
        Family::Ipv4 => "udpcsum",
        Family::Ipv6 => "noudp6zerocsumtx",
    };
    write!(
        f,
        " type vxlan id {vni} local {local} dstport {port} {learning} {checksum}"
    )
}

/// The entries of a VXLAN device, and of a bridge for one; nothing for any other step.
fn entry(f: &mut fmt::Formatter<'_>, step: &Step) -> fmt::Result {
    match step {
        Step::AddNeighbour(key, mac) => write!(
            f,
            "ip neigh replace {} lladdr {mac} dev {} nud permanent",
            key.address, key.dev
        ),
        Step::DelNeighbour(key) => write!(f, "ip neigh del {} dev {}", key.address, key.dev),
        Step::AddFdb(key, remote) => write!(
            f,
            "bridge fdb replace {} dev {} dst {remote} self permanent",
            key.mac, key.dev
        ),
        Step::DelFdb(key) => write!(f, "bridge fdb del {} dev {} self", key.mac, key.dev),
        Step::AddFlood(key) => write!(
            f,
            "bridge fdb append {NO_MAC} dev {} dst {} self permanent",
            key.dev, key.remote
        ),
        Step::DelFlood(key) => write!(
            f,
            "bridge fdb del {NO_MAC} dev {} dst {} self",
            key.dev, key.remote
        ),
        Step::AddPortFdb(key) => write!(
            f,
            "bridge fdb replace {} dev {} master static sticky",
            key.mac, key.port
        ),
        Step::DelPortFdb(key) => write!(f, "bridge fdb del {} dev {} master", key.mac, key.port),
        _ => Ok(()),
    }
}

fn quote_words(text: &str) -> String {
    if text.contains(' ') {
        format!("'{text}'")
    } else {
        quote(text)
    }
}

fn netns_argument(target: &Target) -> String {
    match target {
        Target::Named(name) => name.clone(),
        Target::Path(_) | Target::Pid(_) => quote(&target.path()),
    }
}

fn set_link(f: &mut fmt::Formatter<'_>, key: &LinkKey, change: &LinkChange) -> fmt::Result {
    let (ip, name) = (ip(&key.netns), &key.name);
    match change {
        LinkChange::Up => write!(f, "{ip} link set {name} up"),
        LinkChange::Mac(mac) => write!(f, "{ip} link set {name} address {mac}"),
        LinkChange::Mtu(mtu) => write!(f, "{ip} link set {name} mtu {mtu}"),
        LinkChange::Alias(alias) => {
            write!(
                f,
                "{ip} link set {name} alias {}",
                quote_words(&alias.to_string())
            )
        }
        LinkChange::Master(Some(master)) => write!(f, "{ip} link set {name} master {master}"),
        LinkChange::Master(None) => write!(f, "{ip} link set {name} nomaster"),
        LinkChange::Hairpin(true) => write!(f, "bridge link set dev {name} hairpin on"),
        LinkChange::Hairpin(false) => write!(f, "bridge link set dev {name} hairpin off"),
        LinkChange::Suppress(true) => write!(f, "bridge link set dev {name} neigh_suppress on"),
        LinkChange::Suppress(false) => write!(f, "bridge link set dev {name} neigh_suppress off"),
    }
}

fn set_sysctl(f: &mut fmt::Formatter<'_>, key: &SysctlKey, value: &str) -> fmt::Result {
    let enter = match &key.netns {
        Netns::Node => String::new(),
        Netns::Target(target) => format!("nsenter --net={} ", quote(&target.path())),
    };
    write!(f, "{enter}sysctl -qw {key}={value}")
}

fn address(f: &mut fmt::Formatter<'_>, key: &AddressKey, verb: &str) -> fmt::Result {
    let AddressKey {
        link,
        address,
        prefix_len,
    } = key;
    write!(
        f,
        "{} addr {verb} {address}/{prefix_len} dev {}",
        ip(&link.netns),
        link.name
    )?;
    if verb == "add" && address.is_ipv6() {
        write!(f, " nodad")?;
    }
    Ok(())
}

fn set_route(f: &mut fmt::Formatter<'_>, key: &RouteKey, route: &Route) -> fmt::Result {
    let Route::Leads(way) = route else {
        route_head(f, key, "replace unreachable")?;
        return route_tail(f, key);
    };
    let Way {
        via,
        dev,
        source,
        onlink,
    } = way;
    route_head(f, key, "replace")?;
    if let Some(via) = via {
        let family = match (key.destination.family(), Family::of(*via)) {
            (Family::Ipv4, Family::Ipv6) => "inet6 ",
            (Family::Ipv6, Family::Ipv4) => "inet ",
            (Family::Ipv4, Family::Ipv4) | (Family::Ipv6, Family::Ipv6) => "",
        };
        write!(f, " via {family}{via}")?;
    }
    write!(f, " dev {dev}")?;
    if *onlink {
        write!(f, " onlink")?;
    }
    if let Some(source) = source {
        write!(f, " src {source}")?;
    }
    route_tail(f, key)
}

fn route_head(f: &mut fmt::Formatter<'_>, key: &RouteKey, verb: &str) -> fmt::Result {
    let family = match key.destination.family() {
        Family::Ipv4 => "",
        Family::Ipv6 => " -6",
    };
    write!(f, "{}{family} route {verb} ", ip(&key.netns))?;
    if key.destination.is_any() {
        write!(f, "default")
    } else {
        write!(f, "{}", key.destination)
    }
}

fn route_tail(f: &mut fmt::Formatter<'_>, key: &RouteKey) -> fmt::Result {
    write!(f, " proto {ROUTE_PROTOCOL} metric {}", key.metric)
}
