//! The open records: how questions are asked and changes committed.

use std::fs;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::{NetnsId, NodeId};
use rusqlite::{CachedStatement, Connection, OptionalExtension, Params, Row, ffi};

use crate::column::Cookie;
use crate::error::from_sqlite;
use crate::{OpenMode, StoreError, open};

/// How long the log may grow before a commit copies it into the database, in bytes.
///
/// A process that opens the records alone reads all of the log, 1 KiB a call, 3 ms per MiB and
/// more; copying it waits twice for the disk, 5 ms and more. An attach writes 12 to 20 KiB (50 KiB
/// for 32 scattered ports), so that in a burst one in ten copies. Detach copies each time, while
/// the kernel takes longer.
const LOG_MAX_BYTES: u64 = 160 * 1024;

/// What a committed change survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// The death of this process, at any moment. A power cut may undo the newest changes:
    /// enough for endpoints, whose namespaces go with the power.
    Process,
    /// A power cut too: the commit waits for the disk.
    Power,
}

/// The records of a node.
#[derive(Debug)]
pub struct Records {
    pub(crate) conn: Connection,
    path: PathBuf,
    node: NodeId,
    home: Option<NetnsId>,
    /// Whether who opens them meanwhile waits.
    pub(crate) keeps_out: bool,
    #[cfg(test)]
    pub(crate) seen: std::cell::RefCell<std::collections::BTreeSet<&'static str>>,
}

impl Records {
    /// Opens the records of a state directory. `fresh` becomes their identity where there are
    /// none yet.
    ///
    /// # Errors
    /// `Newer`, `Corrupt` (the file is left as it is), `NoSpace`, `ReadOnly`, `Permission`,
    /// `Create`, `Open`.
    pub fn open(dir: &Path, mode: OpenMode, fresh: NodeId) -> Result<Self, StoreError> {
        open::open(dir, mode, fresh)
    }

    pub(crate) fn new(
        conn: Connection,
        path: PathBuf,
        node: NodeId,
        home: Option<NetnsId>,
    ) -> Self {
        Self {
            conn,
            path,
            node,
            home,
            keeps_out: false,
            #[cfg(test)]
            seen: Default::default(),
        }
    }

    /// Lets others open the records from now on, where [`OpenMode::Alone`] has kept them out: before
    /// something that takes long. Not within a transaction.
    ///
    /// # Errors
    /// Those of [`Records::open`]; these here can't be used any more then.
    pub fn share(&mut self) -> Result<(), StoreError> {
        let Some(dir) = self.path.parent().filter(|_| self.keeps_out) else {
            return Ok(());
        };
        let dir = dir.to_owned();
        // Closed before it is opened again: SQLite takes nothing back of what it holds.
        self.conn = Connection::open_in_memory().map_err(|error| self.failed(error))?;
        *self = Self::open(&dir, OpenMode::ReadWrite, self.node)?;
        Ok(())
    }

    /// The identity of these records: the mark on what they own in the kernel.
    pub fn node_id(&self) -> NodeId {
        self.node
    }

    /// The namespace of the node that these records were last applied to.
    pub fn home(&self) -> Option<NetnsId> {
        self.home.clone()
    }

    /// # Errors
    /// Those of a commit.
    pub fn set_home(&mut self, home: &NetnsId) -> Result<(), StoreError> {
        self.transaction(Durability::Power, |records| {
            records.execute(
                "UPDATE meta SET boot = ?1, cookie = ?2 WHERE one = 1",
                (home.boot.to_string(), Cookie(home.cookie)),
            )
        })?;
        self.home = Some(home.clone());
        Ok(())
    }

    /// Takes the identity of records that are lost, and with it what they own in the kernel.
    ///
    /// # Errors
    /// Those of a commit.
    pub fn set_node_id(&mut self, node: NodeId) -> Result<(), StoreError> {
        self.transaction(Durability::Power, |records| {
            records.execute(
                "UPDATE meta SET node_id = ?1 WHERE one = 1",
                [node.to_string()],
            )
        })?;
        self.node = node;
        Ok(())
    }

    /// Whether something is half way on its way in: an attach, or a network's making or removal.
    /// Under the node's lock, a process died doing it.
    ///
    /// # Errors
    /// Those of reading.
    pub fn is_half_way(&self) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM endpoint WHERE life <> 'attached' \
                   AND life = 'attaching') OR EXISTS (SELECT 1 FROM network WHERE life <> 'ready')";
        Ok(self.row(sql, [], |row| row.get(0))?.unwrap_or(false))
    }

    /// A number that is another one when another process has committed since it was last asked for.
    ///
    /// # Errors
    /// Those of reading.
    pub fn change_number(&self) -> Result<i64, StoreError> {
        let sql = "PRAGMA data_version";
        Ok(self.row(sql, [], |row| row.get(0))?.unwrap_or_default())
    }

    /// Lets `work` read one moment's records, whatever other processes commit meanwhile.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn snapshot<T, E: From<StoreError>>(
        &self,
        work: impl FnOnce(&Records) -> Result<T, E>,
    ) -> Result<T, E> {
        if !self.conn.is_autocommit() {
            return work(self);
        }
        self.batch("BEGIN")?;
        let done = work(self);
        // There is nothing to commit: it ends the reading, and can't fail.
        let _ = self.conn.execute_batch("COMMIT");
        done
    }

    /// Does all of `work` or, when it fails, nothing. Inside another transaction it is a part of
    /// that one, whose durability counts.
    ///
    /// # Errors
    /// Those of `work` and of a commit.
    pub fn transaction<T, E: From<StoreError>>(
        &mut self,
        durability: Durability,
        work: impl FnOnce(&mut Records) -> Result<T, E>,
    ) -> Result<T, E> {
        if !self.conn.is_autocommit() {
            return self.bracket(
                [
                    "SAVEPOINT part",
                    "RELEASE part",
                    "ROLLBACK TO part; RELEASE part",
                ],
                work,
            );
        }
        let whole = ["BEGIN IMMEDIATE", "COMMIT", "ROLLBACK"];
        let done = match durability {
            Durability::Process => self.bracket(whole, work)?,
            Durability::Power => {
                self.batch("PRAGMA synchronous = FULL")?;
                let done = self.bracket(whole, work);
                self.batch("PRAGMA synchronous = NORMAL")?;
                done?
            }
        };
        self.bound_log();
        Ok(done)
    }

    /// Does one statement, or when it fails nothing: a transaction of its own, or a part of the one
    /// that it is in.
    pub(crate) fn change(
        &mut self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<usize, StoreError> {
        let changed = self.execute(sql, params)?;
        if self.conn.is_autocommit() {
            self.bound_log();
        }
        Ok(changed)
    }

    fn bracket<T, E: From<StoreError>>(
        &mut self,
        [begin, commit, undo]: [&'static str; 3],
        work: impl FnOnce(&mut Records) -> Result<T, E>,
    ) -> Result<T, E> {
        self.batch(begin)?;
        let done = work(self).and_then(|done| {
            self.batch(commit)?;
            Ok(done)
        });
        if done.is_err() && !self.conn.is_autocommit() {
            // SQLite has undone it already after some errors (a full disk); the first error is
            // the one to tell.
            let _ = self.conn.execute_batch(undo);
        }
        done
    }

    /// Copies the log into the database and empties it, so that the next process to open the
    /// records has nothing to read. A reader in the way is waited for.
    ///
    /// # Errors
    /// `NoSpace`, `ReadOnly`, `Busy` when a reader stays.
    pub fn checkpoint(&mut self) -> Result<(), StoreError> {
        let blocked = self
            .conn
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|error| self.failed(error))?;
        if blocked {
            let busy = ffi::Error::new(ffi::SQLITE_BUSY);
            return Err(self.failed(rusqlite::Error::SqliteFailure(busy, None)));
        }
        Ok(())
    }

    /// Keeps the log short, waiting for no reader. What was committed is safe in the log, so that
    /// a failure here is nobody's: the next commit tries again.
    fn bound_log(&mut self) {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        if fs::metadata(log).is_ok_and(|meta| meta.len() > LOG_MAX_BYTES) {
            self.shorten_log();
        }
    }

    /// Copies the log into the database unless somebody is in the way.
    pub fn shorten_log(&mut self) {
        let _ = self.conn.busy_timeout(Duration::ZERO);
        let _ = self.checkpoint();
        let _ = open::wait_when_busy(&mut self.conn);
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn failed(&self, error: rusqlite::Error) -> StoreError {
        from_sqlite(&self.path, error)
    }

    pub(crate) fn batch(&self, sql: &'static str) -> Result<(), StoreError> {
        self.conn
            .execute_batch(sql)
            .map_err(|error| self.failed(error))
    }

    /// The one way to a statement, so that a test sees all of them.
    fn prepare(&self, sql: &'static str) -> rusqlite::Result<CachedStatement<'_>> {
        #[cfg(test)]
        self.seen.borrow_mut().insert(sql);
        self.conn.prepare_cached(sql)
    }

    pub(crate) fn execute(
        &self,
        sql: &'static str,
        params: impl Params,
    ) -> Result<usize, StoreError> {
        self.statement(sql)?.execute(params)
    }

    pub(crate) fn row<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        self.statement(sql)?.row(params, read)
    }

    /// A statement to be run more than once.
    pub(crate) fn statement(&self, sql: &'static str) -> Result<Statement<'_>, StoreError> {
        let prepared = self.prepare(sql).map_err(|error| self.failed(error))?;
        Ok(Statement {
            prepared,
            records: self,
        })
    }

    /// The first `limit` of the answers that `read` wants, up to the one with which it is done.
    pub(crate) fn rows_until<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        limit: usize,
        mut read: impl FnMut(&Row<'_>) -> rusqlite::Result<ControlFlow<(), Option<T>>>,
    ) -> Result<Vec<T>, StoreError> {
        let read_all = |mut statement: CachedStatement<'_>| {
            let mut found = Vec::new();
            let mut rows = statement.query(params)?;
            while found.len() < limit
                && let Some(row) = rows.next()?
                && let ControlFlow::Continue(wanted) = read(row)?
            {
                found.extend(wanted);
            }
            Ok(found)
        };
        self.prepare(sql)
            .and_then(read_all)
            .map_err(|error| self.failed(error))
    }

    pub(crate) fn rows<T>(
        &self,
        sql: &'static str,
        params: impl Params,
        read: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StoreError> {
        self.prepare(sql)
            .and_then(|mut statement| statement.query_map(params, read)?.collect())
            .map_err(|error| self.failed(error))
    }
}

/// A statement of these records.
pub(crate) struct Statement<'r> {
    prepared: CachedStatement<'r>,
    records: &'r Records,
}

impl Statement<'_> {
    /// How many rows it changed.
    pub(crate) fn execute(&mut self, params: impl Params) -> Result<usize, StoreError> {
        let done = self.prepared.execute(params);
        done.map_err(|error| self.records.failed(error))
    }

    /// The first of its answers.
    pub(crate) fn row<T>(
        &mut self,
        params: impl Params,
        read: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
    ) -> Result<Option<T>, StoreError> {
        let answer = self.prepared.query_row(params, read).optional();
        answer.map_err(|error| self.records.failed(error))
    }
}
