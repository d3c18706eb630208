//! `pontoon-sandbox`: the supervisor of one container, which `pontoon run` and `pontoon exec`
//! become or start. Not for people to call: it takes a container's directory, and has no help.

use std::ffi::OsString;
use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;

use sandbox::Home;
use sandbox::runtime::{Exec, RuntimeError, Terminal, exec, supervise};

/// What a shell takes for a fault of the one that should have run the command.
const OWN_FAULT: u8 = 125;

fn main() -> ExitCode {
    let Some(task) = parse(std::env::args_os().skip(1)) else {
        say("pontoon-sandbox is started by 'pontoon run' and 'pontoon exec'");
        return ExitCode::from(OWN_FAULT);
    };
    let outcome = match task {
        Task::Supervise(home) => supervise(&home).map(|ended| {
            for complaint in &ended.complaints {
                say(&complaint.to_string());
            }
            ended.code
        }),
        Task::Exec(home, wish) => exec(&home, &wish),
    };
    ExitCode::from(outcome.unwrap_or_else(|error| {
        // What could not be attached was said by who tried.
        if !matches!(error, RuntimeError::Attach { .. }) {
            say(&error.to_string());
        }
        error.code()
    }))
}

fn say(text: &str) {
    // Where standard error is closed, the exit code still speaks.
    let _ = writeln!(std::io::stderr().lock(), "pontoon: {text}");
}

enum Task {
    Supervise(Home),
    Exec(Home, Exec),
}

/// `supervise DIR`, or `exec DIR tty|no-tty [KEY=VALUE]… -- COMMAND…`.
fn parse(mut words: impl Iterator<Item = OsString>) -> Option<Task> {
    let verb = words.next()?;
    let home = Home::at(PathBuf::from(words.next()?));
    if verb == "supervise" {
        return words.next().is_none().then_some(Task::Supervise(home));
    }
    if verb != "exec" {
        return None;
    }
    let terminal = match words.next()?.to_str()? {
        "tty" => Terminal::Own,
        "no-tty" => Terminal::None,
        _ => return None,
    };
    let words: Option<Vec<String>> = words.map(|word| word.into_string().ok()).collect();
    let words = words?;
    let dashes = words.iter().position(|word| word == "--")?;
    let command = words[dashes + 1..].to_vec();
    let env = words[..dashes].to_vec();
    (!command.is_empty()).then_some(Task::Exec(
        home,
        Exec {
            command,
            env,
            terminal,
        },
    ))
}
