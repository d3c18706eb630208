//! Clusters as text: nodes, networks over all of them, what joining did.

mod status;
mod svg;
mod topology;

use std::fmt::Display;

use agent::{Joined, RemovedOverlay};
use engine::{Adopted, Mode, Reconciled};
use model::{ClusterNode, Family, MtuSetting, Names, NodeName, Overlay, Reach, Span};

use super::audit::age;
use super::reconciled;
use super::table::table;
use crate::cluster::known::{Known, Source};

pub use status::status;
pub use svg::svg;
pub use topology::{dot, tree};

/// Why a network is there that should not be as it is.
pub const STRANDED: &str = "the cluster has it otherwise or no more; it stays for the endpoints on it until they are detached";

fn list<T: Display>(items: &[T]) -> String {
    if items.is_empty() {
        return "-".to_owned();
    }
    let texts: Vec<String> = items.iter().map(ToString::to_string).collect();
    texts.join(", ")
}

pub fn joined(joined: &Joined) -> String {
    let Joined {
        node,
        unclaimed,
        adopted,
    } = joined;
    let unclaimed = unclaimed.iter();
    let unclaimed =
        unclaimed.map(|n| format!("network {} has no part for {node}: {}\n", n.name, n.why));
    let mut text: String = unclaimed.collect();
    text += &networks(adopted);
    if adopted.reconciled != Reconciled::default() {
        text += &reconciled(&adopted.reconciled);
    }
    if text.is_empty() {
        return format!("nothing to do: {node} is as the cluster and the records say\n");
    }
    text
}

fn networks(adopted: &Adopted) -> String {
    let line = |what: &str, name: &model::NetworkName| format!("network {name} {what}\n");
    let removed = adopted.removed.iter().map(|name| line("removed", name));
    let added = adopted.added.iter().map(|name| line("added", name));
    let refused = adopted.refused.iter();
    let refused =
        refused.map(|network| format!("network {} refused: {}\n", network.name, network.why));
    let stranded = adopted.stranded.iter();
    let stranded = stranded.map(|name| format!("network {name} is stranded: {STRANDED}\n"));
    removed
        .chain(added)
        .chain(refused)
        .chain(stranded)
        .collect()
}

pub fn overlay_created(overlay: &Overlay) -> String {
    format!(
        "overlay network {} created: {}\neach node takes its part when its agent hears of it\n",
        overlay.name,
        described(overlay)
    )
}

pub fn overlay_planned(overlay: &Overlay) -> String {
    let what = described(overlay);
    format!(
        "would create the overlay network {}: {what}\n",
        overlay.name
    )
}

fn described(overlay: &Overlay) -> String {
    let parts = overlay.prefixes.iter();
    let parts: Vec<String> = parts
        .map(|part| format!("{} in node subnets of /{}", part.prefix, part.node_bits))
        .collect();
    let span = match overlay.span {
        Span::Node => "",
        Span::Stretched => " stretched over all nodes",
    };
    let names = match overlay.names {
        Names::Off => "",
        Names::On => ", with names",
    };
    format!(
        "{}, {}{span}, VNI {}{names}",
        parts.join(", "),
        overlay.backend,
        overlay.vni
    )
}

/// An overlay network as the file of a static cluster has it.
pub fn overlay_as_toml(overlay: &Overlay) -> String {
    let prefixes = overlay.prefixes.iter();
    let subnets: Vec<String> = prefixes
        .map(|p| format!("{:?}", p.prefix.to_string()))
        .collect();
    let bits = overlay.prefixes.iter().map(|part| {
        let family = match part.prefix.family() {
            Family::Ipv4 => "ipv4",
            Family::Ipv6 => "ipv6",
        };
        format!("{family} = {}", part.node_bits)
    });
    let bits = bits.collect::<Vec<_>>().join(", ");
    let mut text = format!(
        "[[network]]\nname = \"{}\"\nsubnets = [{}]\nnode-prefix = {{ {bits} }}\nvni = {}\nbackend = \"{}\"\n",
        overlay.name,
        subnets.join(", "),
        overlay.vni,
        overlay.backend
    );
    if let MtuSetting::Fixed(mtu) = overlay.mtu {
        text += &format!("mtu = {mtu}\n");
    }
    if overlay.reach == Reach::Internal {
        text += "internal = true\n";
    }
    if overlay.span == Span::Stretched {
        text += "stretch = true\n";
    }
    if !overlay.names.are_off() {
        text += "names = true\n";
    }
    text
}

pub fn overlay_removed(removed: &RemovedOverlay, mode: Mode) -> String {
    let done = match mode {
        Mode::DryRun => "would be removed",
        Mode::Apply => "removed",
    };
    format!(
        "overlay network {} {done} from the cluster; nodes that had a part: {}\na node with endpoints on it keeps it for them until they are detached\n",
        removed.name,
        list(&removed.nodes)
    )
}

pub fn node_removed(name: &NodeName) -> String {
    format!(
        "node {name} removed, its subnets are free; if it still runs, it joins again with others\n"
    )
}

pub fn nodes(known: &Known) -> String {
    let rows: Vec<Vec<String>> = known
        .cluster
        .nodes
        .values()
        .map(|n| row(n, known))
        .collect();
    let head = ["NAME", "UNDERLAY", "SEEN", "SUBNETS"];
    format!("{}\n{}", source(&known.source), table(&head, &rows))
}

fn row(node: &ClusterNode, known: &Known) -> Vec<String> {
    let subnets = node.subnets.values().flatten();
    let subnets: Vec<String> = subnets.map(ToString::to_string).collect();
    vec![
        named(&node.name, known.me.as_ref()),
        list(&node.underlay),
        seen(node),
        list(&subnets),
    ]
}

fn named(name: &NodeName, me: Option<&NodeName>) -> String {
    match me == Some(name) {
        true => format!("{name} (here)"),
        false => name.to_string(),
    }
}

fn seen(node: &ClusterNode) -> String {
    match node.seen_at {
        None => "-".to_owned(),
        Some(at) => format!("{} ago", age(engine::now_secs().saturating_sub(at))),
    }
}

/// Who says so, and how old it is.
fn source(source: &Source) -> String {
    match source {
        Source::Store { cluster } => format!("from {cluster}"),
        Source::Records {
            age_secs, because, ..
        } => {
            let old = match age_secs {
                Some(secs) => format!("{} old", age(*secs)),
                None => "of unknown age".to_owned(),
            };
            match because {
                Some(why) => format!("from this node's records, {old}: {why}"),
                None => format!("from this node's records, {old}"),
            }
        }
    }
}

pub fn node(known: &Known) -> String {
    let page = |node: &ClusterNode| {
        let mut text = format!("node      {}\n", named(&node.name, known.me.as_ref()));
        if let Some(id) = node.id {
            text += &format!("records   {id}\n");
        }
        text += &format!(
            "underlay  {}\nseen      {}\n",
            list(&node.underlay),
            seen(node)
        );
        for (network, subnets) in &node.subnets {
            text += &format!("subnet    {} of {network}\n", list(subnets));
        }
        text
    };
    let pages: String = known.cluster.nodes.values().map(page).collect();
    format!("{}\n{pages}", source(&known.source))
}

#[cfg(test)]
mod tests {
    use model::{Backend, OverlayPrefix};

    use super::*;

    #[test]
    fn a_network_for_the_file_has_all_its_words() {
        let part = |text: &str| OverlayPrefix::new(text.parse().unwrap(), None).unwrap();
        let overlay = Overlay {
            name: "blue".parse().unwrap(),
            prefixes: vec![part("10.50.0.0/16"), part("fd00:50::/48")],
            backend: Backend::Vxlan,
            vni: 4096.try_into().unwrap(),
            mtu: "1400".parse().unwrap(),
            reach: Reach::Internal,
            span: Span::Stretched,
            names: Names::On,
        };
        let text = r#"[[network]]
name = "blue"
subnets = ["10.50.0.0/16", "fd00:50::/48"]
node-prefix = { ipv4 = 24, ipv6 = 64 }
vni = 4096
backend = "vxlan"
mtu = 1400
internal = true
stretch = true
names = true
"#;
        assert_eq!(overlay_as_toml(&overlay), text);
    }
}
