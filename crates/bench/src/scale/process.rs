//! What a process takes of the machine, as the kernel counts it: see proc(5).

use std::fs;

use anyhow::{Context, Result};

/// Of /proc/PID/stat, on every architecture (`USER_HZ`).
const TICKS_PER_SEC: f64 = 100.0;

pub struct Memory {
    pub now_megabytes: f64,
    pub peak_megabytes: f64,
}

pub fn memory(pid: u32) -> Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    let megabytes =
        |name| parse_megabytes(&status, name).with_context(|| format!("{name} in {path}"));
    Ok(Memory {
        now_megabytes: megabytes("VmRSS")?,
        peak_megabytes: megabytes("VmHWM")?,
    })
}

/// The processor time it has had.
pub fn busy_secs(pid: u32) -> Result<f64> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| format!("read {path}"))?;
    parse_busy(&stat).with_context(|| format!("read utime and stime of {path}"))
}

fn parse_megabytes(status: &str, name: &str) -> Option<f64> {
    let mut lines = status.lines();
    let rest = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    let kibibytes: f64 = rest.trim().strip_suffix(" kB")?.parse().ok()?;
    Some(kibibytes * 1024.0 / 1e6)
}

fn parse_busy(stat: &str) -> Option<f64> {
    // A name may have anything in it but ends before the last parenthesis; state is field 3.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(14 - 3);
    let user: f64 = fields.next()?.parse().ok()?;
    let system: f64 = fields.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_fields_are_found_whatever_the_name_is() {
        let stat = "7 (a ) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0";
        assert_eq!(parse_busy(stat), Some(3.0));
        assert_eq!(parse_busy("7 (a) S 1"), None);
        let status = "Name:\tx\nVmHWM:\t   2000 kB\nVmRSS:\t   1000 kB\n";
        assert_eq!(parse_megabytes(status, "VmRSS"), Some(1.024));
        assert_eq!(parse_megabytes(status, "VmSwap"), None);
    }
}
