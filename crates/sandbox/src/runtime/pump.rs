//! While a container runs: signals in, streams out, until its first process has ended.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::process::{Signal, pidfd_send_signal};

use super::create::Inside;
use super::{signals, terminal};
use crate::log::{Log, Stream};

const CHUNK: usize = 65_536;
/// What a terminal takes for the end of its input (termios(3), VEOF).
const END_OF_INPUT: u8 = 4;

/// What is pumped.
pub struct Pump<'a> {
    /// A pidfd: to be read from once the process has ended.
    pub process: &'a OwnedFd,
    pub signals: &'a OwnedFd,
    pub inside: Inside,
    /// Where output goes that nobody watches.
    pub log: Option<Log>,
    /// Read from standard input, not yet taken by the terminal.
    pub typed: Vec<u8>,
    pub input_ended: bool,
}

/// Something to wait for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Process,
    Signals,
    Output,
    Error,
    Master,
    Input,
}

impl<'a> Pump<'a> {
    pub fn new(
        process: &'a OwnedFd,
        signals: &'a OwnedFd,
        inside: Inside,
        log: Option<Log>,
    ) -> Self {
        let input_ended = log.is_some();
        Self {
            process,
            signals,
            inside,
            log,
            typed: Vec::new(),
            input_ended,
        }
    }

    /// Pumps until the process has ended, and takes what it has said last.
    ///
    /// # Errors
    /// What the kernel says to waiting.
    pub fn run(mut self) -> Result<(), Errno> {
        let watched = matches!(self.inside, Inside::Terminal(_)) && self.log.is_none();
        let _raw = watched.then(terminal::Raw::begin);
        if let Inside::Terminal(master) = &self.inside {
            terminal::resize(master);
        }
        loop {
            let ready = self.wait()?;
            for source in &ready {
                self.serve(*source);
            }
            if ready.contains(&Source::Process) {
                for source in [Source::Output, Source::Error, Source::Master] {
                    while self.serve(source) {}
                }
                return Ok(());
            }
        }
    }

    fn wait(&self) -> Result<Vec<Source>, Errno> {
        let stdin = io::stdin();
        let mut polled = vec![
            (
                Source::Process,
                PollFd::from_borrowed_fd(self.process.as_fd(), PollFlags::IN),
            ),
            (
                Source::Signals,
                PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
            ),
        ];
        match &self.inside {
            Inside::Inherited => {}
            Inside::Logged { output, error } => {
                polled.push((
                    Source::Output,
                    PollFd::from_borrowed_fd(output.as_fd(), PollFlags::IN),
                ));
                polled.push((
                    Source::Error,
                    PollFd::from_borrowed_fd(error.as_fd(), PollFlags::IN),
                ));
            }
            Inside::Terminal(master) => {
                let mut flags = PollFlags::IN;
                if !self.typed.is_empty() {
                    flags |= PollFlags::OUT;
                } else if !self.input_ended {
                    polled.push((
                        Source::Input,
                        PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN),
                    ));
                }
                polled.push((
                    Source::Master,
                    PollFd::from_borrowed_fd(master.as_fd(), flags),
                ));
            }
        }
        let (sources, mut fds): (Vec<Source>, Vec<PollFd<'_>>) = polled.into_iter().unzip();
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno),
        }
        let ready = sources.into_iter().zip(fds);
        let ready = ready.filter(|(_, fd)| !fd.revents().is_empty());
        Ok(ready.map(|(source, _)| source).collect())
    }

    /// Answers whether there may be more at once.
    fn serve(&mut self, source: Source) -> bool {
        match source {
            Source::Process => false,
            Source::Signals => self.pass_signal(),
            Source::Input => self.read_input(),
            Source::Output | Source::Error => self.read_logged(source),
            Source::Master => {
                self.write_typed();
                self.read_master()
            }
        }
    }

    fn pass_signal(&mut self) -> bool {
        let Some(signal) = signals::read(self.signals) else {
            return false;
        };
        match (&self.inside, signal) {
            (Inside::Terminal(master), Signal::WINCH) => terminal::resize(master),
            // Who has ended gets no signal.
            _ => drop(pidfd_send_signal(self.process, signal)),
        }
        true
    }

    fn read_input(&mut self) -> bool {
        let mut chunk = [0; 4096];
        match rustix::io::read(io::stdin(), &mut chunk) {
            Ok(0) => {
                self.input_ended = true;
                self.typed.push(END_OF_INPUT);
            }
            Ok(length) => self.typed.extend(&chunk[..length]),
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(_) => self.input_ended = true,
        }
        false
    }

    fn write_typed(&mut self) {
        let Inside::Terminal(master) = &mut self.inside else {
            return;
        };
        if let Ok(length) = master.write(&self.typed) {
            self.typed.drain(..length);
        }
    }

    fn read_logged(&mut self, source: Source) -> bool {
        let Inside::Logged { output, error } = &mut self.inside else {
            return false;
        };
        let (file, stream) = match source {
            Source::Error => (error, Stream::Error),
            _ => (output, Stream::Output),
        };
        let mut chunk = vec![0; CHUNK];
        match file.read(&mut chunk) {
            Ok(0) => {
                // Its writers are gone; nothing that never ends may be polled.
                if let Ok(idle) = idle() {
                    *file = idle;
                }
                false
            }
            Ok(length) => {
                if let Some(log) = &mut self.log {
                    log.write(stream, &chunk[..length]);
                }
                true
            }
            Err(_) => false,
        }
    }

    fn read_master(&mut self) -> bool {
        let Inside::Terminal(master) = &mut self.inside else {
            return false;
        };
        let mut chunk = vec![0; CHUNK];
        match master.read(&mut chunk) {
            Ok(0) => false,
            Ok(length) => {
                let said = &chunk[..length];
                match &mut self.log {
                    Some(log) => log.write(Stream::Output, said),
                    // A terminal that was closed shows nothing; the command goes on.
                    None => drop(
                        io::stdout()
                            .write_all(said)
                            .and_then(|()| io::stdout().flush()),
                    ),
                }
                true
            }
            // EIO: nobody has the other end open.
            Err(_) => false,
        }
    }
}

/// A file that is never ready to be read.
fn idle() -> Result<File, Errno> {
    let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
    rustix::event::eventfd(0, flags).map(File::from)
}
