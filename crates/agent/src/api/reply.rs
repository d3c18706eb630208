//! What is answered to what.

use std::sync::mpsc::Sender;

use super::request::{Asked, Unread};
use crate::board::Board;
use crate::metrics;
use crate::reason::Reason;
use crate::usage::usage;

const TEXT: &str = "text/plain; charset=utf-8";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const JSON: &str = "application/json";

/// Who answers, and may be asked what.
pub struct Desk {
    board: Board,
    /// Where a resync is asked for; without, nothing but metrics is answered.
    into: Option<Sender<Reason>>,
}

/// An answer.
#[derive(Debug, PartialEq, Eq)]
pub struct Reply {
    status: u16,
    phrase: &'static str,
    kind: &'static str,
    body: String,
}

impl Reply {
    fn new(status: u16, phrase: &'static str, body: impl Into<String>) -> Self {
        Self {
            status,
            phrase,
            kind: TEXT,
            body: body.into(),
        }
    }

    fn ok(kind: &'static str, body: String) -> Self {
        Self {
            kind,
            ..Self::new(200, "OK", body)
        }
    }

    pub fn busy() -> Self {
        Self::new(503, "Service Unavailable", "too many ask at once\n")
    }

    pub fn stranger() -> Self {
        Self::new(403, "Forbidden", "only root is answered here\n")
    }

    /// To what could not be read; nothing to who left.
    pub fn unread(why: &Unread) -> Option<Self> {
        Some(match why {
            Unread::Left => return None,
            Unread::Malformed => Self::new(400, "Bad Request", "no HTTP request\n"),
            Unread::HasBody => Self::new(413, "Content Too Large", "no body is taken\n"),
            Unread::TooLong => Self::new(431, "Request Header Fields Too Large", "too long\n"),
        })
    }

    /// As it is sent.
    pub fn bytes(&self) -> Vec<u8> {
        let Self {
            status,
            phrase,
            kind,
            body,
        } = self;
        let allow = match status {
            405 => "Allow: GET, POST\r\n",
            _ => "",
        };
        let len = body.len();
        format!(
            "HTTP/1.1 {status} {phrase}\r\nContent-Type: {kind}\r\nContent-Length: {len}\r\n{allow}Connection: close\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

impl Desk {
    pub fn whole(board: Board, into: Sender<Reason>) -> Self {
        Self {
            board,
            into: Some(into),
        }
    }

    pub fn of_metrics(board: Board) -> Self {
        Self { board, into: None }
    }

    pub fn answer(&self, asked: &Asked) -> Reply {
        let method = asked.method.as_str();
        match (asked.path.as_str(), &self.into) {
            ("/metrics", _) => only("GET", method, || Reply::ok(METRICS, self.metrics())),
            ("/healthz", _) => only("GET", method, || self.health()),
            ("/status", Some(_)) => only("GET", method, || self.status()),
            ("/resync", Some(into)) => only("POST", method, || match into.send(Reason::Resync) {
                Ok(()) => Reply::new(202, "Accepted", "looks at everything now\n"),
                Err(_) => Reply::new(503, "Service Unavailable", "the agent ends\n"),
            }),
            _ => Reply::new(404, "Not Found", self.contents()),
        }
    }

    fn contents(&self) -> &'static str {
        match self.into {
            Some(_) => "there is: GET /status, GET /metrics, GET /healthz, POST /resync\n",
            None => "there is: GET /metrics, GET /healthz\n",
        }
    }

    fn status(&self) -> Reply {
        match serde_json::to_string_pretty(&self.board.status()) {
            Ok(text) => Reply::ok(JSON, text + "\n"),
            Err(error) => Reply::new(500, "Internal Server Error", format!("{error}\n")),
        }
    }

    fn health(&self) -> Reply {
        match self.board.status().trouble {
            None => Reply::ok(TEXT, "ok\n".to_owned()),
            Some(trouble) => {
                let body = format!("{}\n", trouble.message);
                Reply::new(503, "Service Unavailable", body)
            }
        }
    }

    fn metrics(&self) -> String {
        let engine = self.board.engine();
        let endpoints = engine.endpoints().ok().map(|all| {
            let mut networks = metrics::Endpoints::new();
            for status in all {
                *networks.entry(status.network_name.to_string()).or_default() += 1;
            }
            networks
        });
        let (status, meters) = (self.board.status(), self.board.meters());
        let drops = engine::dropped().ok();
        metrics::page(
            &status,
            &meters,
            usage(),
            endpoints.as_ref(),
            drops.as_deref(),
        )
    }
}

fn only(wanted: &str, method: &str, reply: impl FnOnce() -> Reply) -> Reply {
    if method == wanted {
        return reply();
    }
    let body = format!("only {wanted}\n");
    Reply::new(405, "Method Not Allowed", body)
}
