//! Input that means harm: whatever comes in, an answer comes out.
//!
//! `parse_config(&[u8])` is the entry point a fuzzer would take; here a seeded generator bends
//! the golden inputs byte by byte.

#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::PathBuf;

use cni::{
    Args, CONFIG_BYTES_MAX, Failure, SpecVersion, Success, Versions, parse_config, parse_subject,
};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

/// Bent inputs tried, in all.
const ROUNDS: usize = 20_000;

/// Numbers from a seed (xorshift64, Marsaglia 2003): the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }
}

/// Parses by every way in, and prints what comes out.
fn parse_all(bytes: &[u8]) {
    for outcome in [
        parse_config(bytes).map(|_| ()),
        parse_subject(bytes).map(|_| ()),
    ] {
        if let Err(error) = outcome {
            let failure = Failure::of(SpecVersion::LATEST, &error).print();
            assert!(
                failure.len() < 10_000,
                "a refusal of {} bytes",
                failure.len()
            );
            assert!(serde_json::from_str::<Value>(&failure).is_ok());
        }
    }
    Versions::answer(bytes);
    if let Ok(value) = serde_json::from_slice::<Value>(bytes)
        && let Ok(result) = Success::parse(&value, SpecVersion::LATEST)
    {
        for version in SpecVersion::ALL {
            result.print(version);
        }
    }
}

fn golden_inputs() -> Vec<Vec<u8>> {
    let dir: PathBuf = [env!("CARGO_MANIFEST_DIR"), "tests", "golden"]
        .iter()
        .collect();
    let mut paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"))
        .collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn bend(input: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    const CHARS: &[u8] = b"{}[]\",:0129.eE-+/\\ntruefalsn\0\xff\xc3 ";
    let at = numbers.below(input.len() + 1);
    match numbers.below(6) {
        0 if at < input.len() => input[at] ^= 1 << numbers.below(8),
        1 if at < input.len() => drop(input.remove(at)),
        2 => input.truncate(at),
        3 => {
            let end = (at + numbers.below(40)).min(input.len());
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        4 if !other.is_empty() => {
            let start = numbers.below(other.len());
            let end = (start + numbers.below(60)).min(other.len());
            input.splice(at..at, other[start..end].iter().copied());
        }
        _ => input.insert(at, CHARS[numbers.below(CHARS.len())]),
    }
}

#[test]
fn bent_inputs_are_answered() {
    let inputs = golden_inputs();
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    for round in 0..ROUNDS {
        let mut input = inputs[round % inputs.len()].clone();
        let other = &inputs[numbers.below(inputs.len())];
        for _ in 0..=numbers.below(4) {
            bend(&mut input, other, &mut numbers);
        }
        parse_all(&input);
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
        for closed in [true, false] {
            let tail = if closed {
                close.repeat(100_000)
            } else {
                String::new()
            };
            let bomb = format!(
                r#"{{"cniVersion":"1.0.0","name":"web","prevResult":{}1{tail}}}"#,
                open.repeat(100_000)
            );
            assert!(parse_config(bomb.as_bytes()).is_err());
            parse_all(bomb.as_bytes());
        }
    }
}

#[test]
fn length_is_bounded() {
    let padding = " ".repeat(CONFIG_BYTES_MAX);
    let long = format!(r#"{{"cniVersion":"1.0.0","name":"web"}}{padding}"#);
    let error = parse_config(long.as_bytes()).unwrap_err();
    assert_eq!(error.code().number(), 6);
    assert!(parse_config(&long.as_bytes()[..CONFIG_BYTES_MAX]).is_ok());
}

#[test]
fn many_fields_take_no_time_worth_a_wait() {
    let fields: Map<String, Value> = (0..200_000)
        .map(|n| (format!("cni.dev/{n}"), json!(n)))
        .chain([
            ("cniVersion".to_owned(), json!("1.0.0")),
            ("name".to_owned(), json!("web")),
        ])
        .collect();
    assert!(parse_config(Value::Object(fields).to_string().as_bytes()).is_ok());
}

#[test]
fn hostile_words_are_refused_wherever_a_name_stands() {
    let long = "a".repeat(200);
    for word in [
        "../x",
        "a/b",
        "a\0b",
        "a b",
        "%d",
        "a\nb",
        "\u{202e}x",
        &long,
    ] {
        for field in ["network", "bridge"] {
            let config = json!({"cniVersion": "1.0.0", "name": "web", (field): word});
            let error = parse_config(config.to_string().as_bytes()).unwrap_err();
            assert!(error.to_string().starts_with(field), "{field}: {word:?}");
        }
    }
}

#[test]
fn a_subject_is_read_whatever_else_is_wrong() {
    let edited = json!({
        "cniVersion": "1.1.0", "name": "web", "network": "blue", "vlan": 7, "nonsense": [],
        "prevResult": "x", "cni.dev/valid-attachments": [],
    });
    assert!(parse_config(edited.to_string().as_bytes()).is_err());
    let subject = parse_subject(edited.to_string().as_bytes()).unwrap();
    assert_eq!(subject.network.as_str(), "blue");
    assert_eq!(subject.valid_attachments, Some(Vec::new()));
}

/// Names the parser knows, so that arbitrary JSON gets past the first field.
const KNOWN: &[&str] = &[
    "cniVersion",
    "name",
    "type",
    "network",
    "subnet",
    "subnets",
    "gateway",
    "gateways",
    "bridge",
    "mtu",
    "internal",
    "publish",
    "isGateway",
    "ipMasq",
    "vlan",
    "ipam",
    "ranges",
    "rangeStart",
    "routes",
    "dst",
    "gw",
    "dns",
    "args",
    "cni",
    "ips",
    "mac",
    "runtimeConfig",
    "portMappings",
    "hostPort",
    "containerPort",
    "protocol",
    "hostIP",
    "aliases",
    "prevResult",
    "interfaces",
    "address",
    "version",
    "interface",
    "sandbox",
    "cni.dev/valid-attachments",
    "containerID",
];

const TEXTS: &[&str] = &[
    "1.0.0",
    "0.3.1",
    "web",
    "10.1.0.0/16",
    "10.1.0.1",
    "fd00::/64",
    "::1/128",
    "0.0.0.0/0",
    "tcp",
    "auto",
    "localhost",
    "host-local",
    "02:00:00:00:00:01",
    "",
    "c1",
];

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        (0u16..).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        proptest::sample::select(TEXTS).prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let key = prop_oneof![
        9 => proptest::sample::select(KNOWN).prop_map(str::to_owned),
        1 => any::<String>(),
    ];
    leaf.prop_recursive(5, 60, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
            proptest::collection::btree_map(key.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}

proptest! {
    #[test]
    fn arbitrary_json_is_answered(
        fields in proptest::collection::btree_map(
            proptest::sample::select(KNOWN).prop_map(str::to_owned), any_json(), 0..6),
        anything in any_json(),
    ) {
        let mut config: Map<String, Value> = fields.into_iter().collect();
        parse_all(Value::Object(config.clone()).to_string().as_bytes());
        config.insert("cniVersion".to_owned(), json!("1.0.0"));
        config.insert("name".to_owned(), json!("web"));
        parse_all(Value::Object(config).to_string().as_bytes());
        parse_all(anything.to_string().as_bytes());
    }

    #[test]
    fn arbitrary_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        parse_all(&bytes);
    }

    #[test]
    fn arbitrary_arguments_are_answered(text in any::<String>(), pairs in "(IP|MAC|X|K8S_A)=[0-9a-f:.,/;=]{0,30}") {
        Args::parse(&text).ok();
        Args::parse(&pairs).ok();
    }
}
