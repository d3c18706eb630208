//! `pontoon`: the command line. Arguments in, one call of the engine, text or JSON and an exit
//! code out; no logic of its own.

mod args;
mod cluster;
mod exit;
mod fastpath;
mod install;
mod lab;
mod late;
mod names;
mod often;
mod plain;
mod print;
mod run;
mod sandbox;
mod trace;

use std::process::ExitCode;

fn main() -> ExitCode {
    let cli = often::parse();
    let json = cli.common.json;
    match run::run(cli) {
        Ok(code) => code,
        Err(error) => exit::report(&error, json),
    }
}
