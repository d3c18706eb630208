//! Networks: their questions and changes. Every change survives a power cut.

use std::mem;
use std::net::IpAddr;

use model::{Family, IfName, Names, Network, NetworkId, NetworkName};
use rusqlite::{Row, named_params};

use crate::column::{Addresses, KindWord, NamesWord, Parsed, ReachWord, Subnets, words};
use crate::{Damage, Durability, NetworkLife, NetworkRecord, Records, StoreError};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, name, bridge, mtu, reach, life, kind, names, subnets FROM network ",
            $rest
        )
    };
}

impl Records {
    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn networks(&self) -> Result<Vec<NetworkRecord>, StoreError> {
        let found = self.rows(select!("ORDER BY id"), [], read)?.into_iter();
        found.map(|record| self.checked(record)).collect()
    }

    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn network(&self, id: NetworkId) -> Result<Option<NetworkRecord>, StoreError> {
        let found = self.row(select!("WHERE id = ?1"), [id.0], read)?;
        found.map(|record| self.checked(record)).transpose()
    }

    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn network_by_name(&self, name: &NetworkName) -> Result<Option<NetworkRecord>, StoreError> {
        let found = self.row(select!("WHERE name = ?1"), [name.as_str()], read)?;
        found.map(|record| self.checked(record)).transpose()
    }

    fn checked(&self, mut record: NetworkRecord) -> Result<NetworkRecord, StoreError> {
        let network = &mut record.network;
        network.subnets = Network::check_subnets(mem::take(&mut network.subnets), network.mtu)
            .map_err(|error| StoreError::Corrupt {
                path: self.path().to_owned(),
                source: Damage::Network(error),
            })?;
        Ok(record)
    }

    /// The number for the next network: above all that were ever used.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next_network_id(&self) -> Result<NetworkId, StoreError> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'network'";
        let last: Option<u32> = self.row(sql, [], |row| row.get(0))?;
        Ok(NetworkId(last.unwrap_or(0).saturating_add(1)))
    }

    /// Adds a network under the number from [`Records::next_network_id`].
    ///
    /// # Errors
    /// `NetworkNameTaken`, `BridgeTaken`, `NetworkIdUsed`; those of a commit.
    pub fn insert_network(&mut self, record: &NetworkRecord) -> Result<(), StoreError> {
        self.transaction(Durability::Power, |records| {
            let network = &record.network;
            if network.id < records.next_network_id()? {
                return Err(StoreError::NetworkIdUsed(network.id));
            }
            records.check_unique(&network.name, &network.bridge)?;
            let inserted = records.execute(
                "INSERT INTO network (id, name, kind, bridge, mtu, reach, life, names, subnets)
                 VALUES (:id, :name, :kind, :bridge, :mtu, :reach, :life, :names, :subnets)",
                named_params! {
                    ":id": network.id.0,
                    ":name": network.name.as_str(),
                    ":kind": KindWord(network.kind),
                    ":bridge": network.bridge.as_str(),
                    ":mtu": network.mtu.to_string(),
                    ":reach": ReachWord(network.reach),
                    ":life": record.life.to_string(),
                    ":names": NamesWord(network.names),
                    ":subnets": Subnets(network.subnets.clone()),
                },
            );
            inserted.map(|_| ())
        })
    }

    fn check_unique(&self, name: &NetworkName, bridge: &IfName) -> Result<(), StoreError> {
        let sql = "SELECT id FROM network WHERE name = ?1";
        if self.row(sql, [name.as_str()], |_| Ok(()))?.is_some() {
            return Err(StoreError::NetworkNameTaken { name: name.clone() });
        }
        let sql = "SELECT name FROM network WHERE bridge = ?1";
        if let Some(Parsed(by)) = self.row(sql, [bridge.as_str()], |row| row.get(0))? {
            return Err(StoreError::BridgeTaken {
                bridge: bridge.clone(),
                by,
            });
        }
        Ok(())
    }

    /// # Errors
    /// `NetworkGone`; those of a commit.
    pub fn set_network_life(&mut self, id: NetworkId, life: NetworkLife) -> Result<(), StoreError> {
        self.transaction(Durability::Power, |records| {
            let sql = "UPDATE network SET life = ?2 WHERE id = ?1";
            match records.execute(sql, (id.0, life.to_string()))? {
                0 => Err(StoreError::NetworkGone(id)),
                _ => Ok(()),
            }
        })
    }

    /// Whether its endpoints find each other by name from now on.
    ///
    /// # Errors
    /// `NetworkGone`; those of a commit.
    pub fn set_network_names(&mut self, id: NetworkId, names: Names) -> Result<(), StoreError> {
        self.transaction(Durability::Power, |records| {
            let sql = "UPDATE network SET names = ?2 WHERE id = ?1";
            match records.execute(sql, (id.0, NamesWord(names)))? {
                0 => Err(StoreError::NetworkGone(id)),
                _ => Ok(()),
            }
        })
    }

    /// Forgets a network, and which of its addresses rest.
    ///
    /// # Errors
    /// `NetworkInUse`, `NetworkGone`; those of a commit.
    pub fn delete_network(&mut self, id: NetworkId) -> Result<(), StoreError> {
        self.transaction(Durability::Power, |records| {
            let sql = "SELECT name FROM network WHERE id = ?1";
            let Some(Parsed(name)) = records.row(sql, [id.0], |row| row.get(0))? else {
                return Err(StoreError::NetworkGone(id));
            };
            let endpoints = records.count_endpoints(id)?;
            if endpoints > 0 {
                return Err(StoreError::NetworkInUse { name, endpoints });
            }
            records.execute("DELETE FROM address WHERE network = ?1", [id.0])?;
            records.execute("DELETE FROM network WHERE id = ?1", [id.0])?;
            Ok(())
        })
    }

    /// The address of this family that was given out last.
    ///
    /// # Errors
    /// Those of reading.
    pub fn last_allocated(
        &self,
        network: NetworkId,
        family: Family,
    ) -> Result<Option<IpAddr>, StoreError> {
        let sql = "SELECT last FROM network WHERE id = ?1";
        let last = self.row(sql, [network.0], |row| row.get::<_, Option<Addresses>>(0))?;
        let mut last = last.flatten().into_iter().flat_map(|Addresses(all)| all);
        Ok(last.find(|address| Family::of(*address) == family))
    }

    /// These were given out last.
    pub(crate) fn set_last_allocated(
        &self,
        network: NetworkId,
        addresses: &[IpAddr],
    ) -> Result<(), StoreError> {
        let sql = "UPDATE network SET last = ?2 WHERE id = ?1";
        self.execute(sql, (network.0, words(addresses))).map(|_| ())
    }
}

/// Whether its subnets fit together is not looked at.
fn read(row: &Row<'_>) -> rusqlite::Result<NetworkRecord> {
    let Parsed(name) = row.get("name")?;
    let Parsed(bridge) = row.get("bridge")?;
    let Parsed(mtu) = row.get("mtu")?;
    let ReachWord(reach) = row.get("reach")?;
    let Parsed(life) = row.get("life")?;
    let KindWord(kind) = row.get("kind")?;
    let NamesWord(names) = row.get("names")?;
    let Subnets(subnets) = row.get("subnets")?;
    Ok(NetworkRecord {
        network: Network {
            id: NetworkId(row.get("id")?),
            name,
            kind,
            bridge,
            mtu,
            reach,
            names,
            subnets,
        },
        life,
    })
}
