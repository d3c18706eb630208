//! Published ports: who has one, and that nobody else gets it.
//!
//! Publications at the same address of the node never overlap, since each was checked against
//! all others when it was made. So among those at one address, only the one that starts last at
//! or below an asked range's end can overlap it: one look-up, however many and wide they are.

use std::slice;

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
        let conflict = self.taken_among(slice::from_ref(asked), &mut nearest)?;
        Ok(conflict.map(|(_, owner)| owner))
    }

    /// Of ports of one protocol at one address of the node, in their order: one that somebody has.
    fn taken_among(
        &self,
        asked: &[Publish],
        nearest: &mut Statement<'_>,
    ) -> Result<Option<(Publish, PortOwner)>, StoreError> {
        let [first, ..] = asked else {
            return Ok(None);
        };
        for bind in self.binds_beside(first)? {
            if let Some((asked, publish, endpoint)) = conflict_at(bind, asked, nearest)? {
                let owner = self.owner_by_id(endpoint)?;
                return Ok(Some((asked, PortOwner { publish, owner })));
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
        let mut publish = publish.to_vec();
        publish.sort_unstable();
        for ports in publish.chunk_by(|a, b| (a.proto(), a.bind()) == (b.proto(), b.bind())) {
            let twice = ports.windows(2).find(|pair| pair[0].overlaps(pair[1]));
            let conflict = match twice {
                Some(pair) => {
                    let owner = self.owner_by_id(endpoint)?;
                    let publish = pair[0];
                    Some((pair[1], PortOwner { publish, owner }))
                }
                None => self.taken_among(ports, &mut nearest)?,
            };
            if let Some((asked, taken)) = conflict {
                return Err(StoreError::PortTaken {
                    asked,
                    taken: taken.publish,
                    by: taken.owner,
                });
            }
            for one in ports {
                insert.execute((
                    endpoint.0,
                    one.proto().to_string(),
                    Bind(one.bind()),
                    one.node_ports().first(),
                    one.node_ports().last(),
                    one.container_first(),
                ))?;
            }
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

/// Of ports in their order: one that overlaps what is published at an address, with that and whose
/// it is. What is found from the last one is the nearest for each that ends no lower than it
/// starts: a look-up for each gap between other publications, not for each port.
fn conflict_at(
    bind: HostBind,
    asked: &[Publish],
    nearest: &mut Statement<'_>,
) -> Result<Option<(Publish, Publish, EndpointId)>, StoreError> {
    let mut rest = asked;
    while let [.., last] = rest {
        let proto = last.proto();
        let key = (proto.to_string(), Bind(bind), last.node_ports().last());
        let found = nearest.row(key, |row| {
            Ok((read(proto, bind, row)?, EndpointId(row.get("endpoint")?)))
        })?;
        let Some((taken, endpoint)) = found else {
            return Ok(None);
        };
        let start = taken.node_ports().first();
        let (below, beside) =
            rest.split_at(rest.partition_point(|one| one.node_ports().last() < start));
        if let Some(one) = beside.iter().find(|one| one.overlaps(taken)) {
            return Ok(Some((*one, taken, endpoint)));
        }
        rest = below;
    }
    Ok(None)
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
