//! Published ports: who has one, and that nobody else gets it.
//!
//! Publications at the same address of the node never overlap, since each was checked against
//! all others when it was made. So among those at one address, only the one that starts last at
//! or below an asked range's end can overlap it: one look-up, however many and wide they are.

use model::{EndpointId, Family, HostBind, PortRange, Proto, Publish};
use rusqlite::Row;

use crate::column::{Bind, Parsed};
use crate::{PortOwner, Records, StoreError};

impl Records {
    /// A publication that some packet to `asked` could match too.
    ///
    /// # Errors
    /// Those of reading.
    pub fn publish_conflict(&self, asked: &Publish) -> Result<Option<PortOwner>, StoreError> {
        for bind in self.binds_beside(asked)? {
            let nearest = self.row(
                "SELECT proto, bind, first, last, container_first, endpoint FROM publish
                 WHERE proto = ?1 AND bind = ?2 AND first <= ?3 ORDER BY first DESC LIMIT 1",
                (
                    asked.proto().to_string(),
                    Bind(bind),
                    asked.node_ports().last(),
                ),
                |row| Ok((read(row)?, EndpointId(row.get("endpoint")?))),
            )?;
            if let Some((publish, endpoint)) = nearest
                && publish.overlaps(*asked)
            {
                return Ok(Some(PortOwner {
                    publish,
                    owner: self.owner_by_id(endpoint)?,
                }));
            }
        }
        Ok(None)
    }

    /// The addresses of the node at which something may be published that overlaps `asked`.
    fn binds_beside(&self, asked: &Publish) -> Result<Vec<HostBind>, StoreError> {
        if let HostBind::Address(address) = asked.bind() {
            let family = Family::of(address);
            return Ok(vec![HostBind::Any, HostBind::AnyOf(family), asked.bind()]);
        }
        let mut binds = Vec::new();
        let mut below: Option<HostBind> = None;
        while let Some(bind) = self.bind_above(asked.proto(), below)? {
            binds.push(bind);
            below = Some(bind);
        }
        binds.retain(|bind| bind.overlaps(asked.bind()));
        Ok(binds)
    }

    /// The next address in the index: a step for each address, not for each port at it.
    fn bind_above(
        &self,
        proto: Proto,
        below: Option<HostBind>,
    ) -> Result<Option<HostBind>, StoreError> {
        let sql = "SELECT bind FROM publish WHERE proto = ?1 AND bind > coalesce(?2, '')
             ORDER BY bind LIMIT 1";
        self.row(sql, (proto.to_string(), below.map(Bind)), |row| {
            row.get(0).map(|Bind(bind)| bind)
        })
    }

    /// Publishes the ports of an endpoint that is being inserted.
    pub(crate) fn insert_publish(
        &self,
        endpoint: EndpointId,
        publish: &[Publish],
    ) -> Result<(), StoreError> {
        for (position, asked) in publish.iter().enumerate() {
            if let Some(taken) = self.publish_conflict(asked)? {
                return Err(StoreError::PortTaken {
                    asked: *asked,
                    taken: taken.publish,
                    by: taken.owner,
                });
            }
            self.execute(
                "INSERT INTO publish
                 (endpoint, position, proto, bind, first, last, container_first)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                (
                    endpoint.0,
                    position as i64,
                    asked.proto().to_string(),
                    Bind(asked.bind()),
                    asked.node_ports().first(),
                    asked.node_ports().last(),
                    asked.container_first(),
                ),
            )?;
        }
        Ok(())
    }

    pub(crate) fn publish_of(&self, endpoint: EndpointId) -> Result<Vec<Publish>, StoreError> {
        let sql = "SELECT proto, bind, first, last, container_first FROM publish
             WHERE endpoint = ?1 ORDER BY position";
        self.rows(sql, [endpoint.0], read)
    }
}

fn read(row: &Row<'_>) -> rusqlite::Result<Publish> {
    let Parsed(proto) = row.get("proto")?;
    let Bind(bind) = row.get("bind")?;
    let container_first = row.get("container_first")?;
    PortRange::new(row.get("first")?, row.get("last")?)
        .and_then(|ports| Publish::new(proto, bind, ports, container_first))
        .map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                2,
                rusqlite::types::Type::Integer,
                Box::new(error),
            )
        })
}
