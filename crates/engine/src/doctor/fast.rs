//! What of the fast path works on this kernel, and what then goes by it.

use std::error::Error;

use fastpath::{FastPath, FastPathError, Hook};

use super::{Check, Health};
use crate::Engine;

const NAME: &str = "fast path";
const NEEDS: &str = "traffic goes on by the kernel's own way; the fast path needs Linux 5.11 or later with BPF (CONFIG_BPF_SYSCALL and, before 6.6, CONFIG_NET_CLS_BPF) and root";

impl Engine {
    /// Gives the kernel the programs, in namespaces made for it. Nothing needs the fast path.
    pub(super) fn fast_path_check(&self) -> Check {
        let tried = match kernel::in_scratch_namespaces(fastpath::try_out) {
            Ok(tried) => tried,
            Err(error) => return Check::with(NAME, Health::Warning, error.to_string(), NEEDS),
        };
        match tried {
            Ok(hook) => self.fast_path_works(hook),
            Err(FastPathError::NotBuilt) => Check::good(
                NAME,
                "this pontoon was built without: traffic goes by the kernel's own way",
            ),
            Err(error) => Check::with(NAME, Health::Warning, with_causes(&error), NEEDS),
        }
    }

    fn fast_path_works(&self, hook: Hook) -> Check {
        let how = match hook {
            Hook::Tcx => "tcx",
            Hook::Clsact => "filters of clsact, as this kernel has no tcx",
        };
        let works = format!("this kernel takes its programs, by {how}");
        let on = self.node_id().ok().and_then(|node| {
            let networks = FastPath::of(node).networks();
            networks.ok().map(|networks| networks.len())
        });
        let found = match on {
            None | Some(0) => {
                format!("{works}; it is off, and 'pontoon fastpath on' makes traffic faster")
            }
            Some(networks) => format!(
                "{works}; it is on for {networks} network(s): 'pontoon fastpath status' shows what it carries"
            ),
        };
        Check::good(NAME, found)
    }
}

/// The kernel's own words are in the last of them.
fn with_causes(error: &FastPathError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(&format!(": {error}"));
        cause = error.source();
    }
    text
}
