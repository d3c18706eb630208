//! Whether the node's kernel can keep an endpoint to a rate: tried in a namespace that goes with
//! the trial.

use kernel::{Kernel, KernelError};
use model::{EndpointId, Mtu, NodeId, ParseError, Rate};
use netstate::{Alias, BURST_UNIT, KernelState, Link, LinkKey, LinkKind, Plan, Queue};
use plan::waiting_name;

/// Makes a queue, and a detour to it.
///
/// # Errors
/// What the kernel has not; namespaces that can't be made.
pub fn try_rates() -> Result<(), KernelError> {
    try_out(trial(LinkKind::Ifb, Way::Detour))
}

/// Makes the queue alone, on a device that every node has: tells a kernel without queues of this
/// kind from one without what leads packets to them.
pub(crate) fn try_queue() -> Result<(), KernelError> {
    try_out(trial(LinkKind::Bridge, Way::Queue))
}

fn try_out(plan: Result<Plan, ParseError>) -> Result<(), KernelError> {
    let Ok(plan) = plan else {
        return Ok(());
    };
    kernel::in_scratch_namespaces(move || {
        let report = Kernel::open()?.apply(&plan, &mut || ());
        let failed = report.failed.into_iter().next();
        failed.map_or(Ok(()), |(_, error)| Err(error))
    })?
}

/// How far packets are led in a trial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Queue,
    Detour,
}

/// The steps of an endpoint that sends at a rate; one device is enough, for nothing is sent.
fn trial(kind: LinkKind, way: Way) -> Result<Plan, ParseError> {
    let name = waiting_name(EndpointId(u32::MAX));
    let key = LinkKey::on_node(name.clone());
    let link = Link {
        mac: None,
        mtu: Mtu::ETHERNET,
        alias: Alias {
            node: NodeId::from_bits(0),
            purpose: "trial".to_owned(),
        },
        kind,
    };
    let queue = Queue {
        rate: Rate::try_from(1_000_000)?,
        burst_bytes: 8 * BURST_UNIT,
        limit_bytes: 16 * BURST_UNIT,
    };
    let mut wanted = KernelState::default();
    wanted.links.insert(key.clone(), link);
    wanted.up.insert(key);
    wanted.queues.insert(name.clone(), queue);
    if way == Way::Detour {
        wanted.detours.insert(name.clone(), name);
    }
    Ok(netstate::diff(&KernelState::default(), &wanted))
}

#[cfg(test)]
mod tests {
    use netstate::{LinkChange, Step};

    use super::*;

    #[test]
    fn the_trial_makes_all_that_a_rate_needs() {
        let steps = trial(LinkKind::Ifb, Way::Detour).unwrap().steps;
        let made = |is: fn(&Step) -> bool| steps.iter().any(is);
        assert!(made(|step| matches!(step, Step::AddLink(..))));
        assert!(made(|step| matches!(
            step,
            Step::SetLink(_, LinkChange::Up)
        )));
        assert!(made(|step| matches!(step, Step::SetQueue(..))));
        assert!(made(|step| matches!(step, Step::AddDetour(..))));
    }
}
