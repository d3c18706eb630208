//! Nodes, networks and endpoints as a tree for the terminal, and as a graph for Graphviz.

use super::{list, source};
use crate::cluster::topology::{EndpointLeaf, NetworkBranch, NodeBranch, Topology};

/// A line and what hangs on it.
struct Twig {
    text: String,
    twigs: Vec<Twig>,
}

pub fn tree(topology: &Topology) -> String {
    let head = match &topology.source {
        Some(from) => format!("{}\n", source(from)),
        None => String::new(),
    };
    let nodes: Vec<Twig> = topology.nodes.iter().map(node_twig).collect();
    head + &branches(&nodes, "")
}

fn node_twig(node: &NodeBranch) -> Twig {
    Twig {
        text: joined(&[node_name(node), list_or_nothing(&node.underlay)]),
        twigs: node.networks.iter().map(network_twig).collect(),
    }
}

fn network_twig(network: &NetworkBranch) -> Twig {
    let endpoints = network.endpoints.iter().flatten();
    Twig {
        text: joined(&[
            network.name.to_string(),
            list_or_nothing(&network.subnets),
            way(network),
        ]),
        twigs: endpoints.map(endpoint_twig).collect(),
    }
}

fn endpoint_twig(endpoint: &EndpointLeaf) -> Twig {
    Twig {
        text: joined(&[
            endpoint.name.to_string(),
            list_or_nothing(&endpoint.addresses),
        ]),
        twigs: Vec::new(),
    }
}

pub fn node_name(node: &NodeBranch) -> String {
    match (&node.name, node.here) {
        (Some(name), true) => format!("{name} (here)"),
        (Some(name), false) => name.to_string(),
        (None, _) => "this node".to_owned(),
    }
}

pub fn way(network: &NetworkBranch) -> String {
    match network.overlay {
        Some((backend, vni)) => format!("{backend} {vni}"),
        None => String::new(),
    }
}

pub fn list_or_nothing<T: std::fmt::Display>(items: &[T]) -> String {
    match items {
        [] => String::new(),
        some => list(some),
    }
}

fn joined(words: &[String]) -> String {
    let words = words.iter().filter(|word| !word.is_empty());
    words.cloned().collect::<Vec<_>>().join("  ")
}

fn branches(twigs: &[Twig], before: &str) -> String {
    let last = twigs.len().saturating_sub(1);
    let branch = |(n, twig): (usize, &Twig)| {
        let (mark, under) = match n == last {
            true => ("└─ ", "   "),
            false => ("├─ ", "│  "),
        };
        let below = branches(&twig.twigs, &format!("{before}{under}"));
        format!("{before}{mark}{}\n{below}", twig.text)
    };
    twigs.iter().enumerate().map(branch).collect()
}

/// For `dot`: each node a box with its networks and endpoints inside, and a network over several
/// nodes as a point that joins its parts.
pub fn dot(topology: &Topology) -> String {
    let mut graph = "graph pontoon {\n  node [shape=box];\n".to_owned();
    for (n, node) in topology.nodes.iter().enumerate() {
        graph += &dot_node(n, node);
    }
    let mut ways: Vec<String> = topology.nodes.iter().flat_map(ways).collect();
    ways.sort();
    ways.dedup();
    graph.extend(ways);
    graph + "}\n"
}

fn dot_node(n: usize, node: &NodeBranch) -> String {
    let label = lines(&[node_name(node), list_or_nothing(&node.underlay)]);
    let mut text = format!("  subgraph cluster_{n} {{\n    label={label};\n");
    if node.networks.is_empty() {
        text += &format!("    {} [style=invis];\n", quoted(&node_name(node)));
    }
    for network in &node.networks {
        let id = part_id(node, network);
        let label = lines(&[network.name.to_string(), list_or_nothing(&network.subnets)]);
        text += &format!("    {id} [label={label}];\n");
        for endpoint in network.endpoints.iter().flatten() {
            let leaf = quoted(&format!(
                "{}/{}/{}",
                node_name(node),
                network.name,
                endpoint.name
            ));
            let label = lines(&[
                endpoint.name.to_string(),
                list_or_nothing(&endpoint.addresses),
            ]);
            text += &format!("    {leaf} [shape=ellipse, label={label}];\n    {id} -- {leaf};\n");
        }
    }
    text + "  }\n"
}

fn ways(node: &NodeBranch) -> Vec<String> {
    let overlays = node
        .networks
        .iter()
        .filter(|network| network.overlay.is_some());
    let lines = overlays.flat_map(|network| {
        let hub = quoted(&format!("network {}", network.name));
        let label = lines(&[network.name.to_string(), way(network)]);
        [
            format!("  {hub} [shape=hexagon, label={label}];\n"),
            format!("  {hub} -- {};\n", part_id(node, network)),
        ]
    });
    lines.collect()
}

fn part_id(node: &NodeBranch, network: &NetworkBranch) -> String {
    quoted(&format!("{}/{}", node_name(node), network.name))
}

/// A quoted string of the DOT language: in one only `"` and `\` mean something.
fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn lines(words: &[String]) -> String {
    let words = words.iter().filter(|word| !word.is_empty());
    let escaped = words.map(|word| word.replace('\\', "\\\\").replace('"', "\\\""));
    format!("\"{}\"", escaped.collect::<Vec<_>>().join("\\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topology() -> Topology {
        let network = |subnet: &str, endpoints| NetworkBranch {
            name: "blue".parse().unwrap(),
            overlay: Some((model::Backend::Vxlan, 4096.try_into().unwrap())),
            subnets: vec![subnet.parse().unwrap()],
            endpoints,
        };
        let web = EndpointLeaf {
            name: "web".parse().unwrap(),
            addresses: vec!["10.50.0.2".parse().unwrap()],
        };
        let node = |name: &str, here, last, network| NodeBranch {
            name: Some(name.parse().unwrap()),
            here,
            underlay: vec![[192, 0, 2, last].into()],
            networks: vec![network],
        };
        Topology {
            source: None,
            nodes: vec![
                node("a", true, 1, network("10.50.0.0/24", Some(vec![web]))),
                node("b", false, 2, network("10.50.1.0/24", None)),
            ],
        }
    }

    #[test]
    fn a_tree_has_nodes_networks_and_endpoints() {
        let expected = "\
├─ a (here)  192.0.2.1
│  └─ blue  10.50.0.0/24  vxlan 4096
│     └─ web  10.50.0.2
└─ b  192.0.2.2
   └─ blue  10.50.1.0/24  vxlan 4096
";
        assert_eq!(tree(&topology()), expected);
    }

    #[test]
    fn a_graph_joins_the_parts_of_a_network() {
        let expected = r#"graph pontoon {
  node [shape=box];
  subgraph cluster_0 {
    label="a (here)\n192.0.2.1";
    "a (here)/blue" [label="blue\n10.50.0.0/24"];
    "a (here)/blue/web" [shape=ellipse, label="web\n10.50.0.2"];
    "a (here)/blue" -- "a (here)/blue/web";
  }
  subgraph cluster_1 {
    label="b\n192.0.2.2";
    "b/blue" [label="blue\n10.50.1.0/24"];
  }
  "network blue" -- "a (here)/blue";
  "network blue" -- "b/blue";
  "network blue" [shape=hexagon, label="blue\nvxlan 4096"];
}
"#;
        assert_eq!(dot(&topology()), expected);
    }
}
