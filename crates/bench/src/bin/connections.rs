//! `connections`: makes TCP connections one after the other and says how many a second, which the
//! bench finds no program of Debian's for. Each carries a small request and its answer.
//!
//! The server closes first, so that the port in TIME_WAIT is its own one: the client never runs
//! out of ports. The bench runs both pinned; this is no load generator for anything else.

use std::io::{Read, Write, stdout};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use clap::{Parser, Subcommand};

/// Of the request and of the answer.
const MESSAGE: [u8; 64] = [0x2a; 64];
/// How long one step of a connection may take.
const STEP_BOUND: Duration = Duration::from_secs(5);

/// A part of the bench: counts connections that are made one after the other.
#[derive(Debug, Parser)]
#[command(name = "connections")]
struct Args {
    #[command(subcommand)]
    side: Side,
}

#[derive(Debug, Subcommand)]
enum Side {
    /// Answer on a port of every address until killed
    Serve { port: u16 },
    /// Ask for so many seconds, and print connections a second
    Ask { server: SocketAddr, secs: u16 },
}

fn main() -> Result<ExitCode> {
    match Args::parse().side {
        Side::Serve { port } => {
            let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, port));
            serve(&listener.with_context(|| format!("listen on port {port}"))?)
        }
        Side::Ask { server, secs } => {
            let rate = ask(server, Duration::from_secs(secs.into()))?;
            writeln!(stdout(), "{rate:.1}")?;
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn serve(listener: &TcpListener) -> Result<ExitCode> {
    for stream in listener.incoming() {
        // A client that went away is the client's matter.
        let _ = stream.and_then(answer);
    }
    bail!("the socket is gone")
}

fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    stream.set_read_timeout(Some(STEP_BOUND))?;
    let mut request = MESSAGE;
    stream.read_exact(&mut request)?;
    stream.write_all(&request)
}

/// Connections a second.
fn ask(server: SocketAddr, bound: Duration) -> Result<f64> {
    let start = Instant::now();
    let mut count: u32 = 0;
    while start.elapsed() < bound {
        let asked = ask_once(server);
        asked.with_context(|| format!("connection {} to {server}", count + 1))?;
        count += 1;
    }
    Ok(f64::from(count) / start.elapsed().as_secs_f64())
}

fn ask_once(server: SocketAddr) -> Result<()> {
    let mut stream = TcpStream::connect_timeout(&server, STEP_BOUND)?;
    stream.set_read_timeout(Some(STEP_BOUND))?;
    stream.write_all(&MESSAGE)?;
    let mut answer = Vec::with_capacity(MESSAGE.len());
    stream.read_to_end(&mut answer)?;
    ensure!(answer == MESSAGE, "an answer of {} bytes", answer.len());
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn connections_are_counted_and_a_server_that_is_away_is_an_error() {
        let _node = testnet::Node::new();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = listener.local_addr().unwrap();
        thread::spawn(move || serve(&listener));
        assert!(ask(server, Duration::from_millis(200)).unwrap() > 10.0);
        let nobody = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let said = ask(nobody, STEP_BOUND).unwrap_err().to_string();
        assert!(said.contains("connection 1 to 127.0.0.1:1"), "{said}");
    }
}
