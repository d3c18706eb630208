//! Making a container that waits to be started, and what it is read and written by.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;

use libcontainer::container::Container as Library;
use libcontainer::container::builder::ContainerBuilder;
use libcontainer::syscall::syscall::SyscallType;
use rustix::fs::fchown;
use rustix::pipe::{PipeFlags, pipe_with};

use super::error::RuntimeError;
use super::filter;
use super::starter::{Role, Starter, Verdict};
use super::terminal;
use crate::container::{Container, Stdio, Users};
use crate::error::SandboxError;
use crate::heal::RUNTIME;
use crate::place::Home;

/// Where the terminal of a container comes from.
const CONSOLE: &str = "console.sock";

/// The supervisor's ends of a container's standard streams.
#[derive(Debug)]
pub enum Inside {
    /// They are the supervisor's own.
    Inherited,
    Logged {
        output: File,
        error: File,
    },
    Terminal(File),
}

/// A container that waits to be started.
pub struct Made {
    pub library: Library,
    pub init: u32,
    pub verdict: Verdict,
    pub inside: Inside,
}

/// # Errors
/// What the library, or the kernel, refuses. Nothing of the container is left then but its files
/// and its control group.
pub fn create(home: &Home, container: &Container) -> Result<Made, RuntimeError> {
    let (starter, verdict) = Starter::new(Role::Init, filter::programs())?;
    let failed = |source| RuntimeError::Create {
        name: container.name.clone(),
        source: Box::new(source),
    };
    let mut builder = builder(home, container, starter)?;
    let mut streams = None;
    let console = match container.stdio {
        Stdio::Inherit => None,
        Stdio::Log => {
            let (ends, output, error) = log_pipes(container.users)?;
            builder = builder
                .with_stdin(open_null()?)
                .with_stdout(output)
                .with_stderr(error);
            streams = Some(ends);
            None
        }
        Stdio::Terminal | Stdio::TerminalLog => Some(listen(home)?),
    };
    let console_path = console.as_ref().map(|_| home.file(CONSOLE));
    let init = builder
        .with_console_socket(console_path)
        .as_init(home.dir());
    let built = init
        .with_systemd(false)
        .with_detach(true)
        .build()
        .map_err(failed)?;
    let pid = built.pid().map(libcontainer_pid).unwrap_or_default();
    let inside = match (console, streams) {
        (Some(console), _) => {
            let master = terminal::receive(&console)?;
            // The command finds it as large as it stays.
            terminal::resize(&master);
            Inside::Terminal(master)
        }
        (None, Some(streams)) => streams,
        (None, None) => Inside::Inherited,
    };
    // Only the library's own listener used it.
    let _ = std::fs::remove_file(home.file(CONSOLE));
    Ok(Made {
        library: built,
        init: pid,
        verdict,
        inside,
    })
}

fn libcontainer_pid(pid: impl Into<i32>) -> u32 {
    pid.into().cast_unsigned()
}

/// The library's builder for a container of this home.
pub fn builder(
    home: &Home,
    container: &Container,
    starter: Starter,
) -> Result<ContainerBuilder, RuntimeError> {
    let dir = home.file(RUNTIME);
    let made = std::fs::create_dir_all(&dir);
    made.map_err(|source| SandboxError::Make {
        path: dir.clone(),
        source,
    })?;
    let builder = ContainerBuilder::new(container.name.to_string(), SyscallType::default());
    let builder = builder
        .with_root_path(dir)
        .map_err(|source| RuntimeError::Create {
            name: container.name.clone(),
            source: Box::new(source),
        })?;
    Ok(builder.with_executor(starter))
}

fn open_null() -> Result<OwnedFd, RuntimeError> {
    let path = Path::new("/dev/null");
    let opened = File::open(path).map_err(|source| SandboxError::Read {
        path: path.into(),
        source,
    })?;
    Ok(opened.into())
}

/// Two pipes that the container's root owns, so that it can open `/dev/stdout` again.
fn log_pipes(users: Users) -> Result<(Inside, OwnedFd, OwnedFd), RuntimeError> {
    let pipe = || -> Result<(File, OwnedFd), RuntimeError> {
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        rustix::io::ioctl_fionbio(&read, true)?;
        if let Users::Range { first } = users {
            let (user, group) = (
                rustix::fs::Uid::from_raw(first),
                rustix::fs::Gid::from_raw(first),
            );
            fchown(&write, Some(user), Some(group))?;
        }
        Ok((read.into(), write))
    };
    let (output, output_end) = pipe()?;
    let (error, error_end) = pipe()?;
    Ok((Inside::Logged { output, error }, output_end, error_end))
}

/// Listens on a socket in the container's directory, whose path may be longer than a socket's.
pub fn listen(home: &Home) -> Result<UnixListener, RuntimeError> {
    use std::os::fd::AsRawFd;
    let listening = File::open(home.dir()).and_then(|dir| {
        let short = format!("/proc/self/fd/{}/{CONSOLE}", dir.as_raw_fd());
        match std::fs::remove_file(&short) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => UnixListener::bind(short),
        }
    });
    listening.map_err(RuntimeError::Terminal)
}

pub fn console_path(home: &Home) -> std::path::PathBuf {
    home.file(CONSOLE)
}
