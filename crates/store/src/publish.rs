//! Published ports: who has one, and that nobody else gets it.
//!
//! Publications at the same address of the node never overlap, since each was checked against
//! all others when it was made. So among those at one address, only the one that starts last at
//! or below an asked range's end can overlap it: one look-up, however many and wide they are.

use model::{EndpointId, Family, HostBind, PortRange, Proto, Publish};
use rusqlite::Row;

use crate::column::Bind;
use crate::records::Statement;
use crate::{PortOwner, Records, StoreError};

/// The publication at one address that starts last at or below a port.
const NEAREST: &str = "SELECT first, last, container_first, endpoint FROM publish
     WHERE proto = ?1 AND bind = ?2 AND first <= ?3 ORDER BY first DESC";
const INSERT: &str = "INSERT INTO publish (endpoint, proto, bind, first, last, container_first)
     VALUES (?1, ?2, ?3, ?4, ?5, ?6)";

impl Records {
    /// A publication that some packet to `asked` could match too.
    ///
    /// # Errors
    /// Those of reading.
    pub fn publish_conflict(&self, asked: &Publish) -> Result<Option<PortOwner>, StoreError> {
        let mut nearest = self.statement(NEAREST)?;
        self.conflict_at(&self.binds_beside(asked)?, asked, &mut nearest)
    }

    fn conflict_at(
        &self,
        binds: &[HostBind],
        asked: &Publish,
        nearest: &mut Statement<'_>,
    ) -> Result<Option<PortOwner>, StoreError> {
        for &bind in binds {
            let proto = asked.proto();
            let key = (proto.to_string(), Bind(bind), asked.node_ports().last());
            let nearest = nearest.row(key, |row| {
                Ok((read(proto, bind, row)?, EndpointId(row.get("endpoint")?)))
            })?;
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

    /// The addresses of the node at which something may be published that overlaps `asked`, its own
    /// among them.
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
        binds.retain(|bind| bind.overlaps(asked.bind()) && *bind != asked.bind());
        binds.push(asked.bind());
        Ok(binds)
    }

    /// The next address in the index: a step for each address, not for each port at it.
    fn bind_above(
        &self,
        proto: Proto,
        below: Option<HostBind>,
    ) -> Result<Option<HostBind>, StoreError> {
        let sql = "SELECT bind FROM publish WHERE proto = ?1 AND bind > ?2 ORDER BY bind";
        let found = match below {
            Some(bind) => self.row(sql, (proto.to_string(), Bind(bind)), |row| row.get(0))?,
            None => self.row(sql, (proto.to_string(), ""), |row| row.get(0))?,
        };
        Ok(found.map(|Bind(bind)| bind))
    }

    /// Publishes the ports of an endpoint that is being inserted.
    pub(crate) fn insert_publish(
        &self,
        endpoint: EndpointId,
        publish: &[Publish],
    ) -> Result<(), StoreError> {
        if publish.is_empty() {
            return Ok(());
        }
        let mut nearest = self.statement(NEAREST)?;
        let mut insert = self.statement(INSERT)?;
        let mut at = None;
        let mut binds = Vec::new();
        for asked in publish {
            // Those of the port before are good for the next at the same address.
            let place = Some((asked.proto(), asked.bind()));
            if at != place {
                binds = self.binds_beside(asked)?;
                at = place;
            }
            if let Some(taken) = self.conflict_at(&binds, asked, &mut nearest)? {
                return Err(StoreError::PortTaken {
                    asked: *asked,
                    taken: taken.publish,
                    by: taken.owner,
                });
            }
            insert.execute((
                endpoint.0,
                asked.proto().to_string(),
                Bind(asked.bind()),
                asked.node_ports().first(),
                asked.node_ports().last(),
                asked.container_first(),
            ))?;
        }
        Ok(())
    }

    /// Frees the ports of an endpoint that goes.
    pub(crate) fn release_publish(
        &self,
        endpoint: EndpointId,
        publish: &[Publish],
    ) -> Result<(), StoreError> {
        if publish.is_empty() {
            return Ok(());
        }
        let mut delete = self.statement(
            "DELETE FROM publish
             WHERE proto = ?1 AND bind = ?2 AND first = ?3 AND endpoint = ?4",
        )?;
        for one in publish {
            delete.execute((
                one.proto().to_string(),
                Bind(one.bind()),
                one.node_ports().first(),
                endpoint.0,
            ))?;
        }
        Ok(())
    }
}

fn read(proto: Proto, bind: HostBind, row: &Row<'_>) -> rusqlite::Result<Publish> {
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
