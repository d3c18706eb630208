//! The part of a difference that is about how fast ports may be: queues, and detours to them.

use std::collections::BTreeSet;

use model::IfName;

use super::gone;
use crate::{KernelState, LinkKey, Step};

/// Detours and queues that are not desired, except those that go with their device.
pub fn remove(
    observed: &KernelState,
    desired: &KernelState,
    doomed: &BTreeSet<&LinkKey>,
    steps: &mut Vec<Step>,
) {
    let stays = |dev: &&IfName| !doomed.contains(&LinkKey::on_node((*dev).clone()));
    let detours = gone(&observed.detours, &desired.detours).filter(stays);
    steps.extend(detours.cloned().map(Step::DelDetour));
    let queues = gone(&observed.queues, &desired.queues).filter(stays);
    steps.extend(queues.cloned().map(Step::DelQueue));
}

/// What is missing or otherwise, and all of a device that is `fresh`. A queue is there before
/// anything is led to it.
pub fn add(
    observed: &KernelState,
    desired: &KernelState,
    fresh: &BTreeSet<LinkKey>,
    steps: &mut Vec<Step>,
) {
    let is_fresh = |dev: &IfName| fresh.contains(&LinkKey::on_node(dev.clone()));
    for (dev, queue) in &desired.queues {
        if is_fresh(dev) || observed.queues.get(dev) != Some(queue) {
            steps.push(Step::SetQueue(dev.clone(), *queue));
        }
    }
    for (dev, through) in &desired.detours {
        let seen = observed.detours.get(dev).filter(|_| !is_fresh(dev));
        // A filter does not change where it leads, and one to a device that is gone drops.
        let stands = seen == Some(through) && !is_fresh(through);
        if seen.is_some() && !stands {
            steps.push(Step::DelDetour(dev.clone()));
        }
        if !stands {
            steps.push(Step::AddDetour(dev.clone(), through.clone()));
        }
    }
}
