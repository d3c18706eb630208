//! What the fast path of a node says of itself.

use std::fs;
use std::os::unix::fs::MetadataExt;

use fastpath::{PortStatus, Status};

use crate::nodes::{Backend, Nodes, Side};

impl Nodes {
    /// Another number where there are other programs.
    pub fn programs(&self, side: Side) -> u64 {
        let pin = format!("/sys/fs/bpf/pontoon/{}/pontoon_in", side.id());
        fs::metadata(pin).unwrap().ino()
    }

    pub fn status(&self, side: Side) -> PortStatus {
        self.whole_status(side).ports.into_iter().next().unwrap()
    }

    fn whole_status(&self, side: Side) -> Status {
        let ports = [self.port(side)];
        side.node()
            .run(|| side.fastpath().status(&ports).unwrap().unwrap())
    }

    /// Whether the kernel can take packets of this family out of what is around them: of the other
    /// family since Linux 6.3.
    pub fn takes_out(&self, family: usize) -> bool {
        let around = match self.backend {
            Backend::Vxlan4 | Backend::Stretched => 0,
            Backend::Vxlan6 => 1,
            Backend::Routed => return true,
        };
        let release = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap();
        let mut numbers = release.split(['.', '-']).map(str::parse::<u32>);
        let version = [numbers.next(), numbers.next()].map(|number| number.unwrap().unwrap());
        around == family || version >= [6, 3]
    }

    /// What has arrived by the kernel's way for this reason.
    pub fn slow_arrivals(&self, side: Side, why: &str) -> u64 {
        let status = self.whole_status(side);
        let counts = status.uplinks.iter().flat_map(|uplink| &uplink.slow);
        counts
            .filter(|slow| slow.why == why)
            .map(|slow| slow.packets)
            .sum()
    }

    /// What a node has sent fast, and what it has received so.
    pub fn carried(&self, side: Side) -> [u64; 2] {
        let status = self.status(side);
        [status.fast_packets, status.arrived_packets]
    }
}
