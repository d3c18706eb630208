//! Telling the service manager how we are (sd_notify(3)): a few lines to a datagram socket.

use std::env;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::process;
use std::time::Duration;

const SOCKET: &str = "NOTIFY_SOCKET";
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The way to the service manager, where there is one. It listens or not: we go on.
#[derive(Debug, Default)]
pub struct Notifier {
    socket: Option<(UnixDatagram, SocketAddr)>,
    /// How often it wants to hear from us.
    pub beat: Option<Duration>,
}

impl Notifier {
    /// As the service manager has told in the environment.
    pub fn from_env() -> Self {
        let path = env::var_os(SOCKET);
        let address = path.as_deref().and_then(|path| address(path.as_bytes()));
        Self {
            socket: address.and_then(|at| Some((unbound().ok()?, at))),
            beat: beat(),
        }
    }

    pub fn ready(&self, status: &str) {
        self.say(&format!("READY=1\nSTATUS={}", one_line(status)));
    }

    pub fn status(&self, status: &str) {
        self.say(&format!("STATUS={}", one_line(status)));
    }

    pub fn alive(&self) {
        if self.beat.is_some() {
            self.say("WATCHDOG=1");
        }
    }

    pub fn stopping(&self) {
        self.say("STOPPING=1");
    }

    fn say(&self, lines: &str) {
        if let Some((socket, to)) = &self.socket {
            let _ = socket.send_to_addr(lines.as_bytes(), to);
        }
    }
}

/// A manager that does not read keeps nobody waiting: what it has no room for is lost.
fn unbound() -> io::Result<UnixDatagram> {
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn one_line(text: &str) -> String {
    text.replace('\n', " ")
}

/// A path, or a name in the abstract namespace, which begins with `@`.
fn address(text: &[u8]) -> Option<SocketAddr> {
    match text {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name).ok(),
        [b'/', ..] => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(text)).ok(),
        _ => None,
    }
}

/// Half of the time after which the watchdog kills, as sd_watchdog_enabled(3) advises.
fn beat() -> Option<Duration> {
    let number = |name: &str| env::var(name).ok()?.parse::<u64>().ok();
    let meant = number(WATCHDOG_PID).is_none_or(|pid| pid == u64::from(process::id()));
    let usec = number(WATCHDOG_USEC).filter(|usec| meant && *usec > 0)?;
    Some(Duration::from_micros(usec / 2))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_of_socket_are_reached() {
        let dir = env::temp_dir().join(format!("pontoon-notify-{}", process::id()));
        let name = format!("pontoon-notify-{}", process::id());
        let path = dir.as_os_str().as_bytes();
        let hidden = [b"@", name.as_bytes()].concat();
        for text in [path, &hidden] {
            let at = address(text).unwrap();
            let manager = UnixDatagram::bind_addr(&at).unwrap();
            let notifier = Notifier {
                socket: Some((unbound().unwrap(), at)),
                beat: Some(Duration::from_secs(1)),
            };
            notifier.ready("two\nlines");
            let mut said = [0; 100];
            let bytes = manager.recv(&mut said).unwrap();
            assert_eq!(&said[..bytes], b"READY=1\nSTATUS=two lines");
            // More than any queue holds.
            (0..10_000).for_each(|_| notifier.alive());
        }
        std::fs::remove_file(dir).unwrap();
        assert!(address(b"relative").is_none());
    }
}
