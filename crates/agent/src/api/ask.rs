//! Asking an agent how it is, as `pontoon status` does.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use httparse::{EMPTY_HEADER, Response, Status};

use super::socket_path;
use crate::board::AgentStatus;

/// An agent answers between two looks of its own, which keep no question waiting.
const BOUND: Duration = Duration::from_secs(2);
/// A status is some hundred bytes.
const BYTES_MAX: u64 = 64 << 10;
const HEADERS_MAX: usize = 16;

/// Why an agent's answer is not there.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("the agent does not answer at {}", path.display())]
    Silent { path: PathBuf, source: io::Error },
    #[error("the agent at {} answered something else than its status", .0.display())]
    Answer(PathBuf),
}

/// How the agent on these records is, by itself.
///
/// # Errors
/// `Silent`, also where none runs; `Answer`.
pub fn ask_status(state_dir: &Path) -> Result<AgentStatus, AskError> {
    let path = socket_path(state_dir);
    let answer = ask(&path).map_err(|source| AskError::Silent {
        path: path.clone(),
        source,
    })?;
    parse(&answer).ok_or(AskError::Answer(path))
}

fn ask(path: &Path) -> io::Result<Vec<u8>> {
    let mut stream = UnixStream::connect(path)?;
    stream.set_read_timeout(Some(BOUND))?;
    stream.set_write_timeout(Some(BOUND))?;
    stream.write_all(b"GET /status HTTP/1.1\r\nHost: agent\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(BYTES_MAX).read_to_end(&mut answer)?;
    Ok(answer)
}

fn parse(answer: &[u8]) -> Option<AgentStatus> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = Response::new(&mut headers);
    let Ok(Status::Complete(head)) = response.parse(answer) else {
        return None;
    };
    match response.code {
        Some(200) => serde_json::from_slice(answer.get(head..)?).ok(),
        _ => None,
    }
}
