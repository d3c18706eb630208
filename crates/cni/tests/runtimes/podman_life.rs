//! What podman's users ask of a container's attachment, and its end in all its forms.

use std::net::SocketAddr;

use testnet::{Outside, Transport};

use crate::plugin::UNDER_TEST;
use crate::podman::Podman;
use crate::site::{DB, Site, WEB};

const ADDRESS: &str = "10.77.0.77";
const PORT: &str = "8080";
const OPTIONS: &str = "--ip 10.77.0.77 --mac-address 02:70:00:00:00:77 --publish 8080:80";

#[test]
fn the_address_and_mac_asked_for_are_given() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB]);
    let container = podman.start("a", OPTIONS);
    assert_eq!(podman.address("a", &WEB), ADDRESS);
    let mac = [0x02, 0x70, 0, 0, 0, 0x77];
    assert_eq!(container.mac_of("eth0"), mac);
    let said = podman.exec("a", "ip -o -4 addr show dev eth0");
    assert!(said.contains(&format!("inet {ADDRESS}/24")), "{said}");
    podman.exec("a", "ping -c 1 -W 2 10.77.0.1");
    // An address that is in use is refused, and the one who has it keeps it.
    let refused = podman.run(&format!("run --ip {ADDRESS} localhost/busybox:test true"));
    assert!(!refused.success(), "{refused}");
    podman.exec("a", "ping -c 1 -W 2 10.77.0.1");
}

#[test]
fn a_restarted_container_has_its_address_and_ports_again() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB]);
    podman.start("a", OPTIONS);
    podman.expect("restart --time 0 a");
    assert_eq!(podman.address("a", &WEB), ADDRESS);
    assert_published(&site, &podman);
    podman.expect("stop --time 0 a");
    site.assert_nothing_left(&[ADDRESS, PORT]);
    podman.expect("start a");
    assert_published(&site, &podman);
    podman.remove("a");
    site.assert_nothing_left(&[ADDRESS, PORT]);
}

#[test]
fn a_running_container_removed_by_force_leaves_nothing() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB]);
    podman.start("a", OPTIONS);
    podman.remove("a");
    site.assert_nothing_left(&[ADDRESS, PORT]);
    // The address is free too.
    podman.start("b", OPTIONS);
    assert_published_by(&site, &podman, "b");
}

#[test]
fn a_container_whose_init_is_killed_leaves_nothing() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB]);
    podman.start("a", OPTIONS);
    podman.kill_init("a");
    // Nobody asks for it: conmon, which has only a daemon's environment, does.
    site.assert_nothing_left(&[ADDRESS, PORT]);
    podman.start("b", OPTIONS);
    assert_published_by(&site, &podman, "b");
}

#[test]
fn a_running_container_joins_and_leaves_a_network() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB, DB]);
    let container = podman.start("a", "");
    podman.start("b", "--network db");
    let b = podman.address("b", &DB);
    podman.expect("network connect db a");
    let a = podman.address("a", &DB);
    podman.exec("a", &format!("ping -c 1 -W 2 -I {a} {b}"));
    podman.expect("network disconnect db a");
    let left = podman.exec("a", "ip -o -4 addr");
    assert!(!left.contains("10.79.0."), "{left}");
    site.assert_reaches_outside(&container, Outside::V4.into(), Outside::NODE_V4.into());
}

// Podman names a container's ports in the ADD of each of its networks, and keeps a socket of its
// own at each port while the container runs.

#[test]
fn a_container_of_two_networks_publishes_a_port() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB, DB]);
    podman.start("a", "--network web,db --publish 8080:80");
    assert_published(&site, &podman);
    podman.remove("a");
    site.assert_nothing_left(&[PORT]);
}

#[test]
fn a_container_that_publishes_joins_another_network() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB, DB]);
    podman.start("a", OPTIONS);
    podman.expect("network connect db a");
    assert_published(&site, &podman);
    podman.expect("network disconnect db a");
    assert_published(&site, &podman);
}

#[test]
fn a_reloaded_container_has_its_address_and_ports_again() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB]);
    podman.start("a", OPTIONS);
    podman.expect("network reload a");
    assert_eq!(podman.address("a", &WEB), ADDRESS);
    assert_published(&site, &podman);
}

fn assert_published(site: &Site, podman: &Podman<'_>) {
    assert_published_by(site, podman, "a");
}

fn assert_published_by(site: &Site, podman: &Podman<'_>, name: &str) {
    let published = SocketAddr::new(Outside::NODE_V4.into(), 8080);
    site.assert_published(&podman.netns(name), (Transport::Tcp, 80), published);
}
