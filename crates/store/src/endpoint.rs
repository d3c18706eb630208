//! Questions about endpoints. `attachment` has the changes.

use std::error::Error;
use std::str::FromStr;

use model::{
    CniAttachment, ContainerId, Endpoint, EndpointId, EndpointName, IfName, ListName, Mac, NetnsId,
    NetworkId, Rates, Target,
};
use rusqlite::{Params, Row};

use crate::column::{Addresses, Bits, Cookie, Parsed, Words};
use crate::{EndpointRecord, Owner, Records, StoreError};

macro_rules! select {
    ($rest:literal) => {
        concat!(
            "SELECT id, network, name, target, container, list, boot, cookie, ifname, port, mac, rank, \
             life, origin, created_at, sends, receives, aliases, addresses, publish FROM endpoint ",
            $rest
        )
    };
}

macro_rules! select_owner {
    ($condition:literal) => {
        concat!(
            "SELECT e.id, e.name, n.name FROM endpoint e JOIN network n ON n.id = e.network \
             WHERE ",
            $condition
        )
    };
}

pub(crate) use select_owner;

impl Records {
    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn endpoints(&self) -> Result<Vec<EndpointRecord>, StoreError> {
        self.select(select!("ORDER BY id"), [])
    }

    /// Those that are not `Attached`.
    ///
    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn unfinished_endpoints(&self) -> Result<Vec<EndpointRecord>, StoreError> {
        self.select(select!("WHERE life <> 'attached' ORDER BY id"), [])
    }

    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn endpoints_of_network(
        &self,
        network: NetworkId,
    ) -> Result<Vec<EndpointRecord>, StoreError> {
        self.select(select!("WHERE network = ?1 ORDER BY name"), [network.0])
    }

    /// The endpoints in a namespace, by rank.
    ///
    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn endpoints_in(&self, netns: &NetnsId) -> Result<Vec<EndpointRecord>, StoreError> {
        let boot = netns.boot.to_string();
        let key = || (Cookie(netns.cookie), &boot);
        // As a rule nothing is there. That is asked for in a third of the time that the statement
        // below takes to be planned.
        let any = "SELECT 1 FROM endpoint WHERE cookie = ?1 AND boot = ?2";
        if self.row(any, key(), |_| Ok(()))?.is_none() {
            return Ok(Vec::new());
        }
        let sql = select!("WHERE cookie = ?1 AND boot = ?2 ORDER BY rank");
        self.select(sql, key())
    }

    /// The endpoints that were attached by this name of their namespace, by rank. The name may
    /// have stood for several namespaces, one after the other.
    ///
    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn endpoints_of_target(&self, target: &Target) -> Result<Vec<EndpointRecord>, StoreError> {
        let sql = select!("WHERE target = ?1 ORDER BY rank");
        self.select(sql, [target.to_string()])
    }

    /// The endpoints that a runtime knows by this container and interface, one a network at most.
    ///
    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn endpoints_of_container(
        &self,
        container: &ContainerId,
        ifname: &IfName,
    ) -> Result<Vec<EndpointRecord>, StoreError> {
        self.select(
            select!("WHERE container = ?1 AND ifname = ?2 ORDER BY network"),
            (container.as_str(), ifname.as_str()),
        )
    }

    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn endpoint(&self, id: EndpointId) -> Result<Option<EndpointRecord>, StoreError> {
        let found = self.select(select!("WHERE id = ?1"), [id.0])?;
        Ok(found.into_iter().next())
    }

    /// # Errors
    /// Those of reading.
    pub fn has_endpoint(&self, id: EndpointId) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM endpoint WHERE id = ?1";
        Ok(self.row(sql, [id.0], |_| Ok(()))?.is_some())
    }

    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn endpoint_by_name(
        &self,
        network: NetworkId,
        name: &EndpointName,
    ) -> Result<Option<EndpointRecord>, StoreError> {
        let sql = select!("WHERE network = ?1 AND name = ?2");
        let found = self.select(sql, (network.0, name.as_str()))?;
        Ok(found.into_iter().next())
    }

    /// # Errors
    /// Those of reading.
    pub fn count_endpoints(&self, network: NetworkId) -> Result<u32, StoreError> {
        let sql = "SELECT count(*) FROM endpoint WHERE network = ?1";
        Ok(self.row(sql, [network.0], |row| row.get(0))?.unwrap_or(0))
    }

    /// The lowest rank that no endpoint of the namespace has; while it has yet to be made, of
    /// the target.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next_rank(&self, netns: Option<&NetnsId>, target: &Target) -> Result<u16, StoreError> {
        let used: Vec<u16> = match netns {
            // Asked by now for other reasons too: there is one statement for both.
            Some(netns) => {
                let there = self.endpoints_in(netns)?.into_iter();
                there.map(|record| record.endpoint.rank).collect()
            }
            None => self.rows(
                "SELECT rank FROM endpoint WHERE target = ?1 AND cookie IS NULL ORDER BY rank",
                [target.to_string()],
                |row| row.get(0),
            )?,
        };
        Ok(used
            .into_iter()
            .fold(0, |free, rank| if rank == free { free + 1 } else { free }))
    }

    /// The number for the next endpoint: above all that were ever used.
    ///
    /// # Errors
    /// Those of reading.
    pub fn next_endpoint_id(&self) -> Result<EndpointId, StoreError> {
        let sql = "SELECT seq FROM sqlite_sequence WHERE name = 'endpoint'";
        let last: Option<u32> = self.row(sql, [], |row| row.get(0))?;
        Ok(EndpointId(last.unwrap_or(0).saturating_add(1)))
    }

    pub(crate) fn owner(
        &self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<Option<Owner>, StoreError> {
        self.row(sql, params, |row| {
            let Parsed(name) = row.get(1)?;
            let Parsed(network) = row.get(2)?;
            let id = EndpointId(row.get(0)?);
            Ok(Owner { id, name, network })
        })
    }

    pub(crate) fn owner_by_id(&self, id: EndpointId) -> Result<Owner, StoreError> {
        self.owner(select_owner!("e.id = ?1"), [id.0])?
            .ok_or_else(|| self.failed(rusqlite::Error::QueryReturnedNoRows))
    }

    fn select(
        &self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<Vec<EndpointRecord>, StoreError> {
        self.rows(sql, params, read)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<EndpointRecord> {
    let Parsed(name) = row.get::<_, Parsed<EndpointName>>("name")?;
    let Parsed(target) = row.get::<_, Parsed<Target>>("target")?;
    let Parsed(ifname) = row.get::<_, Parsed<IfName>>("ifname")?;
    let Parsed(port) = row.get::<_, Parsed<IfName>>("port")?;
    let Parsed(mac) = row.get::<_, Parsed<Mac>>("mac")?;
    let Parsed(life) = row.get("life")?;
    let Parsed(origin) = row.get("origin")?;
    let container = row.get::<_, Option<Parsed<ContainerId>>>("container")?;
    let list = row.get::<_, Option<Parsed<ListName>>>("list")?;
    let cni = container.zip(list);
    let cni = cni.map(|(Parsed(container), Parsed(list))| CniAttachment { container, list });
    let boot = row.get::<_, Option<Parsed<_>>>("boot")?;
    let cookie = row.get::<_, Option<Cookie>>("cookie")?;
    let rate = |column| {
        row.get::<_, Option<Bits>>(column)
            .map(|bits| bits.map(|Bits(rate)| rate))
    };
    Ok(EndpointRecord {
        endpoint: Endpoint {
            id: EndpointId(row.get("id")?),
            network: NetworkId(row.get("network")?),
            name,
            target,
            cni,
            ifname,
            port,
            mac,
            addresses: row
                .get::<_, Option<Addresses>>("addresses")?
                .map(|Addresses(all)| all)
                .unwrap_or_default(),
            publish: listed(row, "publish")?,
            rates: Rates {
                sends: rate("sends")?,
                receives: rate("receives")?,
            },
            aliases: listed(row, "aliases")?,
            rank: row.get("rank")?,
        },
        life,
        netns: boot
            .zip(cookie)
            .map(|(Parsed(boot), Cookie(cookie))| NetnsId { boot, cookie }),
        origin,
        created_at: row.get::<_, i64>("created_at")?.unsigned_abs(),
    })
}

/// A column of words; nothing in it is none.
fn listed<T>(row: &Row<'_>, column: &str) -> rusqlite::Result<Vec<T>>
where
    T: FromStr,
    T::Err: Error + Send + Sync + 'static,
{
    let all = row.get::<_, Option<Words<T>>>(column)?;
    Ok(all.map(|Words(all)| all).unwrap_or_default())
}
