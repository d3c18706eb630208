//! Compiling the table of system calls to programs for the kernel (seccomp(2)). It takes some
//! milliseconds, and so is done by `build.rs`, of which this file is a part; the crate itself has it
//! for its tests alone.
//!
//! Two programs, since a filter gives one answer to what it matches: one allows what is allowed
//! and says ENOSYS to the rest, one says EPERM to what is refused. The kernel takes the answer of
//! the later one where both say no.

use std::collections::HashMap;

use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use serde_json::{Value, json};

use crate::seccomp::{Answer, DEFAULT, Rule, Test, rules};

/// The programs, in the order in which they are to be loaded.
///
/// # Errors
/// A table that names a call the architecture has not.
pub fn compile(arch: &str) -> Result<Vec<BpfProgram>, seccompiler::Error> {
    let rules = rules(arch);
    let arch = TargetArch::try_from(arch).map_err(seccompiler::Error::Backend)?;
    let allowed = rules.iter().filter(|rule| rule.answer == Answer::Allow);
    let allow = json!({
        "mismatch_action": action(DEFAULT),
        "match_action": "allow",
        "filter": allowed.flat_map(entries).collect::<Vec<_>>(),
    });
    let is_refused = |rule: &&Rule| !matches!(rule.answer, Answer::Allow) && rule.answer != DEFAULT;
    let Some(answer) = rules.iter().find(is_refused).map(|rule| rule.answer) else {
        return compile_one(&allow, arch);
    };
    let refuse = json!({
        "mismatch_action": "allow",
        "match_action": action(answer),
        "filter": rules.iter().filter(is_refused).flat_map(entries).collect::<Vec<_>>(),
    });
    Ok([compile_one(&allow, arch)?, compile_one(&refuse, arch)?].concat())
}

fn compile_one(filter: &Value, arch: TargetArch) -> Result<Vec<BpfProgram>, seccompiler::Error> {
    let text = json!({"only": filter}).to_string();
    let compiled: HashMap<String, BpfProgram> = compile_from_json(text.as_bytes(), arch)?;
    Ok(compiled.into_values().collect())
}

fn action(answer: Answer) -> Value {
    match answer {
        Answer::Allow => json!("allow"),
        Answer::Errno(errno) => json!({"errno": errno}),
    }
}

fn entries(rule: &Rule) -> Vec<Value> {
    let test = |(index, test): &(u8, Test)| match test {
        Test::Equals(value) => json!({"index": index, "type": "dword", "op": "eq", "val": value}),
        Test::Differs(value) => json!({"index": index, "type": "dword", "op": "ne", "val": value}),
        Test::Clear(bits) => {
            json!({"index": index, "type": "qword", "op": {"masked_eq": bits}, "val": 0})
        }
    };
    let tests: Vec<Value> = rule.tests.iter().map(test).collect();
    let entry = |call: &&str| match tests.is_empty() {
        true => json!({"syscall": call}),
        false => json!({"syscall": call, "args": tests}),
    };
    rule.calls.iter().map(entry).collect()
}
