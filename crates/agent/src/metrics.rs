//! What the agent counts, in Prometheus's text format (version 0.0.4).

use std::fmt::{Display, Write};

use engine::Dropped;

use crate::board::AgentStatus;
use crate::meters::Meters;
use crate::usage::Usage;

/// Endpoints of a network, by its name.
pub type Endpoints = std::collections::BTreeMap<String, usize>;

/// A page under construction.
#[derive(Default)]
struct Page(String);

impl Page {
    fn head(&mut self, name: &str, kind: &str, help: &str) {
        // Writing to a string does not fail.
        let _ = writeln!(self.0, "# HELP {name} {help}\n# TYPE {name} {kind}");
    }

    fn value(&mut self, name: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(label, value)| format!("{label}=\"{}\"", escaped(value)))
            .collect();
        let labels = match labels.is_empty() {
            true => String::new(),
            false => format!("{{{}}}", labels.join(",")),
        };
        let _ = writeln!(self.0, "{name}{labels} {value}");
    }

    fn counter(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "counter", help);
        self.value(name, &[], value);
    }

    fn gauge(&mut self, name: &str, help: &str, value: impl Display) {
        self.head(name, "gauge", help);
        self.value(name, &[], value);
    }
}

fn escaped(value: &str) -> String {
    let value = value.replace('\\', "\\\\").replace('"', "\\\"");
    value.replace('\n', "\\n")
}

/// The page. What could not be found out is left out.
pub fn page(
    status: &AgentStatus,
    meters: &Meters,
    usage: Option<Usage>,
    endpoints: Option<&Endpoints>,
    drops: Option<&[Dropped]>,
) -> String {
    let mut page = Page::default();
    agent(&mut page, status, meters);
    cluster(&mut page, status, meters);
    if let Some(endpoints) = endpoints {
        page.head("pontoon_endpoints", "gauge", "Endpoints on this node.");
        for (network, count) in endpoints {
            page.value("pontoon_endpoints", &[("network", network)], count);
        }
    }
    if let Some(drops) = drops {
        let name = "pontoon_dropped_packets_total";
        page.head(name, "counter", "Packets that a rule of ours dropped.");
        for dropped in drops {
            let family = dropped.family.to_string();
            let vni = dropped.vni.map(|vni| vni.to_string());
            let mut labels = vec![
                ("family", family.as_str()),
                ("chain", dropped.chain.as_str()),
            ];
            labels.extend(vni.as_deref().map(|vni| ("vni", vni)));
            page.value(name, &labels, dropped.packets);
        }
    }
    if let Some(usage) = usage {
        process(&mut page, status, usage);
    }
    page.0
}

fn agent(page: &mut Page, status: &AgentStatus, meters: &Meters) {
    let labels = [
        ("version", status.version.as_str()),
        ("node", status.node.as_str()),
    ];
    page.head("pontoon_agent_info", "gauge", "This agent.");
    page.value("pontoon_agent_info", &labels, 1);
    let name = "pontoon_passes_total";
    page.head(name, "counter", "Looks at the node, by what led to them.");
    for (cause, count) in &meters.passes {
        page.value(name, &[("cause", cause.word())], count);
    }
    let failed = "Looks in which something failed as a whole.";
    page.counter("pontoon_failed_passes_total", failed, meters.failed_passes);
    let time = meters.pass_time.as_secs_f64();
    page.counter("pontoon_pass_seconds_total", "Time that looks took.", time);
    let last = meters.last_pass.as_secs_f64();
    page.gauge(
        "pontoon_last_pass_seconds",
        "Time the last look took.",
        last,
    );
    let name = "pontoon_steps_total";
    page.head(name, "counter", "Changes of the kernel that were applied.");
    for (kind, count) in &meters.steps {
        page.value(name, &[("kind", kind)], count);
    }
    let mended = "Things found otherwise than they should have been.";
    page.counter("pontoon_mended_total", mended, meters.mended);
    let news = "Bursts of changes in the kernel that were not our own.";
    page.counter("pontoon_kernel_news_total", news, meters.kernel_news);
}

fn cluster(page: &mut Page, status: &AgentStatus, meters: &Meters) {
    let synced = "When the cluster was last agreed with, 0 for never.";
    let synced_at = status.synced_at.unwrap_or(0);
    page.gauge("pontoon_last_sync_timestamp_seconds", synced, synced_at);
    let errors = "Questions that the cluster's store did not answer.";
    page.counter("pontoon_store_errors_total", errors, meters.store_errors);
    let nodes = "Nodes of the cluster, this one among them.";
    page.gauge("pontoon_cluster_nodes", nodes, meters.nodes);
    let networks = "Overlay networks of the cluster.";
    page.gauge("pontoon_cluster_networks", networks, meters.networks);
    let trouble = "Whether something is in the way; /healthz says what.";
    let has_trouble = u8::from(status.trouble.is_some());
    page.gauge("pontoon_trouble", trouble, has_trouble);
}

fn process(page: &mut Page, status: &AgentStatus, usage: Usage) {
    let memory = "Resident memory size in bytes.";
    page.gauge(
        "process_resident_memory_bytes",
        memory,
        usage.resident_bytes,
    );
    let cpu = "Total user and system CPU time spent in seconds.";
    page.counter("process_cpu_seconds_total", cpu, usage.cpu_secs);
    let start = "Start time of the process since unix epoch in seconds.";
    page.gauge("process_start_time_seconds", start, status.started_at);
    page.gauge("process_threads", "Number of threads.", usage.threads);
    page.gauge(
        "process_open_fds",
        "Number of open file descriptors.",
        usage.open_files,
    );
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_can_say_anything_and_break_nothing() {
        let mut page = Page::default();
        page.value("x", &[("a", "q\"u\\o\nte")], 3);
        assert_eq!(page.0, "x{a=\"q\\\"u\\\\o\\nte\"} 3\n");
        let mut page = Page::default();
        page.counter("y", "Help.", 1.5);
        assert_eq!(page.0, "# HELP y Help.\n# TYPE y counter\ny 1.5\n");
    }
}
