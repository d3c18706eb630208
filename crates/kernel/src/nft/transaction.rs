//! Steps as one nfnetlink batch: all of them happen, or none.

use std::collections::BTreeMap;

use netstate::Step;
use netstate::nft::{NftName, Rule, SetKey, SetSpec, Statement};
use rustix::io::Errno;

use super::wire::{NFNL_MSG_BATCH_BEGIN, NFNL_MSG_BATCH_END, batch_border};
use super::{chain, element, lower, observe, set, table};
use crate::netlink::{Message, NetlinkError, Socket};

/// How often a transaction is sent: once, once more to learn which of several elements in a
/// message was refused, again without what is gone already, and when the kernel was disturbed.
const TRIES: u32 = 8;
/// Elements in one message. An attribute holds 64 KiB; one element takes 160 bytes at most, and
/// two of these where the set is of plain ranges.
const ELEMENTS_A_MESSAGE: usize = 200;

/// Why a transaction was not done. Nothing of it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TransactionError {
    #[error("the kernel refused step {index} of the nft transaction: {source}")]
    DoStep {
        /// Among the steps given.
        index: usize,
        source: NetlinkError,
    },
    #[error("step {index} of the nft transaction can't be said in netlink")]
    WriteStep { index: usize },
    #[error("the kernel refused the nft transaction: {source}")]
    Commit { source: NetlinkError },
    #[error("the declaration of an nft set can't be read: {source}")]
    ReadSet { source: NetlinkError },
}

/// Does nft steps in one transaction. A delete of what is gone already is no error, nor is an
/// addition of what is there with the same content.
///
/// # Errors
/// `DoStep` with the first step that the kernel refused, `WriteStep` for a rule that makes no
/// sense or a step of another kind, `Commit` and `ReadSet` where no one step is at fault.
pub fn transaction(socket: &mut Socket, steps: &[Step]) -> Result<(), TransactionError> {
    let specs = known_specs(socket, steps)?;
    let mut fates = vec![Fate::Grouped; steps.len()];
    let mut last = TransactionError::Commit {
        source: Errno::AGAIN.into(),
    };
    for _ in 0..TRIES {
        let batch = Batch::of(steps, &fates, &specs)?;
        let Batch { messages, owners } = batch;
        if owners.is_empty() {
            return Ok(());
        }
        last = match send(socket, messages, &owners) {
            Ok(refused) if refused.is_empty() => return Ok(()),
            Ok(refused) => reconsider(steps, &owners, &refused, &mut fates)?,
            Err(source) if is_passing(&source) => TransactionError::Commit { source },
            Err(source) => return Err(TransactionError::Commit { source }),
        };
    }
    Err(last)
}

/// What is done with a step at the next try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// In one message with its neighbours, where they are elements of the same set.
    Grouped,
    /// In a message of its own.
    Alone,
    /// Left out: what it deletes is gone.
    Dropped,
}

type Specs = BTreeMap<SetKey, SetSpec>;

/// The declarations that are needed to write elements and look-ups. Most elements need none:
/// asking for a set takes as long as adding to it.
fn known_specs(socket: &mut Socket, steps: &[Step]) -> Result<Specs, TransactionError> {
    let mut specs: Specs = steps
        .iter()
        .filter_map(|step| match step {
            Step::AddSet(key, spec) => Some((key.clone(), spec.clone())),
            _ => None,
        })
        .collect();
    let mut unknown: Vec<SetKey> = steps.iter().flat_map(sets_of).collect();
    unknown.retain(|key| !specs.contains_key(key));
    unknown.sort();
    unknown.dedup();
    for key in unknown {
        let spec = observe::set_spec(socket, &key)
            .map_err(|source| TransactionError::ReadSet { source })?;
        specs.extend(spec.map(|spec| (key, spec)));
    }
    Ok(specs)
}

fn sets_of(step: &Step) -> Vec<SetKey> {
    match step {
        Step::AddElement(key, _) | Step::DelElement(key) if !element::tells_its_form(&key.key) => {
            vec![key.set.clone()]
        }
        Step::AddRule(chain, Rule(statements)) => {
            let maps = statements.iter().filter_map(|statement| match statement {
                Statement::Dnat { map, .. } => Some(map.clone()),
                _ => None,
            });
            let family = chain.family;
            maps.map(|name| SetKey { family, name }).collect()
        }
        _ => Vec::new(),
    }
}

/// The messages between the borders of a batch, and the steps that each stands for.
struct Batch {
    messages: Vec<Message>,
    owners: Vec<Vec<usize>>,
}

impl Batch {
    fn of(steps: &[Step], fates: &[Fate], specs: &Specs) -> Result<Self, TransactionError> {
        let mut batch = Self {
            messages: Vec::new(),
            owners: Vec::new(),
        };
        let kept: Vec<usize> = (0..steps.len())
            .filter(|index| fates[*index] != Fate::Dropped)
            .collect();
        let together = |a: &usize, b: &usize| {
            let grouped = fates[*a] == Fate::Grouped && fates[*b] == Fate::Grouped;
            grouped && are_alike(&steps[*a], &steps[*b])
        };
        for run in kept.chunk_by(together) {
            for group in run.chunks(ELEMENTS_A_MESSAGE) {
                batch.messages.push(write(steps, group, specs)?);
                batch.owners.push(group.to_vec());
            }
        }
        Ok(batch)
    }
}

/// Whether two steps are the same thing done to elements of one set.
fn are_alike(a: &Step, b: &Step) -> bool {
    match (a, b) {
        (Step::AddElement(a, _), Step::AddElement(b, _))
        | (Step::DelElement(a), Step::DelElement(b)) => a.set == b.set,
        _ => false,
    }
}

/// The message of one step, or of several that are alike.
fn write(steps: &[Step], group: &[usize], specs: &Specs) -> Result<Message, TransactionError> {
    let index = group[0];
    let refuse = TransactionError::WriteStep { index };
    Ok(match &steps[index] {
        Step::AddTable(family, mark) => table::add(*family, mark),
        Step::DelTable(family) => table::delete(*family),
        Step::AddSet(key, spec) => set::add(key, spec, index as u32 + 1),
        Step::DelSet(key) => set::delete(key),
        Step::AddChain(key, chain) => chain::add(key, chain.hook),
        Step::FlushChain(key) => chain::flush(key),
        Step::DelChain(key) => chain::delete(key),
        Step::AddRule(key, Rule(statements)) => {
            let family = key.family;
            let leads_to_port = |name: &NftName| {
                let name = name.clone();
                let spec = specs.get(&SetKey { family, name });
                spec.is_some_and(|spec| spec.data.len() > 1)
            };
            let instructions = lower::lower(family, statements, &leads_to_port).ok_or(refuse)?;
            chain::append_rule(key, &instructions)
        }
        Step::AddElement(key, _) => element::add(&key.set, &raw(steps, group, specs)),
        Step::DelElement(key) => element::delete(&key.set, &raw(steps, group, specs)),
        _ => return Err(refuse),
    })
}

fn raw(steps: &[Step], group: &[usize], specs: &Specs) -> Vec<element::RawElement> {
    let raw_of = |step: &Step| match step {
        Step::AddElement(key, data) => element::raw(specs.get(&key.set), &key.key, data),
        Step::DelElement(key) => element::raw(specs.get(&key.set), &key.key, &[]),
        _ => Vec::new(),
    };
    group
        .iter()
        .flat_map(|index| raw_of(&steps[*index]))
        .collect()
}

/// Sends a batch. Answers the refused messages, by their place among those between the borders.
fn send(
    socket: &mut Socket,
    messages: Vec<Message>,
    owners: &[Vec<usize>],
) -> Result<Vec<(usize, NetlinkError)>, NetlinkError> {
    let last = messages.len();
    let begin = batch_border(NFNL_MSG_BATCH_BEGIN);
    let end = batch_border(NFNL_MSG_BATCH_END);
    let all = [begin].into_iter().chain(messages).chain([end]).collect();
    // Errors come in the order of the messages, so that the last one's answer is the end.
    let mut refused = socket.batch(all, |index| index == last)?;
    if let Some(at) = refused.iter().position(|(index, _)| *index == 0) {
        return Err(refused.swap_remove(at).1);
    }
    let inside = refused.into_iter().map(|(index, error)| (index - 1, error));
    Ok(inside.filter(|(index, _)| *index < owners.len()).collect())
}

/// Whether the same batch may pass if it is sent again.
fn is_passing(error: &NetlinkError) -> bool {
    // The kernel's ERESTART never reaches user space as such through a socket call, but does
    // through an acknowledgement.
    const RESTART: Errno = Errno::from_raw_os_error(85);
    [Errno::AGAIN, Errno::INTR, RESTART].contains(&error.errno)
}

/// Decides what the next try does otherwise. Answers the error that stays if none does.
fn reconsider(
    steps: &[Step],
    owners: &[Vec<usize>],
    refused: &[(usize, NetlinkError)],
    fates: &mut [Fate],
) -> Result<TransactionError, TransactionError> {
    let mut changed = false;
    let mut first = None;
    for (message, source) in refused {
        match owners[*message].as_slice() {
            [index] if source.errno == Errno::NOENT && is_delete(&steps[*index]) => {
                fates[*index] = Fate::Dropped;
                changed = true;
            }
            [index] => {
                first.get_or_insert(TransactionError::DoStep {
                    index: *index,
                    source: source.clone(),
                });
            }
            several => {
                several.iter().for_each(|index| fates[*index] = Fate::Alone);
                changed = true;
            }
        }
    }
    let gone = TransactionError::Commit {
        source: Errno::AGAIN.into(),
    };
    let error = first.unwrap_or(gone);
    if changed { Ok(error) } else { Err(error) }
}

fn is_delete(step: &Step) -> bool {
    matches!(
        step,
        Step::DelTable(_)
            | Step::DelSet(_)
            | Step::DelChain(_)
            | Step::FlushChain(_)
            | Step::DelElement(_)
    )
}
