//! Every statement on the way of attach and detach is answered by an index.

use model::{Endpoint, EndpointId, Family, Mac, Network, NetworkId, Publish, Rates, Reach, Subnet};

use std::path::PathBuf;

use crate::{
    Durability, EndpointLife, EndpointRecord, NetworkLife, NetworkRecord, Records, Resting,
    StoreError,
};
use model::{NetnsId, NetnsOrigin, NodeId};
use rusqlite::Connection;

fn empty() -> Records {
    let conn = Connection::open_in_memory().unwrap();
    conn.execute_batch(include_str!("schema.sql")).unwrap();
    let path = PathBuf::from("/nonexistent");
    Records::new(conn, path, NodeId::from_bits(0), None)
}

fn network(id: u32) -> NetworkRecord {
    let subnet = Subnet::new("10.88.0.0/16".parse().unwrap(), None).unwrap();
    NetworkRecord {
        network: Network {
            id: NetworkId(id),
            name: format!("n{id}").parse().unwrap(),
            kind: model::NetworkKind::Bridge,
            bridge: format!("br{id}").parse().unwrap(),
            mtu: "auto".parse().unwrap(),
            reach: Reach::Outside,
            names: model::Names::Off,
            subnets: vec![subnet],
        },
        life: NetworkLife::Ready,
    }
}

/// Endpoint `n` with 32 published ports of its own.
fn endpoint(n: u32) -> EndpointRecord {
    let address = [10, 88, 1 + (n >> 8) as u8, n as u8].into();
    let port = |p: u32| format!("{}", 1000 + n * 32 + p).parse::<Publish>().unwrap();
    EndpointRecord {
        endpoint: Endpoint {
            id: EndpointId(n),
            network: NetworkId(1),
            name: format!("c{n}").parse().unwrap(),
            target: format!("netns{n}").parse().unwrap(),
            cni: None,
            ifname: "eth0".parse().unwrap(),
            port: format!("pt{n:x}").parse().unwrap(),
            mac: Mac::for_address(address),
            addresses: vec![address],
            publish: (0..32).map(port).collect(),
            rates: Rates::default(),
            aliases: Vec::new(),
            rank: 0,
        },
        life: EndpointLife::Attaching,
        netns: Some(netns(n)),
        origin: NetnsOrigin::Given,
        created_at: 0,
    }
}

fn netns(n: u32) -> NetnsId {
    NetnsId {
        boot: "6f1c2b1e-7a53-4a0e-9d5c-0123456789ab".parse().unwrap(),
        cookie: u64::from(n),
    }
}

/// All that an attach, a refused attach and a detach ask and change.
fn attach_and_detach(records: &mut Records, n: u32) {
    let mut record = endpoint(n);
    let (network, target) = (NetworkId(1), record.endpoint.target.clone());
    let by_name = records.network_by_name(&"n1".parse().unwrap()).unwrap();
    assert_eq!(by_name.unwrap().network.id, network);
    records.network(network).unwrap().unwrap();
    let from = "10.88.0.2".parse().unwrap();
    records
        .taken_from(network, from, 9, Resting::Avoid)
        .unwrap();
    records.held_addresses(network, 9).unwrap();
    records.last_allocated(network, Family::Ipv4).unwrap();
    let range = "10.88.0.0/16".parse().unwrap();
    records.oldest_resting(network, range).unwrap();
    records.next_rank(Some(&netns(n)), &target).unwrap();
    records.next_rank(None, &target).unwrap();
    assert_eq!(records.next_endpoint_id().unwrap(), EndpointId(n));
    record.netns = None;
    records.insert_endpoint(&record).unwrap();
    records.set_attached(EndpointId(n), &netns(n)).unwrap();
    let refused = records.insert_endpoint(&EndpointRecord {
        endpoint: Endpoint {
            id: EndpointId(n + 1),
            ..endpoint(1).endpoint
        },
        netns: Some(netns(n + 1)),
        ..endpoint(n)
    });
    assert!(matches!(refused, Err(StoreError::NameTaken { .. })));
    let nearby = |text: &str| text.parse::<Publish>().unwrap();
    let wide = records.publish_conflict(&nearby("1-65535")).unwrap();
    assert!(wide.is_some());
    let elsewhere = nearby("127.0.0.1:999");
    assert_eq!(records.publish_conflict(&elsewhere).unwrap(), None);
    records.endpoint(EndpointId(n)).unwrap().unwrap();
    assert_eq!(records.endpoints_in(&netns(n)).unwrap().len(), 1);
    assert_eq!(records.endpoints_of_target(&target).unwrap().len(), 1);
    let (container, ifname) = ("c1".parse().unwrap(), "eth0".parse().unwrap());
    record.endpoint.cni = Some(model::CniAttachment {
        container: "c1".parse().unwrap(),
        list: "podman".parse().unwrap(),
    });
    records.check_container(&record.endpoint).unwrap();
    let found = records.endpoints_of_container(&container, &ifname).unwrap();
    assert_eq!(found, []);
    let name = &record.endpoint.name;
    records.endpoint_by_name(network, name).unwrap().unwrap();
    records.count_endpoints(network).unwrap();
    records.unfinished_endpoints().unwrap();
    records.is_half_way().unwrap();
    assert!(records.has_endpoint(EndpointId(n)).unwrap());
    records.set_detaching(EndpointId(n)).unwrap();
    records.set_staying(EndpointId(n)).unwrap();
    records.delete_endpoint(EndpointId(n), 9).unwrap();
}

#[test]
fn attach_and_detach_scan_no_table() {
    let mut records = empty();
    records.insert_network(&network(1)).unwrap();
    let filled: Result<(), StoreError> = records.transaction(Durability::Process, |records| {
        (1..=1000).try_for_each(|n| records.insert_endpoint(&endpoint(n)))
    });
    filled.unwrap();
    records.seen.borrow_mut().clear();
    attach_and_detach(&mut records, 1001);

    let seen = records.seen.borrow();
    assert!(seen.len() >= 25, "{} statements seen", seen.len());
    for sql in seen.iter() {
        let explain = format!("EXPLAIN QUERY PLAN {sql}");
        let mut statement = records.conn.prepare(&explain).unwrap();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().unwrap() {
            let line: String = row.get("detail").unwrap();
            // One row a table; and an index of nothing but what it is asked for.
            let small = line == "SCAN sqlite_sequence"
                || line == "SCAN endpoint USING INDEX endpoint_unfinished"
                || line == "SCAN endpoint USING COVERING INDEX endpoint_unfinished"
                || line == "SCAN network"
                || line == "SCAN CONSTANT ROW"
                || line.starts_with("SCAN address USING INDEX address_resting")
                || line.starts_with("SCAN address USING COVERING INDEX address_resting");
            assert!(small || !line.contains("SCAN"), "{line}\n{sql}");
            assert!(
                !line.contains("TEMP B-TREE FOR ORDER BY") || sql.contains("rank"),
                "{line}\n{sql}"
            );
        }
    }
}
