//! How a call ends: its exit code, and what an error tells a person or a machine.

use std::io::Write;
use std::process::ExitCode;

use ::lab::LabError;
use agent::AgentError;
use anyhow::Error;
use engine::{EngineError, ErrorClass};
use serde::Serialize;
use store::cluster::ClusterError;

use crate::cluster::error::{CommandError, class_of_agent, class_of_store};
use crate::install::InstallError;
use crate::lab;
use crate::sandbox::error::{ContainerError, class_of_sandbox};

/// Something was found: a dry run of reconcile has work, doctor has a complaint, an audit has
/// addresses to free.
pub const FOUND: u8 = 10;
const OTHER: u8 = 1;
/// The cluster's store, whatever it is.
const STORE: u8 = 11;
const STORE_HINT: &str = "without --cluster, commands go on with this node's own records";

#[derive(Debug, Serialize)]
struct Report {
    error: Body,
}

#[derive(Debug, Serialize)]
struct Body {
    exit_code: u8,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<&'static str>,
}

/// Prints an error on standard error and answers the exit code.
pub fn report(error: &Error, json: bool) -> ExitCode {
    let class = class(error);
    let (code, hint) = match class {
        None if is_of_cluster(error) => (STORE, Some(STORE_HINT)),
        class => (class.map_or(OTHER, code), class.and_then(hint)),
    };
    // The lab's own messages say what there is.
    let hint = hint.filter(|_| !error.is::<LabError>());
    let message = message(error);
    let mut stderr = std::io::stderr().lock();
    // Where standard error is closed, the exit code still speaks.
    let _ = if json {
        let body = Body {
            exit_code: code,
            message,
            hint,
        };
        let text = serde_json::to_string_pretty(&Report { error: body });
        writeln!(stderr, "{}", text.unwrap_or_default())
    } else {
        let hint = hint
            .map(|hint| format!("\n       {hint}"))
            .unwrap_or_default();
        writeln!(stderr, "pontoon: {message}{hint}")
    };
    ExitCode::from(code)
}

fn class(error: &Error) -> Option<ErrorClass> {
    let of_engine = error.downcast_ref::<EngineError>().map(EngineError::class);
    let of_install = || {
        error
            .downcast_ref::<InstallError>()
            .map(InstallError::class)
    };
    let of_lab = || error.downcast_ref::<LabError>().map(lab::class);
    let of_fastpath = || error.downcast_ref().map(engine::of_fast_path);
    let of_command = || error.downcast_ref().map(CommandError::class);
    let of_sandbox = || error.downcast_ref().map(class_of_sandbox);
    let of_container = || error.downcast_ref().map(ContainerError::class);
    let of_agent = || error.downcast_ref().and_then(class_of_agent);
    let of_store = || error.downcast_ref().and_then(class_of_store);
    of_engine
        .or_else(of_install)
        .or_else(of_lab)
        .or_else(of_fastpath)
        .or_else(of_command)
        .or_else(of_sandbox)
        .or_else(of_container)
        .or_else(of_agent)
        .or_else(of_store)
}

/// Whether a cluster's store failed, given that the error has no class.
fn is_of_cluster(error: &Error) -> bool {
    error.is::<AgentError>() || error.is::<ClusterError>()
}

/// The error and what caused it, without saying anything twice.
pub fn message(error: &Error) -> String {
    let mut text = String::new();
    for part in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = part;
        } else if !text.contains(&part) {
            text = format!("{text}: {part}");
        }
    }
    text
}

fn code(class: ErrorClass) -> u8 {
    match class {
        ErrorClass::Other => OTHER,
        ErrorClass::Usage => 2,
        ErrorClass::Missing => 3,
        ErrorClass::Taken => 4,
        ErrorClass::Exhausted => 5,
        ErrorClass::Permission => 6,
        ErrorClass::Busy => 7,
        ErrorClass::Records => 8,
        ErrorClass::Kernel => 9,
    }
}

fn hint(class: ErrorClass) -> Option<&'static str> {
    match class {
        ErrorClass::Permission => Some("run it as root (CAP_NET_ADMIN and CAP_SYS_ADMIN)"),
        ErrorClass::Kernel => Some("'pontoon doctor' checks what the kernel can do"),
        ErrorClass::Missing => Some("'pontoon network ls' and 'pontoon ls' show what there is"),
        _ => None,
    }
}
