//! The whole course without a virtual machine: in virtme-ng's place stands a script that runs the
//! guest's part on this machine, and in the tests' places stand scripts that end as tests do.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};

const CONFIG: &str = r#"
virtme_ng = "0"
[[kernel]]
name = "k"
package = "linux-image-k"
[machine]
cpus = 1
memory_mib = 64
boot_secs = 60
test_secs = 3
heavy_secs = 3
grace_secs = 5
patience = 7
[set.all]
total_secs = 120
filter = "all()"
"#;

/// Runs what `--exec` says; the process stays the same, so that who kills it kills the guest.
const MACHINE: &str = r#"#!/bin/bash
while [ "$1" != --exec ]; do shift; done
exec bash -c "exec $2"
"#;

/// A workspace, a cache and scripts, removed with the test.
struct Ground {
    dir: PathBuf,
}

impl Ground {
    fn new(name: &str, machine: &str) -> Self {
        let dir = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("kernels-{name}"));
        let _ = fs::remove_dir_all(&dir);
        for part in [".config", "cache/virtme-ng-0/bin", "cache/k/boot", "bin"] {
            fs::create_dir_all(dir.join(part)).unwrap();
        }
        let ground = Self { dir };
        fs::write(ground.dir.join(".config/kernels.toml"), CONFIG).unwrap();
        fs::write(ground.dir.join("cache/k/boot/vmlinuz-k"), "").unwrap();
        ground.script("cache/virtme-ng-0/bin/vng", machine);
        // A program of the ground's own: its logs lie beside it.
        fs::copy(
            env!("CARGO_BIN_EXE_kernels"),
            ground.dir.join("bin/kernels"),
        )
        .unwrap();
        ground
    }

    fn script(&self, name: &str, text: &str) {
        let path = self.dir.join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Runs these tests, each a shell script.
    fn run(&self, tests: &[(&str, &str)]) -> Output {
        self.run_with(&[], tests)
    }

    fn run_with(&self, args: &[&str], tests: &[(&str, &str)]) -> Output {
        let mut suites = serde_json::Map::new();
        for (name, text) in tests {
            self.script(name, &format!("#!/bin/sh\n{text}\n"));
            let cases = json!({*name: {"filter-match": {"status": "matches"}}});
            let suite = json!({
                "binary-path": self.dir.join(name), "cwd": self.dir, "testcases": cases
            });
            suites.insert((*name).to_owned(), suite);
        }
        let listed = json!({ "rust-suites": Value::Object(suites) });
        self.script("cargo", &format!("#!/bin/sh\ncat <<'END'\n{listed}\nEND\n"));
        Command::new(self.dir.join("bin/kernels"))
            .arg("--json")
            .args(args)
            .current_dir(&self.dir)
            .env("CARGO", self.dir.join("cargo"))
            .env("PONTOON_KERNELS", self.dir.join("cache"))
            .output()
            .unwrap()
    }
}

impl Drop for Ground {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Each test's outcome and what there is to say of it.
fn outcomes(output: &Output) -> Vec<(String, String)> {
    let document: Value = serde_json::from_slice(&output.stdout).unwrap();
    let tests = document["kernels"][0]["tests"].as_array().unwrap();
    let word = |test: &Value, field: &str| test[field].as_str().unwrap_or("").to_owned();
    let pairs = tests.iter();
    pairs
        .map(|test| (word(test, "outcome"), word(test, "detail")))
        .collect()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn each_test_ends_in_its_own_way_and_a_failure_shows_its_log() {
    let ground = Ground::new("ways", MACHINE);
    let output = ground.run(&[
        ("a_good", "[ $PONTOON_TEST_PATIENCE = 7 ]"),
        ("b_bad", "echo the reason; exit 101"),
        (
            "c_lacks",
            r#"printf 'c\tno such devices\n' >> "$PONTOON_TEST_SKIPS""#,
        ),
        ("d_long", "echo waiting; exec sleep 60"),
    ]);
    let text = said(&output);
    let expected = [
        ("passed", ""),
        ("failed", "exit code 101"),
        ("skipped", "no such devices"),
        ("timed out", ""),
    ];
    let expected = expected.map(|(word, detail)| (word.to_owned(), detail.to_owned()));
    assert_eq!(outcomes(&output), expected, "{text}");
    assert!(
        text.contains("the reason") && text.contains("waiting"),
        "{text}"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_machine_that_stands_still_is_killed_and_the_rest_runs_on_the_next() {
    let ground = Ground::new("still", MACHINE);
    let output = ground.run(&[
        ("a_stops", "kill -STOP $PPID; exec sleep 20"),
        ("b_down", "kill -KILL $PPID; exec sleep 1"),
        ("c_good", "true"),
    ]);
    let words: Vec<String> = outcomes(&output)
        .into_iter()
        .map(|(word, _)| word)
        .collect();
    assert_eq!(words, ["hung", "failed", "passed"], "{}", said(&output));
}

#[test]
fn a_set_in_portions_is_one_table_and_what_passed_is_not_run_again() {
    let ground = Ground::new("portions", MACHINE);
    let words = |output: &Output| {
        let pairs = outcomes(output).into_iter();
        pairs.map(|(word, _)| word).collect::<Vec<String>>()
    };
    let first = ground.run(&[("a_good", "true"), ("b_bad", "exit 1")]);
    assert_eq!(words(&first), ["passed", "failed"], "{}", said(&first));
    let all = [("a_good", "exit 1"), ("b_bad", "true"), ("c_new", "true")];
    let kept = ground.run_with(&["--kept"], &all);
    assert_eq!(words(&kept), ["passed", "failed", "not run"]);
    let rest = ground.run_with(&["--resume"], &all);
    assert_eq!(words(&rest), ["passed"; 3], "{}", said(&rest));
    assert_eq!(rest.status.code(), Some(0));
    assert_eq!(words(&ground.run_with(&["--resume"], &all)), ["passed"; 3]);
}

#[test]
fn orphans_are_waited_for_and_do_not_outlive_their_test() {
    let ground = Ground::new("orphans", MACHINE);
    let gone = |pid_file: &str| {
        format!(
            "for n in $(seq 40); do kill -0 $(cat {pid_file}) || exit 0; sleep 0.05; done; exit 1"
        )
    };
    let ends = format!("sh -c 'sleep 0.1 & echo $! > ended'; {}", gone("ended"));
    let output = ground.run(&[
        ("a_orphan_ends", &ends),
        ("b_leaves_one", "sh -c 'setsid sleep 50 & echo $! > left'"),
        ("c_next", &gone("left")),
    ]);
    let words = outcomes(&output).into_iter().map(|(word, _)| word);
    let words: Vec<String> = words.collect();
    assert_eq!(words, ["passed"; 3], "{}", said(&output));
}

#[test]
fn two_kernels_run_at_once() {
    let ground = Ground::new("two", MACHINE);
    let second = "\n[[kernel]]\nname = \"l\"\npackage = \"linux-image-l\"\n";
    let config = CONFIG.replacen("\n[machine]", &format!("{second}[machine]"), 1);
    fs::write(ground.dir.join(".config/kernels.toml"), config).unwrap();
    fs::create_dir_all(ground.dir.join("cache/l/boot")).unwrap();
    fs::write(ground.dir.join("cache/l/boot/vmlinuz-l"), "").unwrap();
    let meets = "echo here >> both
        for n in $(seq 40); do [ $(wc -l < both) = 2 ] && exit 0; sleep 0.05; done; exit 1";
    let output = ground.run_with(&["--at-once", "2"], &[("a_meets", meets)]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output));
}

#[test]
fn a_machine_that_does_not_boot_shows_its_console() {
    let ground = Ground::new("boot", "#!/bin/sh\necho Kernel panic\nexit 1\n");
    let output = ground.run(&[("a_good", "true")]);
    let text = said(&output);
    assert!(
        text.contains("did not boot") && text.contains("Kernel panic"),
        "{text}"
    );
    assert_eq!(outcomes(&output)[0].0, "not run");
    assert_eq!(output.status.code(), Some(1));
}
