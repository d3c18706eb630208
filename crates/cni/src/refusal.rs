//! Why a call fails, with the specification's code for it.

use std::io;
use std::path::PathBuf;

use cni::{CniError, Code, Failure, SpecVersion, VersionError};
use engine::{EngineError, ErrorClass};

/// Everything that a call can fail with.
#[derive(Debug, thiserror::Error)]
pub enum Refusal {
    #[error("can't read the configuration from standard input: {0}")]
    Stdin(io::Error),
    #[error("can't get random bits from the kernel: {0}")]
    Random(getrandom::Error),
    #[error(transparent)]
    Words(#[from] CniError),
    #[error(transparent)]
    Engine(#[from] EngineError),
    #[error("ipam.resolvConf: can't read {}: {source}", path.display())]
    ResolvConf { path: PathBuf, source: io::Error },
    #[error("GC without cni.dev/valid-attachments: it would remove every attachment")]
    NoAttachments,
    /// CHECK found these.
    #[error("{}", .0.join("; "))]
    Findings(Vec<String>),
    #[error("not ready: {0}")]
    NotReady(EngineError),
}

impl From<VersionError> for Refusal {
    fn from(error: VersionError) -> Self {
        Self::Words(error.into())
    }
}

impl Refusal {
    /// The error object for standard output, in the configuration's version where it has one.
    pub fn print(&self, version: Option<SpecVersion>) -> String {
        let version = version.unwrap_or(SpecVersion::LATEST);
        if let Self::Words(error) = self {
            return Failure::of(version, error).print();
        }
        Failure::new(
            version,
            self.code(),
            message(self),
            self.advice().to_owned(),
        )
        .print()
    }

    fn code(&self) -> Code {
        match self {
            Self::Stdin(_) | Self::Random(_) | Self::ResolvConf { .. } => Code::Io,
            Self::Words(error) => error.code(),
            Self::Engine(error) => engine_code(error.class()),
            Self::NoAttachments => Code::InvalidConfig,
            Self::Findings(_) => Code::Own(4),
            Self::NotReady(_) => Code::Unavailable,
        }
    }

    fn advice(&self) -> &'static str {
        match self {
            Self::Findings(_) => "'pontoon reconcile' puts it right",
            Self::Engine(error) | Self::NotReady(error) => match error.class() {
                ErrorClass::Permission => {
                    "run the runtime as root (CAP_NET_ADMIN and CAP_SYS_ADMIN)"
                }
                ErrorClass::Kernel => "'pontoon doctor' checks what the kernel can do",
                ErrorClass::Exhausted => "'pontoon ipam audit' shows who has the addresses",
                ErrorClass::Taken => "'pontoon ls' shows who has what",
                _ => "",
            },
            _ => "",
        }
    }
}

fn engine_code(class: ErrorClass) -> Code {
    match class {
        ErrorClass::Usage => Code::InvalidConfig,
        ErrorClass::Missing => Code::UnknownContainer,
        ErrorClass::Busy => Code::TryAgain,
        ErrorClass::Permission | ErrorClass::Records => Code::Io,
        ErrorClass::Other => Code::Own(0),
        ErrorClass::Taken => Code::Own(1),
        ErrorClass::Exhausted => Code::Own(2),
        ErrorClass::Kernel => Code::Own(3),
    }
}

/// The error and what caused it, without saying anything twice.
fn message(refusal: &Refusal) -> String {
    let mut text = refusal.to_string();
    let mut cause = std::error::Error::source(refusal);
    while let Some(error) = cause {
        let part = error.to_string();
        if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
        cause = error.source();
    }
    text
}
