//! `pontoon trace`: sends one packet and shows what became of it, chain by chain.

mod print;

use std::net::IpAddr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;
use clap::Args;
use engine::{EndpointPath, Engine, ProbeFrom, ProbeTo, TraceRequest};
use netstate::trace::{Finding, ProbeProto, TracePlan};
use serde::Serialize;

use crate::exit::FOUND;
use crate::print::Out;

const EXAMPLES: &str = "\
Examples:
  pontoon trace blue red                     an echo request from endpoint blue to endpoint red
  pontoon trace web/blue 192.0.2.7 --tcp 443 the first packet of a connection to the outside
  pontoon trace node blue --udp 53           from the node itself
  pontoon trace 192.0.2.9 blue --tcp 8080 --wait 30
                                             the first packet from there to this port of the node
  pontoon trace blue red --json              for a program

Exit codes: 0 it was answered, or refused by who it was for; 10 it was not; others as in
'pontoon --help'.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct TraceArgs {
    /// Who sends: an endpoint, NETWORK/ENDPOINT where several have the name, or 'node'; of an
    /// address elsewhere the first packet that comes from there is followed, and none is sent
    #[arg(value_parser = sender)]
    pub from: ProbeFrom,
    /// Who is to answer: an address, or an endpoint as above
    #[arg(value_parser = receiver)]
    pub to: ProbeTo,
    /// Send the first packet of a TCP connection to this port, not an echo request
    #[arg(long, value_name = "PORT", conflicts_with = "udp", value_parser = clap::value_parser!(u16).range(1..))]
    pub tcp: Option<u16>,
    /// Send a UDP datagram to this port, not an echo request
    #[arg(long, value_name = "PORT", value_parser = clap::value_parser!(u16).range(1..))]
    pub udp: Option<u16>,
    /// How long to wait for an answer, or for somebody else's packet, 1 to 600 seconds
    #[arg(long, value_name = "SECS", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..=600))]
    pub wait: u64,
    /// Show every rule that a packet met, not only what decided
    #[arg(long)]
    pub all: bool,
    /// Print the table that would mark the packets, and send nothing
    #[arg(long)]
    pub dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Planned {
    dry_run: bool,
    plan: Vec<String>,
}

pub fn run(args: TraceArgs, verbose: bool, engine: &Engine, out: Out) -> Result<ExitCode> {
    let TraceArgs { all, dry_run, .. } = args;
    let request = request(args);
    if dry_run {
        let planned = Planned {
            dry_run,
            plan: engine.trace_plan(&request)?,
        };
        out.show(&planned, |planned| print::plan(&planned.plan))?;
        return Ok(ExitCode::SUCCESS);
    }
    let announce = if verbose {
        print::announce
    } else {
        |_: &TracePlan| {}
    };
    let traced = engine.trace(&request, announce)?;
    let detail = if all {
        print::Detail::EveryRule
    } else {
        print::Detail::Decisions
    };
    out.show(&traced, |traced| print::traced(traced, detail))?;
    Ok(match traced.end {
        Finding::Answered | Finding::Refused => ExitCode::SUCCESS,
        _ => ExitCode::from(FOUND),
    })
}

fn request(args: TraceArgs) -> TraceRequest {
    TraceRequest {
        from: args.from,
        to: args.to,
        proto: match (args.tcp, args.udp) {
            (Some(port), _) => ProbeProto::Tcp(port),
            (None, Some(port)) => ProbeProto::Udp(port),
            (None, None) => ProbeProto::Echo,
        },
        wait: Duration::from_secs(args.wait),
    }
}

fn sender(text: &str) -> Result<ProbeFrom, String> {
    match (text, text.parse::<IpAddr>()) {
        ("node", _) => Ok(ProbeFrom::Node),
        (_, Ok(address)) => Ok(ProbeFrom::Outside(address)),
        (text, Err(_)) => endpoint(text).map(ProbeFrom::Endpoint),
    }
}

fn receiver(text: &str) -> Result<ProbeTo, String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(ProbeTo::Address(address)),
        Err(_) => endpoint(text).map(ProbeTo::Endpoint),
    }
}

fn endpoint(text: &str) -> Result<EndpointPath, String> {
    let (network, name) = match text.split_once('/') {
        Some((network, name)) => (Some(network), name),
        None => (None, text),
    };
    let network = network.map(str::parse).transpose();
    Ok(EndpointPath {
        name: name.parse().map_err(|error| format!("{error}"))?,
        network: network.map_err(|error| format!("{error}"))?,
    })
}
