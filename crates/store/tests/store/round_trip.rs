//! What is put in comes out again, also from another process's point of view.

use std::net::IpAddr;

use ipam::COOL_DOWN_SECS;
use model::{AddressRange, EndpointId, Family, Names, NetnsOrigin, NetworkId, NodeId, Reach};
use store::{
    Durability, EndpointLife, EndpointRecord, HeldAddress, Hold, NamesLock, NetworkLife, OpenMode,
    Resting, StoreError, TAKEN_PAGE,
};

use crate::fixture::{
    NOW, StateDir, add_endpoint, add_network, cni, endpoint, netns, network, publish, word,
};

#[test]
fn identity_and_home_stay_with_the_file() {
    let dir = StateDir::new();
    let mut records = dir.open();
    assert_eq!(records.node_id(), NodeId::from_bits(0xfeed));
    assert_eq!(records.home(), None);
    records.set_home(&netns(u64::MAX)).unwrap();
    assert_eq!(records.home(), Some(netns(u64::MAX)));
    let other = store::Records::open(dir.path(), OpenMode::ReadOnly, NodeId::from_bits(1)).unwrap();
    assert_eq!(other.node_id(), NodeId::from_bits(0xfeed));
    assert_eq!(other.home(), Some(netns(u64::MAX)));
}

#[test]
fn networks_come_back_as_they_were() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web");
    let mut inner = network(2, "inner");
    inner.network.reach = Reach::Internal;
    inner.network.mtu = word("1400");
    inner.network.subnets.truncate(1);
    records.insert_network(&inner).unwrap();
    records
        .set_network_life(inner.network.id, NetworkLife::Ready)
        .unwrap();
    inner.life = NetworkLife::Ready;

    let reader = dir.try_open(OpenMode::ReadOnly).unwrap();
    assert_eq!(reader.networks().unwrap(), [web.clone(), inner.clone()]);
    assert_eq!(reader.network(NetworkId(2)).unwrap(), Some(inner.clone()));
    assert_eq!(reader.network(NetworkId(3)).unwrap(), None);
    let named = reader.network_by_name(&inner.network.name).unwrap();
    assert_eq!(named, Some(inner));
    assert!(reader.is_half_way().unwrap());
    records
        .set_network_life(web.network.id, NetworkLife::Ready)
        .unwrap();
    assert!(!reader.is_half_way().unwrap());
}

#[test]
fn endpoints_come_back_as_they_were() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    let mut plain = add_endpoint(&mut records, web, |_| {}).unwrap();
    let made = add_endpoint(&mut records, web, |record| {
        record.netns = None;
        record.origin = NetnsOrigin::Made;
        record.endpoint.target = word("/proc/7/ns/net");
        record.endpoint.rank = 3;
        record.endpoint.rates.sends = Some(word("32gbit"));
        record.endpoint.rates.receives = Some(word("8kbit"));
        record.endpoint.publish = publish(&[
            "8080:80",
            "127.0.0.1:53:5353/udp",
            "0.0.0.0:9000-9010:7000-7010/sctp",
            "[::]:443",
            "[fd00::1]:444",
        ]);
    })
    .unwrap();
    assert_eq!(records.endpoints().unwrap(), [plain.clone(), made.clone()]);
    let id = plain.endpoint.id;
    records.set_attached(id, &netns(7)).unwrap();
    plain.life = EndpointLife::Attached;
    plain.netns = Some(netns(7));

    let reader = dir.try_open(OpenMode::ReadOnly).unwrap();
    let one = |found: Vec<_>| <[_; 1]>::try_from(found).unwrap().into_iter().next();
    let is_plain = Some(plain.clone());
    assert_eq!(reader.endpoint(id).unwrap(), is_plain);
    assert_eq!(one(reader.endpoints_in(&netns(7)).unwrap()), is_plain);
    let target = &plain.endpoint.target;
    assert_eq!(one(reader.endpoints_of_target(target).unwrap()), is_plain);
    let named = reader.endpoint_by_name(web, &plain.endpoint.name);
    assert_eq!(named.unwrap(), is_plain);
    assert_eq!(reader.endpoints_of_network(web).unwrap().len(), 2);
    assert_eq!(reader.count_endpoints(web).unwrap(), 2);
    assert_eq!(reader.unfinished_endpoints().unwrap(), [made]);
    records.set_detaching(id).unwrap();
    let life = || reader.endpoint(id).unwrap().unwrap().life;
    assert_eq!(life(), EndpointLife::Detaching);
    assert_eq!(reader.unfinished_endpoints().unwrap().len(), 2);
    records.set_staying(id).unwrap();
    assert_eq!(life(), EndpointLife::Attached);
    records.set_deleting(id).unwrap();
    records.set_staying(id).unwrap();
    assert_eq!(life(), EndpointLife::Deleting);
}

#[test]
fn an_attach_on_its_way_is_half_way_and_a_detach_is_not() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    records.set_network_life(web, NetworkLife::Ready).unwrap();
    let id = add_endpoint(&mut records, web, |_| {}).unwrap().endpoint.id;
    assert!(records.is_half_way().unwrap());
    records.set_attached(id, &netns(7)).unwrap();
    assert!(!records.is_half_way().unwrap());
    records.set_detaching(id).unwrap();
    assert!(!records.is_half_way().unwrap());
    assert!(records.has_endpoint(id).unwrap());
    records.delete_endpoint(id, NOW).unwrap();
    assert!(!records.has_endpoint(id).unwrap());
}

#[test]
fn the_same_cookie_in_another_boot_is_another_namespace() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    add_endpoint(&mut records, web, |record| record.netns = Some(netns(7))).unwrap();
    let mut rebooted = netns(7);
    rebooted.boot = word("00000000-7a53-4a0e-9d5c-0123456789ab");
    assert_eq!(records.endpoints_in(&rebooted).unwrap(), []);
    let again = |record: &mut EndpointRecord| record.netns = Some(rebooted.clone());
    add_endpoint(&mut records, web, again).unwrap();
}

#[test]
fn numbers_are_never_used_twice() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    let first = add_endpoint(&mut records, web, |_| {}).unwrap();
    let id = first.endpoint.id;
    records.delete_endpoint(id, NOW).unwrap();
    records.delete_network(web).unwrap();
    assert_eq!(records.next_endpoint_id().unwrap(), EndpointId(2));
    assert_eq!(records.next_network_id().unwrap(), NetworkId(2));
    let again = records.insert_endpoint(&first);
    assert!(matches!(again, Err(StoreError::EndpointIdUsed(used)) if used == id));
    let again = records.insert_network(&network(web.0, "web"));
    assert!(matches!(again, Err(StoreError::NetworkIdUsed(used)) if used == web));
    let gone = records.delete_endpoint(id, NOW);
    assert!(matches!(gone, Err(StoreError::EndpointGone(gone)) if gone == id));
}

#[test]
fn the_lowest_free_rank_of_a_namespace_is_next() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let target = word("netns0");
    for (name, rank) in [("a", 0), ("b", 1), ("c", 2)] {
        let network = add_network(&mut records, name).network.id;
        assert_eq!(records.next_rank(Some(&netns(7)), &target).unwrap(), rank);
        add_endpoint(&mut records, network, |record| {
            record.netns = Some(netns(7));
            record.endpoint.ifname = word(&format!("eth{rank}"));
            record.endpoint.rank = rank;
        })
        .unwrap();
    }
    records.delete_endpoint(EndpointId(2), NOW).unwrap();
    assert_eq!(records.next_rank(Some(&netns(7)), &target).unwrap(), 1);
    assert_eq!(records.next_rank(None, &target).unwrap(), 0);
}

#[test]
fn a_released_address_rests_until_its_time_is_over() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    let kept = add_endpoint(&mut records, web, |_| {}).unwrap().endpoint;
    let gone = add_endpoint(&mut records, web, |_| {}).unwrap().endpoint;
    records.delete_endpoint(gone.id, NOW).unwrap();

    for (at, family) in Family::BOTH.into_iter().enumerate() {
        let taken = |now, resting| {
            let from = family.unspecified();
            records.taken_from(web, from, now, resting).unwrap()
        };
        let (kept, gone) = (kept.addresses[at], gone.addresses[at]);
        let last_second = NOW + COOL_DOWN_SECS - 1;
        assert_eq!(taken(last_second, Resting::Avoid), [kept, gone]);
        assert_eq!(taken(last_second, Resting::Use), [kept]);
        assert_eq!(taken(NOW + COOL_DOWN_SECS, Resting::Avoid), [kept]);
        // The clock was set back.
        assert_eq!(taken(NOW - 1, Resting::Avoid), [kept]);
        let all: AddressRange = word(["10.88.0.0/16", "fd00:88::/64"][at]);
        assert_eq!(records.oldest_resting(web, all).unwrap(), Some(gone));
        let kept = AddressRange::new(kept, kept).unwrap();
        assert_eq!(records.oldest_resting(web, kept).unwrap(), None);
        assert_eq!(records.last_allocated(web, family).unwrap(), Some(gone));
    }
    records.purge_rested(NOW + COOL_DOWN_SECS).unwrap();
    let oldest = records.oldest_resting(web, word("10.88.0.0/16")).unwrap();
    assert_eq!(oldest, None);
}

#[test]
fn a_subnet_keeps_its_range() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let mut record = network(1, "web");
    let part = word("10.88.7.0-10.88.7.9");
    record.network.subnets[0] = record.network.subnets[0].with_range(part).unwrap();
    records.insert_network(&record).unwrap();
    assert_eq!(records.network(record.network.id).unwrap(), Some(record));
}

#[test]
fn a_container_is_known_by_its_interface_and_network() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    let mut other = network(2, "db");
    other.network.subnets.truncate(1);
    records.insert_network(&other).unwrap();
    let of_c = |ifname: &str| {
        let ifname = word(ifname);
        move |r: &mut EndpointRecord| {
            r.endpoint.cni = Some(cni("c"));
            r.endpoint.ifname = ifname;
        }
    };
    let first = add_endpoint(&mut records, web, of_c("eth0")).unwrap();
    let again = add_endpoint(&mut records, web, of_c("eth0")).unwrap_err();
    assert!(
        matches!(&again, StoreError::ContainerAttached { by, .. } if by.id == first.endpoint.id),
        "{again:?}"
    );
    let second = add_endpoint(&mut records, web, of_c("eth1")).unwrap();
    let third = add_endpoint(&mut records, other.network.id, of_c("eth0")).unwrap();
    let found = |ifname| {
        let found = records.endpoints_of_container(&word("c"), &word(ifname));
        found.unwrap()
    };
    assert_eq!(found("eth0"), [first, third]);
    assert_eq!(found("eth1"), [second]);
    assert_eq!(found("eth2"), []);
}

#[test]
fn a_resting_address_can_be_taken_again() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    let old = add_endpoint(&mut records, web, |_| {}).unwrap().endpoint;
    records.delete_endpoint(old.id, NOW).unwrap();
    let addresses = old.addresses.clone();
    let new = add_endpoint(&mut records, web, |r| r.endpoint.addresses = addresses).unwrap();
    assert_eq!(records.endpoints().unwrap(), [new]);
    let all = word("10.88.0.0/16");
    assert_eq!(records.oldest_resting(web, all).unwrap(), None);
}

#[test]
fn taken_addresses_come_in_ascending_pages() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    let count = TAKEN_PAGE + 6;
    records
        .transaction(Durability::Process, |records| {
            for _ in 0..count {
                add_endpoint(records, web, |_| {})?;
            }
            Ok::<_, StoreError>(())
        })
        .unwrap();
    let from = |address: IpAddr| {
        records
            .taken_from(web, address, NOW, Resting::Avoid)
            .unwrap()
    };
    let page = from(word("10.88.0.0"));
    assert_eq!(page.len(), TAKEN_PAGE);
    assert!(page.is_sorted());
    assert_eq!(page[0], word::<IpAddr>("10.88.1.1"));
    assert_eq!(from(word("10.88.1.70")), [word::<IpAddr>("10.88.1.70")]);
    assert_eq!(from(word("10.88.1.71")), [] as [IpAddr; 0]);
}

#[test]
fn a_transaction_that_fails_changes_nothing() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    let failed: Result<(), StoreError> = records.transaction(Durability::Process, |records| {
        let first = add_endpoint(records, web, |_| {})?;
        // A part that fails is undone alone.
        let name = first.endpoint.name.clone();
        let twice = add_endpoint(records, web, |record| record.endpoint.name = name);
        assert!(matches!(twice, Err(StoreError::NameTaken { .. })));
        assert_eq!(records.endpoints()?, [first]);
        Err(StoreError::EndpointGone(EndpointId(9)))
    });
    assert!(matches!(failed, Err(StoreError::EndpointGone(_))));
    assert_eq!(records.endpoints().unwrap(), []);
    let id = records.next_endpoint_id().unwrap();
    records.insert_endpoint(&endpoint(id, web)).unwrap();
}

#[test]
fn a_snapshot_is_of_one_moment() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    let added = add_endpoint(&mut records, web, |_| {}).unwrap();
    let reader = dir.try_open(OpenMode::ReadOnly).unwrap();
    let seen = reader.snapshot(|reader| {
        assert_eq!(reader.count_endpoints(web)?, 1);
        records.delete_endpoint(added.endpoint.id, NOW)?;
        reader.endpoints()
    });
    assert_eq!(seen.unwrap(), [added]);
    assert_eq!(reader.endpoints().unwrap(), []);
}

#[test]
fn held_addresses_are_owned_or_rest() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network.id;
    let other = add_network(&mut records, "other").network.id;
    let gone = add_endpoint(&mut records, web, |_| {}).unwrap().endpoint;
    let kept = add_endpoint(&mut records, web, |_| {}).unwrap().endpoint;
    records.delete_endpoint(gone.id, NOW).unwrap();
    let reader = dir.try_open(OpenMode::ReadOnly).unwrap();
    let held = |now: u64| reader.held_addresses(web, now).unwrap();
    let owned = |n: usize| HeldAddress {
        address: kept.addresses[n],
        hold: Hold::Endpoint(kept.id),
    };
    let resting = |n: usize, left_secs: u64| HeldAddress {
        address: gone.addresses[n],
        hold: Hold::Resting { left_secs },
    };
    for (after, left) in [(0, COOL_DOWN_SECS), (59, 1)] {
        let all = [resting(0, left), owned(0), resting(1, left), owned(1)];
        assert_eq!(held(NOW + after), all, "{after} s after");
    }
    // Rested; and the clock set back, after which it counts as rested.
    for now in [NOW + COOL_DOWN_SECS, NOW - 1, 0, u64::MAX] {
        assert_eq!(held(now), [owned(0), owned(1)], "at {now}");
    }
    assert_eq!(reader.held_addresses(other, NOW).unwrap(), []);
}

#[test]
fn names_and_aliases_come_back_as_they_were() {
    let dir = StateDir::new();
    let mut records = dir.open();
    let web = add_network(&mut records, "web").network;
    let kept = add_endpoint(&mut records, web.id, |record| {
        record.endpoint.aliases = vec![word("shop"), word("db-1")];
    })
    .unwrap();
    let reader = dir.try_open(OpenMode::ReadOnly).unwrap();
    let before = reader.change_number().unwrap();
    assert_eq!(reader.endpoints().unwrap(), [kept]);
    assert_eq!(reader.change_number().unwrap(), before);
    records.set_network_names(web.id, Names::On).unwrap();
    assert_ne!(reader.change_number().unwrap(), before);
    let found = reader.network(web.id).unwrap().unwrap();
    assert_eq!(found.network.names, Names::On);
    let gone = records.set_network_names(NetworkId(9), Names::On);
    assert!(matches!(gone, Err(StoreError::NetworkGone(NetworkId(9)))));
}

#[test]
fn the_task_of_answering_has_one_holder_and_asking_is_in_nobodys_way() {
    let dir = StateDir::new();
    assert!(!NamesLock::is_held(dir.path()));
    let lock = NamesLock::acquire(dir.path(), std::time::Duration::ZERO).unwrap();
    assert!(NamesLock::is_held(dir.path()));
    let holder = NamesLock::holder(dir.path()).unwrap();
    assert_eq!(holder.pid, std::process::id());
    let second = NamesLock::acquire(dir.path(), std::time::Duration::ZERO);
    assert!(matches!(second, Err(StoreError::LockTimeout { .. })));
    drop(lock);
    assert_eq!(NamesLock::holder(dir.path()), None);
    assert!(NamesLock::acquire(dir.path(), std::time::Duration::ZERO).is_ok());
}
