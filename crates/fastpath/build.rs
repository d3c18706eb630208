//! Builds the kernel's programs (crates/fastpath-ebpf) where the tools for it are, and hands the
//! object to the crate. Where they are not, the crate is built without, and says so when asked.
//!
//! The tools come from `scripts/setup fastpath`: a Rust compiler with `core` for
//! bpfel-unknown-none (Debian's rustc-web; `PONTOON_BPF_RUSTC` names another), and bpf-linker. With
//! `PONTOON_FASTPATH=required` a build without them fails.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "bpfel-unknown-none";
const OBJECT: &str = "pontoon-fastpath";
/// What else the programs are made of.
const SOURCES: [&str; 2] = ["../fastpath-ebpf", "../fastpath-wire"];

fn main() {
    println!("cargo::rustc-check-cfg=cfg(has_programs)");
    println!("cargo::rerun-if-changed=build.rs");
    for source in SOURCES {
        for part in ["Cargo.toml", "src"] {
            println!("cargo::rerun-if-changed={source}/{part}");
        }
    }
    println!("cargo::rerun-if-changed=../fastpath-ebpf/Cargo.lock");
    for name in ["PONTOON_FASTPATH", "PONTOON_BPF_RUSTC"] {
        println!("cargo::rerun-if-env-changed={name}");
    }
    match find_tools() {
        Ok(tools) => {
            let object = build(&tools);
            println!("cargo::rustc-cfg=has_programs");
            println!("cargo::rustc-env=PONTOON_PROGRAMS={}", object.display());
        }
        Err(missing) => {
            let required = env::var("PONTOON_FASTPATH").is_ok_and(|value| value == "required");
            assert!(!required, "{missing}: run scripts/setup fastpath");
            println!("cargo::warning=built without the fast path, {missing}");
        }
    }
}

struct Tools {
    rustc: PathBuf,
    linker: PathBuf,
}

fn find_tools() -> Result<Tools, String> {
    let rustc = env::var_os("PONTOON_BPF_RUSTC").map_or("/usr/bin/rustc".into(), PathBuf::from);
    // A file that is not there makes cargo ask again with each build, until it is.
    println!("cargo::rerun-if-changed={}", rustc.display());
    let sysroot = Command::new(&rustc).args(["--print", "sysroot"]).output();
    let sysroot = sysroot.map_err(|_| format!("{} is not there", rustc.display()))?;
    let sysroot = String::from_utf8_lossy(&sysroot.stdout).trim().to_owned();
    let core = Path::new(&sysroot).join("lib/rustlib").join(TARGET);
    println!("cargo::rerun-if-changed={}", core.display());
    if !core.is_dir() {
        return Err(format!("{} has no core for {TARGET}", rustc.display()));
    }
    let linker = find_linker().ok_or("there is no bpf-linker")?;
    println!("cargo::rerun-if-changed={}", linker.display());
    Ok(Tools { rustc, linker })
}

/// In the search path, or where cargo installs.
fn find_linker() -> Option<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    let cargo_home = env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = env::var_os("HOME").map(|home| Path::new(&home).join(".cargo"));
    let installed = cargo_home.or(home).map(|home| home.join("bin"));
    if let Some(dir) = &installed {
        println!("cargo::rerun-if-changed={}/bpf-linker", dir.display());
    }
    let dirs = env::split_paths(&path).chain(installed);
    dirs.map(|dir| dir.join("bpf-linker"))
        .find(|file| file.is_file())
}

/// Calls cargo for the other crate, in a directory of its own under this one's output.
fn build(tools: &Tools) -> PathBuf {
    let variable = |name: &str| PathBuf::from(env::var_os(name).unwrap_or_default());
    let target_dir = variable("OUT_DIR").join("programs");
    let manifest = variable("CARGO_MANIFEST_DIR").join("../fastpath-ebpf/Cargo.toml");
    let flags = [
        "-Clink-arg=--btf",
        "-Clink-arg=--cpu-features=+allows-misaligned-mem-access",
        "-Ctarget-cpu=v3",
    ];
    let linker = format!("-Clinker={}", tools.linker.display());
    let flags = [&[linker.as_str()][..], &flags].concat().join("\u{1f}");
    let mut cargo = Command::new(variable("CARGO"));
    cargo
        .args([
            "build",
            "--quiet",
            "--locked",
            "--release",
            "--target",
            TARGET,
        ])
        .arg("--manifest-path")
        .arg(&manifest)
        .arg("--target-dir")
        .arg(&target_dir)
        .env("RUSTC", &tools.rustc)
        // Debian's compiler is a stable one; the target is not.
        .env("RUSTC_BOOTSTRAP", "1")
        .env("CARGO_ENCODED_RUSTFLAGS", flags);
    // What this build was told is not for that one.
    for name in [
        "RUSTFLAGS",
        "RUSTC_WRAPPER",
        "RUSTC_WORKSPACE_WRAPPER",
        "CARGO_BUILD_TARGET",
        "CARGO_TARGET_DIR",
        "CARGO_BUILD_RUSTC",
    ] {
        cargo.env_remove(name);
    }
    let done = cargo.status();
    assert!(
        done.is_ok_and(|status| status.success()),
        "the programs of the fast path do not build"
    );
    target_dir.join(TARGET).join("release").join(OBJECT)
}
