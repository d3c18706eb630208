//! Starting the server where none runs, from whoever attaches.
//!
//! Attaching does not depend on it: what goes wrong is told, and is nobody's failure.

use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use store::NamesLock;

use crate::error::StartError;

/// The server's program.
pub const PROGRAM: &str = "pontoon-names";
/// Where programs are that an administrator or a distribution installs.
const PLACES: [&str; 4] = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin"];
/// What the server says when questions are waited for; before it stands what does not work.
pub const READY: &str = "ready\n";
/// How long the first container of a node waits for the server at most.
const PATIENCE: Duration = Duration::from_secs(1);
/// The longest complaint that is passed on, in bytes.
const SAID_MOST: u64 = 4096;

/// Starts the server for these records unless it runs, and waits until it answers.
///
/// # Errors
/// Why nobody answers, or not everywhere.
pub fn ensure(state_dir: &Path) -> Result<(), StartError> {
    if NamesLock::is_held(state_dir) {
        return Ok(());
    }
    let path = find()?;
    let spawned = Command::new(&path)
        .arg("while-used")
        .arg(state_dir)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut child = spawned.map_err(|source| StartError::Spawn {
        path: path.clone(),
        source,
    })?;
    let said = hear(&mut child).map_err(|source| StartError::Spawn {
        path: path.clone(),
        source,
    });
    // An agent lives longer than the server may: somebody has to ask how that ended. Who has no room
    // for a thread is not there for long either.
    let waiting = thread::Builder::new().name("names".to_owned());
    let _ = waiting.spawn(move || child.wait());
    let said = said?;
    match said.strip_suffix(READY) {
        Some("") => Ok(()),
        Some(complaints) => Err(StartError::Complained(complaints.to_owned())),
        // Another one was faster.
        None if NamesLock::is_held(state_dir) => Ok(()),
        None if said.is_empty() => Err(StartError::Silent { path }),
        None => Err(StartError::Complained(said)),
    }
}

/// The server's program: beside this one, or where programs are.
///
/// # Errors
/// `Missing`.
pub fn find() -> Result<PathBuf, StartError> {
    let own = std::env::current_exe().ok();
    let beside = own.map(|own| own.with_file_name(PROGRAM));
    let places = PLACES.iter().map(|place| Path::new(place).join(PROGRAM));
    let mut all = beside.into_iter().chain(places);
    all.find(|path| path.is_file())
        .ok_or_else(|| StartError::Missing {
            program: PROGRAM,
            places: PLACES.join(", "),
        })
}

/// What it says until it is ready, or ends, or takes too long. It lives on either way.
fn hear(child: &mut Child) -> io::Result<String> {
    let deadline = Instant::now() + PATIENCE;
    let Some(mut pipe) = child.stdout.take() else {
        return Ok(String::new());
    };
    let mut said = String::new();
    while !said.ends_with(READY) && (said.len() as u64) < SAID_MOST {
        let left = deadline.saturating_duration_since(Instant::now());
        let left = Timespec::try_from(left).map_err(io::Error::other)?;
        let mut polled = [PollFd::new(&pipe, PollFlags::IN)];
        match poll(&mut polled, Some(&left)) {
            Ok(0) => break,
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => continue,
            Err(errno) => return Err(errno.into()),
        }
        let mut chunk = [0; 512];
        let n = pipe.read(&mut chunk)?;
        if n == 0 {
            break;
        }
        said.push_str(&String::from_utf8_lossy(&chunk[..n]));
    }
    Ok(said)
}
