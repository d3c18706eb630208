//! Making and opening the records' file.
//!
//! Opening is on the path of every attach: no schema work, two numbers and one row read. The
//! file is made aside and renamed, so that nobody ever sees half of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use model::{NetnsId, NodeId};
use rusqlite::backup::Backup;
use rusqlite::config::DbConfig;
use rusqlite::{Connection, OpenFlags};
use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::column::{Cookie, Parsed};
use crate::error::{from_io, from_sqlite};
use crate::lock::{ensure_dir, lock_within};
use crate::{Cause, Damage, Records, StoreError};

/// The records' file in the state directory. SQLite keeps `-wal` and `-shm` beside it.
const FILE: &str = "records.db";
/// What the file is called while it is made.
const NEW_FILE: &str = "records.db.new";
/// The version of the schema, in `PRAGMA user_version`.
pub(crate) const VERSION: u32 = 5;
/// `PRAGMA application_id`: "pont", so that file(1) and we know whose database this is.
pub(crate) const APPLICATION_ID: i32 = 0x706f_6e74;
/// How often, and how long each time, a statement waits for another process: five seconds. Writers
/// hold the node's lock, so that only both ends of a detach, a reader's or a checkpoint's moment are
/// in the way.
const BUSY_TRIES: usize = 25_000;
const BUSY_PAUSE: Duration = Duration::from_micros(200);
/// How long a process waits for another one that is making the file.
const CREATE_WAIT: Duration = Duration::from_secs(30);
/// How many prepared statements a process keeps: all of ours.
const STATEMENTS: usize = 64;
/// Bytes in a page of the database. Small: a change writes whole pages to the log, and ours touch
/// twenty or more of them in a few bytes each. A quarter of SQLite's own size is a third of the log.
const PAGE_BYTES: u32 = 1024;
/// How many pages are copied at a time: all, or a writer would make the copy start again.
const COPY_PAGES: i32 = i32::MAX;
const SCHEMA: &str = include_str!("schema.sql");
/// What makes records of version 1, 2, … those of the next.
const UPGRADES: [&str; 4] = [
    "
    ALTER TABLE subnet ADD COLUMN range TEXT;
    ALTER TABLE network ADD COLUMN kind TEXT NOT NULL DEFAULT 'bridge';
    CREATE TABLE cluster (
        one INTEGER PRIMARY KEY CHECK (one = 1),
        me TEXT NOT NULL,
        known TEXT NOT NULL
    ) STRICT;
    ALTER TABLE endpoint ADD COLUMN container TEXT;
    ALTER TABLE endpoint ADD COLUMN list TEXT;
    CREATE UNIQUE INDEX endpoint_container ON endpoint (container, ifname, network)
        WHERE container IS NOT NULL;
    PRAGMA user_version = 2",
    "
    ALTER TABLE endpoint ADD COLUMN sends INTEGER;
    ALTER TABLE endpoint ADD COLUMN receives INTEGER;
    PRAGMA user_version = 3",
    "
    ALTER TABLE network ADD COLUMN names TEXT NOT NULL DEFAULT 'off';
    ALTER TABLE endpoint ADD COLUMN aliases TEXT;
    PRAGMA user_version = 4",
    include_str!("to_version_5.sql"),
];

/// What the records are opened for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenMode {
    /// To change them; directory and file are made where there are none.
    ReadWrite,
    /// As `ReadWrite`, for some milliseconds: who opens them meanwhile waits until they are closed or
    /// [shared](Records::share). Where somebody has them open already, it is `ReadWrite`. A process
    /// that has them to itself needs neither locks nor an index of the log that others can read.
    Alone,
    /// To read them; where there is no file, they are empty.
    ReadOnly,
    /// To try changes on a copy in memory, which nobody else sees and which is then forgotten.
    Scratch,
}

/// Opens the records of a state directory. `fresh` names them where there are none yet.
pub(crate) fn open(dir: &Path, mode: OpenMode, fresh: NodeId) -> Result<Records, StoreError> {
    let path = dir.join(FILE);
    match mode {
        OpenMode::ReadOnly | OpenMode::Scratch if is_absent(&path)? => {
            return empty(path, mode, fresh);
        }
        OpenMode::ReadOnly | OpenMode::Scratch => {}
        OpenMode::ReadWrite | OpenMode::Alone => {
            if is_absent(&path)? {
                create(dir, &path, fresh)?;
            }
        }
    }
    let (conn, keeps_out) = connect(&path, mode).map_err(|error| from_sqlite(&path, error))?;
    let behind = upgrades(&conn, &path)?;
    let conn = match mode {
        OpenMode::ReadWrite | OpenMode::Alone => {
            check_writable(&conn, &path)?;
            conn
        }
        OpenMode::ReadOnly if behind.is_empty() => conn,
        // Older ones are read as they would be, and left to who changes them.
        OpenMode::ReadOnly | OpenMode::Scratch => {
            copied(&conn).map_err(|error| from_sqlite(&path, error))?
        }
    };
    if !behind.is_empty() {
        upgrade(&conn, &path)?;
    }
    let mut records = loaded(conn, path)?;
    records.keeps_out = keeps_out;
    Ok(records)
}

/// Others' commits take a fraction of a millisecond, and SQLite's own waiting grows to a tenth of
/// a second.
pub(crate) fn wait_when_busy(conn: &mut Connection) -> rusqlite::Result<()> {
    conn.busy_handler(Some(|tries| {
        let wait = usize::try_from(tries).is_ok_and(|tries| tries < BUSY_TRIES);
        if wait {
            thread::sleep(BUSY_PAUSE);
        }
        wait
    }))
}

/// What is lacking is asked again where nobody else can write: a detach opens the records without
/// the node's lock.
fn upgrade(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    let run = |sql: &str| {
        conn.execute_batch(sql)
            .map_err(|error| from_sqlite(path, error))
    };
    run("BEGIN IMMEDIATE")?;
    let behind = upgrades(conn, path)?;
    run(&format!("{};\nCOMMIT", behind.join(";\n")))
}

/// No file, or one that nothing was written to: SQLite takes both for a new database.
fn is_absent(path: &Path) -> Result<bool, StoreError> {
    match fs::metadata(path) {
        Ok(meta) => Ok(meta.is_file() && meta.len() == 0),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(from_io(path, error, |path, source| StoreError::Open {
            path,
            source: source.into(),
        })),
    }
}

/// The records, and whether others are kept out of them.
fn connect(path: &Path, mode: OpenMode) -> rusqlite::Result<(Connection, bool)> {
    let access = match mode {
        OpenMode::ReadWrite | OpenMode::Alone => OpenFlags::SQLITE_OPEN_READ_WRITE,
        OpenMode::ReadOnly | OpenMode::Scratch => OpenFlags::SQLITE_OPEN_READ_ONLY,
    };
    let mut conn = Connection::open_with_flags(path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    conn.set_prepared_statement_cache_capacity(STATEMENTS);
    // Every attach is the last one to close. Left alone, each would copy the log into the
    // database, wait for the disk and delete the log: see `Records::checkpoint`.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // Without it, a SQLite built with STAT4 plans a statement anew for every value bound to it: 30 µs
    // for each look-up instead of 3. Ours has none (.cargo/config.toml); one built elsewhere may.
    conn.set_db_config(DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)?;
    let keeps_out = mode == OpenMode::Alone && keep_others_out(&conn)?;
    wait_when_busy(&mut conn)?;
    if matches!(mode, OpenMode::ReadWrite | OpenMode::Alone) {
        conn.execute_batch("PRAGMA synchronous = NORMAL; PRAGMA wal_autocheckpoint = 0")?;
    }
    Ok((conn, keeps_out))
}

/// Takes SQLite's lock on the whole file for as long as it is open, unless others have it open: they
/// are not waited for. The log's index is kept in memory then, not in `-shm`, which the first one to
/// open the file otherwise writes anew. The kernel releases the lock with the process.
fn keep_others_out(conn: &Connection) -> rusqlite::Result<bool> {
    conn.busy_timeout(Duration::ZERO)?;
    // The first look at the file is what takes the lock.
    let taken = conn.execute_batch("PRAGMA locking_mode = EXCLUSIVE; PRAGMA schema_version");
    if taken.is_err() {
        // Whatever is wrong besides, the next look finds too.
        conn.execute_batch("PRAGMA locking_mode = NORMAL")?;
    }
    Ok(taken.is_ok())
}

/// What these records lack to be of our version. Whether they are records at all is told first.
fn upgrades(conn: &Connection, path: &Path) -> Result<&'static [&'static str], StoreError> {
    let number = |name| {
        conn.pragma_query_value(None, name, |row| row.get::<_, i32>(0))
            .map_err(|error| from_sqlite(path, error))
    };
    if number("application_id")? != APPLICATION_ID {
        return Err(StoreError::Corrupt {
            path: path.to_owned(),
            source: Damage::Foreign,
        });
    }
    let found = number("user_version")?.cast_unsigned();
    let behind = found
        .checked_sub(1)
        .and_then(|n| UPGRADES.get(n as usize..));
    behind.ok_or_else(|| StoreError::Newer {
        path: path.to_owned(),
        found,
        known: VERSION,
    })
}

/// SQLite opens a file that it may not write for reading, and says nothing.
fn check_writable(conn: &Connection, path: &Path) -> Result<(), StoreError> {
    use rustix::fs::{Access, access};
    let read_only = conn
        .is_readonly("main")
        .map_err(|error| from_sqlite(path, error))?;
    if !read_only {
        return Ok(());
    }
    let source = access(path, Access::WRITE_OK)
        .err()
        .map_or(io::ErrorKind::PermissionDenied.into(), io::Error::from);
    Err(from_io(path, source, |path, source| StoreError::Open {
        path,
        source: source.into(),
    }))
}

fn loaded(conn: Connection, path: PathBuf) -> Result<Records, StoreError> {
    let (node, home) = conn
        .query_row(
            "SELECT node_id, boot, cookie FROM meta WHERE one = 1",
            [],
            |row| {
                let Parsed(node) = row.get::<_, Parsed<NodeId>>(0)?;
                let boot = row.get::<_, Option<Parsed<_>>>(1)?;
                let cookie = row.get::<_, Option<Cookie>>(2)?;
                let home = boot.zip(cookie);
                let home = home.map(|(Parsed(boot), Cookie(cookie))| NetnsId { boot, cookie });
                Ok((node, home))
            },
        )
        .map_err(|error| from_sqlite(&path, error))?;
    Ok(Records::new(conn, path, node, home))
}

/// Records of a node that has none: kept in memory, and to be read only where a file would be.
fn empty(path: PathBuf, mode: OpenMode, fresh: NodeId) -> Result<Records, StoreError> {
    let made = Connection::open_in_memory().and_then(|conn| {
        fill(&conn, fresh)?;
        conn.pragma_update(None, "query_only", mode == OpenMode::ReadOnly)?;
        Ok(conn)
    });
    loaded(made.map_err(|error| from_sqlite(&path, error))?, path)
}

/// A copy in memory.
fn copied(conn: &Connection) -> rusqlite::Result<Connection> {
    let mut copy = Connection::open_in_memory()?;
    Backup::new(conn, &mut copy)?.run_to_completion(COPY_PAGES, Duration::ZERO, None)?;
    Ok(copy)
}

fn fill(conn: &Connection, fresh: NodeId) -> rusqlite::Result<()> {
    conn.execute_batch(SCHEMA)?;
    conn.execute(
        "INSERT INTO meta (one, node_id) VALUES (1, ?1)",
        [fresh.to_string()],
    )?;
    conn.pragma_update(None, "application_id", APPLICATION_ID)?;
    conn.pragma_update(None, "user_version", VERSION)
}

/// Makes the file unless another process has. The directory itself is the lock: the node's
/// lock is held by our caller, or by the other process's.
fn create(dir: &Path, path: &Path, fresh: NodeId) -> Result<(), StoreError> {
    ensure_dir(dir)?;
    let refuse = |source: Cause| StoreError::Create {
        path: path.to_owned(),
        source,
    };
    let refuse_io = |error| from_io(path, error, |_, source| refuse(source.into()));
    let dir_file = File::open(dir).map_err(refuse_io)?;
    let Some(dir_file) = lock_within(dir_file, CREATE_WAIT).map_err(refuse_io)? else {
        return Err(refuse(io::Error::from(io::ErrorKind::TimedOut).into()));
    };
    if !is_absent(path)? {
        return Ok(());
    }
    // A log without its database is a lost one's; SQLite would replay it into the new one.
    for stale in [
        "records.db-wal",
        "records.db-shm",
        NEW_FILE,
        "records.db.new-wal",
    ] {
        remove_if_there(&dir.join(stale)).map_err(refuse_io)?;
    }
    let new = dir.join(NEW_FILE);
    write_new(&new, fresh).map_err(|error| match error {
        Cause::Io(error) => refuse_io(error),
        Cause::Sqlite(error) => from_sqlite(path, error),
    })?;
    fs::rename(&new, path).map_err(refuse_io)?;
    dir_file.sync_all().map_err(refuse_io)
}

fn write_new(new: &Path, fresh: NodeId) -> Result<(), Cause> {
    // Made before SQLite opens it, for the mode, which `-wal` and `-shm` inherit. Not by open(2):
    // closing a second descriptor of a database drops the process's locks on it (fcntl(2)).
    mknodat(CWD, new, FileType::RegularFile, Mode::RUSR | Mode::WUSR, 0)
        .map_err(io::Error::from)?;
    let conn = Connection::open_with_flags(new, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
    conn.pragma_update(None, "page_size", PAGE_BYTES)?;
    // Nobody reads this file before it has its name, so that a journal would protect nothing.
    conn.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = FULL; BEGIN IMMEDIATE")?;
    fill(&conn, fresh)?;
    conn.execute_batch("COMMIT; PRAGMA journal_mode = WAL")?;
    conn.close().map_err(|(_, error)| error.into())
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
