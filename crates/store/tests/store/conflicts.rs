//! What is unique stays so, and who asks for what is taken learns whose it is.

use std::net::IpAddr;

use model::{NetworkId, Publish};
use store::{EndpointRecord, Records, StoreError};

use crate::fixture::{NOW, StateDir, add_endpoint, add_network, netns, network, publish, word};

/// Records with endpoint `c1` of network `web`.
fn web_with_c1(dir: &StateDir) -> (Records, NetworkId) {
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    add_endpoint(&mut records, web, |record| {
        record.endpoint.publish = publish(&["8000-8010:80-90", "127.0.0.1:53:53/udp"]);
    })
    .unwrap();
    (records, web)
}

/// What a second endpoint, after `change`, is refused with; nothing of it may stay behind.
fn refusal(change: impl FnOnce(&mut EndpointRecord)) -> StoreError {
    let dir = StateDir::new();
    let (mut records, web) = web_with_c1(&dir);
    let before = records.endpoints().unwrap();
    let error = add_endpoint(&mut records, web, change).unwrap_err();
    assert_eq!(records.endpoints().unwrap(), before);
    add_endpoint(&mut records, web, |_| {}).expect("the refused one left something behind");
    error
}

#[test]
fn a_taken_name_names_its_owner() {
    let error = refusal(|record| record.endpoint.name = word("c1"));
    let text = "the name c1 is taken by endpoint c1 of network web";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_taken_address_names_its_owner() {
    for (at, address) in ["10.88.1.1", "fd00:88::2"].into_iter().enumerate() {
        let error = refusal(|record| record.endpoint.addresses[at] = word::<IpAddr>(address));
        let text = format!("the address {address} is taken by endpoint c1 of network web");
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn a_taken_mac_names_its_owner() {
    let error = refusal(|record| record.endpoint.mac = word("02:70:0a:58:01:01"));
    let text = "the MAC address 02:70:0a:58:01:01 is taken by endpoint c1 of network web";
    assert_eq!(error.to_string(), text);
}

#[test]
fn of_a_taken_address_and_the_mac_made_from_it_the_address_is_told() {
    let error = refusal(|record| {
        record.endpoint.addresses[0] = word::<IpAddr>("10.88.1.1");
        record.endpoint.mac = word("02:70:0a:58:01:01");
    });
    let text = "the address 10.88.1.1 is taken by endpoint c1 of network web";
    assert_eq!(error.to_string(), text);
}

#[test]
fn a_target_joins_a_network_once() {
    let error = refusal(|record| {
        record.netns = Some(netns(u64::MAX - 1));
        record.endpoint.ifname = word("eth1");
    });
    let text = "netns2 is already attached: endpoint c1 of network web";
    assert_eq!(error.to_string(), text);
}

#[test]
fn an_interface_name_is_used_once_in_a_target() {
    let dir = StateDir::new();
    let (mut records, _) = web_with_c1(&dir);
    let other = add_network(&mut records, "db").network.id;
    let same_netns = |record: &mut EndpointRecord| record.netns = Some(netns(u64::MAX - 1));
    let error = add_endpoint(&mut records, other, same_netns).unwrap_err();
    let text = "interface eth0 of netns2 is taken by endpoint c1 of network web";
    assert_eq!(error.to_string(), text);
    add_endpoint(&mut records, other, |record| {
        same_netns(record);
        record.endpoint.ifname = word("eth1");
    })
    .unwrap();
}

#[test]
fn the_text_stands_for_a_target_that_is_not_made_yet() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    let db = add_network(&mut records, "db").network.id;
    let unmade = |record: &mut EndpointRecord| {
        record.netns = None;
        record.endpoint.target = word("netns0");
    };
    let first = add_endpoint(&mut records, web, unmade).unwrap().endpoint.id;
    let twice = add_endpoint(&mut records, web, unmade);
    assert!(matches!(twice, Err(StoreError::AlreadyAttached { by, .. }) if by.id == first));
    let twice = add_endpoint(&mut records, db, unmade);
    assert!(matches!(twice, Err(StoreError::IfNameTaken { by, .. }) if by.id == first));

    let other = add_endpoint(&mut records, db, |record| {
        unmade(record);
        record.endpoint.ifname = word("eth1");
    });
    records.set_attached(first, &netns(7)).unwrap();
    let other = other.unwrap().endpoint.id;
    records.set_attached(other, &netns(7)).unwrap();
    let third = add_endpoint(&mut records, web, unmade).unwrap().endpoint.id;
    let clash = records.set_attached(third, &netns(7));
    assert!(matches!(clash, Err(StoreError::AlreadyAttached { by, .. }) if by.id == first));
}

#[test]
fn a_taken_port_names_its_owner() {
    for (asked, taken) in [
        ("8000", "8000-8010:80-90/tcp"),
        ("8010-9000", "8000-8010:80-90/tcp"),
        ("1-65535", "8000-8010:80-90/tcp"),
        ("[::1]:8005:1", "8000-8010:80-90/tcp"),
        ("53/udp", "127.0.0.1:53:53/udp"),
        ("127.0.0.1:53:5353/udp", "127.0.0.1:53:53/udp"),
    ] {
        let error = refusal(|record| record.endpoint.publish = publish(&["22/sctp", asked]));
        let StoreError::PortTaken {
            taken: found, by, ..
        } = error
        else {
            panic!("{asked}: {error}");
        };
        assert_eq!(found.to_string(), taken, "{asked}");
        assert_eq!(by.name.as_str(), "c1", "{asked}");
    }
}

#[test]
fn whichever_of_many_ports_is_taken_is_found() {
    let dir = StateDir::new();
    let (mut records, web) = web_with_c1(&dir);
    let numbers = |from: u16| (from..from + 100).step_by(10);
    let single = |port: u16| port.to_string().parse().unwrap();
    let taken: Vec<Publish> = numbers(10).map(single).collect();
    add_endpoint(&mut records, web, |c2| c2.endpoint.publish = taken.clone()).unwrap();
    let between: Vec<Publish> = numbers(5).chain(numbers(8)).map(single).collect();
    for one in taken {
        let asked = [&between[..], &[one]].concat();
        let refused = add_endpoint(&mut records, web, |c3| c3.endpoint.publish = asked);
        let found = |error: &StoreError| match error {
            StoreError::PortTaken { asked, taken, by } => {
                (*asked, *taken) == (one, one) && by.name.as_str() == "c2"
            }
            _ => false,
        };
        assert!(found(&refused.unwrap_err()), "{one}");
    }
    add_endpoint(&mut records, web, |c3| c3.endpoint.publish = between).unwrap();
}

#[test]
fn ports_that_no_packet_shares_are_free() {
    let dir = StateDir::new();
    let (mut records, web) = web_with_c1(&dir);
    let free = publish(&[
        "7999",
        "8011-8020",
        "8000-8010/udp",
        "127.0.0.2:53/udp",
        "[::]:53/udp",
        "53",
    ]);
    for asked in &free {
        assert_eq!(records.publish_conflict(asked).unwrap(), None, "{asked}");
    }
    add_endpoint(&mut records, web, |record| record.endpoint.publish = free).unwrap();
}

#[test]
fn an_endpoint_does_not_publish_a_port_twice() {
    let error = refusal(|record| record.endpoint.publish = publish(&["80", "70-90:1-21"]));
    assert!(matches!(error, StoreError::PortTaken { by, .. } if by.name.as_str() == "c2"));
}

#[test]
fn the_ports_of_a_deleted_endpoint_are_free() {
    let dir = StateDir::new();
    let (mut records, _) = web_with_c1(&dir);
    let id = records.endpoints().unwrap()[0].endpoint.id;
    records.delete_endpoint(id, NOW).unwrap();
    for asked in publish(&["8000", "53/udp"]) {
        assert_eq!(records.publish_conflict(&asked).unwrap(), None);
    }
}

#[test]
fn networks_share_neither_name_nor_bridge() {
    let dir = StateDir::new();
    let (mut records, web) = web_with_c1(&dir);
    let twice = records.insert_network(&network(2, "web"));
    assert!(matches!(twice, Err(StoreError::NetworkNameTaken { .. })));
    let mut same_bridge = network(2, "db");
    same_bridge.network.bridge = word("br-web");
    let error = records.insert_network(&same_bridge).unwrap_err();
    let text = "the bridge br-web belongs to network web";
    assert_eq!(error.to_string(), text);
    let error = records.delete_network(web).unwrap_err();
    assert_eq!(error.to_string(), "network web still has 1 endpoints");
    let nowhere = add_endpoint(&mut records, NetworkId(9), |_| {});
    assert!(matches!(
        nowhere,
        Err(StoreError::NetworkGone(NetworkId(9)))
    ));
}
