//! What the tests of this target share: scripts with `pontoon` in them, machines beside the
//! test's own, records put aside, and a node's state as text.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::panic;
use std::path::Path;
use std::thread;

use testnet::{Output, output};

use crate::node::{PONTOON, PontoonNode};

/// A dual-stack network with a fixed prefix.
pub const WEB: &str =
    "pontoon network create web --subnet 10.5.0.0/24 --subnet fd00:5::/64 --bridge web0\n";

/// What stands before the rules in [`STATE`]'s text.
const RULES: &str = "rules:";
const STATE: &str = r#"
clean() {
    sed -E 's/^[0-9]+: //; s/@[^: ]+//; s/NO-CARRIER,//; s/,LOWER_UP//; s/,M-DOWN//; s/ state [A-Z]+//
        s/ qlen [0-9]+//; s/link-netns[a-z]* [^ ]+//; s/ linkdown//; s/ dadfailed//; s/  +/ /g
        s/ valid_lft.*//; s/^pont[0-9a-f]+/pontN/; s/^pifb[0-9a-f]+/pifbN/; /^pifbN/s/link.ether [^ ]+//' | grep -vE 'fe80|^multicast|^anycast|^(sit0|tunl0|ip6tnl0):' | sort
}
show() {
    for what in '-o link' '-o addr' route '-6 route'; do
        { ip $1 $what || echo "$? by ip $1 $what"; } | clean
    done
}
show ''
queues() {
    sed -E 's/refcnt [0-9]+ ?//; s/index [0-9]+ //; s/ fh [0-9a-f]+:/ fh N:/; s/ ht [0-9a-f]+ / ht N /; s/ (pont|pifb)[0-9a-f]+/ \1N/' | grep -v noqueue | sort
}
tc qdisc show | queues || true
for dev in $(ls /sys/class/net); do
    tc filter show dev $dev ingress 2>/dev/null | queues || true
done
for n in $(ls /run/netns 2>/dev/null); do
    echo namespace $n; show "-n $n" 2>&1
done
grep -o ' /run/netns/[^ ]*' /proc/self/mountinfo | sort || true
echo rules:
nft -s list ruleset"#;

/// nft's text with each set's elements on one line, sorted, and the tables sorted.
pub fn canonical(rules: &str) -> String {
    let mut tables: Vec<String> = Vec::new();
    let mut lines = rules.lines().map(str::trim);
    while let Some(line) = lines.next() {
        if line.starts_with("table ") {
            tables.push(String::new());
        }
        let mut line = line.to_owned();
        if let Some((head, first)) = line.clone().split_once("elements = {") {
            let mut inside = first.to_owned();
            while !inside.contains('}') {
                inside += lines.next().unwrap();
            }
            let inside = inside.replace('}', "");
            let mut elements: Vec<_> = inside.split(',').map(str::trim).collect();
            elements.sort_unstable();
            line = format!("{head}elements = {{ {} }}", elements.join(", "));
        }
        if let Some(table) = tables.last_mut().filter(|_| !line.is_empty()) {
            *table += &format!("{line}\n");
        }
    }
    tables.sort();
    tables.concat()
}

/// The text without the numbers of ports in rules: which of them an endpoint gets depends on how
/// many were tried.
fn numberless(line: &str) -> String {
    let mut parts = line.split("\"pont");
    let first = parts.next().unwrap_or_default().to_owned();
    let rest = parts.map(|part| part.trim_start_matches(|c: char| c.is_ascii_hexdigit()));
    rest.fold(first, |text, part| format!("{text}\"pontN{part}"))
}

/// The directory of the binary under test.
pub fn bin_dir() -> &'static str {
    Path::new(PONTOON).parent().unwrap().to_str().unwrap()
}

impl PontoonNode {
    /// Runs a shell script that may call `pontoon`, up to its first failing command.
    pub fn try_script(&self, script: &str) -> Output {
        let path = format!("{}:{}", bin_dir(), std::env::var("PATH").unwrap());
        let mut command = (**self).command("sh");
        output(command.env("PATH", path).args(["-euc", script]))
    }

    pub fn script(&self, script: &str) -> String {
        self.try_script(script).expect_success(script)
    }

    /// Runs `pontoon` with a variable set for it.
    pub fn with_env(&self, name: &str, value: &str, line: &str) -> Output {
        output(self.command(line).env(name, value))
    }

    /// Devices, addresses, routes, namespaces, mounts and rules as text that is the same for all
    /// nodes where the same was done: without numbers that the kernel gives, carriers, what it
    /// makes itself, and the order of set elements.
    pub fn state(&self) -> String {
        let kernel = self.sh(STATE);
        // The records' identity is random.
        let lines = kernel
            .lines()
            .map(|line| match line.split_once("pontoon ") {
                Some((head, tail)) => match tail.split_once(' ') {
                    Some((node, purpose)) if node.len() == 16 => format!("{head}OURS {purpose}"),
                    _ => line.to_owned(),
                },
                None => line.to_owned(),
            });
        let lines = lines.map(|line| numberless(&line));
        let (rest, rules): (Vec<_>, Vec<_>) = {
            let mut lines = lines;
            let rest = lines.by_ref().take_while(|line| line != RULES).collect();
            (rest, lines.collect())
        };
        format!("{}\n{}", rest.join("\n"), canonical(&rules.join("\n")))
    }

    /// A document that `pontoon --json` prints.
    pub fn json(&self, line: &str) -> serde_json::Value {
        let text = self.pontoon(&format!("{line} --json"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{line}: {error}: {text}"))
    }

    /// Reconciles and asserts that nothing is left to do. Answers what it said.
    pub fn heal(&self) -> String {
        let said = self.pontoon("reconcile");
        self.assert_settled();
        said
    }
}

/// Runs `visit` on a machine of its own, and comes back.
pub fn elsewhere<T: Send>(visit: impl FnOnce(&PontoonNode) -> T + Send) -> T {
    let visited = thread::scope(|scope| scope.spawn(|| visit(&PontoonNode::new())).join());
    visited.unwrap_or_else(|cause| panic::resume_unwind(cause))
}

/// Asserts that two states are the same, and says where they are not.
pub fn assert_same(found: &str, wanted: &str, context: &str) {
    let mut gone: Vec<&str> = wanted.lines().collect();
    let mut new = Vec::new();
    for line in found.lines() {
        match gone.iter().position(|wanted| *wanted == line) {
            Some(at) => drop(gone.remove(at)),
            None => new.push(line),
        }
    }
    assert!(
        gone.is_empty() && new.is_empty(),
        "{context}:\ngone: {gone:#?}\nnew: {new:#?}"
    );
}

/// The records' files of a state directory: not the lock, not SQLite's shared memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved(BTreeMap<OsString, Vec<u8>>);

impl Saved {
    pub fn of(node: &PontoonNode) -> Self {
        let entries = fs::read_dir(node.state_dir()).unwrap().map(Result::unwrap);
        let files = entries.map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap()));
        let kept = |name: &OsString| name == "records.db" || name == "records.db-wal";
        Self(files.filter(|(name, _)| kept(name)).collect())
    }

    /// Makes these the only files of the node's state directory.
    pub fn put(&self, node: &PontoonNode) {
        let dir = node.state_dir();
        for entry in fs::read_dir(dir).unwrap() {
            fs::remove_file(entry.unwrap().path()).unwrap();
        }
        for (name, bytes) in &self.0 {
            fs::write(dir.join(name), bytes).unwrap();
        }
    }
}
