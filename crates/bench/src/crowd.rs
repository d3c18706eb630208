//! Section `parallel`: 100 attaches started at once, from the first start to the last end, and the
//! detaches after them. All must succeed, with addresses that all differ.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::contender::{Chain, NETAVARK, PLUGIN, PONTOON, Plugin, Records, Setup};
use crate::ground::{Ground, NETWORK, Site, reason};
use crate::machine::{Call, Machine, Target};
use crate::progress::progress;
use crate::table::{Row, Samples, Unit, millis};
use crate::tools::Found;

pub const ATTACHES: &str = "100 attaches at once, no port";
const DETACHES: &str = "100 detaches at once, no port";
const CROWD: u16 = 100;
/// One process each: portmap would have to wait for what bridge answers.
const BRIDGE_ALONE: &str = "CNI bridge";

/// How one tool makes a process of a target.
trait Tool {
    fn attach(&self, target: &Target) -> Call;
    fn detach(&self, target: &Target) -> Call;
}

impl Tool for Records {
    fn attach(&self, target: &Target) -> Call {
        self.call(&["attach", NETWORK, &target.name])
    }

    fn detach(&self, target: &Target) -> Call {
        self.call(&["detach", &target.name])
    }
}

impl Tool for Plugin {
    fn attach(&self, target: &Target) -> Call {
        self.call("ADD", target, 0)
    }

    fn detach(&self, target: &Target) -> Call {
        self.call("DEL", target, 0)
    }
}

impl Tool for Chain {
    fn attach(&self, target: &Target) -> Call {
        self.bridge_call("ADD", target, &Value::Null)
    }

    fn detach(&self, target: &Target) -> Call {
        self.bridge_call("DEL", target, &Value::Null)
    }
}

impl Tool for Setup {
    fn attach(&self, target: &Target) -> Call {
        self.call("setup", target, 0)
    }

    fn detach(&self, target: &Target) -> Call {
        self.call("teardown", target, 0)
    }
}

pub fn measure(ground: &Ground<'_>, rounds: u16) -> Vec<Row> {
    let mut crowds = [
        Crowd::new(PONTOON, ground.site("parallel")),
        Crowd::new(
            PLUGIN,
            ground.site("parallel-plugin").map(|site| Site {
                tool: Plugin::of(&site.tool),
                machine: site.machine,
            }),
        ),
        Crowd::new(BRIDGE_ALONE, ground.cni_site("parallel-cni")),
        Crowd::new(NETAVARK, ground.netavark_site("parallel-netavark")),
    ];
    for round in 0..rounds {
        progress(&format!("parallel: round {} of {rounds}", round + 1));
        crowds.iter_mut().for_each(Crowd::sample);
    }
    let attached = crowds
        .iter()
        .map(|crowd| crowd.row(ATTACHES, &crowd.attach));
    let detached = crowds
        .iter()
        .map(|crowd| crowd.row(DETACHES, &crowd.detach));
    attached.chain(detached).collect()
}

struct Crowd {
    who: &'static str,
    site: Found<Site<Box<dyn Tool>>>,
    attach: Samples,
    detach: Samples,
}

impl Crowd {
    fn new<T: Tool + 'static>(who: &'static str, site: Found<Site<T>>) -> Self {
        let boxed = |Site { machine, tool }| {
            let tool: Box<dyn Tool> = Box::new(tool);
            Site { machine, tool }
        };
        Self {
            who,
            site: site.map(boxed),
            attach: Samples::default(),
            detach: Samples::default(),
        }
    }

    fn sample(&mut self) {
        let Ok(site) = &self.site else { return };
        match cycle(site) {
            Ok((attach, detach)) => {
                self.attach.push(attach);
                self.detach.push(detach);
            }
            Err(error) => self.site = Err(reason(error)),
        }
    }

    fn row(&self, figure: &str, samples: &Samples) -> Row {
        let samples = match &self.site {
            Ok(_) => Ok(samples.clone()),
            Err(why) => Err(why.clone()),
        };
        Row {
            figure: figure.to_owned(),
            who: self.who,
            base: PONTOON,
            unit: Unit::Milliseconds,
            samples,
        }
    }
}

fn cycle(site: &Site<Box<dyn Tool>>) -> Result<(f64, f64)> {
    let targets = site.machine.add_targets(CROWD)?;
    let calls = |make: fn(&dyn Tool, &Target) -> Call| -> Vec<Call> {
        targets
            .iter()
            .map(|target| make(&*site.tool, target))
            .collect()
    };
    let attach = site
        .machine
        .call_all(&calls(|tool, target| tool.attach(target)))?;
    check_addresses(&site.machine, &targets)?;
    let detach = site
        .machine
        .call_all(&calls(|tool, target| tool.detach(target)))?;
    Ok((millis(attach), millis(detach)))
}

/// What the kernel says, not what was recorded.
fn check_addresses(machine: &Machine, targets: &[Target]) -> Result<()> {
    let names: Vec<&str> = targets.iter().map(|target| &*target.name).collect();
    let printed = machine.sh(&format!(
        "for name in {}; do ip -n $name -o -4 addr show dev eth0; done",
        names.join(" ")
    ))?;
    // "2: eth0    inet 10.90.0.7/16 brd …"
    let addresses: Option<BTreeSet<&str>> = printed
        .lines()
        .map(|line| line.split_whitespace().nth(3))
        .collect();
    let count = addresses.context("an address on each line")?.len();
    ensure!(
        count == targets.len(),
        "{count} different addresses for {} endpoints",
        targets.len()
    );
    Ok(())
}
