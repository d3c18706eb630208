//! Compiles the filter of system calls: each start of a container would take milliseconds for it.

use std::env;
use std::fmt::Write;
use std::path::Path;

#[path = "src/runtime/compile.rs"]
mod compile;
#[allow(dead_code, reason = "the crate uses what this does not")]
#[path = "src/seccomp.rs"]
mod seccomp;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for part in ["build.rs", "src/seccomp.rs", "src/runtime/compile.rs"] {
        println!("cargo::rerun-if-changed={part}");
    }
    let arch = env::var("CARGO_CFG_TARGET_ARCH")?;
    let mut text = "const PROGRAMS: &[&[Instruction]] = &[\n".to_owned();
    for program in compile::compile(&arch)? {
        text.push_str("    &[\n");
        for step in program {
            let (code, jt, jf, k) = (step.code, step.jt, step.jf, step.k);
            writeln!(text, "        ({code}, {jt}, {jf}, {k}),")?;
        }
        text.push_str("    ],\n");
    }
    text.push_str("];\n");
    let dir = env::var("OUT_DIR")?;
    Ok(std::fs::write(Path::new(&dir).join("programs.rs"), text)?)
}
