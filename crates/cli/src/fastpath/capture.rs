//! `pontoon capture`: has an endpoint step aside from the fast path while it runs.
//!
//! By a lease that it renews: whatever ends it, the lease ends too.

use std::thread;
use std::time::Duration;

use ::fastpath::FastPath;
use anyhow::Result;
use clap::Args;
use engine::Engine;
use model::{EndpointName, IfName, NetworkName};
use serde::Serialize;

use crate::print::Out;

const LEASE: Duration = Duration::from_secs(2);
const RENEWAL: Duration = Duration::from_millis(500);

#[derive(Debug, Args)]
pub struct CaptureArgs {
    /// The endpoint's name
    pub endpoint: EndpointName,
    /// The network that it is on, where several have one of the name
    pub network: Option<NetworkName>,
}

/// What it says before it waits.
#[derive(Debug, Serialize)]
struct Begun {
    /// The device to listen on.
    port: IfName,
    /// Whether there is a fast path that it steps aside from.
    carried: bool,
}

/// Runs until a signal ends it; at once where nothing is carried.
pub fn run(args: &CaptureArgs, engine: &Engine, out: Out) -> Result<()> {
    let found = engine.endpoint_named(&args.endpoint, args.network.as_ref())?;
    let port = found.endpoint.port;
    let fastpath = FastPath::of(engine.node_id()?);
    let mut carried = fastpath.step_aside(&port, LEASE)?;
    let begun = Begun {
        port: port.clone(),
        carried,
    };
    out.show(&begun, |begun| match begun.carried {
        true => format!(
            "all packets pass {} until this ends: tcpdump -ni {}\n",
            begun.port, begun.port
        ),
        false => format!(
            "nothing is carried past {}: tcpdump -ni {} sees all\n",
            begun.port, begun.port
        ),
    })?;
    while carried {
        thread::sleep(RENEWAL);
        carried = fastpath.step_aside(&port, LEASE)?;
    }
    Ok(())
}
