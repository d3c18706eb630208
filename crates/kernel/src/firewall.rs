//! The one place where the rest of this room meets `nft`.

use netstate::{KernelState, Step};

use crate::error::{KernelError, Listed};
use crate::namespace::Namespace;
use crate::nft::{self, TransactionError};
use crate::steps::Failure;

/// Does nft steps in one transaction; an error with the place of the step at fault, the first
/// where no one step is.
pub(crate) fn transaction(
    namespace: &mut Namespace,
    steps: &[Step],
) -> Result<(), (usize, Failure)> {
    let socket = namespace
        .netfilter()
        .map_err(|error| (0, Failure::Place(error)))?;
    nft::transaction(socket, steps).map_err(|error| match error {
        TransactionError::DoStep { index, source } => (index, Failure::Kernel(source)),
        TransactionError::WriteStep { index } => (index, Failure::Place(error.into())),
        TransactionError::Commit { .. } | TransactionError::ReadSet { .. } => {
            (0, Failure::Place(error.into()))
        }
    })
}

/// The tables of our name as they stand. One without a comment has an empty mark.
pub(crate) fn observe(namespace: &mut Namespace) -> Result<KernelState, KernelError> {
    let netns = namespace.netns().clone();
    let seen = nft::observe(namespace.netfilter()?).map_err(Listed::Tables.failed(&netns))?;
    let nft::Ruleset {
        tables,
        sets,
        chains,
        elements,
    } = seen;
    let marks = tables
        .into_iter()
        .map(|(family, comment)| (family, comment.unwrap_or_default()));
    Ok(KernelState {
        tables: marks.collect(),
        sets,
        chains,
        elements,
        ..KernelState::default()
    })
}
