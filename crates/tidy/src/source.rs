//! Rules for Rust files, one by one: their opening, their size, what pure crates may name, where
//! `unsafe` may stand, and what a comment may not be.

use crate::code::{Line, names, split};
use crate::finding::Finding;

const FILE_LINES: usize = 400;
const TEST_FILE_LINES: usize = 600;

/// The crates without IO, clock or threads, and what gives those away.
const PURE: &[&str] = &["model", "ipam", "netstate", "plan"];
const IMPURE: &[&str] = &[
    "std::fs",
    "std::env",
    "std::os",
    "std::process",
    "std::thread",
    "fs::",
    "process::",
    "thread::",
    "Instant",
    "SystemTime",
    "TcpListener",
    "TcpStream",
    "UdpSocket",
    "UnixStream",
];

const MAY_BE_UNSAFE: &[&str] = &["fastpath", "fastpath-ebpf", "kernel", "sandbox", "testnet"];

const PUT_OFF_IN_CODE: &[&str] = &["todo!", "unimplemented!"];
const PUT_OFF_IN_COMMENTS: &[&str] = &["TODO", "FIXME", "XXX"];

pub fn check(file: &str, text: &str) -> Vec<Finding> {
    let room = room_of(file);
    let mut findings = check_shape(file, text);
    for (index, line) in split(text).iter().enumerate() {
        let objections = [
            impure(file, room, line),
            misplaced_unsafe(room, line),
            put_off(line),
            commented_out(line),
        ];
        let here = objections.into_iter().flatten();
        findings.extend(here.map(|what| Finding::new(file, index + 1, what)));
    }
    findings
}

/// The crate a file belongs to: `crates/NAME/…`.
fn room_of(file: &str) -> Option<&str> {
    file.strip_prefix("crates/")?.split('/').next()
}

fn check_shape(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !text.starts_with("//!") {
        let what = "a file opens with `//!`: what it is for, and what not";
        findings.push(Finding::new(file, 1, what));
    }
    let bound = if file.contains("/tests/") {
        TEST_FILE_LINES
    } else {
        FILE_LINES
    };
    let lines = text.lines().count();
    if lines > bound {
        let what = format!("{lines} lines, at most {bound}: one concern a file");
        findings.push(Finding::new(file, bound + 1, what));
    }
    findings
}

fn impure(file: &str, room: Option<&str>, line: &Line) -> Option<String> {
    let room = room.filter(|room| PURE.contains(room) && !file.contains("/tests/"))?;
    let word = IMPURE.iter().find(|word| names(&line.code, word))?;
    Some(format!(
        "{word} in {room}, which has no IO, clock or threads"
    ))
}

fn misplaced_unsafe(room: Option<&str>, line: &Line) -> Option<String> {
    let allowed = room.is_some_and(|room| MAY_BE_UNSAFE.contains(&room));
    (!allowed && names(&line.code, "unsafe"))
        .then(|| format!("unsafe belongs in {} only", MAY_BE_UNSAFE.join(", ")))
}

fn put_off(line: &Line) -> Option<String> {
    let in_code = PUT_OFF_IN_CODE
        .iter()
        .filter(|word| names(&line.code, word));
    let in_comments = PUT_OFF_IN_COMMENTS
        .iter()
        .filter(|word| names(&line.comment, word));
    let word = in_code.chain(in_comments).next()?;
    Some(format!("{word}: do it now, or file an issue"))
}

fn commented_out(line: &Line) -> Option<String> {
    // Documentation may show code.
    let said = line.comment.strip_prefix("// ")?.trim();
    reads_as_code(said).then(|| "commented-out code: version control keeps it".to_owned())
}

/// True for what no sentence looks like; a wrapped sentence may well end in a semicolon.
fn reads_as_code(said: &str) -> bool {
    let statement = said.strip_suffix(';').is_some_and(|said| {
        said.contains(" = ") || said.starts_with("use ") && said.contains("::") || is_call(said)
    });
    let block = said.ends_with(" {") || ["}", "};", "})", "});"].contains(&said);
    statement || block || said.starts_with("#[")
}

/// `name(…)`, but not a manual page such as `netlink(7)`.
fn is_call(said: &str) -> bool {
    said.strip_suffix(')')
        .and_then(|said| said.split_once('('))
        .is_some_and(|(name, inside)| {
            name.ends_with(|c: char| c.is_alphanumeric() || c == '_')
                && inside.parse::<u8>().is_err()
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(file: &str, body: &str) -> Vec<String> {
        let text = format!("//! A file.\n{body}");
        check(file, &text).iter().map(Finding::to_string).collect()
    }

    #[test]
    fn a_file_without_an_opening_is_found() {
        let findings = check("crates/model/src/a.rs", "use b;\n");
        assert_eq!(findings[0].line, 1);
        assert!(findings[0].what.contains("//!"));
    }

    #[test]
    fn long_files_are_found_and_tests_may_be_longer() {
        let body = "\n".repeat(500);
        let long = found("crates/model/src/a.rs", &body);
        assert!(
            long[0].starts_with("crates/model/src/a.rs:401: 501 lines"),
            "{long:?}"
        );
        assert!(found("crates/model/tests/a.rs", &body).is_empty());
    }

    #[test]
    fn pure_crates_name_no_io() {
        let body = "use std::fs;\nlet a = SystemTime::now();\n// std::fs\n";
        assert_eq!(found("crates/plan/src/a.rs", body).len(), 2);
        assert!(found("crates/plan/tests/golden.rs", body).is_empty());
        assert!(found("crates/store/src/a.rs", body).is_empty());
    }

    #[test]
    fn unsafe_stays_in_its_rooms() {
        let body = "#[allow(unsafe_code)]\nfn f() { unsafe { g() } }\n";
        assert_eq!(
            found("crates/engine/src/a.rs", body),
            [
                "crates/engine/src/a.rs:3: unsafe belongs in fastpath, fastpath-ebpf, kernel, sandbox, testnet only"
            ]
        );
        assert!(found("crates/kernel/src/a.rs", body).is_empty());
    }

    #[test]
    fn work_put_off_is_found() {
        let body = "todo!()\n// TODO: later\nlet a = \"TODO\";\n// todo lists are fine\n";
        assert_eq!(found("crates/cli/src/a.rs", body).len(), 2);
    }

    #[test]
    fn commented_out_code_is_found_and_prose_is_not() {
        for code in [
            "let a = b;",
            "fn f() {",
            "}",
            "g(a, b);",
            "a.b();",
            "#[test]",
            "use std::io;",
        ] {
            let body = format!("// {code}\n");
            assert_eq!(found("crates/cli/src/a.rs", &body).len(), 1, "{code}");
        }
        for prose in [
            "let the kernel choose;",
            "if it is gone, that is success;",
            "no lock is needed (see above);",
            "as in netlink(7);",
            "for one node",
            "`{a, b}` or {a}",
        ] {
            let findings = found("crates/cli/src/a.rs", &format!("// {prose}\n"));
            assert!(findings.is_empty(), "{prose}: {findings:?}");
        }
        assert!(found("crates/cli/src/a.rs", "/// let a = b;\n").is_empty());
    }
}
