//! `bench`: the figures, medians and ratios in one run, next to other tools in the same minutes.
//!
//! Everything happens in namespaces of its own, gone with the process. Read [`lifecycle`],
//! [`crowd`], [`path`], [`overlay`], [`join`], [`scale`] and [`run`] for what is measured, [`targets`]
//! for what is asked of it. One more section is a module with a `measure`, and a line in [`Section`].

mod cable;
mod cases;
mod clearing;
mod cluster;
mod contender;
mod crowd;
mod cycles;
mod ground;
mod join;
mod lifecycle;
mod machine;
mod overlay;
mod path;
mod patience;
mod progress;
mod run;
mod scale;
mod scratch;
mod table;
mod targets;
mod tools;
mod traffic;

use std::io::{Write, stdout};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result, ensure};
use clap::{Parser, ValueEnum};
use serde_json::json;

use clearing::Clearing;
use ground::Ground;
use machine::shell;
use progress::progress;
use scratch::Scratch;
use table::{Row, Table};
use tools::Programs;

/// Pontoon's figures, against other tools and hand-made limits. Needs root.
///
/// Exit code 0 when all was measured, reached or not; 1 when something was not.
#[derive(Debug, Parser)]
#[command(name = "bench", max_term_width = 100)]
struct Args {
    /// What to measure; all without
    section: Vec<Section>,
    /// Fewer samples: 20 instead of 100 attaches, 3 instead of 7 rounds of traffic
    #[arg(long)]
    quick: bool,
    /// Samples of each row, in every section
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    rounds: Option<u16>,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// The binary to measure; the one next to this one without
    #[arg(long, value_name = "FILE")]
    pontoon: Option<PathBuf>,
    /// Where Debian's Docker is unpacked, see scripts/setup; in the PATH without
    #[arg(long, value_name = "DIR")]
    docker: Option<PathBuf>,
    /// Where all contenders keep their records meanwhile: a directory on a disk
    #[arg(long, default_value = "/var/tmp", value_name = "DIR")]
    scratch: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Section {
    /// attach and detach, one at a time
    Attach,
    /// 100 attaches at once
    Parallel,
    /// ADD and DEL by the CNI plugin for three minutes, 8 at a time
    Cycles,
    /// Throughput and latency on one node
    Path,
    /// Throughput, latency and connections between two nodes
    Overlay,
    /// The same over VXLAN alone, with and without the fast path
    Fastpath,
    /// From starting a fresh node to its first ping of a container elsewhere
    Join,
    /// One agent in a cluster of 1,000 nodes
    Scale,
    /// Containers from plain processes: until their command runs
    Run,
}

impl Section {
    const ALL: [Self; 8] = [
        Self::Attach,
        Self::Parallel,
        Self::Cycles,
        Self::Path,
        Self::Overlay,
        Self::Join,
        Self::Scale,
        Self::Run,
    ];

    fn measure(self, ground: &Ground<'_>, args: &Args) -> Vec<Row> {
        let rounds = |quick, full| args.rounds.unwrap_or(if args.quick { quick } else { full });
        match self {
            Self::Attach => lifecycle::measure(ground, rounds(20, 100)),
            Self::Parallel => crowd::measure(ground, rounds(3, 7)),
            Self::Cycles => cycles::measure(ground, rounds(5, 180)),
            Self::Path => path::measure(ground, rounds(3, 7), if args.quick { 1 } else { 3 }),
            Self::Overlay => overlay::measure(ground, rounds(3, 7), if args.quick { 1 } else { 2 }),
            Self::Fastpath => {
                overlay::measure_fast(ground, rounds(3, 7), if args.quick { 1 } else { 2 })
            }
            Self::Join => join::measure(ground, rounds(2, 7)),
            Self::Scale => scale::measure(ground, rounds(1, 3)),
            Self::Run => run::measure(ground, rounds(5, 30)),
        }
    }
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    ensure!(
        say("id -u")? == "0",
        "the bench makes namespaces, and needs root for it"
    );
    let before = load()?;
    let table = Table(measure_all(&args)?);
    progress("");
    // Absolute figures mean little without.
    let about = format!(
        "{}, load {before} before, {} after",
        machine(&args)?,
        load()?
    );
    let text = if args.json {
        let targets = targets::json(&table);
        let all = json!({"machine": about, "rows": table.json(), "targets": targets});
        format!("{all:#}\n")
    } else {
        let (figures, targets) = (table.print(), targets::print(&table));
        format!("{about}\n\n{figures}\n{targets}")
    };
    stdout().write_all(text.as_bytes())?;
    Ok(match table.is_whole() {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    })
}

/// Each section on ground of its own, so that its figures do not depend on those before.
fn measure_all(args: &Args) -> Result<Vec<Row>> {
    let scratch = Scratch::new(&args.scratch)?;
    let programs = Programs::install(args.pontoon.clone(), &scratch.join("bin"));
    let sections = match &*args.section {
        // What `fastpath` measures is a part of `overlay`.
        [] => &Section::ALL,
        some => some,
    };
    // Its daemons are started elsewhere.
    let docker = args
        .docker
        .as_deref()
        .map(|dir| std::path::absolute(dir).with_context(|| format!("find {}", dir.display())));
    let docker = docker.transpose()?;
    let clearing = Clearing::new()?;
    let mut rows = Vec::new();
    for section in sections {
        clearing.wait()?;
        let ground = Ground::new(&programs, docker.clone(), &scratch);
        rows.extend(section.measure(&ground, args));
    }
    Ok(rows)
}

fn machine(args: &Args) -> Result<String> {
    let scratch = args.scratch.display();
    say(&format!(
        r#"echo "$(uname -sr), $(nproc) cores, records on $(stat -f -c %T -- '{scratch}')""#
    ))
}

/// How many wanted the processors in the last minute; the bench itself is one.
fn load() -> Result<String> {
    say("cut -d' ' -f1 /proc/loadavg")
}

fn say(script: &str) -> Result<String> {
    Ok(shell(script).finish()?.stdout.trim_end().to_owned())
}
