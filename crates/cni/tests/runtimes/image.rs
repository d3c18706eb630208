//! The one image: busybox, linked statically, in the form that both podman and containerd load.

use std::fs;
use std::os::unix::fs::symlink;

use serde_json::json;

use crate::pen::{DIR, Pen};

/// Its name. Both runtimes take it for one of this machine and ask no registry.
pub const NAME: &str = "localhost/busybox:test";
/// The archive, seen by the test and inside the pen alike.
pub const ARCHIVE: &str = "/run/pen/image.tar";
/// What a container does all day, that of a pod's own sandbox too.
pub const IDLE: [&str; 2] = ["sleep", "86400"];

/// The programs of the image, all of them busybox.
const APPLETS: [&str; 9] = [
    "cat", "httpd", "ip", "nslookup", "ping", "sh", "sleep", "true", "wget",
];

/// Makes [`ARCHIVE`]: a layer, its configuration, and the manifest that names them (the image
/// format that `docker save` writes).
pub fn build(pen: &Pen<'_>) {
    let node = pen.node();
    node.sh(&format!(
        "mkdir -p {DIR}/image {DIR}/root/bin {DIR}/root/etc {DIR}/root/tmp {DIR}/root/www
         cp /bin/busybox {DIR}/root/bin
         echo served > {DIR}/root/www/index.html"
    ));
    for applet in APPLETS {
        symlink("busybox", format!("{DIR}/root/bin/{applet}")).expect("/run can be written");
    }
    let digest = node.sh(&format!(
        "tar --numeric-owner --owner 0 --group 0 -C {DIR}/root -cf {DIR}/image/layer.tar .
         sha256sum < {DIR}/image/layer.tar"
    ));
    let digest = digest.split_whitespace().next().expect("it prints one");
    let config = json!({
        "architecture": architecture(),
        "os": "linux",
        "config": { "Cmd": IDLE, "Env": ["PATH=/bin"] },
        "rootfs": { "type": "layers", "diff_ids": [format!("sha256:{digest}")] },
    });
    let manifest =
        json!([{ "Config": "config.json", "RepoTags": [NAME], "Layers": ["layer.tar"] }]);
    for (name, text) in [("config.json", config), ("manifest.json", manifest)] {
        fs::write(format!("{DIR}/image/{name}"), text.to_string()).expect("/run can be written");
    }
    node.sh(&format!(
        "tar -C {DIR}/image -cf {ARCHIVE} manifest.json config.json layer.tar"
    ));
}

/// This machine's, in the words of an image.
fn architecture() -> &'static str {
    match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}
