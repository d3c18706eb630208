//! Golden cases: what comes on standard input, and what is made of it, reviewed like code.
//! `UPDATE_GOLDEN=1` writes the expected output anew.
//!
//! `right_*.json` and `wrong_*.json` are plugin configurations; `list_*.json` are network lists as
//! runtimes and guides have them, of which the first entry is passed as libcni passes it;
//! `result_*.json` are results.

#![allow(clippy::unwrap_used)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use cni::{Config, Failure, SpecVersion, Success, parse_config, peek_version};
use model::Family;
use serde_json::Value;

fn golden_dir() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "tests", "golden"]
        .iter()
        .collect()
}

/// The stems of the cases whose name begins so, in order.
fn cases(start: &str) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = fs::read_dir(golden_dir())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .filter(|path| {
            let name = path.file_name().unwrap().to_str().unwrap();
            name.starts_with(start)
        })
        .collect();
    found.sort();
    assert!(!found.is_empty(), "no case {start}*.json");
    found
}

fn assert_golden(case: &Path, text: &str) {
    let path = case.with_extension("txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, text).unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap_or_default();
    assert!(
        text == golden,
        "{} is not what is made of it:\n{text}",
        path.display()
    );
}

fn list<T: ToString>(items: impl IntoIterator<Item = T>) -> String {
    let items: Vec<String> = items.into_iter().map(|item| item.to_string()).collect();
    items.join(", ")
}

/// A configuration as lines, without those that say nothing.
fn describe(config: &Config) -> String {
    let network = &config.network;
    let mut families: Vec<Family> = network.subnets.iter().map(|s| s.family()).collect();
    if families.is_empty() {
        families = Family::BOTH.to_vec();
    }
    let asked = |asked: &cni::Asked| {
        let macs = asked.mac.map(|mac| mac.to_string());
        list(asked.addresses.iter().map(ToString::to_string).chain(macs))
    };
    let json = |value: &dyn Fn() -> Option<String>| value().unwrap_or_default();
    let lines = [
        ("version", config.version.to_string()),
        ("list", config.list_name.to_string()),
        ("network", network.name.to_string()),
        ("subnets", list(&network.subnets)),
        ("gateways", list(&network.gateways)),
        ("ranges", list(&network.ranges)),
        ("bridge", list(&network.bridge)),
        ("mtu", list(network.mtu)),
        ("reach", list(network.reach.map(|r| format!("{r:?}")))),
        ("names", list(network.names.map(|n| format!("{n:?}")))),
        ("policy", format!("{:?}", config.ports.policy())),
        ("publish", list(config.ports.on(&families))),
        ("asked by runtimeConfig", asked(&config.runtime_asked)),
        ("asked by args", asked(&config.args_asked)),
        ("sends at most", list(config.rates.sends)),
        ("receives at most", list(config.rates.receives)),
        ("aliases", list(&config.aliases)),
        (
            "dns",
            json(&|| {
                let dns = serde_json::to_string(&config.dns).unwrap();
                (dns != "{}").then_some(dns)
            }),
        ),
        ("resolv.conf", list(&config.resolv_conf)),
        (
            "previous",
            json(&|| Some(config.previous.as_ref()?.print(config.version))),
        ),
        (
            "valid attachments",
            list(config.valid_attachments.as_ref().map(|all| {
                let each = all.iter().map(|a| format!("{} {}", a.container, a.ifname));
                format!("[{}]", list(each))
            })),
        ),
    ];
    let mut text = String::new();
    for (name, value) in lines.into_iter().filter(|(_, value)| !value.is_empty()) {
        writeln!(text, "{name}: {value}").unwrap();
    }
    text
}

#[test]
fn right_configurations_mean_what_is_written() {
    for case in cases("right_") {
        let config = parse_config(&fs::read(&case).unwrap());
        let config = config.unwrap_or_else(|error| panic!("{}: {error}", case.display()));
        assert_golden(&case, &describe(&config));
    }
}

#[test]
fn wrong_configurations_are_refused_naming_the_field() {
    for case in cases("wrong_") {
        let stdin = fs::read(&case).unwrap();
        let Err(error) = parse_config(&stdin) else {
            panic!("{} is accepted", case.display());
        };
        let version = peek_version(&stdin).unwrap_or(SpecVersion::LATEST);
        let failure = Failure::of(version, &error).print();
        let failure: Value = serde_json::from_str(&failure).unwrap();
        let text = serde_json::to_string_pretty(&failure).unwrap();
        assert_golden(&case, &format!("{text}\n"));
    }
}

#[test]
fn lists_of_runtimes_and_guides_are_accepted() {
    for case in cases("list_") {
        let list: Value = serde_json::from_slice(&fs::read(&case).unwrap()).unwrap();
        let mut plugin = list["plugins"][0].clone();
        for key in ["name", "cniVersion"] {
            plugin[key] = list[key].clone();
        }
        let config = parse_config(plugin.to_string().as_bytes());
        let config = config.unwrap_or_else(|error| panic!("{}: {error}", case.display()));
        assert_golden(&case, &describe(&config));
    }
}

#[test]
fn results_print_in_every_version() {
    for case in cases("result_") {
        let value: Value = serde_json::from_slice(&fs::read(&case).unwrap()).unwrap();
        let own: SpecVersion = value["cniVersion"].as_str().unwrap().parse().unwrap();
        let result = Success::parse(&value, SpecVersion::LATEST).unwrap();
        let mut text = String::new();
        for version in SpecVersion::ALL {
            let printed: Value = serde_json::from_str(&result.print(version)).unwrap();
            if version == own {
                let again = Success::parse(&printed, version).unwrap();
                assert_eq!(again, result, "{}", case.display());
            }
            writeln!(text, "{}", serde_json::to_string_pretty(&printed).unwrap()).unwrap();
        }
        assert_golden(&case, &text);
    }
}

#[test]
fn no_expected_output_is_without_its_case() {
    for entry in fs::read_dir(golden_dir()).unwrap() {
        let path = entry.unwrap().path();
        assert!(path.with_extension("json").exists(), "{}", path.display());
    }
}
