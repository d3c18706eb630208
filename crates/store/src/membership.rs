//! The cluster as this node last knew it: with it alone the node goes on when no store answers.

use model::{Cluster, NodeName};

use crate::column::Parsed;
use crate::{Damage, Durability, Records, StoreError};

/// Who this node is in its cluster, and what it knows of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub me: NodeName,
    pub cluster: Cluster,
}

impl Records {
    /// # Errors
    /// Those of reading, `Corrupt` among them.
    pub fn membership(&self) -> Result<Option<Membership>, StoreError> {
        let sql = "SELECT me, known FROM meta WHERE one = 1 AND me IS NOT NULL";
        let row = self.row(sql, [], |row| {
            let Parsed(me) = row.get(0)?;
            Ok((me, row.get::<_, String>(1)?))
        })?;
        let Some((me, known)) = row else {
            return Ok(None);
        };
        let cluster = serde_json::from_str(&known).map_err(|error| StoreError::Corrupt {
            path: self.path().to_owned(),
            source: Damage::Cluster(error),
        })?;
        Ok(Some(Membership { me, cluster }))
    }

    /// # Errors
    /// Those of a commit.
    pub fn set_membership(&mut self, membership: &Membership) -> Result<(), StoreError> {
        let known = serde_json::to_string(&membership.cluster).map_err(StoreError::Cluster)?;
        self.transaction(Durability::Power, |records| {
            records.execute(
                "UPDATE meta SET me = ?1, known = ?2 WHERE one = 1",
                (membership.me.as_str(), &known),
            )?;
            Ok(())
        })
    }
}
