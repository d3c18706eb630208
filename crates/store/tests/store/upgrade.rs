//! Records that an older Pontoon wrote: read as they would be, and brought up by who changes them.

use std::fs;
use std::net::IpAddr;

use model::{EndpointId, Family, Mac, NetworkId, Rates, Reach};
use rusqlite::Connection;
use store::{EndpointLife, EndpointRecord, NetworkLife, NetworkRecord, OpenMode, Records, Resting};

use crate::fixture::{NOW, StateDir, add_endpoint, cni, endpoint, netns, network, publish, word};

/// What makes records of version 4 those of 3, 2 and 1.
const DOWN: [&str; 3] = [
    "ALTER TABLE network DROP COLUMN names;
     ALTER TABLE endpoint DROP COLUMN aliases;
     PRAGMA user_version = 3",
    "ALTER TABLE endpoint DROP COLUMN sends;
     ALTER TABLE endpoint DROP COLUMN receives;
     PRAGMA user_version = 2",
    "DROP INDEX endpoint_container;
     ALTER TABLE endpoint DROP COLUMN container;
     ALTER TABLE endpoint DROP COLUMN list;
     ALTER TABLE subnet DROP COLUMN range;
     ALTER TABLE network DROP COLUMN kind;
     DROP TABLE cluster;
     PRAGMA user_version = 1",
];

fn written_by(version: usize) -> StateDir {
    let dir = StateDir::new();
    fs::create_dir(dir.path()).unwrap();
    let older = Connection::open(dir.file()).unwrap();
    older
        .execute_batch("PRAGMA journal_mode = WAL; BEGIN")
        .unwrap();
    older.execute_batch(include_str!("version_4.sql")).unwrap();
    for down in &DOWN[..4 - version] {
        older.execute_batch(down).unwrap();
    }
    older.execute_batch("COMMIT").unwrap();
    dir
}

fn networks(version: usize) -> Vec<NetworkRecord> {
    let mut web = network(3, "web");
    web.life = NetworkLife::Ready;
    if version > 1 {
        let part = word("10.88.7.0-10.88.7.9");
        web.network.subnets[0] = web.network.subnets[0].with_range(part).unwrap();
    }
    let mut db = network(4, "db");
    db.life = NetworkLife::Ready;
    db.network.mtu = word("1400");
    db.network.reach = Reach::Internal;
    db.network.subnets = vec![model::Subnet::new(word("10.89.0.0/16"), None).unwrap()];
    vec![web, db]
}

fn endpoints(version: usize) -> Vec<EndpointRecord> {
    let mut c7 = endpoint(EndpointId(7), NetworkId(3));
    c7.life = EndpointLife::Attached;
    c7.netns = Some(netns(u64::MAX - 1));
    c7.endpoint.target = word("/proc/7/ns/net");
    c7.endpoint.addresses = vec![word("10.88.7.3"), word("fd00:88::7")];
    c7.endpoint.mac = Mac::for_address(word("10.88.7.3"));
    c7.endpoint.publish = publish(&[
        "8080:80",
        "127.0.0.1:53:5353/udp",
        "0.0.0.0:9000-9010:7000-7010/sctp",
        "[::]:443",
        "[fd00::1]:444",
    ]);
    if version > 1 {
        c7.endpoint.cni = Some(cni("c7c7"));
    }
    if version > 2 {
        c7.endpoint.rates = Rates {
            sends: Some(word("32gbit")),
            receives: Some(word("8kbit")),
        };
    }
    if version > 3 {
        c7.endpoint.aliases = vec![word("shop"), word("db-1")];
    }
    let mut c8 = endpoint(EndpointId(8), NetworkId(4));
    c8.netns = None;
    c8.origin = model::NetnsOrigin::Made;
    c8.endpoint.target = word("c8");
    c8.endpoint.addresses = vec![word("10.89.0.2")];
    c8.endpoint.mac = Mac::for_address(word("10.89.0.2"));
    c8.created_at = NOW + 1;
    vec![c7, c8]
}

fn assert_carried_over(records: &Records, version: usize) {
    assert_eq!(records.node_id(), model::NodeId::from_bits(0xfeed));
    assert_eq!(records.home(), Some(netns(u64::MAX)));
    assert_eq!(records.networks().unwrap(), networks(version));
    assert_eq!(records.endpoints().unwrap(), endpoints(version));
    let me = records.membership().unwrap().map(|member| member.me);
    assert_eq!(me, (version > 1).then(|| word("alpha")));
    let web = NetworkId(3);
    let last = |family| records.last_allocated(web, family).unwrap();
    assert_eq!(last(Family::Ipv4), Some(word("10.88.7.4")));
    assert_eq!(last(Family::Ipv6), None);
    let taken = |resting| {
        let from = word("10.88.0.0");
        records.taken_from(web, from, NOW, resting).unwrap()
    };
    let (owned, resting) = (word("10.88.7.3"), word::<IpAddr>("10.88.7.4"));
    assert_eq!(taken(Resting::Avoid), [owned, resting]);
    assert_eq!(taken(Resting::Use), [owned]);
    assert_eq!(records.next_endpoint_id().unwrap(), EndpointId(10));
    assert_eq!(records.next_network_id().unwrap(), NetworkId(6));
    for asked in &endpoints(version)[0].endpoint.publish {
        let taken = records.publish_conflict(asked).unwrap().unwrap();
        assert_eq!((taken.publish, taken.owner.id), (*asked, EndpointId(7)));
    }
}

fn version(dir: &StateDir) -> usize {
    let conn = Connection::open(dir.file()).unwrap();
    let version = conn.pragma_query_value(None, "user_version", |row| row.get::<_, i32>(0));
    version.unwrap() as usize
}

/// Names and columns of all tables and indexes.
fn shape(dir: &StateDir) -> Vec<String> {
    let conn = Connection::open(dir.file()).unwrap();
    let sql = "SELECT name || ' ' || group_concat(part, ' ') FROM (
             SELECT s.name, c.name AS part FROM sqlite_schema s, pragma_table_info(s.name) c
             UNION ALL
             SELECT s.name, c.name FROM sqlite_schema s, pragma_index_info(s.name) c)
         GROUP BY name ORDER BY name";
    let mut statement = conn.prepare(sql).unwrap();
    let rows = statement.query_map([], |row| row.get(0)).unwrap();
    rows.collect::<Result<_, _>>().unwrap()
}

#[test]
fn records_of_every_version_are_read_and_brought_up() {
    let fresh = StateDir::new();
    drop(fresh.open());
    for written in 1..=4 {
        let dir = written_by(written);
        for mode in [OpenMode::ReadOnly, OpenMode::Scratch] {
            assert_carried_over(&dir.try_open(mode).unwrap(), written);
        }
        assert_eq!(version(&dir), written, "readers leave the file alone");
        assert_carried_over(&dir.open(), written);
        assert_eq!((version(&dir), shape(&dir)), (5, shape(&fresh)));
        assert_carried_over(&dir.open(), written);
    }
}

#[test]
fn records_that_were_brought_up_go_on() {
    let dir = written_by(4);
    let mut records = dir.open();
    records.delete_endpoint(EndpointId(7), NOW).unwrap();
    for asked in &endpoints(4)[0].endpoint.publish {
        assert_eq!(records.publish_conflict(asked).unwrap(), None);
    }
    let added = add_endpoint(&mut records, NetworkId(3), |record| {
        record.endpoint.addresses = vec![word("10.88.7.3"), word("fd00:88::7")];
        record.endpoint.publish = publish(&["8080:80", "[fd00::1]:444"]);
    })
    .unwrap();
    assert_eq!(added.endpoint.id, EndpointId(10));
    let [_, c8] = <[_; 2]>::try_from(endpoints(4)).unwrap();
    assert_eq!(records.endpoints().unwrap(), [c8, added.clone()]);
    records.delete_endpoint(EndpointId(8), NOW).unwrap();
    records.delete_endpoint(added.endpoint.id, NOW).unwrap();
    for network in [NetworkId(3), NetworkId(4)] {
        records.delete_network(network).unwrap();
        assert_eq!(records.held_addresses(network, NOW).unwrap(), []);
    }
}
