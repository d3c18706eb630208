//! A machine of the bench's own, and the processes timed on it.
//!
//! Each [`Machine`] is a [`Node`] on a thread of its own, so that several are alive at once and
//! one sample of each can be taken in turn. Its namespaces go with its thread, however the bench
//! ends.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use testnet::Node;

/// How long one job on a machine may take. Longer than any peer needs.
const JOB_BOUND: Duration = Duration::from_secs(120);

/// How much of a log an error shows.
const LAST_LINES: usize = 3;

type Job = Box<dyn FnOnce(&Node) + Send>;

pub struct Machine {
    jobs: mpsc::Sender<Job>,
    /// How many targets have been named.
    named: Cell<u16>,
}

/// A namespace to attach.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its name under /run/netns.
    pub name: String,
    /// What makes it different from the other targets of its machine.
    pub index: u16,
}

impl Target {
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// The index as the last two bytes of an address, past the network's and the gateway's.
    pub fn host(&self) -> String {
        let [high, low] = (self.index + 2).to_be_bytes();
        format!("{high}.{low}")
    }
}

impl Machine {
    /// A machine joined to an outside world of its own.
    pub fn new() -> Self {
        let (jobs, queue) = mpsc::channel::<Job>();
        thread::spawn(move || {
            let node = Node::new();
            let _outside = node.outside();
            for job in queue {
                job(&node);
            }
        });
        let named = Cell::new(0);
        Self { jobs, named }
    }

    fn run<T: Send + 'static>(&self, job: impl FnOnce(&Node) -> T + Send + 'static) -> Result<T> {
        let (answer, answered) = mpsc::channel();
        let job = move |node: &Node| drop(answer.send(job(node)));
        let sent = self.jobs.send(Box::new(job));
        sent.ok().context("the machine is gone")?;
        let outcome = answered.recv_timeout(JOB_BOUND);
        outcome.with_context(|| format!("not done within {JOB_BOUND:?}"))
    }

    /// Does work of any kind on the machine.
    pub fn work<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
        self.run(move |_| work())
    }

    /// Runs one process to its end; an error when it fails.
    pub fn call(&self, call: &Call) -> Result<Finished> {
        let spawned = call.clone();
        let finished = self.run(move |_| spawned.finish())?;
        finished.with_context(|| call.print())
    }

    /// Runs one process to its end, and tells when it first said something.
    pub fn time(&self, call: &Call) -> Result<Timed> {
        let spawned = call.clone();
        let timed = self.run(move |_| spawned.time())?;
        timed.with_context(|| call.print())
    }

    /// Starts all and waits for all: the time from the first start to the last end.
    pub fn call_all(&self, calls: &[Call]) -> Result<Duration> {
        let calls = calls.to_vec();
        self.run(move |_| finish_all(&calls))?
    }

    /// Runs a shell script up to its first failing command; gives what it printed.
    pub fn sh(&self, script: &str) -> Result<String> {
        Ok(self.call(&shell(script))?.stdout)
    }

    /// Starts a process that lives until the answer is dropped, or the machine is.
    pub fn serve(&self, call: &Call) -> Result<Server> {
        let (stdout, stderr) = call.output()?;
        let child = self.start(call, stdout, stderr)?;
        Ok(Server {
            child,
            log: call.log.clone(),
        })
    }

    /// The same, of a process whose lines are of interest, and when they come.
    pub fn follow(&self, call: &Call) -> Result<Followed> {
        let mut child = self.start(call, Stdio::piped(), Stdio::null())?;
        let stdout = child.stdout.take().context("a pipe was asked for")?;
        let (sender, lines) = mpsc::channel();
        thread::spawn(move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send((Instant::now(), line)).is_err() {
                    break;
                }
            }
        });
        let server = Server { child, log: None };
        Ok(Followed {
            _server: server,
            lines,
        })
    }

    fn start(&self, call: &Call, stdout: Stdio, stderr: Stdio) -> Result<Child> {
        let spawned = call.clone();
        let child = self.run(move |node| {
            let mut command = node.command(&spawned.program);
            command.args(&spawned.args).envs(spawned.env);
            command.stdin(Stdio::null()).stdout(stdout).stderr(stderr);
            command.spawn()
        })?;
        child.with_context(|| call.print())
    }

    /// A file that stands for its network namespace, for other machines: their `/run` is another.
    pub fn netns_file(&self) -> Result<String> {
        let thread = self.work(|| fs::read_link("/proc/thread-self"))??;
        Ok(format!("/proc/{}/ns/net", thread.display()))
    }

    /// Names that nothing has yet.
    pub fn name_targets(&self, count: u16) -> Vec<Target> {
        let first = self.named.get();
        self.named.set(first + count);
        let indexes = first..first + count;
        let target = |index| Target {
            name: format!("target{index}"),
            index,
        };
        indexes.map(target).collect()
    }

    /// New namespaces.
    pub fn add_targets(&self, count: u16) -> Result<Vec<Target>> {
        let targets = self.name_targets(count);
        let lines = targets
            .iter()
            .map(|target| format!("netns add {}\n", target.name));
        let call = Call::new("ip", ["-batch", "-"]).with_stdin(lines.collect());
        self.call(&call)?;
        Ok(targets)
    }

    pub fn add_target(&self) -> Result<Target> {
        self.add_targets(1)?.pop().context("one was made")
    }
}

/// A process in the background.
pub struct Server {
    child: Child,
    log: Option<PathBuf>,
}

impl Server {
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The last of what it said, for an error.
    pub fn last_words(&self) -> String {
        let log = self.log.as_ref().map(fs::read_to_string);
        let text = log.and_then(Result::ok).unwrap_or_default();
        let mut lines: Vec<&str> = text.lines().rev().take(LAST_LINES).collect();
        lines.reverse();
        lines.join("; ")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Gone already is as good as killed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A process in the background, and the lines that it prints.
pub struct Followed {
    _server: Server,
    pub lines: mpsc::Receiver<(Instant, String)>,
}

/// A process to be: what it is called with.
#[derive(Debug, Clone)]
pub struct Call {
    program: PathBuf,
    args: Vec<String>,
    env: Vec<(&'static str, String)>,
    stdin: String,
    log: Option<PathBuf>,
}

/// How long a process took, from before its start until after its end, and what it printed.
pub struct Finished {
    pub took: Duration,
    pub stdout: String,
}

/// How long a process took until it first printed something, and until its end.
pub struct Timed {
    pub first: Duration,
    pub whole: Duration,
}

impl Call {
    pub fn new<A: Into<String>>(
        program: impl AsRef<Path>,
        args: impl IntoIterator<Item = A>,
    ) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: args.into_iter().map(Into::into).collect(),
            env: Vec::new(),
            stdin: String::new(),
            log: None,
        }
    }

    #[must_use]
    pub fn with_env(mut self, env: &[(&'static str, String)]) -> Self {
        self.env.extend_from_slice(env);
        self
    }

    #[must_use]
    pub fn with_stdin(mut self, stdin: String) -> Self {
        self.stdin = stdin;
        self
    }

    /// Where what is served says what it does; nowhere without.
    #[must_use]
    pub fn with_log(mut self, log: PathBuf) -> Self {
        self.log = Some(log);
        self
    }

    fn output(&self) -> Result<(Stdio, Stdio)> {
        let Some(path) = &self.log else {
            return Ok((Stdio::null(), Stdio::null()));
        };
        let file = File::create(path).with_context(|| format!("write {}", path.display()))?;
        Ok((file.try_clone()?.into(), file.into()))
    }

    pub fn print(&self) -> String {
        format!("{} {}", self.program.display(), self.args.join(" "))
    }

    /// Runs it to its end where the calling thread is; an error when it fails.
    pub fn finish(&self) -> Result<Finished> {
        let start = Instant::now();
        let output = self.spawn()?.wait_with_output()?;
        let took = start.elapsed();
        check(&output)?;
        let stdout = String::from_utf8(output.stdout)?;
        Ok(Finished { took, stdout })
    }

    fn time(&self) -> Result<Timed> {
        let start = Instant::now();
        let mut child = self.spawn()?;
        let mut stdout = child.stdout.take().context("a pipe was asked for")?;
        let said = stdout.read(&mut [0; 64])?;
        let first = start.elapsed();
        std::io::copy(&mut stdout, &mut std::io::sink())?;
        let output = child.wait_with_output()?;
        let whole = start.elapsed();
        check(&output)?;
        ensure!(said > 0, "it said nothing");
        Ok(Timed { first, whole })
    }

    fn spawn(&self) -> Result<Child> {
        let mut command = Command::new(&self.program);
        command.args(&self.args).envs(self.env.iter().cloned());
        command.stdin(if self.stdin.is_empty() {
            Stdio::null()
        } else {
            Stdio::piped()
        });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            stdin.write_all(self.stdin.as_bytes())?;
        }
        Ok(child)
    }
}

/// A shell script as one process that starts others.
pub fn shell(script: &str) -> Call {
    Call::new("sh", ["-euc", script])
}

fn finish_all(calls: &[Call]) -> Result<Duration> {
    let start = Instant::now();
    let children: Result<Vec<Child>> = calls.iter().map(Call::spawn).collect();
    let outputs: Vec<_> = children?.into_iter().map(Child::wait_with_output).collect();
    let took = start.elapsed();
    for (output, call) in outputs.into_iter().zip(calls) {
        check(&output?).with_context(|| call.print())?;
    }
    Ok(took)
}

fn check(output: &Output) -> Result<()> {
    if output.status.success() {
        return Ok(());
    }
    // CNI plugins say what is wrong on standard output.
    let stderr = String::from_utf8_lossy(&output.stderr);
    let stdout = String::from_utf8_lossy(&output.stdout);
    bail!("{}: {} {}", output.status, stderr.trim(), stdout.trim())
}
