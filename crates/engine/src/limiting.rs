//! Other rates for an endpoint that is attached.

use model::{ContainerId, IfName, Rates};
use store::EndpointRecord;

use crate::{Change, EndpointStatus, Engine, EngineError, Mode};

impl Engine {
    /// Keeps what a container attached to these rates from now on. Connections stay.
    ///
    /// # Errors
    /// No such endpoint; what the kernel refuses: then it has the rates that it had.
    pub fn set_rates(
        &self,
        (container, ifname): (&ContainerId, &IfName),
        rates: Rates,
        mode: Mode,
    ) -> Result<Change<EndpointStatus>, EngineError> {
        let mut session = self.session(mode)?;
        session.settle_all()?;
        let found = session.records.endpoints_of_container(container, ifname)?;
        let Some(EndpointRecord { mut endpoint, .. }) = found.into_iter().next() else {
            let (container, ifname) = (container.clone(), ifname.clone());
            return Err(EngineError::ContainerMissing { container, ifname });
        };
        let network = session.network_of(&endpoint)?;
        let before = std::mem::replace(&mut endpoint.rates, rates);
        // Written first: whoever finds this half done does the rest.
        session.records.set_rates(endpoint.id, rates)?;
        let reconciled = session.reconcile(None);
        if reconciled.is_err() {
            // The first error is the one to report.
            let _ = session.records.set_rates(endpoint.id, before);
            let _ = session.reconcile_rest();
        }
        Ok(Change {
            plan: reconciled?.plan,
            outcome: EndpointStatus::new(&network, endpoint),
        })
    }
}
