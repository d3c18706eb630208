//! Where a probe came to its end, from what was seen of it.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Answer, Heading, Place, Sighting, TraceBy, TracePlan, TraceVerdict};
use crate::nft::{HookPoint, NftFamily};

/// The end of a probe's way, or of its answer's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "finding")]
pub enum Finding {
    Answered,
    /// It was there, and nothing takes it.
    Refused,
    /// The kernel of its sender would not send it, or was told of an obstacle.
    NotSent {
        said: String,
    },
    /// A rule or a policy.
    Dropped {
        heading: Heading,
        sighting: Sighting,
    },
    /// Nothing of it was seen on the node.
    NotSeen,
    /// It came into the bridge by this port, and the bridge let it go nowhere.
    HeldByBridge {
        heading: Heading,
        input: Option<String>,
    },
    /// It was to be routed, and neither the node nor a device got it: no route, or a source that
    /// may not come from there (`rp_filter`).
    NotRouted {
        heading: Heading,
        input: Option<String>,
    },
    /// The node itself got it, and did not answer.
    Taken {
        heading: Heading,
    },
    /// It left the firewall for this device.
    Left {
        heading: Heading,
        output: Option<String>,
    },
}

/// The sightings of the first packet each way: a connection has more, and retransmissions too. The
/// next one is where the first came from again.
pub fn first_each_way(plan: &TracePlan, sightings: Vec<Sighting>) -> Vec<Sighting> {
    let marks = |s: &Sighting| s.table == plan.table && matches!(s.by, TraceBy::Rule(..));
    let mut entrances: BTreeMap<Heading, Entrance> = BTreeMap::new();
    let mut kept = sightings;
    kept.retain(|sighting| {
        let here = (sighting.family.clone(), sighting.chain.clone());
        match entrances.get_mut(&sighting.heading) {
            None => {
                let entrance = Entrance {
                    at: here,
                    packets: 1,
                };
                entrances.insert(sighting.heading, entrance);
                true
            }
            Some(entrance) => {
                entrance.packets += usize::from(marks(sighting) && entrance.at == here);
                entrance.packets == 1
            }
        }
    });
    kept
}

/// The family and chain where the packets of a way are first seen, and how many came.
struct Entrance {
    at: (String, String),
    packets: usize,
}

/// Finds it. Sightings are in their order.
pub fn finding(plan: &TracePlan, answer: &Answer, sightings: &[Sighting]) -> Finding {
    match answer {
        Answer::Answered => return Finding::Answered,
        Answer::Refused => return Finding::Refused,
        Answer::Unreachable(_) | Answer::Silence | Answer::NotOurs => {}
    }
    let mut backwards = sightings.iter().rev();
    if let Some(dropped) = backwards.find(|s| s.verdict == TraceVerdict::Drop) {
        return Finding::Dropped {
            heading: dropped.heading,
            sighting: dropped.clone(),
        };
    }
    if let Answer::Unreachable(said) = answer {
        return Finding::NotSent { said: said.clone() };
    }
    let mut backwards = sightings.iter().rev();
    let last = backwards.find_map(|sighting| Some((sighting, sighting.passage(plan)?)));
    let Some((sighting, at)) = last else {
        return Finding::NotSeen;
    };
    let heading = sighting.heading;
    let input = sighting.input.clone();
    let has_left = at.place == Place::Last && at.point == HookPoint::Postrouting;
    if *answer == Answer::NotOurs && heading == Heading::Back && has_left {
        return Finding::Answered;
    }
    match (at.place, at.point, at.family) {
        (Place::Last, HookPoint::Input, NftFamily::Inet) => Finding::Taken { heading },
        (Place::Last, HookPoint::Forward | HookPoint::Postrouting, _) => Finding::Left {
            heading,
            output: sighting.output.clone(),
        },
        (_, HookPoint::Output, _) => Finding::Left {
            heading,
            output: sighting.output.clone(),
        },
        // What a bridge gives to the node passes its input hook, also where `br_netfilter` shows it
        // to the IP hooks before.
        (Place::Last, HookPoint::Input, NftFamily::Bridge) => Finding::NotRouted { heading, input },
        (_, _, NftFamily::Bridge) => Finding::HeldByBridge { heading, input },
        (_, _, NftFamily::Inet) => match entered_bridge(plan, sightings, heading) {
            Some(input) => Finding::HeldByBridge { heading, input },
            None => Finding::NotRouted { heading, input },
        },
    }
}

/// By which port it came into a bridge that did not give it to the node.
fn entered_bridge(
    plan: &TracePlan,
    sightings: &[Sighting],
    heading: Heading,
) -> Option<Option<String>> {
    let of_way = sightings.iter().filter(|s| s.heading == heading);
    let hooks = of_way.filter_map(|sighting| Some((sighting, sighting.passage(plan)?)));
    let of_bridge = hooks.filter(|(_, at)| at.family == NftFamily::Bridge);
    let (first, _) = of_bridge.clone().next()?;
    let mut given = of_bridge.filter(|(_, at)| at.point == HookPoint::Input);
    match given.next() {
        Some(_) => None,
        None => Some(first.input.clone()),
    }
}

#[cfg(test)]
mod tests {
    use model::Family;

    use super::*;
    use crate::trace::{KnownBy, ProbeProto, TracedFlow};

    fn plan() -> TracePlan {
        let flow = TracedFlow {
            family: Family::Ipv4,
            proto: ProbeProto::Echo,
            by: KnownBy::Tag(9),
        };
        TracePlan::new(1, flow)
    }

    fn seen(table: &str, chain: &str, verdict: TraceVerdict) -> Sighting {
        Sighting {
            heading: Heading::There,
            source: None,
            destination: None,
            input: Some("pont1".to_owned()),
            output: Some("up0".to_owned()),
            family: "inet".to_owned(),
            table: table.to_owned(),
            chain: chain.to_owned(),
            by: TraceBy::Policy,
            verdict,
        }
    }

    fn own(chain: &str) -> Sighting {
        seen(&plan().table, chain, TraceVerdict::Accept)
    }

    #[test]
    fn a_drop_is_the_end_whatever_came_before_it() {
        let all = [
            own("first-prerouting"),
            seen("filter", "forward", TraceVerdict::Drop),
        ];
        let found = finding(&plan(), &Answer::Silence, &all);
        assert!(
            matches!(&found, Finding::Dropped { sighting, .. } if sighting.table == "filter"),
            "{found:?}"
        );
    }

    #[test]
    fn what_was_answered_needs_no_reason() {
        let all = [seen("filter", "forward", TraceVerdict::Drop)];
        assert_eq!(finding(&plan(), &Answer::Answered, &all), Finding::Answered);
        assert_eq!(finding(&plan(), &Answer::Refused, &all), Finding::Refused);
    }

    #[test]
    fn the_last_hook_tells_where_it_went() {
        let ends = |chain: &str| finding(&plan(), &Answer::Silence, &[own(chain)]);
        let heading = Heading::There;
        assert_eq!(ends("last-input"), Finding::Taken { heading });
        let output = Some("up0".to_owned());
        assert_eq!(ends("last-postrouting"), Finding::Left { heading, output });
        let input = Some("pont1".to_owned());
        assert_eq!(
            ends("first-prerouting"),
            Finding::NotRouted { heading, input }
        );
        assert_eq!(finding(&plan(), &Answer::Silence, &[]), Finding::NotSeen);
    }

    #[test]
    fn of_what_others_send_an_answer_that_left_is_an_answer() {
        let back = Sighting {
            heading: Heading::Back,
            ..own("last-postrouting")
        };
        let end = |answer: &Answer| finding(&plan(), answer, std::slice::from_ref(&back));
        assert_eq!(end(&Answer::NotOurs), Finding::Answered);
        assert!(matches!(end(&Answer::Silence), Finding::Left { .. }));
    }

    #[test]
    fn of_several_packets_the_first_each_way_is_kept() {
        let mark = |heading| Sighting {
            heading,
            by: TraceBy::Rule(2, None),
            verdict: TraceVerdict::Continue,
            ..own("first-prerouting")
        };
        let one = |heading| {
            let passes = Sighting {
                heading,
                ..own("last-postrouting")
            };
            [mark(heading), passes]
        };
        let both = [one(Heading::There), one(Heading::Back)].concat();
        let all = [both.clone(), both.clone()].concat();
        assert_eq!(first_each_way(&plan(), all), both);
    }

    #[test]
    fn what_a_bridge_keeps_was_not_to_be_routed() {
        let of_bridge = |chain: &str| Sighting {
            family: "bridge".to_owned(),
            ..own(chain)
        };
        let end = |seen: &[Sighting]| finding(&plan(), &Answer::Silence, seen);
        // As with br_netfilter.
        let bridged = [of_bridge("first-prerouting"), own("first-prerouting")];
        assert!(matches!(end(&bridged), Finding::HeldByBridge { .. }));
        let given = [of_bridge("last-input")];
        assert!(matches!(
            end(&[bridged.to_vec(), given.to_vec()].concat()),
            Finding::NotRouted { .. }
        ));
        let without = [
            of_bridge("first-prerouting"),
            of_bridge("last-input"),
            own("first-prerouting"),
        ];
        assert!(matches!(end(&without), Finding::NotRouted { .. }));
    }
}
