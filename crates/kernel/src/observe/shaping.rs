//! The queues and detours of our devices.

use std::collections::BTreeMap;

use model::IfName;
use netstate::{KernelState, LinkKey};

use crate::error::{KernelError, Listed};
use crate::namespace::Namespace;
use crate::rtnl::shaping::{QdiscInfo, QdiscKind, dump_detours, dump_queues, read_detour};

pub fn put(
    node: &mut Namespace,
    owned: &BTreeMap<u32, LinkKey>,
    names: &BTreeMap<u32, IfName>,
    state: &mut KernelState,
) -> Result<(), KernelError> {
    if owned.is_empty() {
        return Ok(());
    }
    for info in node.list(Listed::Queues, &dump_queues(), QdiscInfo::read)? {
        let Some(LinkKey { name, .. }) = owned.get(&info.index) else {
            continue;
        };
        match info.what {
            QdiscKind::Ours(queue) => {
                state.queues.insert(name.clone(), queue);
            }
            QdiscKind::Ingress => {
                let filters = dump_detours(info.index);
                for to in node.list(Listed::Queues, &filters, read_detour)? {
                    let through = names.get(&to).unwrap_or(name);
                    state.detours.insert(name.clone(), through.clone());
                }
            }
        }
    }
    Ok(())
}
