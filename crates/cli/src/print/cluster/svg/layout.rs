//! Where everything is in the picture.

use std::collections::BTreeMap;

use model::NetworkName;

use super::place::{Area, Card, Crosses, Entry, Face, Part, Picture, Row, Text};
use super::rails::{Rails, branches, trunks, underlay};
use crate::cluster::topology::{NetworkBranch, NodeBranch, Topology};
use crate::print::cluster::list;
use crate::print::cluster::topology::{list_or_nothing, node_name, way};

/// The most nodes that are drawn; the others are counted.
pub const CARDS_MAX: usize = 200;
/// The most endpoints of one network that are drawn on one node.
pub const ROWS_MAX: usize = 20;
/// More networks over several nodes have colours, but no rails: nobody could follow them.
const RAILS_MAX: usize = 8;
/// The most networks that the head names.
const ENTRIES_MAX: usize = 16;
/// How many colours there are; see `draw`.
pub const HUES: usize = 8;

const MARGIN: u32 = 28;
pub const GAP: u32 = 26;
const HEAD: u32 = 66;
const ENTRY_ROW: u32 = 22;
const CARD_HEAD: u32 = 52;
const PART_HEAD: u32 = 42;
const PART_GAP: u32 = 10;
const ROW: u32 = 19;
const PAD: u32 = 12;
/// Between two rails, or two branches.
pub const LANE: u32 = 8;
/// Below the cards, where the underlay is.
const UNDERLAY: u32 = 34;
const CARD_MIN: u32 = 230;
const CARD_MAX: u32 = 400;
const PICTURE_MIN: u32 = 460;

/// What holds for the whole picture.
pub struct Plan<'a> {
    hues: BTreeMap<&'a NetworkName, usize>,
    /// Networks with a rail, and which one.
    pub lanes: BTreeMap<&'a NetworkName, u32>,
    columns: usize,
    card_width: u32,
}

impl Plan<'_> {
    fn lanes_width(&self) -> u32 {
        count(self.lanes.len()) * LANE
    }

    /// From a card's left border to its networks: branches come down there.
    pub fn gutter(&self) -> u32 {
        PAD + self.lanes_width()
    }

    /// Beside the cards, on both sides: there rails of several rows are joined.
    pub fn side(&self) -> u32 {
        MARGIN + self.lanes_width()
    }

    /// A node's networks in the order of their rails, those without behind: no branch crosses
    /// another.
    pub fn ordered<'n>(&self, node: &'n NodeBranch) -> Vec<&'n NetworkBranch> {
        let mut all: Vec<_> = node.networks.iter().collect();
        all.sort_by_key(|part| (!self.lanes.contains_key(&part.name), &part.name));
        all
    }
}

fn count(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

pub fn layout(topology: &Topology) -> Picture {
    let shown = &topology.nodes[..topology.nodes.len().min(CARDS_MAX)];
    let plan = plan(topology, shown);
    let columns = count(plan.columns.min(shown.len()).max(1));
    let inside = columns * plan.card_width + (columns - 1) * GAP;
    let mut picture = Picture {
        width: (inside + 2 * plan.side()).max(PICTURE_MIN),
        heading: heading(topology),
        ..Picture::default()
    };
    let mut y = head(&mut picture, topology, &plan);
    let mut rails = Rails::new();
    for nodes in shown.chunks(plan.columns) {
        y = band(&mut picture, nodes, &plan, y, &mut rails);
    }
    trunks(&mut picture, &rails, &plan);
    let hidden = topology.nodes.len() - shown.len();
    if hidden > 0 {
        let text = format!("… and {hidden} more nodes");
        picture.labels.push(Text::new(plan.side(), y, text));
        y += ROW;
    }
    picture.height = y + MARGIN / 2;
    picture
}

fn plan<'a>(topology: &'a Topology, shown: &[NodeBranch]) -> Plan<'a> {
    let parts = || topology.nodes.iter().flat_map(|node| &node.networks);
    let overlays = parts().filter(|part| part.overlay.is_some());
    let mut hues: BTreeMap<_, _> = overlays.map(|part| (&part.name, 0)).collect();
    for (n, hue) in hues.values_mut().enumerate() {
        *hue = n;
    }
    let several = hues.len() <= RAILS_MAX && topology.nodes.len() > 1;
    let lanes = hues.iter().filter(|_| several);
    let lanes = lanes.map(|(name, n)| (*name, count(*n))).collect();
    for part in parts() {
        let next = hues.len();
        hues.entry(&part.name).or_insert(next);
    }
    let mut plan = Plan {
        hues,
        lanes,
        columns: columns(shown.len()),
        card_width: CARD_MIN,
    };
    let widths = shown.iter().map(|node| wish(node, plan.gutter()));
    plan.card_width = widths.max().unwrap_or(0).clamp(CARD_MIN, CARD_MAX);
    plan
}

/// Somewhat wider than high, as screens are.
fn columns(cards: usize) -> usize {
    match cards {
        0..=4 => cards.max(1),
        _ => (2..=12)
            .find(|wide| wide * wide * 5 >= cards * 8)
            .unwrap_or(12),
    }
}

/// The width that a node's texts would like.
fn wish(node: &NodeBranch, gutter: u32) -> u32 {
    let head = gutter + Face::Fixed.width(&list_or_nothing(&node.underlay)) + 2 * PAD;
    let parts = node.networks.iter().map(|part| {
        let subnets = Face::Fixed.width(&list(&part.subnets));
        let name = Face::Name.width(part.name.as_str()) + Face::Fixed.width(&way(part)) + PAD;
        let rows = part.endpoints.iter().flatten().map(|leaf| {
            let addresses = Face::Fixed.width(&list_or_nothing(&leaf.addresses));
            Face::Name.width(leaf.name.as_str()) + addresses + PAD
        });
        let widest = rows.chain([subnets, name]).max().unwrap_or(0);
        gutter + widest + 3 * PAD
    });
    parts.chain([head]).max().unwrap_or(head)
}

fn heading(topology: &Topology) -> String {
    let nodes = topology.nodes.iter();
    let mut networks: Vec<&NetworkName> = Vec::new();
    let mut endpoints = 0;
    let mut all_known = true;
    for part in nodes.flat_map(|node| &node.networks) {
        networks.push(&part.name);
        endpoints += part.endpoints.as_ref().map_or(0, Vec::len);
        all_known &= part.endpoints.is_some();
    }
    networks.sort();
    networks.dedup();
    format!(
        "{} · {} · {}{}",
        some(topology.nodes.len(), "node"),
        some(networks.len(), "network"),
        some(endpoints, "endpoint"),
        if all_known { "" } else { " known here" }
    )
}

fn some(number: usize, word: &str) -> String {
    match number {
        1 => format!("1 {word}"),
        _ => format!("{number} {word}s"),
    }
}

/// The networks over several nodes by their colours; answers where the cards begin.
fn head(picture: &mut Picture, topology: &Topology, plan: &Plan<'_>) -> u32 {
    let parts = topology.nodes.iter().flat_map(|node| &node.networks);
    let ways: BTreeMap<_, _> = parts
        .filter(|part| part.overlay.is_some())
        .map(|part| (&part.name, way(part)))
        .collect();
    let (mut x, mut y) = (MARGIN, HEAD);
    let hidden = ways.len().saturating_sub(ENTRIES_MAX);
    for (name, way) in ways.into_iter().take(ENTRIES_MAX) {
        let name_width = Face::Name.width(name.as_str());
        let width = 30 + name_width + 10 + Face::Fixed.width(&way);
        if x > MARGIN && x + width > picture.width - MARGIN {
            (x, y) = (MARGIN, y + ENTRY_ROW);
        }
        picture.entries.push(Entry {
            hue: plan.hues[name],
            name: Text::new(x + 30, y, name.to_string()),
            way: Text::new(x + 30 + name_width + 10, y, way),
        });
        x += width + GAP;
    }
    if hidden > 0 {
        y += ENTRY_ROW;
        let text = format!("… and {hidden} more networks");
        picture.labels.push(Text::new(MARGIN, y, text));
    }
    y + 16
}

/// One row of cards with the rails above and the underlay below; answers where the next begins.
fn band<'a>(
    picture: &mut Picture,
    nodes: &'a [NodeBranch],
    plan: &Plan<'a>,
    top: u32,
    rails: &mut Rails,
) -> u32 {
    let cards_top = top + plan.lanes_width() + GAP / 2;
    let first = picture.cards.len();
    let mut here = BTreeMap::new();
    for (n, node) in nodes.iter().enumerate() {
        let x = plan.side() + count(n) * (plan.card_width + GAP);
        let card = card(node, plan, x, cards_top);
        branches(picture, (node, &card), plan, top, &mut here);
        picture.cards.push(card);
    }
    for (lane, rail) in here {
        rails.entry(lane).or_default().push(rail);
    }
    let areas: Vec<Area> = picture.cards[first..]
        .iter()
        .map(|card| card.area)
        .collect();
    let bottom = areas.iter().map(Area::bottom).max().unwrap_or(cards_top);
    if picture.cards.len() == 1 {
        return bottom + GAP / 2;
    }
    underlay(picture, &areas, plan, bottom + UNDERLAY / 2, rails);
    bottom + UNDERLAY / 2 + UNDERLAY
}

fn card(node: &NodeBranch, plan: &Plan<'_>, x: u32, y: u32) -> Card {
    // Beside the branches that come down.
    let left = x + plan.gutter();
    let room = plan.card_width - plan.gutter() - PAD;
    let mut bottom = y + CARD_HEAD;
    let mut parts = Vec::new();
    for network in plan.ordered(node) {
        let part = part(network, plan, x, bottom);
        bottom = part.area.bottom() + PART_GAP;
        parts.push(part);
    }
    let note = parts.is_empty().then(|| {
        bottom += ROW;
        Text::new(left, bottom - ROW / 2, "no network".to_owned())
    });
    let text = |y, text, face| Text::fitted(left, y, text, face, room);
    Card {
        area: Area {
            x,
            y,
            width: plan.card_width,
            height: bottom + 2 - y,
        },
        name: text(y + 23, node_name(node), Face::Title),
        underlay: text(y + 40, list_or_nothing(&node.underlay), Face::Fixed),
        parts,
        note,
    }
}

fn part(network: &NetworkBranch, plan: &Plan<'_>, card_x: u32, y: u32) -> Part {
    let x = card_x + plan.gutter();
    let width = plan.card_width - plan.gutter() - PAD;
    let (left, right, room) = (x + PAD, x + width - PAD, width - 2 * PAD);
    let mut bottom = y + PART_HEAD;
    let mut rows = Vec::new();
    for leaf in network.endpoints.iter().flatten().take(ROWS_MAX) {
        let addresses = list_or_nothing(&leaf.addresses);
        let name = leaf.name.to_string();
        // A name has two fifths of the room, and what the addresses leave.
        let rest = room.saturating_sub(Face::Fixed.width(&addresses) + PAD);
        let name_room = rest.max(room * 2 / 5);
        let name = Text::fitted(left, bottom + 12, name, Face::Name, name_room);
        let rest = room - (Face::Name.width(&name.shown) + PAD).min(room * 3 / 5);
        rows.push(Row {
            name,
            addresses: Text::fitted(right, bottom + 12, addresses, Face::Fixed, rest),
        });
        bottom += ROW;
    }
    let note = note(network).map(|text| {
        bottom += ROW;
        Text::new(left, bottom - 7, text)
    });
    let way = way(network);
    let name_room = room.saturating_sub(Face::Fixed.width(&way) + PAD);
    Part {
        area: Area {
            x,
            y,
            width,
            height: bottom + 6 - y,
        },
        hue: plan.hues[&network.name] % HUES,
        crosses: match network.overlay {
            Some(_) => Crosses::Nodes,
            None => Crosses::Nothing,
        },
        name: Text::fitted(
            left,
            y + 18,
            network.name.to_string(),
            Face::Name,
            name_room,
        ),
        way: Text::new(right, y + 18, way),
        subnets: Text::fitted(left, y + 34, list(&network.subnets), Face::Fixed, room),
        rows,
        note,
    }
}

/// What stands in the place of endpoints.
fn note(network: &NetworkBranch) -> Option<String> {
    let Some(endpoints) = &network.endpoints else {
        return Some("endpoints: ask that node".to_owned());
    };
    match endpoints.len() {
        0 => Some("no endpoint".to_owned()),
        all if all > ROWS_MAX => Some(format!("… and {} more", all - ROWS_MAX)),
        _ => None,
    }
}
