//! The steps that make an endpoint slower, and take that back.

use model::IfName;

use crate::Kernel;
use crate::rtnl::shaping;
use crate::steps::Failure;

/// The place of the filter among the two requests of a detour.
const FILTER: usize = 1;

impl Kernel {
    pub(crate) fn add_detour(&mut self, dev: &IfName, through: &IfName) -> Result<(), Failure> {
        let (from, to) = (self.node.index(dev)?, self.node.index(through)?);
        let messages = vec![shaping::add_ingress(from), shaping::add_detour(from, to)];
        let refused = self.node.route()?.batch(messages, |_| true)?;
        // Whatever the first was told, the second says whether there is something to hang it from:
        // unless that is missing, when the first says why.
        let fails = refused.iter().any(|(place, _)| *place == FILTER);
        match refused.into_iter().next() {
            Some((_, error)) if fails => Err(error.into()),
            _ => Ok(()),
        }
    }
}
