//! The table of system calls as programs for the kernel (seccomp(2)).
//!
//! Two programs, since a filter gives one answer to what it matches: one allows what is allowed
//! and says ENOSYS to the rest, one says EPERM to what is refused. The kernel takes the answer of
//! the later one where both say no.

use std::collections::HashMap;

use seccompiler::{BpfProgram, TargetArch, compile_from_json};
use serde_json::{Value, json};

use super::error::RuntimeError;
use crate::seccomp::{Answer, DEFAULT, Rule, Test, rules};

/// The programs, in the order in which they are to be loaded.
///
/// # Errors
/// A table that names a call this architecture has not.
pub fn programs() -> Result<Vec<BpfProgram>, RuntimeError> {
    let arch = TargetArch::try_from(std::env::consts::ARCH).map_err(seccompiler::Error::Backend)?;
    let rules = rules();
    let allowed = rules.iter().filter(|rule| rule.answer == Answer::Allow);
    let allow = json!({
        "mismatch_action": action(DEFAULT),
        "match_action": "allow",
        "filter": allowed.flat_map(entries).collect::<Vec<_>>(),
    });
    let is_refused = |rule: &&Rule| !matches!(rule.answer, Answer::Allow) && rule.answer != DEFAULT;
    let Some(answer) = rules.iter().find(is_refused).map(|rule| rule.answer) else {
        return compile(&allow, arch);
    };
    let refuse = json!({
        "mismatch_action": "allow",
        "match_action": action(answer),
        "filter": rules.iter().filter(is_refused).flat_map(entries).collect::<Vec<_>>(),
    });
    Ok([compile(&allow, arch)?, compile(&refuse, arch)?].concat())
}

fn compile(filter: &Value, arch: TargetArch) -> Result<Vec<BpfProgram>, RuntimeError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_compiles_to_two_programs_the_kernel_would_take() {
        let programs = programs().unwrap();
        assert_eq!(programs.len(), 2);
        for program in programs {
            // BPF_MAXINSNS (linux/bpf_common.h).
            assert!((50..4096).contains(&program.len()), "{}", program.len());
        }
    }
}
