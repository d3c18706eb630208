//! `attach` read word by word: a process for each container has no time to describe its options
//! first. What is not plainly right is left to the parser that can say what is wrong with it.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;
use std::str::FromStr;

use lexopt::Parser;
use lexopt::prelude::{Long, Short, Value};

use crate::args::{Attach, Cli, Command, Common, Dry};
use crate::late::Late;

pub const STATE_DIR_VARIABLE: &str = "PONTOON_STATE_DIR";
pub const STATE_DIR: &str = "/var/lib/pontoon";
pub const LOCK_WAIT_SECS: u64 = 30;
pub const LOCK_WAIT_SECS_MAX: u64 = 3600;

/// What was said once at most.
#[derive(Default)]
struct Said {
    state_dir: Option<PathBuf>,
    lock_wait: Option<u64>,
    json: bool,
    verbose: bool,
    dry_run: bool,
    create: bool,
}

impl Said {
    fn common(self) -> Option<Common> {
        let by_default = || env::var_os(STATE_DIR_VARIABLE).unwrap_or_else(|| STATE_DIR.into());
        let common = Common {
            state_dir: self.state_dir.unwrap_or_else(|| by_default().into()),
            lock_wait: self.lock_wait.unwrap_or(LOCK_WAIT_SECS),
            json: self.json,
            verbose: self.verbose,
        };
        let is_right =
            !common.state_dir.as_os_str().is_empty() && common.lock_wait <= LOCK_WAIT_SECS_MAX;
        is_right.then_some(common)
    }
}

pub fn attach(line: &[OsString]) -> Option<Cli> {
    if line.iter().any(|word| word == "--") {
        return None;
    }
    let mut parser = Parser::from_iter(line);
    let mut said = Said::default();
    let mut is_attach = false;
    let (mut network, mut target) = (None, None);
    let (mut name, mut mac, mut ifname, mut rate) = (None, None, None, None);
    let (mut ip, mut publish, mut alias) = (Vec::new(), Vec::new(), Vec::new());
    while let Some(word) = parser.next().ok()? {
        match word {
            Long("state-dir") => set(&mut said.state_dir, value(&mut parser)?)?,
            Long("lock-wait") => set(&mut said.lock_wait, value(&mut parser)?)?,
            Long("json") => raise(&mut said.json)?,
            Short('v') | Long("verbose") => raise(&mut said.verbose)?,
            Value(command) if !is_attach && command == "attach" => is_attach = true,
            _ if !is_attach => return None,
            Value(value) if network.is_none() => set(&mut network, value)?,
            Value(value) => set(&mut target, value)?,
            Long("dry-run") => raise(&mut said.dry_run)?,
            Long("create") => raise(&mut said.create)?,
            Long("name") => set(&mut name, value(&mut parser)?)?,
            Long("mac") => set(&mut mac, value(&mut parser)?)?,
            Long("ifname") => set(&mut ifname, value(&mut parser)?)?,
            Long("rate") => set(&mut rate, value(&mut parser)?)?,
            Long("ip") => ip.push(read(value(&mut parser)?)?),
            Short('p') | Long("publish") => publish.push(read(value(&mut parser)?)?),
            Long("alias") => alias.push(read(value(&mut parser)?)?),
            Short(_) | Long(_) => return None,
        }
    }
    let (create, dry_run) = (said.create, said.dry_run);
    Some(Cli {
        common: said.common()?,
        command: Command::Attach(Late(Attach {
            network: network?,
            target: target?,
            create,
            name,
            ip,
            mac,
            ifname,
            publish,
            rate,
            alias,
            dry: Dry { dry_run },
        })),
    })
}

/// An option's value; what looks like an option is none.
fn value(parser: &mut Parser) -> Option<OsString> {
    let value = parser.value().ok()?;
    (!value.as_encoded_bytes().starts_with(b"-")).then_some(value)
}

fn read<T: FromStr>(value: OsString) -> Option<T> {
    value.into_string().ok()?.parse().ok()
}

fn set<T: FromStr>(slot: &mut Option<T>, value: OsString) -> Option<()> {
    let first = slot.is_none();
    *slot = Some(read(value)?);
    first.then_some(())
}

fn raise(flag: &mut bool) -> Option<()> {
    let first = !*flag;
    *flag = true;
    first.then_some(())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    const WORDS: &[&str] = &[
        "attach",
        "attach",
        "web",
        "web",
        "c1",
        "c1",
        "pid:7",
        "/x/y",
        "detach",
        "",
        "-",
        "Web!",
        "--state-dir",
        "--state-dir=/s",
        "--state-dir=",
        "/s",
        "--lock-wait",
        "--lock-wait=5",
        "5",
        "9999",
        "-5",
        "--json",
        "--json=1",
        "-v",
        "--verbose",
        "-vv",
        "--dry-run",
        "--create",
        "--name",
        "--name=db",
        "db",
        "--ip",
        "10.0.0.7",
        "--ip=fd00::7",
        "--mac",
        "02:00:00:00:00:77",
        "--ifname",
        "eth7",
        "-p",
        "8080:80",
        "-p80",
        "-p=81/udp",
        "-vp",
        "--publish",
        "--publish=82",
        "--rate",
        "10mbit",
        "--alias",
        "--alias=a",
        "--help",
        "-h",
        "--no-such",
        "-x",
        "--",
        "--version",
        "--crea",
    ];

    fn words(line: &[&str]) -> Vec<OsString> {
        std::iter::once("pontoon")
            .chain(line.iter().copied())
            .map(OsString::from)
            .collect()
    }

    /// Whether it is read here; then as by the whole.
    fn is_read(line: &[&str]) -> bool {
        let line = words(line);
        let Some(here) = attach(&line) else {
            return false;
        };
        let whole = Cli::try_parse_from(&line);
        let whole = whole.unwrap_or_else(|error| panic!("{line:?} is refused: {error}"));
        assert_eq!(format!("{here:?}"), format!("{whole:?}"), "{line:?}");
        true
    }

    #[test]
    fn every_option_is_read_as_by_the_whole() {
        for line in [
            "attach web c1",
            "attach web pid:7 --create --name db --ip 10.0.0.7 --ip=fd00::7 --mac 02:00:00:00:00:77",
            "attach web /x/y --ifname eth7 -p 8080:80 -p80 -p=81/udp --publish 82 --publish=83",
            "attach web c1 --rate 10mbit --alias a --alias=b --dry-run -v --json",
            "--state-dir /s --lock-wait=0 --json attach --verbose web --create c1",
            "attach web c1 --state-dir=/s --lock-wait 3600 -vp 80:80",
        ] {
            assert!(is_read(&line.split(' ').collect::<Vec<_>>()), "{line}");
        }
    }

    #[test]
    fn whatever_is_read_is_read_as_by_the_whole() {
        let mut random = 0x2545_f491_4f6c_dd1d_u64;
        let mut next = |below: usize| {
            random ^= random << 13;
            random ^= random >> 7;
            random ^= random << 17;
            (random % below as u64) as usize
        };
        let mut read = 0;
        for _ in 0..30_000 {
            let mut line = vec!["attach", "web", "c1"];
            for _ in 0..next(6) {
                line.insert(next(line.len() + 1), WORDS[next(WORDS.len())]);
            }
            read += u32::from(is_read(&line));
        }
        assert!(read > 5_000, "{read}");
    }

    #[test]
    fn what_is_wrong_is_left_to_the_whole() {
        for line in [
            "",
            "attach",
            "attach web",
            "attach web c1 c2",
            "detach c1 web",
            "attach web c1 --json --json",
            "attach web c1 --name a --name b",
            "attach web c1 --lock-wait 3601",
            "attach web c1 --name --json",
            "attach web -- c1",
            "attach web c1 --help",
            "attach web c1 --state-dir=",
        ] {
            assert!(!is_read(&line.split(' ').collect::<Vec<_>>()), "{line}");
        }
    }
}
