//! Whether the endpoints of a network find each other by name. Answering is `names`'s.

use model::{Names, Network, NetworkKind, NetworkName};
use netstate::Plan;
use netstate::nft::text::TABLE;
use netstate::stack::StackChain;

use crate::session::Session;
use crate::{AttachRequest, Change, Check, Engine, EngineError, Health, Mode};

impl Engine {
    /// Gives a network names, or takes them away: of all of its endpoints, at once. Nothing in the
    /// kernel changes. Aliases stay recorded.
    ///
    /// # Errors
    /// No such network, or one of the whole cluster, whose names are everywhere or nowhere; records
    /// that can't be written.
    pub fn set_names(
        &self,
        network: &NetworkName,
        names: Names,
        mode: Mode,
    ) -> Result<Change<Network>, EngineError> {
        let mut session = self.session(mode)?;
        session.settle()?;
        let network = session.network(network)?;
        Ok(Change {
            outcome: session.own_names(network, names)?,
            plan: Plan::default(),
        })
    }
}

impl Engine {
    /// Whether there is an endpoint on a network with names: who could ask.
    ///
    /// # Errors
    /// Records that can't be read.
    pub fn has_askers(&self) -> Result<bool, EngineError> {
        let records = self.records()?;
        for record in records.networks()? {
            let network = record.network;
            if !network.names.are_off() && records.count_endpoints(network.id)? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Whether containers reach the gateway's port 53, as far as other firewalls' policies tell.
    /// Nothing to say where no network has names.
    pub(crate) fn names_check(&self) -> Option<Check> {
        let networks = self.records().ok()?.networks().ok()?.into_iter();
        let mut named = networks.map(|record| record.network);
        let network = named.find(|network| !network.names.are_off())?;
        let stack = kernel::Kernel::open().ok()?.stack(None).ok()?;
        let is_foreign = |c: &&StackChain| c.hook == "input" && c.table != TABLE;
        let drops = stack.chains.iter().filter(is_foreign);
        let drops: Vec<String> = drops
            .filter(|c| c.drops_by_default())
            .map(|c| format!("{} {} {}", c.family, c.table, c.chain))
            .collect();
        let name = "names";
        if drops.is_empty() {
            let found = "no other table keeps containers from asking the node for names by default";
            return Some(Check {
                name,
                health: Health::Good,
                found: found.to_owned(),
                advice: None,
            });
        }
        let bridge = network.bridge;
        Some(Check {
            name,
            health: Health::Warning,
            found: format!(
                "packets to the node are dropped by default in: {}",
                drops.join(", ")
            ),
            advice: Some(format!(
                "let questions for names in there: iifname {bridge} meta l4proto {{ tcp, udp }} th dport 53 accept, for each network with names"
            )),
        })
    }
}

impl Session<'_> {
    /// As [`Session::with_names`], of a network that is this node's alone.
    pub(crate) fn own_names(
        &mut self,
        network: Network,
        names: Names,
    ) -> Result<Network, EngineError> {
        match network.kind {
            NetworkKind::Overlay if network.names != names => {
                Err(EngineError::NamesOfTheCluster(network.name))
            }
            NetworkKind::Overlay | NetworkKind::Bridge => self.with_names(network, names),
        }
    }

    /// The network as recorded from now on.
    pub(crate) fn with_names(
        &mut self,
        network: Network,
        names: Names,
    ) -> Result<Network, EngineError> {
        if network.names != names {
            self.records.set_network_names(network.id, names)?;
        }
        Ok(Network { names, ..network })
    }
}

/// Refuses aliases that nobody would answer for.
pub(crate) fn check_aliases(request: &AttachRequest, network: &Network) -> Result<(), EngineError> {
    if !request.aliases.is_empty() && network.names.are_off() {
        return Err(EngineError::NamesOff(network.name.clone()));
    }
    Ok(())
}
