//! Networks: their questions and changes. Every change survives a power cut.

use std::net::IpAddr;

use model::{AddressRange, Family, IfName, Names, Network, NetworkId, NetworkName, Subnet};
use rusqlite::{Row, named_params};

use crate::column::{Bytes16, KindWord, NamesWord, Parsed, ReachWord, family_number};
use crate::{Damage, Durability, NetworkLife, NetworkRecord, Records, StoreError};

const ALL: &str = "SELECT id, name, bridge, mtu, reach, life, kind, names FROM network ORDER BY id";
const BY_ID: &str =
    "SELECT id, name, bridge, mtu, reach, life, kind, names FROM network WHERE id = ?1";
const BY_NAME: &str =
    "SELECT id, name, bridge, mtu, reach, life, kind, names FROM network WHERE name = ?1";
const SUBNETS: &str =
    "SELECT prefix, gateway, range FROM subnet WHERE network = ?1 ORDER BY family";

impl Records {
    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn networks(&self) -> Result<Vec<NetworkRecord>, StoreError> {
        self.snapshot(|records| {
            let found = records.rows(ALL, [], read)?.into_iter();
            found.map(|r| records.with_subnets(r)).collect()
        })
    }

    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn network(&self, id: NetworkId) -> Result<Option<NetworkRecord>, StoreError> {
        self.snapshot(|records| {
            let found = records.row(BY_ID, [id.0], read)?;
            found.map(|r| records.with_subnets(r)).transpose()
        })
    }

    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn network_by_name(&self, name: &NetworkName) -> Result<Option<NetworkRecord>, StoreError> {
        self.snapshot(|records| {
            let found = records.row(BY_NAME, [name.as_str()], read)?;
            found.map(|r| records.with_subnets(r)).transpose()
        })
    }

    fn with_subnets(&self, mut record: NetworkRecord) -> Result<NetworkRecord, StoreError> {
        let rows = self.rows(SUBNETS, [record.network.id.0], |row| {
            let Parsed(prefix) = row.get(0)?;
            let Bytes16(gateway) = row.get(1)?;
            let range = row.get::<_, Option<Parsed<AddressRange>>>(2)?;
            Ok((prefix, gateway, range.map(|Parsed(range)| range)))
        })?;
        let subnets: Result<Vec<Subnet>, _> = rows
            .into_iter()
            .map(|(prefix, gateway, range)| {
                let subnet = Subnet::new(prefix, Some(gateway))?;
                range.map_or(Ok(subnet), |range| subnet.with_range(range))
            })
            .collect();
        record.network.subnets = subnets
            .and_then(|subnets| Network::check_subnets(subnets, record.network.mtu))
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
            records.execute(
                "INSERT INTO network (id, name, kind, bridge, mtu, reach, life, names)
                 VALUES (:id, :name, :kind, :bridge, :mtu, :reach, :life, :names)",
                named_params! {
                    ":id": network.id.0,
                    ":name": network.name.as_str(),
                    ":kind": KindWord(network.kind),
                    ":bridge": network.bridge.as_str(),
                    ":mtu": network.mtu.to_string(),
                    ":reach": ReachWord(network.reach),
                    ":life": record.life.to_string(),
                    ":names": NamesWord(network.names),
                },
            )?;
            for subnet in &network.subnets {
                records.insert_subnet(network.id, *subnet)?;
            }
            Ok(())
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

    fn insert_subnet(&self, network: NetworkId, subnet: Subnet) -> Result<(), StoreError> {
        self.execute(
            "INSERT INTO subnet (network, family, prefix, gateway, range)
             VALUES (?1, ?2, ?3, ?4, ?5)",
            (
                network.0,
                family_number(subnet.prefix.family()),
                subnet.prefix.to_string(),
                Bytes16(subnet.gateway),
                subnet.range.map(|range| range.to_string()),
            ),
        )?;
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
        let sql = "SELECT last FROM subnet WHERE network = ?1 AND family = ?2";
        let last = self.row(sql, (network.0, family_number(family)), |row| {
            row.get::<_, Option<Bytes16>>(0)
        })?;
        Ok(last.flatten().map(|Bytes16(address)| address))
    }
}

/// A network without its subnets.
fn read(row: &Row<'_>) -> rusqlite::Result<NetworkRecord> {
    let Parsed(name) = row.get("name")?;
    let Parsed(bridge) = row.get("bridge")?;
    let Parsed(mtu) = row.get("mtu")?;
    let ReachWord(reach) = row.get("reach")?;
    let Parsed(life) = row.get("life")?;
    let KindWord(kind) = row.get("kind")?;
    let NamesWord(names) = row.get("names")?;
    Ok(NetworkRecord {
        network: Network {
            id: NetworkId(row.get("id")?),
            name,
            kind,
            bridge,
            mtu,
            reach,
            names,
            subnets: Vec::new(),
        },
        life,
    })
}
