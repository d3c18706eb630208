//! Containers as text.

use std::fmt::Display;

use sandbox::Whose;
use sandbox::container::{Ending, State};

use super::life::{Listed, Used};
use super::limit::{LimitPlan, Limited};
use super::stack::Inside;
use crate::print::table;

pub fn listed(listed: &[Listed]) -> String {
    let rows: Vec<Vec<String>> = listed
        .iter()
        .map(|one| {
            vec![
                one.name.to_string(),
                one.network.to_string(),
                or_dash(&one.addresses.join(", ")),
                state(one.state),
                one.pid
                    .map_or_else(|| "-".to_owned(), |pid| pid.to_string()),
                printable(&one.command.join(" ")),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "no containers; 'pontoon run NETWORK -- CMD' runs one\n".to_owned();
    }
    table(
        &["NAME", "NETWORK", "ADDRESS", "STATE", "PID", "COMMAND"],
        &rows,
    )
}

fn or_dash(text: &str) -> String {
    if text.is_empty() { "-" } else { text }.to_owned()
}

/// A command is somebody's: it moves no terminal's cursor, and takes one line.
fn printable(text: &str) -> String {
    let plain = |c: char| if c.is_control() { '?' } else { c };
    text.chars().take(60).map(plain).collect()
}

fn state(state: State) -> String {
    match state {
        State::Creating => "creating".to_owned(),
        State::Running => "running".to_owned(),
        State::Abandoned => "abandoned".to_owned(),
        State::Ended(end) => match end.why {
            Ending::Exited => format!("exited ({})", end.code),
            Ending::OutOfMemory => format!("out of memory ({})", end.code),
            Ending::NotStarted => "not started".to_owned(),
            Ending::Lost => "lost: its supervisor was killed".to_owned(),
        },
    }
}

pub fn used(used: &[Used]) -> String {
    let rows: Vec<Vec<String>> = used
        .iter()
        .map(|one| {
            let limit = one
                .memory_limit
                .map(|limit| format!(" / {}", size(Some(limit))));
            vec![
                one.name.to_string(),
                one.cpu_percent
                    .map_or_else(|| "-".to_owned(), |percent| format!("{percent}%")),
                format!("{}{}", size(one.usage.memory), limit.unwrap_or_default()),
                one.usage
                    .pids
                    .map_or_else(|| "-".to_owned(), |pids| pids.to_string()),
                format!(
                    "{} / {}",
                    size(one.usage.io_read),
                    size(one.usage.io_written)
                ),
                format!("{} / {}", size(one.net_received), size(one.net_sent)),
            ]
        })
        .collect();
    table(
        &[
            "NAME",
            "CPU",
            "MEMORY",
            "PIDS",
            "DISK READ / WRITTEN",
            "NET IN / OUT",
        ],
        &rows,
    )
}

/// All limits that it has now.
pub fn limited(limited: &Limited) -> String {
    let limits = &limited.limits;
    let option = |name: &str, limit: Option<String>| limit.map(|limit| format!("--{name} {limit}"));
    let text = |limit: Option<sandbox::limit::Bytes>| limit.map(|limit| limit.to_string());
    let rate = limited.rates.and_then(|rates| rates.sends);
    let all = [
        option("memory", text(limits.memory)),
        option("cpus", limits.cpus.map(|cpus| cpus.to_string())),
        option("cpuset", limits.cpuset.as_ref().map(ToString::to_string)),
        option("pids", limits.pids.map(|pids| pids.to_string())),
        option("io-read", text(limits.io_read)),
        option("io-write", text(limits.io_write)),
        option("net-rate", rate.map(|rate| rate.to_string())),
    ];
    let all: Vec<String> = all.into_iter().flatten().collect();
    format!("{} is limited to {}\n", limited.name, all.join(" "))
}

pub fn limit_plan(plan: &LimitPlan) -> String {
    let steps = plan.limits.iter().map(|step| format!("{step}\n"));
    let steps: String = steps.collect();
    match (plan.limits.is_empty(), plan.network.is_empty()) {
        (false, true) => steps,
        _ => steps + &plan.network.to_string(),
    }
}

/// Behind the stack of its network.
pub fn inside(inside: &Inside) -> String {
    let title = format!("Container {}, first process {}", inside.name, inside.pid);
    let namespaces: Vec<Vec<String>> = inside
        .namespaces
        .iter()
        .map(|one| {
            let whose = match one.whose {
                Whose::Own => "its own",
                Whose::Node => "the node's",
            };
            vec![one.kind.to_owned(), one.inode.to_string(), whose.to_owned()]
        })
        .collect();
    let namespaces = table(&["NAMESPACE", "INODE", "WHOSE"], &namespaces);
    let limits = table(&["LIMIT", "AT MOST", "NOW"], &limits(inside));
    let limits = format!("cgroup {}\n{limits}", inside.cgroup);
    let indented = |text: &str| text.lines().map(|line| format!("  {line}\n")).collect();
    let [namespaces, limits]: [String; 2] = [namespaces, limits].map(|text| indented(&text));
    format!("\n{title}\n{namespaces}\n{limits}")
}

fn limits(inside: &Inside) -> Vec<Vec<String>> {
    let Inside {
        limits,
        rates,
        usage,
        ..
    } = inside;
    let bytes = |limit: Option<sandbox::limit::Bytes>| most(limit.map(|b| size(Some(b.get()))));
    let a_second = |limit| match bytes(limit).as_str() {
        NO_LIMIT => NO_LIMIT.to_owned(),
        limit => format!("{limit}/s"),
    };
    let seconds =
        |micros: u64| format!("{}.{:02} s used", micros / 1_000_000, micros / 10_000 % 100);
    let so_far = |bytes: Option<u64>| format!("{} so far", size(bytes));
    let row = |what: &str, most: String, now: String| vec![what.to_owned(), most, now];
    let cpu = usage.cpu_micros.map_or_else(|| "-".to_owned(), seconds);
    let pids = usage.pids.map_or_else(|| "-".to_owned(), |n| n.to_string());
    vec![
        row("memory", bytes(limits.memory), size(usage.memory)),
        row("CPUs", most(limits.cpus.as_ref()), cpu),
        row("which CPUs", most(limits.cpuset.as_ref()), "-".to_owned()),
        row("processes", most(limits.pids), pids),
        row("disk read", a_second(limits.io_read), so_far(usage.io_read)),
        row(
            "disk written",
            a_second(limits.io_write),
            so_far(usage.io_written),
        ),
        row("network sent", most(rates.sends), so_far(inside.net_sent)),
        row(
            "network received",
            most(rates.receives),
            so_far(inside.net_received),
        ),
    ]
}

const NO_LIMIT: &str = "no limit";

fn most(limit: Option<impl Display>) -> String {
    limit.map_or_else(|| NO_LIMIT.to_owned(), |limit| limit.to_string())
}

fn size(bytes: Option<u64>) -> String {
    let Some(bytes) = bytes else {
        return "-".to_owned();
    };
    let units = [("G", 30), ("M", 20), ("K", 10)];
    let unit = units.iter().find(|(_, shift)| bytes >> shift > 0);
    match unit {
        Some((name, shift)) => {
            let tenths = bytes.saturating_mul(10) >> shift;
            format!("{}.{}{name}", tenths / 10, tenths % 10)
        }
        None => bytes.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_one_digit_behind_the_point() {
        for (bytes, text) in [
            (0, "0"),
            (1023, "1023"),
            (1536, "1.5K"),
            (268_435_456, "256.0M"),
        ] {
            assert_eq!(size(Some(bytes)), text);
        }
        assert_eq!(size(None), "-");
    }
}
