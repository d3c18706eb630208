//! Changes of endpoints. They survive the death of a process, not of the machine: neither do
//! their namespaces. `endpoint` has the questions.

use model::{CniAttachment, Endpoint, EndpointId, NetnsId, Rates};
use rusqlite::{ErrorCode, named_params};

use crate::column::{Cookie, aliases, bits, seconds};
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
            let inserted = records.insert_endpoint_row(record);
            inserted.map_err(|error| records.explain(error, record.netns.as_ref(), endpoint))?;
            for address in &endpoint.addresses {
                records.claim_address(endpoint.network, *address, endpoint.id)?;
            }
            records.insert_publish(endpoint.id, &endpoint.publish)
        })
    }

    fn insert_endpoint_row(&self, record: &EndpointRecord) -> Result<usize, StoreError> {
        let endpoint = &record.endpoint;
        self.execute(
            "INSERT INTO endpoint (id, network, name, target, container, list, boot, cookie, ifname, port,
                 mac, rank, life, origin, created_at, sends, receives, aliases)
             VALUES (:id, :network, :name, :target, :container, :list, :boot, :cookie, :ifname, :port,
                 :mac, :rank, :life, :origin, :created_at, :sends, :receives, :aliases)",
            named_params! {
                ":id": endpoint.id.0,
                ":network": endpoint.network.0,
                ":name": endpoint.name.as_str(),
                ":target": endpoint.target.to_string(),
                ":container": endpoint.cni.as_ref().map(|cni| cni.container.as_str()),
                ":list": endpoint.cni.as_ref().map(|cni| cni.list.as_str()),
                ":boot": record.netns.as_ref().map(|netns| netns.boot.to_string()),
                ":cookie": record.netns.as_ref().map(|netns| Cookie(netns.cookie)),
                ":ifname": endpoint.ifname.as_str(),
                ":port": endpoint.port.as_str(),
                ":mac": endpoint.mac.to_string(),
                ":rank": endpoint.rank,
                ":life": record.life.to_string(),
                ":origin": record.origin.to_string(),
                ":created_at": seconds(record.created_at),
                ":sends": endpoint.rates.sends.map(bits),
                ":receives": endpoint.rates.receives.map(bits),
                ":aliases": aliases(&endpoint.aliases),
            },
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

    /// Which rule of the table was broken, and by whose record: asked only after the fact, so
    /// that an attach that succeeds pays nothing for it.
    fn explain(
        &self,
        error: StoreError,
        netns: Option<&NetnsId>,
        endpoint: &Endpoint,
    ) -> StoreError {
        if !is_constraint(&error) {
            return error;
        }
        match self.conflict(netns, endpoint) {
            Ok(Some(conflict)) => conflict,
            Ok(None) => error,
            Err(reading) => reading,
        }
    }

    fn conflict(
        &self,
        netns: Option<&NetnsId>,
        endpoint: &Endpoint,
    ) -> Result<Option<StoreError>, StoreError> {
        match self.check_container(endpoint) {
            Err(taken @ StoreError::ContainerAttached { .. }) => return Ok(Some(taken)),
            other => other?,
        }
        let (id, network) = (endpoint.id.0, endpoint.network.0);
        if let Some(netns) = netns {
            let boot = netns.boot.to_string();
            let sql =
                select_owner!("e.cookie = ?1 AND e.boot = ?2 AND e.network = ?3 AND e.id <> ?4");
            if let Some(by) = self.owner(sql, (Cookie(netns.cookie), &boot, network, id))? {
                return Ok(Some(already_attached(endpoint, by)));
            }
            let sql =
                select_owner!("e.cookie = ?1 AND e.boot = ?2 AND e.ifname = ?3 AND e.id <> ?4");
            let ifname = endpoint.ifname.as_str();
            if let Some(by) = self.owner(sql, (Cookie(netns.cookie), &boot, ifname, id))? {
                return Ok(Some(ifname_taken(endpoint, by)));
            }
        }
        let sql = select_owner!("e.network = ?1 AND e.name = ?2 AND e.id <> ?3");
        if let Some(by) = self.owner(sql, (network, endpoint.name.as_str(), id))? {
            let name = endpoint.name.clone();
            return Ok(Some(StoreError::NameTaken { name, by }));
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
        self.transaction(Durability::Process, |records| {
            let updated = records.execute(
                "UPDATE endpoint SET boot = ?2, cookie = ?3, life = 'attached' WHERE id = ?1",
                (id.0, netns.boot.to_string(), Cookie(netns.cookie)),
            );
            match updated {
                Ok(0) => Err(StoreError::EndpointGone(id)),
                Ok(_) => Ok(()),
                Err(error) => Err(match records.endpoint(id)? {
                    Some(record) => records.explain(error, Some(netns), &record.endpoint),
                    None => error,
                }),
            }
        })
    }

    /// The endpoint is to be kept to these rates.
    ///
    /// # Errors
    /// `EndpointGone`; those of a commit.
    pub fn set_rates(&mut self, id: EndpointId, rates: Rates) -> Result<(), StoreError> {
        self.transaction(Durability::Process, |records| {
            let updated = records.execute(
                "UPDATE endpoint SET sends = ?2, receives = ?3 WHERE id = ?1",
                (id.0, rates.sends.map(bits), rates.receives.map(bits)),
            );
            match updated? {
                0 => Err(StoreError::EndpointGone(id)),
                _ => Ok(()),
            }
        })
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
        self.transaction(Durability::Process, |records| {
            let sql = "UPDATE endpoint SET life = 'attached' WHERE id = ?1 AND life = 'detaching'";
            records.execute(sql, [id.0]).map(|_| ())
        })
    }

    fn set_leaving(&mut self, id: EndpointId, life: EndpointLife) -> Result<(), StoreError> {
        self.transaction(Durability::Process, |records| {
            let sql = "UPDATE endpoint SET life = ?2 WHERE id = ?1";
            match records.execute(sql, (id.0, life.to_string()))? {
                0 => Err(StoreError::EndpointGone(id)),
                _ => Ok(()),
            }
        })
    }

    /// Forgets an endpoint; its addresses begin to rest.
    ///
    /// # Errors
    /// `EndpointGone`; those of a commit.
    pub fn delete_endpoint(&mut self, id: EndpointId, now: u64) -> Result<(), StoreError> {
        self.transaction(Durability::Process, |records| {
            records.purge_rested(now)?;
            records.release_addresses(id, now)?;
            match records.execute("DELETE FROM endpoint WHERE id = ?1", [id.0])? {
                0 => Err(StoreError::EndpointGone(id)),
                _ => Ok(()),
            }
        })
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
