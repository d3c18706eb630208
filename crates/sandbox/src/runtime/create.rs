//! Making a container that waits to be started, and what it is read and written by.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::container::{Container as Library, ContainerStatus};
use libcontainer::error::LibcontainerError;
use libcontainer::notify_socket::{NOTIFY_FILE, NotifySocket};
use libcontainer::syscall::syscall::SyscallType;
use model::EndpointName;
use rustix::fs::fchown;
use rustix::pipe::{PipeFlags, pipe_with};

use super::ahead::Ahead;
use super::error::{RuntimeError, causes};
use super::maker::{self, Groups, Maker};
use super::starter::{Role, Starter, Verdict};
use super::{filter, inner, terminal};
use crate::cgroup::{Cgroups, Part, are_asked_for};
use crate::container::{Container, Root, Stdio, Users};
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
    pub init: u32,
    pub verdict: Verdict,
    pub inside: Inside,
}

/// A container on its way: the library is at work on it.
pub struct Creating<'a> {
    home: &'a Home,
    name: &'a EndpointName,
    maker: Maker,
    verdict: Verdict,
    console: Option<UnixListener>,
    streams: Option<Inside>,
}

/// Has the library begin. What it does not wait for can be done meanwhile.
///
/// # Errors
/// What the kernel refuses. Nothing of the container is left then but its files and its control
/// group.
pub fn begin<'a>(
    home: &'a Home,
    container: &'a Container,
    cgroups: &Cgroups,
    ahead: &Ahead,
) -> Result<Creating<'a>, RuntimeError> {
    let (path, limits) = (&container.cgroup, &container.limits);
    let entry = cgroups.enter(path, limits)?;
    cgroups.limit(path, limits, container.disk(), Part::Making)?;
    let bundle = inner::write(home, ahead)?;
    let (starter, verdict) = Starter::new(Role::Init, filter::programs())?;
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
    let builder = builder.with_console_socket(console_path);
    let build = || {
        let init = builder.as_init(&bundle).as_sibling(true);
        let built = init.with_systemd(false).with_detach(true).build()?;
        Ok(built.pid().map(libcontainer_pid).unwrap_or_default())
    };
    Ok(Creating {
        home,
        name: &container.name,
        maker: Maker::begin(&entry, &groups(home, container), build)?,
        verdict,
        console,
        streams,
    })
}

impl Creating<'_> {
    /// Waits for the library.
    ///
    /// # Errors
    /// What it, or the kernel, refuses. Nothing of the container is left then but its files and
    /// its control group.
    pub fn finish(self) -> Result<Made, RuntimeError> {
        let name = self.name.clone();
        let init = match self.maker.finish()? {
            maker::Made::Process(pid) => pid,
            maker::Made::Refused(said) => return Err(RuntimeError::Create { name, said }),
            maker::Made::Died => return Err(RuntimeError::EndedEarly { name }),
        };
        let inside = match (self.console, self.streams) {
            (Some(console), _) => {
                let master = terminal::receive(&console)?;
                // The command finds it as large as it stays.
                terminal::resize(&master);
                // Only the library's own listener used it.
                let _ = std::fs::remove_file(self.home.file(CONSOLE));
                Inside::Terminal(master)
            }
            (None, Some(streams)) => streams,
            (None, None) => Inside::Inherited,
        };
        Ok(Made {
            init,
            verdict: self.verdict,
            inside,
        })
    }
}

/// Lets the command begin.
///
/// # Errors
/// A container that is gone.
pub fn start(home: &Home, container: &Container) -> Result<(), RuntimeError> {
    let socket = library_dir(home, container).join(NOTIFY_FILE);
    let started = NotifySocket::new(socket).notify_container_start();
    started.map_err(|source| cannot_start(container, source.into()))
}

/// Has the library know that the command runs. That takes it as long as all that a command waits
/// for, and only other commands in the container need it.
///
/// # Errors
/// Files that can't be read or written.
pub fn set_running(home: &Home, container: &Container) -> Result<(), RuntimeError> {
    let library = Library::load(library_dir(home, container));
    let known = library.and_then(|mut library| library.set_status(ContainerStatus::Running).save());
    known.map_err(|source| cannot_start(container, source))
}

fn library_dir(home: &Home, container: &Container) -> PathBuf {
    home.file(RUNTIME).join(container.name.as_str())
}

fn cannot_start(container: &Container, source: LibcontainerError) -> RuntimeError {
    RuntimeError::Start {
        name: container.name.clone(),
        source: Box::new(source),
    }
}

/// A container that is shown groups of the machine's is made where they are to be seen.
pub fn groups<'a>(home: &'a Home, container: &'a Container) -> Groups<'a> {
    let sources = container.mounts.iter().map(|bind| bind.source.as_path());
    if are_asked_for(sources.clone()) {
        return Groups::Shown;
    }
    let root = match &container.root {
        Root::Machine => None,
        Root::Dir(dir) => Some(dir.as_path()),
    };
    Groups::Hidden(sources.chain(root).chain([home.dir()]).collect())
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
            said: causes(&source),
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

pub fn console_path(home: &Home) -> PathBuf {
    home.file(CONSOLE)
}
