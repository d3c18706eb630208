//! The bundle is anybody's: other runtimes run it as it is written.

use serde_json::{Value, json};

use crate::ground::Ground;

fn runs_under(runtime: &str) {
    let ground = Ground::new();
    ground.run(
        "-d --name one --hostname inn --memory 64M --pids 50",
        "sleep 3600",
    );
    let dir = ground
        .sh("ls -d /run/pontoon/containers/*/one")
        .trim()
        .to_owned();
    let config = ground.sh(&format!("cat {dir}/config.json"));
    let mut config: Value = serde_json::from_str(&config).unwrap();
    // Its own command and its own group: all else is as it was written.
    config["process"]["args"] = json!([
        "sh",
        "-c",
        "hostname; id -u; grep Seccomp: /proc/self/status; touch /usr/x"
    ]);
    let group = config["linux"]["cgroupsPath"]
        .as_str()
        .unwrap()
        .replace("/one", "/oci");
    config["linux"]["cgroupsPath"] = json!(group);
    ground.sh(&format!("cp -a {dir} {dir}-oci"));
    std::fs::write(format!("{dir}-oci/config.json"), config.to_string()).unwrap();
    let out = ground.try_sh(&format!(
        "{runtime} --root /run/oci run -b {dir}-oci oci; status=$?; rm -rf {dir}-oci; exit $status"
    ));
    assert!(
        out.stdout.starts_with("inn\n0\n") && out.stdout.contains("Seccomp:\t2"),
        "{out}"
    );
    assert!(out.stderr.contains("Read-only file system"), "{out}");
    ground.pontoon("rm --force one");
}

#[test]
fn crun_runs_the_bundle() {
    runs_under("crun");
}

#[test]
fn runc_runs_the_bundle() {
    runs_under("runc");
}
