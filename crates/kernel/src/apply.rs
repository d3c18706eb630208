//! A plan, done step by step.

use std::collections::BTreeSet;
use std::ops::Range;

use model::IfName;
use netstate::{LinkKey, Netns, Object, Step};

use crate::error::KernelError;
use crate::steps::Failure;
use crate::{Kernel, firewall};

/// What became of each step of a plan, by its place in it.
#[derive(Debug, Default)]
pub struct Report {
    pub done: Vec<usize>,
    pub failed: Vec<(usize, KernelError)>,
    /// Not tried: they needed what a failed step should have made, or stood in one transaction
    /// with it.
    pub skipped: Vec<usize>,
}

impl Report {
    pub fn is_success(&self) -> bool {
        self.failed.is_empty() && self.skipped.is_empty()
    }
}

pub fn apply(kernel: &mut Kernel, steps: &[Step], checkpoint: &mut dyn FnMut()) -> Report {
    let mut run = Run {
        kernel,
        steps,
        report: Report::default(),
        missing: BTreeSet::new(),
        checkpoint,
    };
    let mut at = 0;
    while let Some(step) = steps.get(at) {
        let group = at..at + group_len(&steps[at..]);
        at = group.end;
        if step.is_nft() {
            run.nft(group);
        } else if deleted_on_node(&steps[group.start]).is_some() {
            run.del_links(group);
        } else {
            run.one(group.start);
        }
    }
    run.report
}

/// How many of the first steps are done together.
fn group_len(steps: &[Step]) -> usize {
    let nft = steps.iter().take_while(|step| step.is_nft()).count();
    let deleted = steps.iter().map_while(deleted_on_node).count();
    nft.max(deleted).max(1)
}

fn deleted_on_node(step: &Step) -> Option<&LinkKey> {
    match step {
        Step::DelLink(key) if key.netns == Netns::Node => Some(key),
        _ => None,
    }
}

struct Run<'a> {
    kernel: &'a mut Kernel,
    steps: &'a [Step],
    report: Report,
    /// What a step that failed or was skipped should have made.
    missing: BTreeSet<Object>,
    checkpoint: &'a mut dyn FnMut(),
}

impl Run<'_> {
    fn done(&mut self, index: usize) {
        self.report.done.push(index);
        (self.checkpoint)();
    }

    fn failed(&mut self, index: usize, failure: Failure) {
        let step = &self.steps[index];
        self.missing.extend(step.makes());
        let error = match failure {
            Failure::Kernel(source) => KernelError::Step {
                step: Box::new(step.clone()),
                source,
            },
            Failure::Place(
                error @ (KernelError::LinkExists(_)
                | KernelError::NetnsExists(_)
                | KernelError::Transaction { .. }),
            ) => error,
            Failure::Place(source) => KernelError::StepPlace {
                step: Box::new(step.clone()),
                source: Box::new(source),
            },
        };
        self.report.failed.push((index, error));
    }

    fn one(&mut self, index: usize) {
        let step = &self.steps[index];
        if step.needs().iter().any(|need| self.missing.contains(need)) {
            self.missing.extend(step.makes());
            self.report.skipped.push(index);
            return;
        }
        match self.kernel.step(step) {
            Ok(()) => self.done(index),
            Err(failure) => self.failed(index, failure),
        }
    }

    /// All or none: the kernel refuses a transaction whole.
    fn nft(&mut self, group: Range<usize>) {
        let steps = &self.steps[group.clone()];
        match firewall::transaction(&mut self.kernel.node, steps) {
            Ok(()) => {
                self.report.done.extend(group);
                (self.checkpoint)();
            }
            Err((culprit, failure)) => {
                let culprit = group.start + culprit.min(group.len() - 1);
                self.failed(culprit, failure);
                self.report.skipped.extend(group.filter(|i| *i != culprit));
            }
        }
    }

    /// Devices of the node, removed at once: each removal alone waits for a grace period of the
    /// kernel's, one group of them waits once. What can't be put into the group is removed by
    /// itself, as is all when the kernel refuses the group.
    fn del_links(&mut self, group: Range<usize>) {
        let named: Vec<(usize, IfName)> = group
            .clone()
            .filter_map(|i| Some((i, deleted_on_node(&self.steps[i])?.name.clone())))
            .collect();
        match self.kernel.del_together(&named) {
            Ok(together) => group.for_each(|index| {
                if together.contains(&index) {
                    self.done(index);
                } else {
                    self.one(index);
                }
            }),
            Err(_) => group.for_each(|index| self.one(index)),
        }
    }
}
