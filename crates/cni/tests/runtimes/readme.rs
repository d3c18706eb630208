//! The README's steps for container runtimes, as they stand there: its blocks of the language
//! `shell`. The first one is everybody's, the second podman's, the third containerd's.

use std::fs;
use std::path::Path;

use crate::containerd::Containerd;
use crate::image;
use crate::pen::{DIR, Pen};
use crate::plugin::UNDER_TEST;
use crate::podman::Podman;
use crate::site::{Site, WEB};

const README: &str = include_str!("../../../../README.md");
const PLUGIN: &str = env!("CARGO_BIN_EXE_pontoon-cni");
/// What a user's machine has by itself and the pen has otherwise: where the binaries are, an OCI
/// runtime without cgroups, a snapshotter that works in memory, an image.
const STAGE: &str = "
export CONTAINERD_SNAPSHOTTER=native CONTAINERD_NAMESPACE=k8s.io
rm -rf /etc/cni/net.d /opt/cni/bin/pontoon-cni
";

/// Runs blocks in the pen of a runtime that has no network yet.
fn run(pen: &Pen<'_>, numbers: &[usize]) -> String {
    let bin = format!("{DIR}/bin");
    fs::create_dir_all(&bin).expect("/run can be written");
    for name in ["pontoon", "pontoon-cni"] {
        let built = Path::new(PLUGIN).with_file_name(name);
        fs::copy(&built, format!("{bin}/{name}"))
            .unwrap_or_else(|e| panic!("{}: {e}: build the workspace", built.display()));
    }
    let blocks: Vec<&str> = README
        .split("```shell\n")
        .skip(1)
        .map(|part| part.split("```").next().unwrap_or_default())
        .collect();
    assert_eq!(blocks.len(), 3, "{blocks:?}");
    let steps: String = numbers.iter().map(|n| blocks[*n]).collect();
    let script = format!("{STAGE}IMAGE={}\n{steps}", image::NAME);
    pen.run(&["sh", "-euc", &script]).expect_success(&steps)
}

#[test]
fn the_readmes_steps_for_podman_work() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB]);
    let said = run(podman.pen(), &[0, 1]);
    assert!(said.contains("8080:80/tcp"), "{said}");
    site.assert_nothing_left(&["10.77.0.2"]);
}

#[test]
fn the_readmes_steps_for_containerd_work() {
    let site = Site::new();
    let containerd = Containerd::new(&site, UNDER_TEST, WEB);
    let said = run(containerd.pen(), &[0, 2]);
    assert!(said.contains("inet 10.77.0.2/24"), "{said}");
    site.assert_nothing_left(&["10.77.0.2"]);
}
