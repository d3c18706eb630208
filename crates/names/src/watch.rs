//! Noticing that the records have changed, without reading them for it.
//!
//! SQLite writes a change to its log a moment before others can see it, so that a look that a write
//! has caused may come too early: it is taken again a little later.

use std::fs;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use model::NodeId;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use store::{OpenMode, Records, StoreError};

use crate::book::Book;

/// What the records' files are called, whatever SQLite appends.
const FILE: &str = "records.db";
/// How long after the last look the next ones are, when something was written. The last one is for
/// what no write tells of.
const LOOKS: [Duration; 3] = [
    Duration::from_millis(10),
    Duration::from_millis(100),
    Duration::from_secs(2),
];
/// Reading takes at most one part in so many of the time.
const SHARE: u32 = 5;
const EVENT_BYTES: usize = 4096;

/// The records of a state directory, followed.
#[derive(Debug)]
pub struct Watch {
    dir: PathBuf,
    inotify: OwnedFd,
    /// Whether the directory is watched: it may have been deleted, and made again.
    is_watched: bool,
    opened: Option<Opened>,
    /// When to look next.
    pub due: Instant,
    /// How many looks there were since something was written.
    looks: usize,
    /// Not before: a flood of changes leaves time for questions.
    rested: Instant,
}

#[derive(Debug)]
struct Opened {
    records: Records,
    file: (u64, u64),
    change: i64,
}

impl Watch {
    /// # Errors
    /// The kernel has no more inotify instances for this user.
    pub fn new(dir: &Path) -> rustix::io::Result<Self> {
        let now = Instant::now();
        Ok(Self {
            dir: dir.to_owned(),
            inotify: inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?,
            is_watched: false,
            opened: None,
            due: now,
            looks: 0,
            rested: now,
        })
    }

    /// Something happened in the directory.
    pub fn noticed(&mut self) {
        let mut buffer = [MaybeUninit::uninit(); EVENT_BYTES];
        let mut reader = Reader::new(&self.inotify, &mut buffer);
        let mut is_ours = false;
        while let Ok(event) = reader.next() {
            let flags = event.events();
            let lost = ReadFlags::IGNORED | ReadFlags::QUEUE_OVERFLOW;
            self.is_watched &= !flags.contains(ReadFlags::IGNORED);
            let name = event.file_name();
            let named = name.is_some_and(|name| name.to_bytes().starts_with(FILE.as_bytes()));
            is_ours |= named || flags.intersects(lost);
        }
        if is_ours {
            self.looks = 0;
            self.due = Instant::now().max(self.rested);
        }
    }

    /// The book, where it may be another one than the last.
    ///
    /// # Errors
    /// Records that can't be read; the next look tries again.
    pub fn look(&mut self) -> Result<Option<Book>, StoreError> {
        let begun = Instant::now();
        self.ensure_watched();
        let book = self.changed();
        let took = begun.elapsed();
        self.rested = begun + took * SHARE;
        let last = LOOKS.len() - 1;
        self.due = (begun + LOOKS[self.looks.min(last)]).max(self.rested);
        self.looks = (self.looks + 1).min(last);
        book
    }

    fn ensure_watched(&mut self) {
        if !self.is_watched {
            let wanted = WatchFlags::MODIFY
                | WatchFlags::CREATE
                | WatchFlags::MOVED_TO
                | WatchFlags::DELETE
                | WatchFlags::ONLYDIR;
            let watched = inotify::add_watch(&self.inotify, &self.dir, wanted);
            self.is_watched = watched.is_ok();
        }
    }

    fn changed(&mut self) -> Result<Option<Book>, StoreError> {
        let file = self.file();
        if let Some(opened) = self.opened.as_mut().filter(|o| Some(o.file) == file) {
            let change = opened.records.change_number()?;
            if change == opened.change {
                return Ok(None);
            }
            let book = Book::read(&opened.records)?;
            // Of records that could not be read, the next look tries again.
            opened.change = change;
            return Ok(Some(book));
        }
        self.opened = None;
        let Some(file) = file else {
            return Ok(Some(Book::default()));
        };
        let records = Records::open(&self.dir, OpenMode::ReadOnly, NodeId::from_bits(0))?;
        let change = records.change_number()?;
        let book = Book::read(&records)?;
        // Older records are read as a copy, which never changes: these are opened each time, which
        // is as well where there is nothing to answer for.
        if !book.listed().is_empty() {
            self.opened = Some(Opened {
                records,
                file,
                change,
            });
        }
        Ok(Some(book))
    }

    /// Which file the records are now.
    fn file(&self) -> Option<(u64, u64)> {
        let meta = fs::metadata(self.dir.join(FILE)).ok()?;
        Some((meta.dev(), meta.ino()))
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.inotify.as_fd()
    }
}
