//! What this node can do, and what stands in its way.

mod fast;

use kernel::{Kernel, KernelError};
use model::{Backend, Family, NodeId};
use netstate::nft::text::TABLE;
use netstate::{SysctlKey, diff};
use plan::NetworkView;
use serde::Serialize;
use store::Membership;

use crate::backend::{try_out, underlay_family};
use crate::rates::{try_queue, try_rates};
use crate::{Engine, EngineError, Mode, TakeOver};

/// How a check came out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Health {
    Good,
    /// It works, or may work, but look.
    Warning,
    /// It does not work.
    Bad,
}

/// One check: what was looked at, what was found, what to do about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    pub name: &'static str,
    pub health: Health,
    pub found: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
}

impl Check {
    fn good(name: &'static str, found: impl Into<String>) -> Self {
        Self {
            name,
            health: Health::Good,
            found: found.into(),
            advice: None,
        }
    }

    fn with(
        name: &'static str,
        health: Health,
        found: impl Into<String>,
        advice: impl Into<String>,
    ) -> Self {
        Self {
            name,
            health,
            found: found.into(),
            advice: Some(advice.into()),
        }
    }
}

impl Engine {
    /// Checks everything that Pontoon needs; a check that can't be made is itself a finding.
    pub fn doctor(&self) -> Vec<Check> {
        let mut checks = vec![self.kernel_check(), self.backend_check(), rate_check()];
        checks.push(self.fast_path_check());
        match Kernel::open() {
            Ok(mut kernel) => checks.extend(node_checks(&mut kernel)),
            Err(error) => checks.push(failed("node", &error)),
        }
        checks.extend(self.names_check());
        checks.extend(self.record_checks());
        checks
    }

    /// Tries a whole dual-stack network and endpoint in a namespace made for it.
    fn kernel_check(&self) -> Check {
        let name = "kernel";
        match kernel::in_scratch_namespaces(rehearse) {
            Ok(Ok(steps)) => Check::good(
                name,
                format!("all {steps} steps of a network and an endpoint work"),
            ),
            Ok(Err(error)) => Check::with(
                name,
                Health::Bad,
                error.to_string(),
                "veth, bridge and nftables (inet, bridge, nat, fib, ct, concatenated interval sets) must be in the kernel or loadable as modules",
            ),
            Err(error) if error.is_permission() => Check::with(
                name,
                Health::Bad,
                "can't make a network namespace",
                "run it as root",
            ),
            Err(error) => failed(name, &error),
        }
    }

    /// Tries every backend over both underlays. One that is missing matters where the cluster has a
    /// network of it.
    fn backend_check(&self) -> Check {
        let name = "backends";
        let membership = self.membership().ok().flatten();
        let (mut found, mut lacking) = (Vec::new(), Vec::new());
        let all = Backend::ALL.into_iter();
        for (backend, family) in all.flat_map(|b| Family::BOTH.map(|family| (b, family))) {
            match try_out(backend, family) {
                Ok(()) => found.push(format!("{backend} over {family}")),
                Err(error) if error.is_permission() => {
                    return Check::with(name, Health::Bad, error.to_string(), "run it as root");
                }
                Err(_) if is_needed(membership.as_ref(), backend, family) => {
                    lacking.push(format!("{backend} over {family}"));
                }
                Err(_) => {}
            }
        }
        let found = format!("this kernel has {}", found.join(", "));
        if lacking.is_empty() {
            return Check::good(name, found);
        }
        Check::with(
            name,
            Health::Bad,
            format!(
                "{found}; the cluster has networks of {}",
                lacking.join(", ")
            ),
            "this node is without these networks; for ipip install the kernel's modules sit (over IPv4) or ip6_tunnel (over IPv6)",
        )
    }

    fn record_checks(&self) -> Vec<Check> {
        let records = match self.records() {
            Ok(records) => records,
            Err(error) => return vec![bad_records(&error)],
        };
        let path = self.settings.state_dir.display();
        let networks = records.networks().map_or(0, |networks| networks.len());
        let readable = Check::good(
            "records",
            format!("{networks} network(s) recorded in {path}"),
        );
        let agree = match self.reconcile(TakeOver::No, Mode::DryRun) {
            Ok(change) if change.plan.is_empty() && change.outcome.released.is_empty() => {
                Check::good("state", "the kernel is what the records say")
            }
            Ok(change) => Check::with(
                "state",
                Health::Bad,
                format!(
                    "{} step(s) away from the records, {} endpoint(s) dead",
                    change.plan.steps.len(),
                    change.outcome.released.len()
                ),
                "'pontoon reconcile --dry-run' shows them, 'pontoon reconcile' puts them right",
            ),
            Err(error) => Check::with(
                "state",
                Health::Bad,
                error.to_string(),
                "until this is solved nothing can be attached",
            ),
        };
        vec![readable, agree]
    }
}

/// Tries what keeps an endpoint to a rate. Who asks for no rate needs none of it.
fn rate_check() -> Check {
    let name = "rates";
    let lacking = match (try_queue(), try_rates()) {
        (_, Ok(())) => {
            let found = "tbf and ifb work: an endpoint can be kept to a rate, both ways";
            return Check::good(name, found);
        }
        (_, Err(error)) if error.is_permission() => {
            return Check::with(name, Health::Bad, error.to_string(), "run it as root");
        }
        (Err(error), _) => format!("tbf does not work: {error}"),
        (Ok(()), Err(error)) => format!("tbf works, ifb or what leads to it does not: {error}"),
    };
    Check::with(
        name,
        Health::Warning,
        lacking,
        "'attach --rate' and 'run --net-rate' are refused; install the kernel's modules sch_tbf, ifb, sch_ingress, cls_matchall (or cls_u32) and act_mirred",
    )
}

fn is_needed(membership: Option<&Membership>, backend: Backend, family: Family) -> bool {
    membership.is_some_and(|membership| {
        let mut networks = membership.cluster.networks.values();
        underlay_family(membership) == Some(family) && networks.any(|n| n.backend == backend)
    })
}

fn failed(name: &'static str, error: &KernelError) -> Check {
    Check::with(
        name,
        Health::Bad,
        error.to_string(),
        "see the message of the kernel",
    )
}

fn bad_records(error: &EngineError) -> Check {
    Check::with(
        "records",
        Health::Bad,
        error.to_string(),
        "the file is kept as it is; restore it, or move it away and run 'pontoon reconcile --take-over'",
    )
}

/// Applies a network's and an endpoint's plan where nothing else is.
fn rehearse() -> Result<usize, EngineError> {
    let node = NodeId::from_bits(0);
    let network = crate::rehearsal::network()?;
    let endpoint = crate::rehearsal::endpoint(&network)?;
    let view = plan::View {
        node,
        networks: vec![NetworkView {
            mtu: model::Mtu::ETHERNET,
            endpoints: vec![endpoint],
            overlay: None,
            network,
        }],
        ra_uplinks: Vec::new(),
    };
    let plan = diff(&Default::default(), &plan::desired(&view));
    let mut kernel = Kernel::open()?;
    crate::session::apply_all(&mut kernel, &plan, &mut || ())?;
    Ok(plan.steps.len())
}

fn node_checks(kernel: &mut Kernel) -> Vec<Check> {
    let mut checks = vec![forwarding(kernel)];
    match kernel.stack(None) {
        Ok(stack) => {
            let drops: Vec<String> = stack
                .forward_drops(TABLE)
                .map(|c| format!("{} {} {}", c.family, c.table, c.chain))
                .collect();
            checks.push(foreign_firewalls(&drops));
            checks.extend(legacy_firewalls(&kernel::legacy_filters()));
        }
        Err(error) => checks.push(failed("firewalls", &error)),
    }
    checks
}

fn forwarding(kernel: &mut Kernel) -> Check {
    let name = "forwarding";
    let off: Vec<String> = Family::BOTH
        .into_iter()
        .map(SysctlKey::forwarding)
        .filter(|key| kernel.sysctl(key).ok().flatten().as_deref() != Some("1"))
        .map(|key| key.to_string())
        .collect();
    if off.is_empty() {
        return Check::good(name, "the node forwards IPv4 and IPv6");
    }
    let found = format!(
        "{} off: normal without a network of that family",
        off.join(" and ")
    );
    Check::good(name, found)
}

/// Their policies can't be read by us, but what they drop is dropped.
fn legacy_firewalls(commands: &[&str]) -> Option<Check> {
    let first = commands.first()?;
    Some(Check::with(
        "legacy firewalls",
        Health::Warning,
        format!("{} has a filter table in use", commands.join(" and ")),
        format!(
            "'{first} -S FORWARD' shows whether it drops forwarded packets; if so let our bridges pass: {first} -I FORWARD -i BRIDGE -j ACCEPT, and the same with -o"
        ),
    ))
}

/// A drop in one table is final, whatever another accepts (nft(8), CHAINS).
fn foreign_firewalls(drops: &[String]) -> Check {
    let name = "firewalls";
    if drops.is_empty() {
        return Check::good(name, "no other table drops forwarded packets by default");
    }
    Check::with(
        name,
        Health::Warning,
        format!(
            "forwarded packets are dropped by default in: {}",
            drops.join(", ")
        ),
        "let our bridges pass there: ufw route allow in on BRIDGE; firewall-cmd --zone=trusted --add-interface=BRIDGE; iptables -I DOCKER-USER -i BRIDGE -j ACCEPT and the same with -o; nft: accept iifname and oifname BRIDGE in that chain",
    )
}
