//! Traffic between two namespaces of a machine: TCP throughput by iperf3 with the processor time
//! it costs, and latency by sockperf. Processes are pinned, so that the scheduler takes no part.

use std::fs;
use std::thread::available_parallelism;
use std::time::Duration;

use anyhow::{Context, Result};
use serde_json::Value;
use testnet::wait_until;

use crate::machine::{Call, Machine, Server};
use crate::tools::{Found, program};

pub const THROUGHPUT_PORT: u16 = 5201;
pub const LATENCY_PORT: u16 = 11111;
const LISTEN_BOUND: Duration = Duration::from_secs(5);
const LATENCY_SECS: u16 = 1;
const MESSAGE_BYTES: u16 = 64;
/// Of /proc/stat, on every architecture (`USER_HZ`).
const TICKS_PER_SEC: f64 = 100.0;
const PERCENTILE: &str = "percentile 50.000 =";

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

/// Serves both kinds of traffic in a namespace, until the answer is dropped.
pub fn serve(machine: &Machine, namespace: &str) -> Result<[Server; 2]> {
    let ports = [THROUGHPUT_PORT, LATENCY_PORT];
    let [throughput, latency] = ports.map(|port| port.to_string());
    let iperf = ["iperf3", "-s", "-p", &throughput];
    let sockperf = ["sockperf", "server", "--tcp", "-p", &latency];
    let servers = [
        machine.serve(&pinned(namespace, 0, &iperf))?,
        machine.serve(&pinned(namespace, client_core(), &sockperf))?,
    ];
    for port in ports {
        let look = format!("ip netns exec {namespace} ss -Hltn sport = :{port}");
        let listens = || machine.sh(&look).is_ok_and(|found| !found.is_empty());
        wait_until("a server listens", LISTEN_BOUND, listens);
    }
    Ok(servers)
}

/// One TCP stream, server and client on different cores where there are two.
pub fn throughput(machine: &Machine, client: Client, secs: u16) -> Result<Throughput> {
    let (port, secs) = (THROUGHPUT_PORT.to_string(), secs.to_string());
    let line = [
        "iperf3",
        "-J",
        "-c",
        client.address,
        "-p",
        &port,
        "-t",
        &secs,
    ];
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
pub fn latency(machine: &Machine, client: Client) -> Result<f64> {
    let numbers = [LATENCY_PORT, MESSAGE_BYTES, LATENCY_SECS];
    let [port, bytes, secs] = numbers.map(|number| number.to_string());
    let line = [
        "sockperf",
        "ping-pong",
        "--tcp",
        "-i",
        client.address,
        "-p",
        &port,
        "-m",
        &bytes,
        "-t",
        &secs,
    ];
    let finished = machine.call(&pinned(client.namespace, client_core(), &line))?;
    parse_median(&finished.stdout)
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

fn pinned(namespace: &str, core: usize, line: &[&str]) -> Call {
    let core = core.to_string();
    let inside = ["netns", "exec", namespace, "taskset", "-c", &core];
    Call::new("ip", inside.iter().chain(line).copied())
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
