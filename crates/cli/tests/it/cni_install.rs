//! `pontoon cni install` and `uninstall`: what they write, what they leave, and that nothing is
//! done by halves.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};

use cni::{SpecVersion, parse_config};
use serde_json::{Value, json};
use testnet::{Output, output};

use crate::node::{PONTOON, PontoonNode};

/// Where the program under test is, beside a stand-in for the plugin: install copies bytes.
const OWN: &str = "/run/own/pontoon";
const OWN_PLUGIN: &str = "/run/own/pontoon-cni";
const BIN: &str = "/run/opt/cni/bin";
const CONF: &str = "/run/etc/cni/net.d";
const OWN_SERVER: &str = "/run/own/pontoon-names";
const SERVER: &str = "/run/opt/cni/bin/pontoon-names";
const PLUGIN: &str = "/run/opt/cni/bin/pontoon-cni";
const LIST: &str = "/run/etc/cni/net.d/10-pontoon-pontoon.conflist";

struct Site(PontoonNode);

impl Site {
    fn new() -> Self {
        let node = PontoonNode::new();
        fs::create_dir("/run/own").unwrap();
        fs::copy(PONTOON, OWN).unwrap();
        fs::write(OWN_PLUGIN, "the plugin").unwrap();
        Self(node)
    }

    fn attempt(&self, verb: &str, words: &str) -> Output {
        let line = format!("cni {verb} --dir {BIN} --conf-dir {CONF} {words}");
        let mut command = (*self.0).command(OWN);
        output(command.args(line.split_whitespace()))
    }

    fn install(&self, words: &str) -> String {
        let out = self.attempt("install", words);
        out.expect_success(&format!("install {words}"))
    }

    fn uninstall(&self, words: &str) -> String {
        let out = self.attempt("uninstall", words);
        out.expect_success(&format!("uninstall {words}"))
    }

    fn refused(&self, words: &str, code: i32) -> String {
        let out = self.attempt("install", words);
        assert!(out.code == code && out.stdout.is_empty(), "{words}: {out}");
        out.stderr
    }

    /// Every file and directory below /run/opt and /run/etc, with all that may change.
    fn files(&self) -> String {
        self.0.sh(
            "find /run/opt /run/etc -printf '%p %m %i ' -type f -exec md5sum {} ';' -o -printf '\\n' \
             2>/dev/null | sort || true",
        )
    }
}

fn list() -> Value {
    serde_json::from_slice(&fs::read(LIST).unwrap()).unwrap()
}

fn mode(path: &str) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

#[test]
fn install_puts_plugin_and_configuration_in_their_places() {
    let site = Site::new();
    let out = output((*site.0).command("sh").args([
        "-c",
        &format!("umask 077; exec {OWN} cni install --dir {BIN} --conf-dir {CONF}"),
    ]));
    assert_eq!(
        out.stdout,
        format!("wrote {PLUGIN}\nwrote {LIST}\n"),
        "{out}"
    );
    assert_eq!(fs::read(PLUGIN).unwrap(), b"the plugin");
    assert_eq!((mode(PLUGIN), mode(LIST)), (0o755, 0o644));
    let capabilities = json!({
        "portMappings": true, "ips": true, "mac": true, "dns": true, "bandwidth": true,
    });
    let plugin = json!({"type": "pontoon-cni", "network": "pontoon", "capabilities": capabilities});
    let wanted = json!({"cniVersion": "1.0.0", "name": "pontoon", "plugins": [plugin]});
    assert_eq!(list(), wanted);
    // Nothing else, not even for a moment's use.
    assert_eq!(
        site.0
            .sh(&format!("ls -A {BIN} {CONF} | grep -c pontoon-"))
            .trim(),
        "2"
    );
}

#[test]
fn with_names_the_name_server_comes_and_goes_with_the_plugin() {
    let site = Site::new();
    let said = site.refused("--names", 1);
    assert!(said.contains("pontoon-names"), "{said}");
    assert_eq!(site.files(), "");
    fs::write(OWN_SERVER, "the server").unwrap();
    let said = site.install("--names");
    let wrote = [PLUGIN, SERVER, LIST].map(|path| format!("wrote {path}\n"));
    assert_eq!(said, wrote.concat());
    assert_eq!(fs::read(SERVER).unwrap(), b"the server");
    assert_eq!(mode(SERVER), 0o755);
    let plugin = &list()["plugins"][0];
    assert_eq!(plugin["names"], true);
    assert_eq!(plugin["capabilities"]["aliases"], true);
    // What it says is what the plugin understands.
    let config = parse_config(&handed(&list())).unwrap();
    assert_eq!(config.network.names, Some(model::Names::On));
    // Another network without them still needs the plugin, and its configuration the server.
    site.install("--network other");
    let said = site.uninstall("");
    assert!(said.contains(&format!("kept {SERVER}: ")), "{said}");
    assert!(fs::exists(SERVER).unwrap());
    let said = site.uninstall("--network other");
    assert!(said.contains(&format!("removed {SERVER}\n")), "{said}");
    assert_eq!(
        site.0
            .sh(&format!("ls -A {BIN} {CONF} | grep -c pontoon- || true"))
            .trim(),
        "0"
    );
}

#[test]
fn installed_again_it_is_unchanged() {
    let site = Site::new();
    site.install("--subnet 10.9.0.0/24");
    let before = site.files();
    let said = site.install("--subnet 10.9.0.0/24");
    assert_eq!(said, format!("unchanged {PLUGIN}\nunchanged {LIST}\n"));
    assert_eq!(site.files(), before);
    // An administrator may make it stricter.
    site.0.sh(&format!("chmod 600 {LIST}"));
    site.install("--subnet 10.9.0.0/24");
    assert_eq!(mode(LIST), 0o600);
}

/// As a runtime hands it to the plugin: its own entry, with the list's name and version.
fn handed(list: &Value) -> Vec<u8> {
    let mut plugin = list["plugins"][0].clone();
    for word in ["cniVersion", "name"] {
        plugin[word] = list[word].clone();
    }
    plugin.to_string().into_bytes()
}

#[test]
fn the_plugin_reads_every_word_that_is_written() {
    let site = Site::new();
    for version in SpecVersion::ALL {
        site.install(&format!(
            "--network web --cni-version {version} --force --subnet fd00:9::/64 \
             --subnet 10.9.0.0/24 --ip-range 10.9.0.128/25 --ip-range fd00:9::8-fd00:9::f \
             --internal --mtu 1400 --bridge br9"
        ));
        let text = fs::read(format!("{CONF}/10-pontoon-web.conflist")).unwrap();
        let config = parse_config(&handed(&serde_json::from_slice(&text).unwrap())).unwrap();
        let network = &config.network;
        assert_eq!(config.version, version);
        assert_eq!(config.list_name.as_str(), "web");
        assert_eq!(network.name.as_str(), "web");
        let subnets = ["10.9.0.0/24", "fd00:9::/64"].map(|text| text.parse().unwrap());
        assert_eq!(network.subnets, subnets);
        let ranges: Vec<_> = network
            .ranges
            .iter()
            .map(|r| (r.first(), r.last()))
            .collect();
        let pair = |a: &str, b: &str| (a.parse().unwrap(), b.parse().unwrap());
        // The last address of the prefix is nobody's.
        let wanted = [
            pair("10.9.0.128", "10.9.0.254"),
            pair("fd00:9::8", "fd00:9::f"),
        ];
        assert_eq!(ranges, wanted);
        assert_eq!(network.reach, Some(model::Reach::Internal));
        assert_eq!(network.mtu, Some("1400".parse().unwrap()));
        assert_eq!(network.bridge, Some("br9".parse().unwrap()));
    }
    site.install("--mtu auto --subnet 10.8.0.0/24 --ip-range 10.8.0.0/24");
    let config = parse_config(&handed(&list())).unwrap();
    assert_eq!(config.network.mtu, Some("auto".parse().unwrap()));
    assert_eq!((config.network.reach, config.network.bridge), (None, None));
}

#[test]
fn other_content_is_shown_and_replaced_by_force_only() {
    let site = Site::new();
    site.install("--subnet 10.9.0.0/24");
    fs::write(OWN_PLUGIN, "a newer plugin").unwrap();
    let before = site.files();
    let said = site.refused("--subnet 10.8.0.0/24", 4);
    for part in [LIST, "10.9.0.0/24", "10.8.0.0/24", "--force"] {
        assert!(said.contains(part), "no {part} in {said}");
    }
    assert_eq!(site.files(), before);
    fs::write(LIST, "\u{1b}[2J").unwrap();
    let said = site.refused("", 4);
    assert!(!said.contains('\u{1b}'), "{said:?}");

    let said = site.install("--subnet 10.8.0.0/24 --force");
    assert_eq!(said, format!("replaced {PLUGIN}\nreplaced {LIST}\n"));
    assert_eq!(list()["plugins"][0]["subnets"], json!(["10.8.0.0/24"]));
    assert_eq!(fs::read(PLUGIN).unwrap(), b"a newer plugin");
}

#[test]
fn another_plugin_is_replaced_and_one_that_cant_run_repaired() {
    let site = Site::new();
    site.install("");
    fs::write(OWN_PLUGIN, "newer").unwrap();
    // A runtime may be reading it: it gets the old file's end.
    let inode = fs::metadata(PLUGIN).unwrap().ino();
    assert_eq!(
        site.install(""),
        format!("replaced {PLUGIN}\nunchanged {LIST}\n")
    );
    assert_eq!(fs::read(PLUGIN).unwrap(), b"newer");
    assert_ne!(fs::metadata(PLUGIN).unwrap().ino(), inode);
    site.0.sh(&format!("chmod 644 {PLUGIN}"));
    assert_eq!(
        site.install(""),
        format!("replaced {PLUGIN}\nunchanged {LIST}\n")
    );
    assert_eq!(mode(PLUGIN), 0o755);
}

#[test]
fn a_dry_run_prints_and_changes_nothing() {
    let site = Site::new();
    let said = site.install("--subnet 10.9.0.0/24 --dry-run");
    let head = format!("would write {PLUGIN}\nwould write {LIST}\n{{\n");
    assert!(
        said.starts_with(&head) && said.contains("10.9.0.0/24"),
        "{said}"
    );
    assert_eq!(site.files(), "");
    let document: Value = serde_json::from_str(&site.install("--dry-run --json")).unwrap();
    let file = |path: &str, act: &str| json!({"path": path, "act": act});
    let files = json!([file(PLUGIN, "written"), file(LIST, "written")]);
    assert_eq!(document["dry_run"], true);
    assert_eq!(document["outcome"]["files"], files);
    assert_eq!(document["outcome"]["conflist"]["name"], "pontoon");
    assert_eq!(site.files(), "");
    site.install("");
    let before = site.files();
    let said = site.uninstall("--dry-run");
    assert_eq!(
        said,
        format!("would remove {LIST}\nwould remove {PLUGIN}\n")
    );
    assert_eq!(site.files(), before);
}

#[test]
fn without_a_plugin_beside_it_it_says_where_it_looked() {
    let site = Site::new();
    fs::remove_file(OWN_PLUGIN).unwrap();
    let said = site.refused("", 1);
    assert!(
        said.contains(OWN_PLUGIN) && said.contains("No such file"),
        "{said}"
    );
    assert_eq!(site.files(), "");
}

#[test]
fn what_cant_be_written_leaves_nothing_behind() {
    let site = Site::new();
    site.0
        .sh("mkdir -p /run/etc; mount -t tmpfs -o ro none /run/etc");
    let said = site.refused("", 1);
    assert!(
        said.contains("/run/etc/cni") && said.contains("Read-only"),
        "{said}"
    );
    assert_eq!(
        site.0.sh("ls -A /run/opt 2>&1 || true; ls -A /run/etc"),
        "ls: cannot access '/run/opt': No such file or directory\n"
    );
    site.0.sh("umount /run/etc");

    let out = site.0.try_sh(&format!(
        "chmod 755 /run; setpriv --reuid 65534 --clear-groups --bounding-set=-all --inh-caps=-all \
         {OWN} cni install --dir {BIN} --conf-dir {CONF}"
    ));
    assert!(out.code == 6 && out.stderr.contains("root"), "{out}");

    site.0.sh(&format!("mkdir -p {LIST}"));
    let said = site.refused("--force", 4);
    assert!(said.contains("no regular file"), "{said}");
    assert!(!fs::exists(PLUGIN).unwrap());
}

/// The plugin has its place already when the configuration is refused it.
#[test]
fn half_an_install_is_taken_back() {
    let site = Site::new();
    site.0.sh(&format!(
        "mkdir -p {CONF}; echo '{{}}' > {LIST}; mount --bind {LIST} {LIST}"
    ));
    let said = site.refused("--force", 1);
    assert!(
        said.contains(LIST) && said.contains("nothing was installed"),
        "{said}"
    );
    assert!(!fs::exists("/run/opt").unwrap());
    site.0.sh(&format!("mkdir -p {BIN}; echo older > {PLUGIN}"));
    let before = site.files();
    site.refused("--force", 1);
    assert_eq!(site.files(), before);
}

#[test]
fn wrong_words_are_refused() {
    let site = Site::new();
    for words in [
        "--network ../x",
        "--network -x",
        "--subnet 10.9.0.1/24",
        "--subnet 10.9.0.0/31",
        "--subnet 10.9.0.0/24 --subnet 10.8.0.0/24",
        "--ip-range 10.9.0.128/25",
        "--subnet 10.9.0.0/24 --ip-range 10.8.0.128/25",
        "--subnet 10.9.0.0/24 --ip-range 10.9.0.0/25 --ip-range 10.9.0.128/25",
        "--subnet fd00:9::/64 --mtu 1000",
        "--mtu 5",
        "--bridge a/b",
        "--cni-version 0.2.0",
        "--cni-version 9.9.9",
    ] {
        site.refused(words, 2);
    }
    assert_eq!(site.files(), "");
}

#[test]
fn uninstall_removes_what_install_wrote() {
    let site = Site::new();
    site.0.sh(&format!(
        "mkdir -p {BIN} {CONF}; echo x > {BIN}/bridge; echo '{{}}' > {CONF}/20-own.conflist"
    ));
    let before = site.files();
    site.install("--subnet 10.9.0.0/24 --ip-range 10.9.0.9-10.9.0.99 --mtu auto --internal");
    assert_eq!(
        site.uninstall(""),
        format!("removed {LIST}\nremoved {PLUGIN}\n")
    );
    assert_eq!(site.files(), before);
    let said = site.uninstall("");
    assert_eq!(
        said,
        format!("{LIST} is not there\n{PLUGIN} is not there\n")
    );
}

#[test]
fn uninstall_keeps_what_is_not_as_written() {
    let site = Site::new();
    site.install("");
    let written = fs::read_to_string(LIST).unwrap();
    fs::write(LIST, written.replace("\"mac\": true", "\"mac\": false")).unwrap();
    let said = site.uninstall("");
    let kept = format!("kept {LIST}: it is not as 'pontoon cni install' writes it\n");
    assert_eq!(said, format!("{kept}kept {PLUGIN}: {LIST} names it\n"));
    fs::write(LIST, written).unwrap();

    site.install("--network web");
    let said = site.uninstall("");
    let web = format!("{CONF}/10-pontoon-web.conflist");
    assert_eq!(
        said,
        format!("removed {LIST}\nkept {PLUGIN}: {web} names it\n")
    );

    fs::write(PLUGIN, "somebody's").unwrap();
    let document: Value = serde_json::from_str(&site.uninstall("--network web --json")).unwrap();
    let files = &document["outcome"]["files"];
    assert_eq!(files[0], json!({"path": web, "act": "removed"}));
    assert_eq!(
        files[1],
        json!({"path": PLUGIN, "act": "kept", "why": "differs"})
    );
    assert_eq!(fs::read(PLUGIN).unwrap(), b"somebody's");

    fs::remove_file(OWN_PLUGIN).unwrap();
    let said = site.uninstall("");
    assert!(said.contains("to compare it with"), "{said}");
    assert!(fs::exists(PLUGIN).unwrap());
}
