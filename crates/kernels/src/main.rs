//! `kernels`: the tests on other kernels than this machine's, in virtual machines.
//!
//! It decides nothing of what is tested: `.config/kernels.toml` names kernels and sets of tests,
//! and the tests are those that nextest runs on this machine too. Read [`course`] for what happens
//! on one kernel, [`guest`] for what happens inside.

mod config;
mod course;
mod disk;
mod files;
mod guest;
mod job;
mod kept;
mod list;
mod machine;
mod progress;
mod table;

use std::env;
use std::io::{Write, stdout};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use clap::{Parser, Subcommand};

use config::{Config, KernelEntry};
use course::Verdicts;
use job::{Desk, Test};
use kept::Kept;
use machine::{Blueprint, Engine};
use table::Table;

/// The namespace tests on Debian's kernels, in virtual machines.
///
/// `scripts/setup kernels` fetches what is needed; `.config/kernels.toml` says which kernels and
/// tests there are. The machines have this machine's files: changes stay in their memory. Exit
/// code 0 when nothing failed, 1 otherwise.
#[derive(Debug, Parser)]
#[command(
    name = "kernels",
    max_term_width = 100,
    args_conflicts_with_subcommands = true
)]
struct Args {
    /// Only tests with this in their names, or that fit this filter of nextest's
    test: Option<String>,
    /// A kernel, several times for several; all without
    #[arg(long, value_name = "NAME")]
    kernel: Vec<String>,
    /// A set of tests
    #[arg(long, default_value = "all", value_name = "NAME")]
    set: String,
    /// A root shell on the first kernel; no tests
    #[arg(long)]
    shell: bool,
    /// Print which tests would be run
    #[arg(long, conflicts_with = "shell")]
    list: bool,
    /// Only tests that have not passed on a kernel in earlier runs; the table has those too
    #[arg(long, conflicts_with_all = ["shell", "list"])]
    resume: bool,
    /// Print the table of all earlier runs; no tests
    #[arg(long, conflicts_with_all = ["shell", "list", "resume"])]
    kept: bool,
    /// Print JSON
    #[arg(long)]
    json: bool,
    /// Times by which all limits are longer: for a machine that is busy with other things
    #[arg(long, default_value_t = 1, value_name = "TIMES", value_parser = clap::value_parser!(u32).range(1..=50))]
    slowness: u32,
    /// How many kernels run at once, as many as there are processors without
    #[arg(long, value_name = "MACHINES")]
    at_once: Option<NonZeroUsize>,
    /// Let the processor run the guest (needs /dev/kvm); emulation works anywhere
    #[arg(long)]
    kvm: bool,
    #[command(subcommand)]
    inside: Option<Inside>,
}

#[derive(Debug, Subcommand)]
enum Inside {
    /// What the virtual machine runs
    #[command(hide = true)]
    Guest { dir: PathBuf },
}

fn main() -> Result<ExitCode> {
    let args = Args::parse();
    if let Some(Inside::Guest { dir }) = &args.inside {
        guest::work(dir)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut config = Config::read(&env::current_dir().context("find the working directory")?)?;
    config.machine = config.machine.slowed(args.slowness);
    let kernels = config.kernels(&args.kernel)?;
    if args.shell {
        let first = kernels.first().context("find a kernel")?;
        let status = args.blueprint(&config, first).shell()?;
        return Ok(exit(status.success()));
    }
    let set = config.set(&args.set)?;
    let tests = list::tests(&set.filter, args.test.as_deref(), &config.machine)?;
    ensure!(!tests.is_empty(), "no test of the set fits");
    if args.list {
        let titles = tests.iter().map(|test| test.title() + "\n");
        stdout().write_all(titles.collect::<String>().as_bytes())?;
        return Ok(ExitCode::SUCCESS);
    }
    let total = Duration::from_secs(set.total_secs) * args.slowness;
    let table = match args.kept {
        true => earlier(&kernels, tests)?,
        false => args.run(&config, &kernels, (tests, total))?,
    };
    let text = match args.json {
        true => format!("{:#}\n", table.json()),
        false => table.print(),
    };
    stdout().write_all(text.as_bytes())?;
    Ok(exit(!table.has_failures()))
}

impl Args {
    fn blueprint<'a>(&self, config: &'a Config, kernel: &'a KernelEntry) -> Blueprint<'a> {
        let engine = match self.kvm {
            true => Engine::Kvm,
            false => Engine::Emulation,
        };
        Blueprint {
            config,
            kernel,
            engine,
        }
    }

    fn run_on(
        blueprint: &Blueprint<'_>,
        kept: &Kept,
        (tests, total): (&[Test], Duration),
    ) -> Result<Verdicts> {
        let kernel = &blueprint.kernel.name;
        progress::say(&format!("{kernel}: booting, {} tests", tests.len()));
        let dir = desks_dir()?.join(kernel);
        machine::end_left_over(&Desk::at(&dir));
        let desk = Desk::new(&dir)?;
        course::run(blueprint, (&desk, kept), tests, total)
    }

    /// A machine emulates one processor, and takes one of the host's.
    fn run(
        &self,
        config: &Config,
        kernels: &[&KernelEntry],
        (tests, total): (Vec<Test>, Duration),
    ) -> Result<Table> {
        let processors = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        let at_once = self.at_once.unwrap_or_else(processors);
        let run = |kernel: &&KernelEntry| {
            let verdicts = self.run_whole(&self.blueprint(config, kernel), (&tests, total))?;
            Ok((kernel.name.clone(), verdicts))
        };
        let mut done = Vec::new();
        for some in kernels.chunks(at_once.get()) {
            let ended = thread::scope(|scope| {
                let running = some.iter().map(|kernel| scope.spawn(|| run(kernel)));
                let running: Vec<_> = running.collect();
                let ended = running.into_iter().map(thread::ScopedJoinHandle::join);
                ended.collect::<Vec<_>>()
            });
            for result in ended {
                done.push(result.unwrap_or_else(|_| Err(anyhow!("a kernel's thread broke down")))?);
            }
        }
        Ok(Table {
            tests,
            kernels: done,
        })
    }

    /// What became of all tests on a kernel; of those that passed before, what is kept.
    fn run_whole(
        &self,
        blueprint: &Blueprint<'_>,
        (tests, total): (&[Test], Duration),
    ) -> Result<Verdicts> {
        let kept = Kept::of(&desks_dir()?, &blueprint.kernel.name);
        if !self.resume {
            return Self::run_on(blueprint, &kept, (tests, total));
        }
        Self::run_on(blueprint, &kept, (&kept.left_of(tests)?, total))?;
        kept.verdicts(tests)
    }
}

/// What earlier runs made of these tests.
fn earlier(kernels: &[&KernelEntry], tests: Vec<Test>) -> Result<Table> {
    let dir = desks_dir()?;
    let of = |kernel: &&KernelEntry| {
        let verdicts = Kept::of(&dir, &kernel.name).verdicts(&tests)?;
        Ok((kernel.name.clone(), verdicts))
    };
    let kernels = kernels.iter().map(of).collect::<Result<_>>()?;
    Ok(Table { tests, kernels })
}

/// Beside the program, which is in a target directory: logs stay there until the next run, results
/// until the directory is removed.
fn desks_dir() -> Result<PathBuf> {
    let program = env::current_exe().context("find this program")?;
    let dir = program.parent().unwrap_or(Path::new("/"));
    Ok(dir.join("kernels-run"))
}

fn exit(good: bool) -> ExitCode {
    match good {
        true => ExitCode::SUCCESS,
        false => ExitCode::FAILURE,
    }
}
