//! `pontoon-cni`: the plugin that container runtimes call. Environment and standard input in, one
//! call of the engine, JSON and an exit code out.
//!
//! What the words mean is the library's; `verbs` has what each verb does.

mod answer;
mod refusal;
mod verbs;

use std::env;
use std::io::{Read, Write};
use std::process::ExitCode;

use cni::{CONFIG_BYTES_MAX, Call, Verb, Versions, peek_version};

use refusal::Refusal;

const ABOUT: &str = "\
pontoon-cni: Pontoon's plugin for container runtimes (CNI 0.3.1, 0.4.0, 1.0.0, 1.1.0).

A runtime calls it with CNI_COMMAND and more in the environment and a configuration on standard
input. 'pontoon cni install' puts it and a configuration where runtimes look.

  PONTOON_STATE_DIR  where this node's records are; /var/lib/pontoon without
  PONTOON_VERBOSE=1  print each plan on standard error before it is applied";

fn main() -> ExitCode {
    match env::args().nth(1).as_deref() {
        Some("--version" | "-V") => return say(concat!("pontoon-cni ", env!("CARGO_PKG_VERSION"))),
        Some("--help" | "-h") => return say(ABOUT),
        _ if env::var_os("CNI_COMMAND").is_none() => return say(ABOUT),
        _ => {}
    }
    let mut stdin = Vec::new();
    let (text, code) = match read(&mut stdin).and_then(|()| answer(&stdin)) {
        Ok(text) => (text, ExitCode::SUCCESS),
        Err(refusal) => (refusal.print(peek_version(&stdin)), ExitCode::FAILURE),
    };
    if text.is_empty() {
        return code;
    }
    match say(&text) {
        ExitCode::SUCCESS => code,
        failure => failure,
    }
}

/// Prints on standard output, where runtimes read results and errors alike.
fn say(text: &str) -> ExitCode {
    match writeln!(std::io::stdout(), "{text}") {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// One byte more than a configuration may have, so that a longer one is seen to be.
fn read(stdin: &mut Vec<u8>) -> Result<(), Refusal> {
    let bound = CONFIG_BYTES_MAX as u64 + 1;
    let read = std::io::stdin().take(bound).read_to_end(stdin);
    read.map(|_| ()).map_err(Refusal::Stdin)
}

fn answer(stdin: &[u8]) -> Result<String, Refusal> {
    let call = Call::parse(&|name| env::var_os(name)).map_err(cni::CniError::from)?;
    match call.verb {
        Verb::Version => Ok(Versions::answer(stdin).print()),
        Verb::Add => verbs::add(&call, stdin),
        Verb::Del => verbs::del(&call, stdin),
        Verb::Check => verbs::check(&call, stdin),
        Verb::Gc => verbs::gc(stdin),
        Verb::Status => verbs::status(stdin),
    }
}
