//! What this process takes of the machine, as proc(5) tells.

use std::fs;

/// Ticks of a second in `/proc` (`USER_HZ`, the same on every architecture that Rust runs Linux on).
const TICKS: f64 = 100.0;

/// What is used up to now.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    pub resident_bytes: u64,
    pub cpu_secs: f64,
    pub threads: u64,
    pub open_files: usize,
}

/// `None` without `/proc`.
pub fn usage() -> Option<Usage> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let field = |name: &str| -> Option<u64> {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        line.split_whitespace().next()?.parse().ok()
    };
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    // The name, in brackets, may hold anything; utime and stime are the 12th and 13th behind it.
    let mut behind = stat.rsplit_once(')')?.1.split_whitespace().skip(11);
    let mut ticks = || behind.next()?.parse::<u32>().ok();
    Some(Usage {
        resident_bytes: field("VmRSS:")?.saturating_mul(1024),
        cpu_secs: (f64::from(ticks()?) + f64::from(ticks()?)) / TICKS,
        threads: field("Threads:")?,
        open_files: fs::read_dir("/proc/self/fd").ok()?.count(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_takes_something() {
        let usage = usage().unwrap();
        assert!(usage.resident_bytes > 1 << 18, "{usage:?}");
        assert!(usage.threads > 0 && usage.open_files > 2, "{usage:?}");
    }
}
