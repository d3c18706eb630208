//! Traffic between two namespaces: throughput by iperf3 with the processor time it costs, latency
//! by sockperf, connections by a program of the bench's own. Processes are pinned, so that the
//! scheduler takes no part.

use std::fs;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::machine::{Call, Machine, Server};
use crate::patience::wait_for;
use crate::tools::{self, Found, program};

pub const THROUGHPUT_PORT: u16 = 5201;
pub const LATENCY_PORT: u16 = 11111;
const UDP_LATENCY_PORT: u16 = 11112;
const CONNECTIONS_PORT: u16 = 11113;
const LISTEN_BOUND: Duration = Duration::from_secs(10);
const SECS: u16 = 1;
const MESSAGE_BYTES: u16 = 64;
const FLOWS: u16 = 32;
/// Of one flow's datagram: as much as fits into VXLAN on a link of 1500 bytes.
const DATAGRAM_BYTES: u16 = 1400;
/// Of /proc/stat, on every architecture (`USER_HZ`).
const TICKS_PER_SEC: f64 = 100.0;
const PERCENTILE: &str = "percentile 50.000 =";

/// What can be served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    Throughput,
    Latency(Transport),
    Connections,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Transport {
    Tcp,
    Udp,
}

impl Service {
    pub const ALL: [Self; 4] = [
        Self::Throughput,
        Self::Latency(Transport::Tcp),
        Self::Latency(Transport::Udp),
        Self::Connections,
    ];

    fn port(self) -> u16 {
        match self {
            Self::Throughput => THROUGHPUT_PORT,
            Self::Latency(Transport::Tcp) => LATENCY_PORT,
            Self::Latency(Transport::Udp) => UDP_LATENCY_PORT,
            Self::Connections => CONNECTIONS_PORT,
        }
    }

    /// Throughput has a core for each end; what waits for each other shares one.
    fn core(self) -> usize {
        match self {
            Self::Throughput => 0,
            Self::Latency(_) | Self::Connections => client_core(),
        }
    }

    fn line(self) -> Result<Vec<String>> {
        let port = self.port();
        let text = match self {
            Self::Throughput => format!("iperf3 -s -p {port}"),
            Self::Latency(Transport::Tcp) => format!("sockperf server --tcp -p {port}"),
            Self::Latency(Transport::Udp) => format!("sockperf server -p {port}"),
            Self::Connections => return connections(&["serve", &port.to_string()]),
        };
        Ok(words(&text))
    }

    fn listening(self) -> &'static str {
        match self {
            Self::Latency(Transport::Udp) => "-Hlun",
            Self::Throughput | Self::Latency(Transport::Tcp) | Self::Connections => "-Hltn",
        }
    }
}

pub fn find() -> Found<()> {
    let programs = ["iperf3", "sockperf", "taskset"];
    programs.iter().try_for_each(|name| program(name).map(drop))
}

pub struct Throughput {
    pub gigabits_per_sec: f64,
    /// Of the whole machine, whoever was running.
    pub cpu_secs_per_gigabyte: f64,
}

/// Where a client runs, and whom it asks.
#[derive(Debug, Clone, Copy)]
pub struct Client {
    pub namespace: &'static str,
    pub address: &'static str,
}

/// Serves in a namespace, until the answer is dropped.
pub fn serve(machine: &Machine, namespace: &str, services: &[Service]) -> Result<Vec<Server>> {
    let mut servers = Vec::new();
    for service in services {
        servers.push(machine.serve(&pinned(namespace, service.core(), &service.line()?))?);
        let look = format!(
            "ip netns exec {namespace} ss {} sport = :{}",
            service.listening(),
            service.port()
        );
        let listens = || machine.sh(&look).is_ok_and(|found| !found.is_empty());
        wait_for("a server listens", LISTEN_BOUND, listens)?;
    }
    Ok(servers)
}

/// One TCP stream, server and client on different cores where there are two.
pub fn throughput(machine: &Machine, client: Client, secs: u16) -> Result<Throughput> {
    run_iperf(machine, client, &format!("-t {secs}"))
}

/// 32 flows of datagrams, sent as fast as it goes: what arrives.
pub fn udp_flows(machine: &Machine, client: Client) -> Result<Throughput> {
    let options = format!("-u -b 0 -P {FLOWS} -l {DATAGRAM_BYTES} -t {SECS}");
    run_iperf(machine, client, &options)
}

fn run_iperf(machine: &Machine, client: Client, options: &str) -> Result<Throughput> {
    let address = client.address;
    let line = words(&format!(
        "iperf3 -J -c {address} -p {THROUGHPUT_PORT} {options}"
    ));
    let before = busy_secs()?;
    let finished = machine.call(&pinned(client.namespace, client_core(), &line))?;
    let busy = busy_secs()? - before;
    let report: Value = serde_json::from_str(&finished.stdout).context("read iperf3's report")?;
    let received = &report["end"]["sum_received"];
    let number = |name: &str| received[name].as_f64().context("a sum in iperf3's report");
    Ok(Throughput {
        gigabits_per_sec: number("bits_per_second")? / 1e9,
        cpu_secs_per_gigabyte: busy / (number("bytes")? / 1e9),
    })
}

/// Half a round trip of one small message, the median, in microseconds; all on one core.
pub fn latency(machine: &Machine, client: Client, transport: Transport) -> Result<f64> {
    let (address, port) = (client.address, Service::Latency(transport).port());
    let option = match transport {
        Transport::Tcp => "--tcp",
        Transport::Udp => "",
    };
    let line = words(&format!(
        "sockperf ping-pong {option} -i {address} -p {port} -m {MESSAGE_BYTES} -t {SECS}"
    ));
    let finished = machine.call(&pinned(client.namespace, client_core(), &line))?;
    parse_median(&finished.stdout)
}

/// Connections a second, one after the other, each with a small request; all on one core.
pub fn connection_rate(machine: &Machine, client: Client) -> Result<f64> {
    let server = format!("{}:{CONNECTIONS_PORT}", client.address);
    let line = connections(&["ask", &server, &SECS.to_string()])?;
    let finished = machine.call(&pinned(client.namespace, client_core(), &line))?;
    let rate = finished.stdout.trim();
    rate.parse().context("read the rate of connections")
}

fn connections(args: &[&str]) -> Result<Vec<String>> {
    let program = tools::sibling("connections").map_err(anyhow::Error::msg)?;
    let program = program.to_string_lossy().into_owned();
    let args = args.iter().map(|arg| (*arg).to_owned());
    Ok([program].into_iter().chain(args).collect())
}

fn parse_median(report: &str) -> Result<f64> {
    let (_, after) = report
        .split_once(PERCENTILE)
        .with_context(|| format!("no median in sockperf's report: {report}"))?;
    let number = after.split_whitespace().next().context("a median")?;
    // It may be followed by the escape that ends a colour.
    let number = number.split('\x1b').next().unwrap_or(number);
    number.parse().context("read sockperf's median")
}

fn client_core() -> usize {
    available_parallelism().map_or(0, |cores| cores.get().min(2) - 1)
}

fn words(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn pinned(namespace: &str, core: usize, line: &[String]) -> Call {
    let inside = words(&format!("netns exec {namespace} taskset -c {core}"));
    Call::new("ip", inside.into_iter().chain(line.iter().cloned()))
}

/// The time all processors have been at work.
fn busy_secs() -> Result<f64> {
    let stat = fs::read_to_string("/proc/stat").context("read /proc/stat")?;
    parse_busy(&stat).context("read the first line of /proc/stat")
}

fn parse_busy(stat: &str) -> Option<f64> {
    let columns = stat.lines().next()?.split_whitespace().skip(1);
    let ticks: Vec<f64> = columns.map_while(|ticks| ticks.parse().ok()).collect();
    // user nice system idle iowait irq softirq: see proc(5).
    let [user, nice, system, _, _, irq, softirq] = *ticks.first_chunk()?;
    Some((user + nice + system + irq + softirq) / TICKS_PER_SEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_a_report_is_found_in_colour_or_without() {
        let line = |end| format!("sockperf: ---> percentile 50.000 =    9.830{end}\nmore");
        for end in ["", "\x1b[0m"] {
            let median = parse_median(&line(end)).unwrap();
            assert!((median - 9.83).abs() < 1e-9, "{median}");
        }
        assert!(parse_median("sockperf: No messages were received").is_err());
    }

    #[test]
    fn idle_time_is_not_busy_time() {
        let busy = parse_busy("cpu  100 20 30 9999 8888 4 6 50 0 0\ncpu0 1 1").unwrap();
        assert!((busy - 1.6).abs() < 1e-9, "{busy}");
        assert_eq!(parse_busy(""), None);
    }
}
