//! What a group uses, as the kernel counts it.

use std::fs;
use std::path::PathBuf;

use serde::Serialize;

use super::{Cgroups, Controller};

/// What a group uses. A number that the machine does not count is not there.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    pub cpu_micros: Option<u64>,
    /// Bytes, with the pages of files it has read.
    pub memory: Option<u64>,
    pub pids: Option<u64>,
    /// Bytes since it began.
    pub io_read: Option<u64>,
    pub io_written: Option<u64>,
    /// Processes that the kernel has killed for want of memory.
    pub out_of_memory: Option<u64>,
}

impl Cgroups {
    pub fn usage(&self, path: &str) -> Usage {
        let read = |controller, file: &str| {
            let dir: PathBuf = self.dir_of(controller, path)?;
            fs::read_to_string(dir.join(file)).ok()
        };
        let number = |controller, file: &str| read(controller, file)?.trim().parse().ok();
        match self {
            Self::None => Usage::default(),
            Self::V1(_) => {
                let nanos: Option<u64> = number(Controller::CpuAccounting, "cpuacct.usage");
                let io = read(Controller::Io, "blkio.throttle.io_service_bytes");
                let oom = read(Controller::Memory, "memory.oom_control");
                Usage {
                    cpu_micros: nanos.map(|nanos| nanos / 1000),
                    memory: number(Controller::Memory, "memory.usage_in_bytes"),
                    pids: number(Controller::Pids, "pids.current"),
                    io_read: io.as_deref().map(|text| sum_v1(text, "Read")),
                    io_written: io.as_deref().map(|text| sum_v1(text, "Write")),
                    out_of_memory: oom.and_then(|text| field(&text, "oom_kill")),
                }
            }
            Self::V2(_) => {
                let cpu = read(Controller::Cpu, "cpu.stat");
                let io = read(Controller::Io, "io.stat");
                let oom = read(Controller::Memory, "memory.events");
                Usage {
                    cpu_micros: cpu.and_then(|text| field(&text, "usage_usec")),
                    memory: number(Controller::Memory, "memory.current"),
                    pids: number(Controller::Pids, "pids.current"),
                    io_read: io.as_deref().map(|text| sum_v2(text, "rbytes=")),
                    io_written: io.as_deref().map(|text| sum_v2(text, "wbytes=")),
                    out_of_memory: oom.and_then(|text| field(&text, "oom_kill")),
                }
            }
        }
    }
}

/// The number behind a name, one of each on a line.
fn field(text: &str, name: &str) -> Option<u64> {
    let mut lines = text.lines().filter_map(|line| line.split_once(' '));
    let (_, value) = lines.find(|(found, _)| *found == name)?;
    value.trim().parse().ok()
}

/// Lines of `MAJOR:MINOR Read BYTES`.
fn sum_v1(text: &str, kind: &str) -> u64 {
    let words = text.lines().map(|line| line.split(' ').collect::<Vec<_>>());
    let of_kind = words.filter(|words| words.len() == 3 && words[1] == kind);
    of_kind
        .filter_map(|words| words[2].parse::<u64>().ok())
        .sum()
}

/// Lines of `MAJOR:MINOR rbytes=BYTES wbytes=BYTES …`.
fn sum_v2(text: &str, key: &str) -> u64 {
    let words = text.split_whitespace();
    words
        .filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_versions_are_summed_over_devices() {
        let v1 = "254:0 Read 4096\n254:0 Write 8192\n7:0 Read 1\n254:0 Total 12288\nTotal 12289\n";
        assert_eq!((sum_v1(v1, "Read"), sum_v1(v1, "Write")), (4097, 8192));
        let v2 = "254:0 rbytes=4096 wbytes=8192 rios=1\n7:0 rbytes=1 wbytes=0\n";
        assert_eq!((sum_v2(v2, "rbytes="), sum_v2(v2, "wbytes=")), (4097, 8192));
    }

    #[test]
    fn fields_are_found_by_their_whole_name() {
        let text = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n";
        assert_eq!(field(text, "oom_kill"), Some(3));
        assert_eq!(field(text, "missing"), None);
    }
}
