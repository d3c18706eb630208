//! The front door: what README.md shows works as it stands there, what it and `--help` say
//! agrees, and the demo cleans up.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use testnet::{output, output_within, wait_until};

use crate::ground::{assert_same, bin_dir};
use crate::node::PontoonNode;

const ARGS: &str = include_str!("../../src/args.rs");
const README: &str = include_str!("../../../../README.md");
const MAKEFILE: &str = include_str!("../../../../Makefile");
const COMMANDS: &[&str] = &[
    "",
    "network",
    "network create",
    "network ls",
    "network show",
    "network rm",
    "attach",
    "detach",
    "ipam",
    "ipam audit",
    "cni",
    "cni install",
    "cni uninstall",
    "ls",
    "stack",
    "reconcile",
    "doctor",
];
const DEMO_BOUND: Duration = Duration::from_secs(90);
const ENDED: Duration = Duration::from_secs(10);

fn root() -> PathBuf {
    let manifest = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    manifest.join("../..").canonicalize().unwrap()
}

/// The blocks of a language, in order.
fn blocks(language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let parts = README.split(&fence).skip(1);
    parts
        .map(|part| part.split("```").next().unwrap().to_owned())
        .collect()
}

#[test]
fn every_command_of_the_readme_works() {
    let node = PontoonNode::new();
    let _outside = node.outside();
    let blocks = blocks("sh");
    assert!(blocks.len() > 10, "{} blocks", blocks.len());
    node.sh("mount --make-rshared /run");
    for block in &blocks {
        let out = output(&mut apart(&node, block));
        let _ = out.expect_success(block);
    }
    node.assert_settled();
}

/// A block of the README with processes of its own: what it starts ends with it, however it ends.
/// What it mounts below `/run` is the node's.
fn apart(node: &PontoonNode, block: &str) -> Command {
    let path = format!("{}:{}", bin_dir(), std::env::var("PATH").unwrap());
    let mut command = (**node).command("unshare");
    command
        .args(["--fork", "--kill-child", "--pid", "--mount"])
        .args(["--propagation", "unchanged", "sh", "-euc"])
        .arg(format!("mount -t proc proc /proc\n{block}"))
        .env("PATH", path);
    command
}

#[test]
fn what_a_block_of_the_readme_starts_ends_with_it() {
    let node = PontoonNode::new();
    node.sh("mount --make-rshared /run");
    let block = "pontoon network create shop --names\npontoon attach shop till --create\n";
    let out = output(&mut apart(&node, &format!("{block} pontoon names\nexit 3")));
    assert!(
        out.code == 3 && out.stdout.contains("server: running"),
        "{out}"
    );
    // A process without a parent of its own ends with its namespace, a moment later.
    wait_until("the name server is gone", ENDED, || {
        node.pontoon("names").contains("server: not running")
    });
    node.sh("ip netns exec till true");
}

#[test]
fn what_make_installs_is_whole() {
    let node = PontoonNode::new();
    let to = node.state_dir().join("package");
    // Those built for the tests; `-o build`: none built for this.
    let install = format!(
        "make -C {} -o build install RELEASE={} DESTDIR={} PREFIX=/opt/p",
        root().display(),
        bin_dir(),
        to.display()
    );
    node.sh(&install);
    let bin = to.join("opt/p/bin");
    let mut files: Vec<_> = bin
        .read_dir()
        .unwrap()
        .map(|f| f.unwrap().file_name())
        .collect();
    files.sort();
    assert_eq!(
        files,
        ["pontoon", "pontoon-cni", "pontoon-names", "pontoon-sandbox"]
    );
    let units = to.join("opt/p/lib/systemd/system");
    let starts = node.sh(&format!("grep -h ExecStart= {}/*", units.display()));
    assert_eq!(
        starts,
        "ExecStart=/opt/p/bin/pontoon agent\nExecStart=/opt/p/bin/pontoon names serve\n"
    );
    node.sh(&format!("{}/pontoon --version", bin.display()));
}

#[test]
fn every_make_target_of_the_readme_exists() {
    let words = README.split("make ").skip(1);
    let named = words.filter_map(|rest| {
        let end = rest.find(|c: char| !c.is_ascii_lowercase())?;
        let quoted = rest[end..].starts_with(['`', ' ']);
        (quoted && end > 0).then(|| rest[..end].to_owned())
    });
    let targets = |name: &str| {
        MAKEFILE
            .lines()
            .any(|line| line.starts_with(&format!("{name}:")))
    };
    // "make it" and "makes the" are words.
    let missing: Vec<String> = named
        .filter(|name| {
            README.contains(&format!("`make {name}")) || README.contains(&format!("\nmake {name}"))
        })
        .filter(|name| !targets(name))
        .collect();
    assert_eq!(missing, Vec::<String>::new());
    for name in ["demo", "test", "bench", "lint"] {
        assert!(
            README.contains(&format!("make {name}")) && targets(name),
            "{name}"
        );
    }
}

/// The flags of `args.rs`: fields whose attribute says `long`.
fn flags() -> Vec<String> {
    let mut flags = Vec::new();
    let mut attribute = String::new();
    for line in ARGS.lines().map(str::trim) {
        match line
            .strip_prefix("pub ")
            .and_then(|rest| rest.split_once(':'))
        {
            Some((field, _)) if attribute.contains("long") => {
                let named = attribute.split("long = \"").nth(1);
                let name = named.and_then(|rest| rest.split('"').next());
                flags.push(format!("--{}", name.unwrap_or(&field.replace('_', "-"))));
                attribute.clear();
            }
            Some(_) => attribute.clear(),
            None if line.starts_with("///") => {}
            None => attribute += line,
        }
    }
    flags
}

#[test]
fn help_explains_every_command_and_flag() {
    let node = PontoonNode::new();
    let pages = COMMANDS
        .iter()
        .map(|command| node.pontoon(&format!("{command} --help")));
    let pages: Vec<String> = pages.collect();
    let flags = flags();
    assert!(flags.len() > 15, "{flags:?}");
    for flag in &flags {
        assert!(pages.iter().any(|page| page.contains(flag)), "{flag}");
    }
    for page in &pages {
        assert!(
            page.contains("--state-dir") && page.contains("--json"),
            "{page}"
        );
    }
    for name in [
        "network",
        "attach",
        "detach",
        "ls",
        "stack",
        "reconcile",
        "doctor",
    ] {
        assert!(pages[0].contains(&format!("\n  {name} ")), "{name}");
    }
}

/// What a text says of each exit code: the first word behind its number.
fn codes(text: &str, between: char) -> BTreeMap<u8, String> {
    let parts = text.split(between).map(str::trim);
    let code = |part: &str| {
        let (number, words) = part.split_once(char::is_whitespace)?;
        let words: Vec<&str> = words.split_whitespace().take(1).collect();
        let plain = |c: char| !c.is_alphanumeric() && c != ' ';
        Some((number.parse().ok()?, words.join(" ").replace(plain, "")))
    };
    parts.filter_map(code).collect()
}

#[test]
fn readme_and_help_agree_on_exit_codes() {
    let help = PontoonNode::new().pontoon("--help");
    let (_, help) = help.split_once("Exit codes:").unwrap();
    let (_, readme) = README.split_once("`pontoon --help`: ").unwrap();
    let readme = readme.split("\n\n").next().unwrap().replace('\n', " ");
    // Commas stand inside some of them: what follows one and is no number is no code.
    let readme = codes(&readme, ',');
    assert_eq!(readme, codes(help, '\n'));
    assert_eq!(readme.len(), 12);
}

#[test]
fn the_demo_runs_and_leaves_nothing() {
    let node = PontoonNode::new();
    let before = node.state();
    let mut demo = (*node).command(root().join("scripts/demo"));
    let out = output_within(DEMO_BOUND, demo.env("PONTOON_BIN_DIR", bin_dir()));
    assert!(out.success(), "{out}");
    assert!(out.stdout.contains("Nothing is left."), "{out}");
    assert_same(&node.state(), &before, "after the demo");
}
