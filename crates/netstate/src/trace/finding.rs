//! Where a probe came to its end, from what was seen of it.

use serde::Serialize;

use super::{Answer, Heading, Place, Sighting, TracePlan, TraceVerdict};
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

/// Finds it. Sightings are in their order.
pub fn finding(plan: &TracePlan, answer: &Answer, sightings: &[Sighting]) -> Finding {
    match answer {
        Answer::Answered => return Finding::Answered,
        Answer::Refused => return Finding::Refused,
        Answer::Unreachable(_) | Answer::Silence => {}
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
        (_, _, NftFamily::Bridge) => Finding::HeldByBridge { heading, input },
        (_, _, NftFamily::Inet) => Finding::NotRouted { heading, input },
    }
}

#[cfg(test)]
mod tests {
    use model::Family;

    use super::*;
    use crate::trace::{ProbeProto, TraceBy, TracedFlow};

    fn plan() -> TracePlan {
        let flow = TracedFlow {
            family: Family::Ipv4,
            proto: ProbeProto::Echo,
            tag: 9,
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
}
