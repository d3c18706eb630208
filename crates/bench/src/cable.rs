//! An underlay: one cable between two machines, and nothing else.

use anyhow::Result;

use crate::machine::Machine;

/// How a cable's ends are called, and what addresses they have.
#[derive(Debug, Clone)]
pub struct Cable {
    pub device: String,
    pub left: String,
    pub right: String,
}

impl Cable {
    /// Lays one. `number` counts those of a machine: each is a network of its own.
    pub fn lay(left: &Machine, right: &Machine, number: u8) -> Result<Self> {
        let first = u32::from(number) * 4 + 1;
        let cable = Self {
            device: format!("under{number}"),
            left: address(first),
            right: address(first + 1),
        };
        let device = &cable.device;
        left.sh(&format!(
            "ip link add {device} type veth peer name {device} netns {}",
            right.netns_file()?
        ))?;
        for (machine, address) in [(left, &cable.left), (right, &cable.right)] {
            machine.sh(&format!(
                "ip addr add {address}/30 dev {device}
                 ip link set {device} up"
            ))?;
        }
        Ok(cable)
    }
}

/// Of 192.0.2.0/23, which takes more cables than there are rounds.
fn address(number: u32) -> String {
    format!("192.0.{}.{}", 2 + number / 256, number % 256)
}
