//! Waiting for a file to change: the kernel tells (inotify(7)), and where it does not, as on
//! network file systems, a look once a second does.

use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{self, CreateFlags, WatchFlags};

/// Between two looks that nobody asked for.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Room for some events; what they say is not used.
const EVENTS_BYTES: usize = 4096;

/// What tells a file's versions apart without reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Stamp {
    inode: u64,
    bytes: u64,
    changed_ns: i128,
}

impl Stamp {
    fn of(path: &Path) -> Option<Self> {
        let meta = fs::metadata(path).ok()?;
        Some(Self {
            inode: meta.ino(),
            bytes: meta.size(),
            // Not the modification time, which a copying tool may set back.
            changed_ns: i128::from(meta.ctime()) * 1_000_000_000 + i128::from(meta.ctime_nsec()),
        })
    }
}

/// One file under watch; it need not be there.
#[derive(Debug)]
pub struct FileWatch {
    path: PathBuf,
    events: Option<OwnedFd>,
    seen: Option<Stamp>,
}

impl FileWatch {
    pub fn new(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            events: watch_dir(path).ok(),
            seen: None,
        }
    }

    /// Takes what is there now as seen: what changes from here on is news.
    pub fn look(&mut self) {
        self.drain();
        self.seen = Stamp::of(&self.path);
    }

    /// Waits for a change since the last look, until `deadline`; true when there may be one.
    pub fn wait(&mut self, deadline: Instant) -> bool {
        loop {
            if Stamp::of(&self.path) != self.seen {
                return true;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            if self.wait_event(left.min(LOOK_EVERY)) {
                return true;
            }
        }
    }

    /// True when the kernel told of something in the file's directory.
    fn wait_event(&self, bound: Duration) -> bool {
        let mut polled = Vec::new();
        if let Some(events) = &self.events {
            polled.push(PollFd::from_borrowed_fd(events.as_fd(), PollFlags::IN));
        }
        // At most a second, which any time_t holds.
        let bound = Timespec::try_from(bound).ok();
        poll(&mut polled, bound.as_ref()).is_ok_and(|ready| ready > 0)
    }

    fn drain(&self) {
        let Some(events) = &self.events else { return };
        let mut room = [MaybeUninit::uninit(); EVENTS_BYTES];
        let mut reader = inotify::Reader::new(events, &mut room);
        while reader.next().is_ok() {}
    }
}

/// The directory, not the file: editors and deployments put another file in its place.
fn watch_dir(path: &Path) -> io::Result<OwnedFd> {
    let dir = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC)?;
    let flags = WatchFlags::CLOSE_WRITE
        | WatchFlags::MODIFY
        | WatchFlags::CREATE
        | WatchFlags::DELETE
        | WatchFlags::MOVE
        | WatchFlags::ATTRIB;
    inotify::add_watch(&events, dir, flags)?;
    Ok(events)
}
