//! The lines of the picture: a rail for each network over the cards, branches from it to its parts,
//! the underlay below, and what joins the rails of several rows.

use std::collections::BTreeMap;

use super::layout::{GAP, LANE, Plan};
use super::place::{Area, Card, Line, Picture, Text};
use crate::cluster::topology::NodeBranch;

/// From the rails to a card's networks.
pub fn branches(
    picture: &mut Picture,
    (node, card): (&NodeBranch, &Card),
    plan: &Plan<'_>,
    top: u32,
    rails: &mut BTreeMap<u32, Rail>,
) {
    for (network, part) in plan.ordered(node).into_iter().zip(&card.parts) {
        let Some(lane) = plan.lanes.get(&network.name).copied() else {
            continue;
        };
        let y = top + lane * LANE;
        // The first lane's branch ends highest, and nearest: no branch crosses another's end.
        let x = card.area.x + plan.gutter() - lane * LANE - LANE / 2;
        let end = part.area.y + 16;
        picture.lines.push(Line {
            hue: Some(part.hue),
            points: vec![(x, y), (x, end), (part.area.x, end)],
        });
        picture.joints.push((part.hue, x, y));
        let rail = rails.entry(lane).or_insert(Rail {
            hue: Some(part.hue),
            y,
            from: x,
            to: x,
        });
        rail.to = x;
    }
}

/// What the nodes stand on.
pub fn underlay(picture: &mut Picture, cards: &[Area], plan: &Plan<'_>, y: u32, rails: &mut Rails) {
    let middle = |card: &Area| card.x + card.width / 2;
    for card in cards {
        picture.lines.push(Line {
            hue: None,
            points: vec![(middle(card), card.bottom()), (middle(card), y)],
        });
    }
    if let (Some(first), Some(last)) = (cards.first(), cards.last()) {
        rails.entry(u32::MAX).or_default().push(Rail {
            hue: None,
            y,
            from: middle(first),
            to: middle(last),
        });
    }
    let label = Text::new(plan.side(), y + 4, "underlay".to_owned());
    picture.labels.push(label);
}

/// By lane; the underlay is the last.
pub type Rails = BTreeMap<u32, Vec<Rail>>;

/// The part of a rail that is above or below one row of cards.
pub struct Rail {
    hue: Option<usize>,
    y: u32,
    from: u32,
    to: u32,
}

/// Rails, joined beside the cards where there are several rows: networks left, the underlay right.
pub fn trunks(picture: &mut Picture, rails: &Rails, plan: &Plan<'_>) {
    for (lane, rails) in rails {
        let beside = match rails[0].hue {
            Some(_) => plan.side() - GAP / 2 - lane * LANE,
            None => picture.width - plan.side() + GAP / 2,
        };
        for rail in rails {
            let (mut from, mut to) = (rail.from, rail.to);
            if rails.len() > 1 {
                (from, to) = (from.min(beside), to.max(beside));
            }
            picture.lines.push(Line {
                hue: rail.hue,
                points: vec![(from, rail.y), (to, rail.y)],
            });
        }
        if let [first, .., last] = &rails[..] {
            picture.lines.push(Line {
                hue: first.hue,
                points: vec![(beside, first.y), (beside, last.y)],
            });
        }
    }
}
