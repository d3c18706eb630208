//! Changes of endpoints. They survive the death of a process, not of the machine: neither do
//! their namespaces. `endpoint` has the questions.

use model::{CniAttachment, Endpoint, EndpointId, NetnsId, Rates};
use rusqlite::{ErrorCode, params};

use crate::column::{Cookie, bits, seconds, words};
use crate::endpoint::select_owner;
use crate::{Cause, Durability, EndpointLife, EndpointRecord, Owner, Records, StoreError};

impl Records {
    /// Adds an endpoint under the number from [`Records::next_endpoint_id`].
    ///
    /// # Errors
    /// `NameTaken`, `AddressTaken`, `MacTaken`, `IfNameTaken`, `AlreadyAttached`,
    /// `ContainerAttached`, `PortTaken`, `NetworkGone`, `EndpointIdUsed`; those of a commit.
    pub fn insert_endpoint(&mut self, record: &EndpointRecord) -> Result<(), StoreError> {
        self.transaction(Durability::Process, |records| {
            let endpoint = &record.endpoint;
            if endpoint.id < records.next_endpoint_id()? {
                return Err(StoreError::EndpointIdUsed(endpoint.id));
            }
            if record.netns.is_none() {
                records.check_unmade(endpoint)?;
            }
            if let Some(netns) = &record.netns {
                records.check_namespace(netns, endpoint)?;
            }
            let inserted = records.insert_endpoint_row(record);
            inserted.map_err(|error| records.explain(error, endpoint))?;
            for address in &endpoint.addresses {
                records.claim_address(endpoint.network, *address, endpoint.id)?;
            }
            if !endpoint.addresses.is_empty() {
                records.set_last_allocated(endpoint.network, &endpoint.addresses)?;
            }
            records.insert_publish(endpoint.id, &endpoint.publish)
        })
    }

    fn insert_endpoint_row(&self, record: &EndpointRecord) -> Result<usize, StoreError> {
        let endpoint = &record.endpoint;
        self.execute(
            "INSERT INTO endpoint (id, network, name, target, container, list, boot, cookie, ifname, port,
                 mac, rank, life, origin, created_at, sends, receives, aliases, addresses, publish)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            params![
                endpoint.id.0,
                endpoint.network.0,
                endpoint.name.as_str(),
                endpoint.target.to_string(),
                endpoint.cni.as_ref().map(|cni| cni.container.as_str()),
                endpoint.cni.as_ref().map(|cni| cni.list.as_str()),
                record.netns.as_ref().map(|netns| netns.boot.to_string()),
                record.netns.as_ref().map(|netns| Cookie(netns.cookie)),
                endpoint.ifname.as_str(),
                endpoint.port.as_str(),
                endpoint.mac.to_string(),
                endpoint.rank,
                record.life.to_string(),
                record.origin.to_string(),
                seconds(record.created_at),
                endpoint.rates.sends.map(bits),
                endpoint.rates.receives.map(bits),
                words(&endpoint.aliases),
                words(&endpoint.addresses),
                words(&endpoint.publish),
            ],
        )
    }

    /// Refuses a container and interface that the network has another endpoint for.
    ///
    /// # Errors
    /// `ContainerAttached`; those of reading.
    pub fn check_container(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        let Some(CniAttachment { container, .. }) = &endpoint.cni else {
            return Ok(());
        };
        let sql =
            select_owner!("e.container = ?1 AND e.ifname = ?2 AND e.network = ?3 AND e.id <> ?4");
        let key = (
            container.as_str(),
            endpoint.ifname.as_str(),
            endpoint.network.0,
            endpoint.id.0,
        );
        match self.owner(sql, key)? {
            Some(by) => Err(StoreError::ContainerAttached {
                container: Box::new(container.clone()),
                by,
            }),
            None => Ok(()),
        }
    }

    /// While a namespace has yet to be made, its target's text stands for it.
    fn check_unmade(&self, endpoint: &Endpoint) -> Result<(), StoreError> {
        let target = endpoint.target.to_string();
        let sql = select_owner!("e.target = ?1 AND e.cookie IS NULL AND e.network = ?2");
        if let Some(by) = self.owner(sql, (&target, endpoint.network.0))? {
            return Err(already_attached(endpoint, by));
        }
        let sql = select_owner!("e.target = ?1 AND e.cookie IS NULL AND e.ifname = ?2");
        match self.owner(sql, (&target, endpoint.ifname.as_str()))? {
            Some(by) => Err(ifname_taken(endpoint, by)),
            None => Ok(()),
        }
    }

    /// Refuses a namespace that has the network, or the interface, by another endpoint. The few that
    /// are in it are read by the statement that an attach has asked by now.
    fn check_namespace(&self, netns: &NetnsId, endpoint: &Endpoint) -> Result<(), StoreError> {
        let there = self.endpoints_in(netns)?.into_iter();
        let there = there.map(|record| record.endpoint);
        let others: Vec<Endpoint> = there.filter(|other| other.id != endpoint.id).collect();
        let first = |refused: fn(&Endpoint, &Endpoint) -> bool| {
            let other = others.iter().find(|other| refused(other, endpoint));
            other.map(|other| self.owner_by_id(other.id)).transpose()
        };
        let by_network = first(|a, b| a.network == b.network)?;
        let by_ifname = first(|a, b| a.ifname == b.ifname)?;
        if by_network.is_none() && by_ifname.is_none() {
            return Ok(());
        }
        // A container that has both is told first.
        self.check_container(endpoint)?;
        Err(match (by_network, by_ifname) {
            (Some(by), _) => already_attached(endpoint, by),
            (None, Some(by)) => ifname_taken(endpoint, by),
            (None, None) => return Ok(()),
        })
    }

    /// Which rule of the table was broken, and by whose record: asked only after the fact, so
    /// that an attach that succeeds pays nothing for it.
    fn explain(&self, error: StoreError, endpoint: &Endpoint) -> StoreError {
        if !is_constraint(&error) {
            return error;
        }
        match self.conflict(endpoint) {
            Ok(Some(conflict)) => conflict,
            Ok(None) => error,
            Err(reading) => reading,
        }
    }

    fn conflict(&self, endpoint: &Endpoint) -> Result<Option<StoreError>, StoreError> {
        match self.check_container(endpoint) {
            Err(taken @ StoreError::ContainerAttached { .. }) => return Ok(Some(taken)),
            other => other?,
        }
        let (id, network) = (endpoint.id.0, endpoint.network.0);
        let sql = select_owner!("e.network = ?1 AND e.name = ?2 AND e.id <> ?3");
        if let Some(by) = self.owner(sql, (network, endpoint.name.as_str(), id))? {
            let name = endpoint.name.clone();
            return Ok(Some(StoreError::NameTaken { name, by }));
        }
        // A MAC that was made from an address is taken with it, and the address is what was asked for.
        for address in &endpoint.addresses {
            let address = *address;
            if let Some(by) = self.address_owner(endpoint.network, address)? {
                return Ok(Some(StoreError::AddressTaken { address, by }));
            }
        }
        let sql = select_owner!("e.network = ?1 AND e.mac = ?2 AND e.id <> ?3");
        if let Some(by) = self.owner(sql, (network, endpoint.mac.to_string(), id))? {
            let mac = endpoint.mac;
            return Ok(Some(StoreError::MacTaken { mac, by }));
        }
        let sql = "SELECT id FROM network WHERE id = ?1";
        let network_is_there = self.row(sql, [network], |_| Ok(()))?.is_some();
        Ok((!network_is_there).then_some(StoreError::NetworkGone(endpoint.network)))
    }

    /// The endpoint is in this namespace now, and works.
    ///
    /// # Errors
    /// `EndpointGone`, `AlreadyAttached`, `IfNameTaken`; those of a commit.
    pub fn set_attached(&mut self, id: EndpointId, netns: &NetnsId) -> Result<(), StoreError> {
        let boot = netns.boot.to_string();
        // As it was recorded, as a rule: then no index of a namespace is written again.
        let sql =
            "UPDATE endpoint SET life = 'attached' WHERE id = ?1 AND boot = ?2 AND cookie = ?3";
        if self.change(sql, (id.0, &boot, Cookie(netns.cookie)))? > 0 {
            return Ok(());
        }
        self.transaction(Durability::Process, |records| {
            let record = records.endpoint(id)?.ok_or(StoreError::EndpointGone(id))?;
            records.check_namespace(netns, &record.endpoint)?;
            let sql = "UPDATE endpoint SET boot = ?2, cookie = ?3, life = 'attached' WHERE id = ?1";
            let updated = records.execute(sql, (id.0, &boot, Cookie(netns.cookie)));
            updated.map(|_| ())
        })
    }

    /// The endpoint is to be kept to these rates.
    ///
    /// # Errors
    /// `EndpointGone`; those of a commit.
    pub fn set_rates(&mut self, id: EndpointId, rates: Rates) -> Result<(), StoreError> {
        let updated = self.change(
            "UPDATE endpoint SET sends = ?2, receives = ?3 WHERE id = ?1",
            (id.0, rates.sends.map(bits), rates.receives.map(bits)),
        );
        there(id, updated?)
    }

    /// # Errors
    /// `EndpointGone`; those of a commit.
    pub fn set_detaching(&mut self, id: EndpointId) -> Result<(), StoreError> {
        self.set_leaving(id, EndpointLife::Detaching)
    }

    /// Its named namespace goes too.
    ///
    /// # Errors
    /// `EndpointGone`; those of a commit.
    pub fn set_deleting(&mut self, id: EndpointId) -> Result<(), StoreError> {
        self.set_leaving(id, EndpointLife::Deleting)
    }

    /// Takes back that the endpoint is leaving, unless it is gone already.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn set_staying(&mut self, id: EndpointId) -> Result<(), StoreError> {
        let sql = "UPDATE endpoint SET life = 'attached' WHERE id = ?1 AND life = 'detaching'";
        self.change(sql, [id.0]).map(|_| ())
    }

    fn set_leaving(&mut self, id: EndpointId, life: EndpointLife) -> Result<(), StoreError> {
        let sql = "UPDATE endpoint SET life = ?2 WHERE id = ?1";
        there(id, self.change(sql, (id.0, life.to_string()))?)
    }

    /// Forgets an endpoint; its addresses begin to rest.
    ///
    /// # Errors
    /// `EndpointGone`; those of a commit.
    pub fn delete_endpoint(&mut self, id: EndpointId, now: u64) -> Result<(), StoreError> {
        self.transaction(Durability::Process, |records| {
            let record = records.endpoint(id)?.ok_or(StoreError::EndpointGone(id))?;
            records.purge_rested(now)?;
            records.release_addresses(&record.endpoint, now)?;
            records.release_publish(id, &record.endpoint.publish)?;
            let deleted = records.execute("DELETE FROM endpoint WHERE id = ?1", [id.0]);
            deleted.map(|_| ())
        })
    }
}

/// Whether the endpoint was there, by how many records were changed.
fn there(id: EndpointId, changed: usize) -> Result<(), StoreError> {
    match changed {
        0 => Err(StoreError::EndpointGone(id)),
        _ => Ok(()),
    }
}

fn already_attached(endpoint: &Endpoint, by: Owner) -> StoreError {
    StoreError::AlreadyAttached {
        target: endpoint.target.clone(),
        by,
    }
}

fn ifname_taken(endpoint: &Endpoint, by: Owner) -> StoreError {
    StoreError::IfNameTaken {
        ifname: endpoint.ifname.clone(),
        target: Box::new(endpoint.target.clone()),
        by,
    }
}

fn is_constraint(error: &StoreError) -> bool {
    let StoreError::Statement {
        source: Cause::Sqlite(error),
        ..
    } = error
    else {
        return false;
    };
    error.sqlite_error_code() == Some(ErrorCode::ConstraintViolation)
}
