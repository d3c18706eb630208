//! The agent's API: HTTP/1.1, one request a connection, at a socket beside the records, which is
//! root's alone. `curl --unix-socket /var/lib/pontoon/agent.sock http://agent/status` asks it.
//!
//! - `GET /status`: how the agent is, as JSON ([`AgentStatus`](crate::AgentStatus)).
//! - `GET /metrics`: what it counts, in Prometheus's text format.
//! - `GET /healthz`: 200, or 503 and what is in the way.
//! - `POST /resync`: look at everything now; answers before that is done.
//!
//! With `--metrics` the second and third are also answered over TCP. Clients are bounded in number,
//! size and time: one that says nothing, or a byte a minute, keeps nobody waiting.

mod ask;
mod reply;
mod request;
mod serve;

use std::fs::{self, Permissions};
use std::io;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::sync::mpsc::Sender;

use tracing::{info, warn};

use crate::AgentError;
use crate::agent::AgentSettings;
use crate::board::Board;
use crate::reason::{Reason, start};
use reply::Desk;
use serve::serve;

pub use ask::{AskError, ask_status};

const FILE: &str = "agent.sock";
const MODE: u32 = 0o600;

/// Where an agent on these records answers.
fn socket_path(state_dir: &Path) -> PathBuf {
    state_dir.join(FILE)
}

/// The API of an agent that runs; its socket is gone with it.
pub struct Api {
    path: PathBuf,
}

impl Api {
    /// Starts to answer. Without a socket of its own the agent works all the same, and says so.
    ///
    /// # Errors
    /// `Metrics`: the address that was asked for can't be had. A thread that can't be started.
    pub fn open(
        settings: &AgentSettings,
        board: &Board,
        into: &Sender<Reason>,
    ) -> Result<Self, AgentError> {
        let path = socket_path(&settings.engine.state_dir);
        match listen(&path) {
            Ok(listener) => {
                let desk = Desk::whole(board.clone(), into.clone());
                start("api", move || serve(&listener, &desk))?;
            }
            Err(error) => warn!("nobody can ask this agent: {}: {error}", path.display()),
        }
        if let Some(address) = settings.metrics {
            let failed = |source| AgentError::Metrics { address, source };
            let listener = TcpListener::bind(address).map_err(failed)?;
            info!("metrics at http://{address}/metrics");
            let desk = Desk::of_metrics(board.clone());
            start("metrics", move || serve(&listener, &desk))?;
        }
        Ok(Self { path })
    }
}

impl Drop for Api {
    fn drop(&mut self) {
        // One that stays behind answers nobody, and the next agent replaces it.
        let _ = fs::remove_file(&self.path);
    }
}

/// What is there already is left over from one that was killed: the lock says that we are alone.
fn listen(path: &Path) -> io::Result<UnixListener> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = UnixListener::bind(path)?;
    fs::set_permissions(path, Permissions::from_mode(MODE))?;
    Ok(listener)
}
