//! Results: what is printed is read again the same, a chain loses nothing, and whose wish counts.

#![allow(clippy::unwrap_used)]

use std::net::IpAddr;

use cni::{Address, Args, Cidr, Dns, Interface, Route, SpecVersion, Success, Wishes, parse_config};
use proptest::prelude::*;
use serde_json::{Map, Value, json};

fn any_address() -> impl Strategy<Value = IpAddr> {
    prop_oneof![
        any::<[u8; 4]>().prop_map(IpAddr::from),
        any::<[u8; 16]>().prop_map(IpAddr::from),
    ]
}

fn any_cidr() -> impl Strategy<Value = Cidr> {
    (any_address(), 0u8..=128).prop_map(|(address, bits)| {
        let most = if address.is_ipv4() { 32 } else { 128 };
        Cidr::new(address, bits.min(most)).unwrap()
    })
}

fn any_rest() -> impl Strategy<Value = Map<String, Value>> {
    proptest::collection::btree_map("x[a-z]{1,4}", any::<i32>().prop_map(Value::from), 0..3)
        .prop_map(|map| map.into_iter().collect())
}

fn any_interface() -> impl Strategy<Value = Interface> {
    let text = || proptest::option::of("[ -~]{0,12}");
    let newer = (proptest::option::of(any::<u32>()), text(), text());
    ("[a-z0-9]{1,15}", text(), text(), newer, any_rest()).prop_map(
        |(name, mac, sandbox, (mtu, socket_path, pci_id), rest)| Interface {
            name,
            mac,
            sandbox,
            mtu,
            socket_path,
            pci_id,
            rest,
        },
    )
}

fn any_entry() -> impl Strategy<Value = Address> {
    let (gateway, interface) = (
        proptest::option::of(any_address()),
        proptest::option::of(0u32..9),
    );
    (any_cidr(), gateway, interface, any_rest()).prop_map(|(address, gateway, interface, rest)| {
        Address {
            address,
            gateway,
            interface,
            rest,
        }
    })
}

fn any_route() -> impl Strategy<Value = Route> {
    let number = || proptest::option::of(any::<u32>());
    let numbers = (number(), number(), number(), number(), number());
    (
        any_cidr(),
        proptest::option::of(any_address()),
        numbers,
        any_rest(),
    )
        .prop_map(
            |(dst, gw, (mtu, advmss, priority, table, scope), rest)| Route {
                mtu,
                advmss,
                priority,
                table,
                scope,
                rest,
                ..Route::new(dst, gw)
            },
        )
}

fn any_dns() -> impl Strategy<Value = Dns> {
    let list = || proptest::collection::vec("[a-z.]{1,8}", 0..3);
    let domain = proptest::option::of("[a-z]{1,8}");
    (list(), domain, list(), list(), any_rest()).prop_map(
        |(nameservers, domain, search, options, rest)| Dns {
            nameservers,
            domain,
            search,
            options,
            rest,
        },
    )
}

fn any_success() -> impl Strategy<Value = Success> {
    (
        proptest::collection::vec(any_interface(), 0..4),
        proptest::collection::vec(any_entry(), 0..4),
        proptest::collection::vec(any_route(), 0..4),
        any_dns(),
        any_rest(),
    )
        .prop_map(|(interfaces, ips, routes, dns, rest)| Success {
            interfaces,
            ips,
            routes,
            dns,
            rest,
        })
}

fn printed(result: &Success, version: SpecVersion) -> Value {
    serde_json::from_str(&result.print(version)).unwrap()
}

proptest! {
    /// In the latest version nothing is lost; in an older one nothing more is lost than once.
    #[test]
    fn what_is_printed_is_read_again(result in any_success()) {
        for version in SpecVersion::ALL {
            let text = printed(&result, version);
            let again = Success::parse(&text, version).unwrap();
            prop_assert_eq!(printed(&again, version), text);
            if version == SpecVersion::LATEST {
                prop_assert_eq!(&again, &result);
            }
        }
    }

    /// Another plugin's result stays whole in front of ours, in every version.
    #[test]
    fn a_chain_loses_nothing(previous in any_success(), ours in any_success()) {
        for version in SpecVersion::ALL {
            let before = Success::parse(&printed(&previous, SpecVersion::LATEST), version).unwrap();
            let count = before.interfaces.len();
            let all = ours.clone().behind(before.clone());
            prop_assert_eq!(&all.interfaces[..count], &before.interfaces[..]);
            prop_assert_eq!(&all.ips[..before.ips.len()], &before.ips[..]);
            prop_assert_eq!(&all.routes[..before.routes.len()], &before.routes[..]);
            for (shifted, own) in all.ips[before.ips.len()..].iter().zip(&ours.ips) {
                prop_assert_eq!(all.interface_of(shifted), ours.interface_of(own));
            }
        }
    }
}

#[test]
fn newer_words_of_another_plugin_pass_through_an_older_version() {
    let given = json!({
        "cniVersion": "1.0.0",
        "interfaces": [{"name": "eth0", "mtu": 1500}],
        "routes": [{"dst": "0.0.0.0/0", "priority": 7}],
    });
    let result = Success::parse(&given, SpecVersion::V1_0_0).unwrap();
    assert_eq!(printed(&result, SpecVersion::V1_0_0), given);
}

#[test]
fn our_own_newer_words_are_for_the_versions_that_have_them() {
    let ours = Success {
        interfaces: vec![Interface {
            name: "eth0".to_owned(),
            mtu: Some(1500),
            ..Interface::default()
        }],
        ..Success::default()
    };
    let mtu = |version| printed(&ours, version)["interfaces"][0]["mtu"].clone();
    assert_eq!(mtu(SpecVersion::V1_1_0), json!(1500));
    assert_eq!(mtu(SpecVersion::V1_0_0), Value::Null);
    assert_eq!(mtu(SpecVersion::V0_3_1), Value::Null);
}

#[test]
fn runtime_config_goes_before_args_and_those_before_cni_args() {
    let wishes = |runtime: Value, args: Value, cni_args: &str| {
        let config = json!({
            "cniVersion": "1.0.0", "name": "web", "runtimeConfig": runtime, "args": {"cni": args},
        });
        let config = parse_config(config.to_string().as_bytes()).unwrap();
        let wishes = Wishes::combine(&config, &Args::parse(cni_args).unwrap());
        let mac = wishes.mac.map(|mac| mac.to_string());
        let addresses: Vec<String> = wishes.addresses.iter().map(ToString::to_string).collect();
        (addresses.join(" "), mac.unwrap_or_default())
    };
    let mac = |last| format!("02:00:00:00:00:0{last}");
    let said = |n: u8| json!({"ips": [format!("10.0.0.{n}/24")], "mac": mac(n)});
    let env = format!("IP=10.0.0.3;MAC={}", mac(3));

    assert_eq!(
        wishes(said(1), said(2), &env),
        ("10.0.0.1".to_owned(), mac(1))
    );
    assert_eq!(
        wishes(json!({}), said(2), &env),
        ("10.0.0.2".to_owned(), mac(2))
    );
    assert_eq!(
        wishes(json!({}), json!({}), &env),
        ("10.0.0.3".to_owned(), mac(3))
    );
    let each_family = wishes(json!({"ips": ["fd00::1"]}), json!({}), "IP=10.0.0.3");
    assert_eq!(each_family.0, "10.0.0.3 fd00::1");
    assert_eq!(wishes(json!({}), json!({}), "").0, "");
}
