//! Nodes, networks and endpoints as a picture: an SVG file that needs nothing else, the same for
//! the same input, to be read on light and dark ground alike.
//!
//! Each node is a card with its networks in it. A network over several nodes is a coloured rail
//! above the cards with a branch to each of its parts; the grey rail below them is the underlay.
//! `layout` and `rails` say where everything is, `draw` says it in SVG.

mod draw;
mod layout;
mod place;
mod rails;

use crate::cluster::topology::Topology;

pub fn svg(topology: &Topology) -> String {
    draw::draw(&layout::layout(topology))
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::path::Path;

    use model::{Backend, EndpointName, NodeName, Vni};

    use super::layout::{CARDS_MAX, ROWS_MAX};
    use super::*;
    use crate::cluster::topology::{EndpointLeaf, NetworkBranch, NodeBranch};

    const GOLDEN: &str = include_str!("svg/golden.svg");

    fn endpoint(name: &str, addresses: &[&str]) -> EndpointLeaf {
        EndpointLeaf {
            name: name.parse().unwrap(),
            addresses: addresses.iter().map(|ip| ip.parse().unwrap()).collect(),
        }
    }

    fn network(
        name: &str,
        overlay: Option<(Backend, u32)>,
        subnets: &[&str],
        endpoints: Option<Vec<EndpointLeaf>>,
    ) -> NetworkBranch {
        NetworkBranch {
            name: name.parse().unwrap(),
            overlay: overlay.map(|(backend, vni)| (backend, Vni::try_from(vni).unwrap())),
            subnets: subnets
                .iter()
                .map(|prefix| prefix.parse().unwrap())
                .collect(),
            endpoints,
        }
    }

    fn node(name: &str, last: u8, networks: Vec<NetworkBranch>) -> NodeBranch {
        NodeBranch {
            name: Some(name.parse().unwrap()),
            here: last == 1,
            underlay: vec![IpAddr::from([192, 0, 2, last])],
            networks,
        }
    }

    fn three_nodes() -> Topology {
        let web = |last: u8, endpoints| {
            let subnets = [
                format!("10.50.{last}.0/24"),
                format!("fd00:50:0:{last}::/64"),
            ];
            let subnets: Vec<&str> = subnets.iter().map(String::as_str).collect();
            network("web", Some((Backend::Vxlan, 100)), &subnets, endpoints)
        };
        let flat = |last: u8, endpoints| {
            let subnet = format!("10.51.{last}.0/24");
            network("flat", Some((Backend::Routed, 101)), &[&subnet], endpoints)
        };
        let pair = |last: u8, name: &str| {
            vec![endpoint(
                name,
                &[&format!("10.50.{last}.2"), &format!("fd00:50:0:{last}::2")],
            )]
        };
        let local = network(
            "demo",
            None,
            &["192.168.0.0/24"],
            Some(vec![endpoint("netns0", &["192.168.0.10"])]),
        );
        Topology {
            source: None,
            nodes: vec![
                node(
                    "n1",
                    1,
                    vec![
                        local,
                        flat(1, Some(vec![endpoint("db", &["10.51.1.2"])])),
                        web(1, Some(pair(1, "c1"))),
                    ],
                ),
                node("n2", 2, vec![flat(2, None), web(2, None)]),
                node("n3", 3, vec![web(3, Some(Vec::new()))]),
            ],
        }
    }

    fn many(nodes: u32, endpoints: u32) -> Topology {
        let one = |n: u32| {
            let leaf = |e: u32| endpoint(&format!("c{n}-{e}"), &[&format!("10.50.1.{}", e % 250)]);
            let leaves = (0..endpoints).map(leaf).collect();
            let web = network(
                "web",
                Some((Backend::Vxlan, 100)),
                &["10.50.0.0/24"],
                Some(leaves),
            );
            node(&format!("node{n}"), 2, vec![web])
        };
        Topology {
            source: None,
            nodes: (0..nodes).map(one).collect(),
        }
    }

    /// Reads it as XML, and gives all its text.
    fn texts(svg: &str) -> Vec<String> {
        let document = roxmltree::Document::parse(svg).unwrap();
        assert_eq!(document.root_element().tag_name().name(), "svg");
        let all = document.descendants().filter(roxmltree::Node::is_text);
        all.filter_map(|node| node.text().map(str::to_owned))
            .collect()
    }

    #[test]
    fn a_picture_is_as_it_was_looked_at() {
        let drawn = svg(&three_nodes());
        texts(&drawn);
        let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/print/cluster/svg/golden.svg");
        if std::env::var_os("PONTOON_GOLDEN").is_some() {
            std::fs::write(&there, &drawn).unwrap();
        }
        assert!(
            drawn == GOLDEN,
            "the picture is another: PONTOON_GOLDEN=1 writes {}",
            there.display()
        );
        assert_eq!(
            drawn,
            svg(&three_nodes()),
            "the same input, the same picture"
        );
    }

    #[test]
    fn everything_is_named_in_it_and_nothing_is_fetched() {
        let drawn = svg(&three_nodes());
        let all = texts(&drawn).join("\n");
        for word in [
            "n1",
            "n2",
            "n3",
            "web",
            "flat",
            "demo",
            "vxlan 100",
            "routed 101",
            "netns0",
            "c1",
            "10.50.1.2",
            "192.0.2.3",
            "underlay",
        ] {
            assert!(all.contains(word), "{word}: {all}");
        }
        for word in [
            "href",
            "url(",
            "@import",
            "<script",
            "<image",
            "foreignObject",
        ] {
            assert!(!drawn.contains(word), "{word}");
        }
    }

    #[test]
    fn a_large_cluster_is_still_a_picture() {
        let drawn = svg(&many(100, 10));
        let all = texts(&drawn).join("\n");
        assert!(all.contains("100 nodes · 1 network · 1000 endpoints"));
        assert!(all.contains("c99-9"));
        assert!(drawn.len() < 1 << 20, "{} bytes", drawn.len());
        let picture = layout::layout(&many(100, 10));
        assert!(picture.width < 6000 && picture.height < 6000, "{picture:?}");
        // Beyond that, what is left out is counted.
        let nodes = u32::try_from(CARDS_MAX).unwrap() + 50;
        let endpoints = u32::try_from(ROWS_MAX).unwrap() + 7;
        let all = texts(&svg(&many(nodes, endpoints))).join("\n");
        assert!(all.contains("and 50 more nodes"), "{all}");
        assert!(all.contains("and 7 more"));
    }

    #[test]
    fn nothing_reaches_over_the_border_or_another_card() {
        for topology in [three_nodes(), many(1, 3), many(7, 30), many(100, 2)] {
            let picture = layout::layout(&topology);
            let cards: Vec<_> = picture.cards.iter().map(|card| card.area).collect();
            for (n, card) in cards.iter().enumerate() {
                assert!(card.right() < picture.width && card.bottom() < picture.height);
                for other in &cards[n + 1..] {
                    assert!(!card.meets(other), "{card:?} {other:?}");
                }
            }
            for card in &picture.cards {
                for part in &card.parts {
                    assert!(part.area.right() < card.area.right());
                    assert!(part.area.bottom() < card.area.bottom());
                }
            }
        }
    }

    #[test]
    fn names_of_any_length_fit_and_are_told_whole() {
        let long = "x".repeat(40);
        let name: EndpointName = long.parse().unwrap();
        let mut topology = three_nodes();
        topology.nodes[0].name = Some(long.parse::<NodeName>().unwrap());
        topology.nodes[0].networks[0].endpoints = Some(vec![EndpointLeaf {
            name,
            addresses: vec!["fd00:1111:2222:3333:4444:5555:6666:7777".parse().unwrap(); 3],
        }]);
        let all = texts(&svg(&topology));
        assert!(all.iter().any(|text| text.ends_with('…')), "{all:?}");
        assert!(all.iter().any(|text| text.contains(&long)), "{all:?}");
    }

    #[test]
    fn this_node_alone_is_a_picture_too() {
        let alone = Topology {
            source: None,
            nodes: vec![NodeBranch {
                name: None,
                here: true,
                underlay: Vec::new(),
                networks: Vec::new(),
            }],
        };
        let all = texts(&svg(&alone)).join("\n");
        assert!(
            all.contains("this node") && all.contains("no network"),
            "{all}"
        );
        texts(&svg(&Topology {
            source: None,
            nodes: Vec::new(),
        }));
    }
}
