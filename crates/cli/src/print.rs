//! Text and JSON on standard output.

mod audit;
mod cluster;
mod install;
mod network;
mod stack;
mod table;

use std::io::Write;

use anyhow::{Context, Result};
use engine::{Change, Check, EndpointStatus, Health, Mode, Reconciled, Why};
use netstate::Plan;
use serde::Serialize;

pub use audit::audited;
pub use cluster::{
    STRANDED, dot, joined, node, node_removed, nodes, overlay_as_toml, overlay_created,
    overlay_planned, overlay_removed, status, svg, tree,
};
pub use install::{install_planned, installed, removal_planned, removed};
pub use network::{
    attached, detached, endpoints, network, network_created, network_removed, networks,
};
pub use stack::stack;
pub use table::table;

/// How answers are printed.
#[derive(Debug, Clone, Copy)]
pub struct Out {
    pub json: bool,
}

#[derive(Debug, Serialize)]
struct ChangeJson<'a, T> {
    dry_run: bool,
    outcome: &'a T,
    plan: &'a Plan,
}

#[derive(Debug, Serialize)]
struct FilesJson<'a, T> {
    dry_run: bool,
    outcome: &'a T,
}

impl Out {
    /// Prints something there is.
    pub fn show<T: Serialize>(self, value: &T, text: impl FnOnce(&T) -> String) -> Result<()> {
        if self.json {
            return print(&format!("{}\n", serde_json::to_string_pretty(value)?));
        }
        print(&text(value))
    }

    /// Prints what was done to files, or would be.
    pub fn files<T: Serialize>(self, dry_run: bool, outcome: &T, text: &str) -> Result<()> {
        if self.json {
            let json = FilesJson { dry_run, outcome };
            return print(&format!("{}\n", serde_json::to_string_pretty(&json)?));
        }
        print(text)
    }

    /// Prints a change: the plan alone for a dry run.
    pub fn change<T: Serialize>(
        self,
        mode: Mode,
        change: &Change<T>,
        text: impl FnOnce(&T) -> String,
    ) -> Result<()> {
        let Change { outcome, plan } = change;
        match (self.json, mode) {
            (true, _) => {
                let dry_run = mode == Mode::DryRun;
                let json = ChangeJson {
                    dry_run,
                    outcome,
                    plan,
                };
                print(&format!("{}\n", serde_json::to_string_pretty(&json)?))
            }
            (false, Mode::DryRun) => print(&plan.to_string()),
            (false, Mode::Apply) => print(&text(outcome)),
        }
    }
}

fn print(text: &str) -> Result<()> {
    let mut stdout = std::io::stdout().lock();
    match stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
    {
        // `pontoon … | head` has read enough.
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        result => result.context("can't write to standard output"),
    }
}

/// Prints a plan before it is applied.
pub fn announce(plan: &Plan) {
    // A plan that nobody can read is applied all the same.
    let _ = std::io::stderr()
        .lock()
        .write_all(plan.to_string().as_bytes());
}

pub fn reconciled(outcome: &Reconciled) -> String {
    let released = outcome.released.iter().map(|released| {
        let why = why(released.why);
        let (network, name) = (&released.network, &released.name);
        format!(
            "released endpoint {network}/{name} ({}): {why}\n",
            released.target
        )
    });
    let removed = outcome.removed_networks.iter();
    let removed = removed.map(|name| format!("removed network {name}: it was left half done\n"));
    let findings = outcome
        .findings
        .iter()
        .map(|finding| format!("mended: {finding}\n"));
    let text: String = released.chain(removed).chain(findings).collect();
    if text.is_empty() {
        return "nothing to do: the kernel is what the records say\n".to_owned();
    }
    text
}

fn why(why: Why) -> &'static str {
    match why {
        Why::NamespaceGone => "its namespace is gone",
        Why::Forgotten => "its runtime no longer knows it",
        Why::AttachUnfinished => "attaching it was never finished",
        Why::DetachUnfinished => "detaching it was never finished",
    }
}

pub fn checks(checks: &[Check]) -> String {
    let line = |check: &Check| {
        let mark = match check.health {
            Health::Good => "ok     ",
            Health::Warning => "warning",
            Health::Bad => "BAD    ",
        };
        let advice = check.advice.as_ref();
        let advice = advice
            .map(|a| format!("\n         -> {a}"))
            .unwrap_or_default();
        format!("{mark}  {}: {}{advice}\n", check.name, check.found)
    };
    checks.iter().map(line).collect()
}

/// One endpoint's addresses, comma between them.
fn addresses(status: &EndpointStatus) -> String {
    status.cidrs.join(", ")
}
