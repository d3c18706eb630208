//! `ctr run --cni`: containers of containerd without CRI.

use testnet::Outside;

use crate::containerd::Containerd;
use crate::plugin::UNDER_TEST;
use crate::site::{Site, WEB};

#[test]
fn containers_of_ctr_reach_each_other_and_the_outside() {
    let site = Site::new();
    let containerd = Containerd::new(&site, UNDER_TEST, WEB);
    let a = containerd.start("a");
    let b = containerd.start("b");
    let address = address_of(&containerd, "b");
    containerd.exec("a", &format!("ping -c 1 -W 2 {address}"));
    site.assert_reaches_outside(&a, Outside::V4.into(), Outside::NODE_V4.into());
    // Kept open, its namespace would outlive it.
    drop((a, b));
    for name in ["a", "b"] {
        containerd.remove(name);
    }
    // This ctr calls no DEL for a container in the background, so only what goes with its
    // namespace is gone: devices and their neighbours.
    site.assert_nothing_left(&[]);
}

#[test]
fn a_container_of_ctr_that_is_killed_leaves_nothing() {
    let site = Site::new();
    let containerd = Containerd::new(&site, UNDER_TEST, WEB);
    let (mut ctr, netns) = containerd.start_attended("a");
    site.assert_reaches_outside(&netns, Outside::V4.into(), Outside::NODE_V4.into());
    drop(netns);
    let address = address_of(&containerd, "a");
    containerd.kill("a");
    let status = ctr.wait().expect("a child can be waited for");
    assert_eq!(status.code(), Some(137), "it says how its container ended");
    let traces = [address.as_str()];
    let traces = UNDER_TEST.cleans_without_namespace().then_some(&traces[..]);
    site.assert_nothing_left(traces.unwrap_or_default());
}

/// Its IPv4 address, as it sees it.
fn address_of(containerd: &Containerd<'_>, name: &str) -> String {
    let said = containerd.exec(name, "ip -o -4 addr show dev eth0");
    // "2: eth0    inet 10.77.0.2/24 brd ..."
    let prefix = said.split_whitespace().nth(3);
    let address = prefix.and_then(|prefix| prefix.split('/').next());
    address
        .unwrap_or_else(|| panic!("{name} has no address: {said}"))
        .to_owned()
}
