//! Elements one by one, and 50,000 of them.

use std::time::{Duration, Instant};

use netstate::Step;
use netstate::nft::{ElementKey, NftFamily, SetKey};

use super::super::{element, observe, transaction};
use super::fixture::{self, ip, port};
use super::kernel::{in_fresh_netns, install, port_key, port_step};
use crate::netlink::Socket;
use NftFamily::Bridge;

#[test]
fn every_element_is_found_by_its_key() {
    in_fresh_netns(|socket| {
        install(socket);
        for (key, data) in &fixture::state().elements {
            assert_eq!(
                element(socket, key).unwrap().as_ref(),
                Some(data),
                "{key:?}"
            );
        }
        assert_eq!(element(socket, &port_key(1)).unwrap(), None);
        let set = SetKey {
            family: Bridge,
            name: "absent".into(),
        };
        let absent = ElementKey { set, ..port_key(1) };
        assert_eq!(element(socket, &absent).unwrap(), None);
    });
}

#[test]
fn one_element_costs_the_same_beside_fifty_thousand() {
    in_fresh_netns(|socket| {
        install(socket);
        let alone = one_element(socket, 60_001);
        let many: Vec<Step> = (0..50_000).map(|n| port_step(n, 80)).collect();
        let start = Instant::now();
        transaction(socket, &many).unwrap();
        println!("50,000 elements in {:?}", start.elapsed());
        let start = Instant::now();
        let seen = observe(socket).unwrap();
        println!("observed in {:?}", start.elapsed());
        assert_eq!(
            seen.elements.len(),
            fixture::state().elements.len() + 50_001
        );
        let among_many = one_element(socket, 60_002);
        println!("one element: {alone:?} alone, {among_many:?} among 50,000");
        // A factor far from noise and far from a linear cost.
        assert!(among_many < alone * 20 + Duration::from_millis(5));
        let removal: Vec<Step> = (0..50_000)
            .map(|n| Step::DelElement(port_key(n + 10_000)))
            .collect();
        transaction(socket, &removal).unwrap();
    });
}

/// The median time of adding one element and taking it away; at the end it is there.
fn one_element(socket: &mut Socket, number: u16) -> Duration {
    let add = [Step::AddElement(
        port_key(number),
        vec![ip("10.1.0.2"), port(1)],
    )];
    let remove = [Step::DelElement(port_key(number))];
    let mut times: Vec<Duration> = (0..15)
        .map(|_| {
            let start = Instant::now();
            transaction(socket, &add).unwrap();
            transaction(socket, &remove).unwrap();
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    transaction(socket, &add).unwrap();
    times[times.len() / 2]
}
