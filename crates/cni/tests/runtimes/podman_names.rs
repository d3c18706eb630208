//! Podman's containers find each other by name.

use std::fs;
use std::path::Path;

use crate::dns;
use crate::pen::Pen;
use crate::plugin::{BIN_DIR, CONF_DIR, Net, UNDER_TEST};
use crate::podman::Podman;
use crate::site::{DB, Site, WEB};

const PLUGIN: &str = env!("CARGO_BIN_EXE_pontoon-cni");

/// Has the lists of these networks say that they have names, and the server where it is found.
fn with_names(pen: &Pen<'_>, nets: &[Net]) {
    let built = Path::new(PLUGIN).with_file_name("pontoon-names");
    fs::copy(&built, pen.path(BIN_DIR).join("pontoon-names"))
        .unwrap_or_else(|e| panic!("{}: {e}: build the workspace", built.display()));
    for (number, net) in nets.iter().enumerate() {
        let file = format!("{CONF_DIR}/{number}-{}.conflist", net.name);
        let mut list: serde_json::Value =
            serde_json::from_str(&pen.read(&file)).expect("a list is JSON");
        list["plugins"][0]["capabilities"]["aliases"] = true.into();
        pen.write(&file, &list.to_string());
    }
}

/// What `nslookup` says of a name inside.
fn look_up(podman: &Podman<'_>, container: &str, name: &str) -> String {
    let said = podman.run(&format!("exec {container} nslookup {name}"));
    format!("{} {}", said.stdout, said.stderr)
}

#[test]
fn containers_find_each_other_by_name_and_by_short_id() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB]);
    with_names(podman.pen(), &[WEB]);
    podman.start("one", "");
    podman.start("two", "");
    podman.exec("one", "ping -c 1 -W 2 two");
    podman.exec("two", "ping -c 1 -W 2 one");
    let address = podman.address("two", &WEB);
    let said = look_up(&podman, "one", "two");
    assert!(said.contains(&address), "{said}");
    let id = podman.expect("inspect --format {{.Id}} two");
    let short: String = id.trim().chars().take(12).collect();
    assert!(look_up(&podman, "one", &short).contains(&address));
    // What is none of ours, the node's resolver knows.
    let outside = look_up(&podman, "one", dns::NAME);
    assert!(outside.contains(&dns::ADDRESS.to_string()), "{outside}");
    podman.remove("two");
    let gone = podman.run("exec one ping -c 1 -W 2 two");
    assert!(!gone.success(), "{gone}");
    podman.remove("one");
    site.assert_nothing_left(&[&address]);
}

#[test]
fn containers_of_other_networks_are_not_found() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB, DB]);
    with_names(podman.pen(), &[WEB, DB]);
    podman.start("one", "--network web");
    podman.start("other", "--network db");
    podman.start("both", "--network web,db");
    let address = podman.address("other", &DB);
    let said = look_up(&podman, "one", "other");
    assert!(!said.contains(&address), "{said}");
    let said = look_up(&podman, "both", "other");
    assert!(said.contains(&address), "{said}");
}
