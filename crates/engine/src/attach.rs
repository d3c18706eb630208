//! Attaching a target to a network.

use kernel::ErrorKind;
use model::{Endpoint, Mtu, NetnsId, NetnsOrigin, Network, Target};
use netstate::{KernelState, Plan, Step, diff};
use plan::{EndpointView, NetworkView, endpoint_part};

use crate::naming::check_aliases;
use crate::session::{Session, endpoint_view};
use crate::{AttachRequest, Change, EndpointStatus, Engine, EngineError, Mode, NetnsBefore};

impl Engine {
    /// Attaches a target to a network: an address, a pair of devices, the firewall's elements.
    ///
    /// # Errors
    /// A name, address, MAC or port that somebody has, a full subnet, a target that is gone or
    /// the node itself, what the kernel refuses. Nothing stays behind.
    pub fn attach(
        &self,
        request: &AttachRequest,
        mode: Mode,
    ) -> Result<Change<EndpointStatus>, EngineError> {
        let mut session = self.session_alone(mode)?;
        session.settle_all()?;
        let (network, created) = session.chosen(&request.network)?;
        match session.attach(request, &network) {
            Ok((endpoint, plan)) => Ok(Change {
                outcome: EndpointStatus::new(&network, endpoint),
                plan: created.unwrap_or_default().then(plan),
            }),
            Err(error) => {
                if created.is_some() {
                    // The first error is the one to report.
                    let _ = session.remove_network(&network);
                }
                Err(error)
            }
        }
    }
}

impl Session<'_> {
    fn attach(
        &mut self,
        request: &AttachRequest,
        network: &Network,
    ) -> Result<(Endpoint, Plan), EngineError> {
        let netns = self.target_before(request)?;
        let request = &self.without_repeated(request, netns.as_ref())?;
        self.check_ports(request, network)?;
        check_aliases(request, network)?;
        let record = self.admit(request, network, netns)?;
        self.begun = Some(record.endpoint.id);
        self.crash.pass();
        let netns = record.netns.clone();
        let view = endpoint_view(record);
        let plan = self.attach_in_kernel(network, &view, netns)?;
        Ok((view.endpoint, plan))
    }

    /// The request without the ports that another endpoint of the same container publishes: a
    /// runtime names a container's ports again for each of its networks.
    fn without_repeated(
        &self,
        request: &AttachRequest,
        netns: Option<&NetnsId>,
    ) -> Result<AttachRequest, EngineError> {
        let mut request = request.clone();
        if let (Some(cni), Some(netns), [_, ..]) = (&request.cni, netns, &*request.publish) {
            let of_container = |e: &Endpoint| {
                let known = e.cni.as_ref();
                known.is_some_and(|known| known.container == cni.container)
            };
            let siblings = self.records.endpoints_in(netns)?.into_iter();
            let siblings = siblings.map(|record| record.endpoint).filter(of_container);
            let published: Vec<_> = siblings.flat_map(|endpoint| endpoint.publish).collect();
            request
                .publish
                .retain(|publish| !published.contains(publish));
        }
        Ok(request)
    }

    /// The identity of the target's namespace; none yet where it is to be made.
    fn target_before(&mut self, request: &AttachRequest) -> Result<Option<NetnsId>, EngineError> {
        let target = &request.target;
        match (request.before, target) {
            (NetnsBefore::Exists, _) => Ok(Some(self.kernel.identify(target)?)),
            (NetnsBefore::Create, Target::Named(name)) => {
                if kernel::netns_exists(name) {
                    return Err(EngineError::NetnsExists(name.clone()));
                }
                Ok(None)
            }
            (NetnsBefore::Create, _) => Err(EngineError::NetnsNotNamed(target.clone())),
        }
    }

    /// Makes the endpoint's part of the kernel state. Where the network's part is found missing,
    /// all is reconciled first. A failure takes back what was done.
    fn attach_in_kernel(
        &mut self,
        network: &Network,
        view: &EndpointView,
        netns: Option<NetnsId>,
    ) -> Result<Plan, EngineError> {
        match self.try_attach(network, view, netns) {
            Ok(plan) => Ok(plan),
            Err(error) => {
                self.undo_attach(network, view);
                Err(error)
            }
        }
    }

    fn try_attach(
        &mut self,
        network: &Network,
        view: &EndpointView,
        netns: Option<NetnsId>,
    ) -> Result<Plan, EngineError> {
        let part = self.network_ready(network)?;
        let plan = diff(
            &KernelState::default(),
            &endpoint_part(self.node(), &part, view),
        );
        if self.mode == Mode::DryRun {
            return Ok(plan);
        }
        if let Err(error) = self.apply(&plan) {
            if !ruleset_is_missing(&error) {
                return Err(bridge_is_full(&error, network).unwrap_or(error));
            }
            self.take_back(network, view);
            self.reconcile_rest()?;
            self.apply(&plan)?;
        }
        let netns = match netns {
            Some(netns) => netns,
            None => self.kernel.identify(&view.endpoint.target)?,
        };
        self.records.set_attached(view.endpoint.id, &netns)?;
        self.enter_in_fast_path(network, part.mtu, &view.endpoint);
        self.crash.pass();
        Ok(plan)
    }

    /// The network with the MTU its bridge has. A bridge that is missing, or not ours, is for
    /// reconcile.
    fn network_ready(&mut self, network: &Network) -> Result<NetworkView, EngineError> {
        let own = self.node();
        let bridge = self.kernel.link(&network.bridge)?;
        let ours = bridge.filter(|link| link.mark().is_some_and(|mark| mark.node == own));
        let mtu = ours.and_then(|link| u16::try_from(link.mtu).ok());
        let mtu = match mtu {
            Some(mtu) => Mtu::try_from(mtu)?,
            None => {
                let facts = self.kernel.facts()?;
                if self.mode == Mode::Apply {
                    self.reconcile_rest()?;
                }
                self.network_view(network, &facts)?.mtu
            }
        };
        Ok(NetworkView {
            network: network.clone(),
            mtu,
            endpoints: Vec::new(),
            overlay: None,
        })
    }

    /// Takes back an endpoint that could not be attached. What can't be taken back now stays
    /// recorded as begun, and the next reconcile does it.
    fn undo_attach(&mut self, network: &Network, view: &EndpointView) {
        if self.take_back(network, view) {
            // The first error is the one to report.
            let now = self.settings.now_secs;
            let _ = self.records.delete_endpoint(view.endpoint.id, now);
        }
    }

    /// Removes an endpoint's part from the kernel, whatever there is of it.
    fn take_back(&mut self, network: &Network, view: &EndpointView) -> bool {
        let made = match (view.origin, &view.endpoint.target) {
            (NetnsOrigin::Made, Target::Named(name)) if self.is_ours(name) => Some(name.clone()),
            _ => None,
        };
        let plan = self.removal([(&view.endpoint, network)], made);
        self.apply(&plan).is_ok()
    }

    /// Whether the namespace of this name is one that we made: another may have been faster.
    fn is_ours(&mut self, name: &str) -> bool {
        let mark = self.kernel.netns_mark(name, self.records.node_id());
        mark.is_ok_and(|mark| mark.is_some())
    }
}

/// The error of a network whose bridge takes no further port.
fn bridge_is_full(error: &EngineError, network: &Network) -> Option<EngineError> {
    fails_by(error, ErrorKind::BridgeFull, |step| {
        matches!(step, Step::AddLink(..))
    })
    .then(|| EngineError::BridgeFull(network.name.clone()))
}

/// Whether the firewall's tables are gone: the elements found no set to go to.
fn ruleset_is_missing(error: &EngineError) -> bool {
    fails_by(error, ErrorKind::Missing, Step::is_nft)
}

fn fails_by(error: &EngineError, kind: ErrorKind, of: impl Fn(&Step) -> bool) -> bool {
    let EngineError::Apply(failures) = error else {
        return false;
    };
    let mut failed = failures.failed.iter();
    failed.any(|failure| of(&failure.step) && failure.error.kind() == kind)
}
