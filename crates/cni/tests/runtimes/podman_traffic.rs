//! What podman's containers reach, and from where they are reached.

use std::net::SocketAddr;

use testnet::{Outside, Transport};

use crate::dns;
use crate::plugin::{Plugin, UNDER_TEST};
use crate::podman::Podman;
use crate::site::{DB, DUAL, Site, WEB};

#[test]
fn containers_of_a_network_reach_each_other() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB]);
    podman.start("a", "");
    podman.start("b", "");
    let (a, b) = (podman.address("a", &WEB), podman.address("b", &WEB));
    podman.exec("a", &format!("ping -c 1 -W 2 {b}"));
    podman.exec("b", &format!("ping -c 1 -W 2 {a}"));
    podman.exec("a", "httpd -p 80 -h /www");
    let served = podman.exec("b", &format!("wget -q -O - http://{a}/"));
    assert_eq!(served, "served\n");
}

#[test]
fn a_container_reaches_the_outside_behind_the_nodes_address() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB]);
    let container = podman.start("a", "");
    site.assert_reaches_outside(&container, Outside::V4.into(), Outside::NODE_V4.into());
    podman.exec("a", &format!("ping -c 1 -W 2 {}", Outside::V4));
}

#[test]
fn published_ports_answer_from_outside_and_from_the_node() {
    published_ports(UNDER_TEST);
}

/// A port of each transport, one of them out of a range.
pub fn published_ports(plugin: Plugin) {
    let site = Site::new();
    let podman = Podman::new(&site, plugin, &[WEB]);
    let ports = "--publish 8080:80 --publish 9000-9010:9000-9010/udp";
    let container = podman.start("a", ports);
    for (transport, port, published) in [
        (Transport::Tcp, 80, 8080),
        (Transport::Udp, 9000, 9000),
        (Transport::Udp, 9010, 9010),
    ] {
        let published = SocketAddr::new(Outside::NODE_V4.into(), published);
        site.assert_published(&container, (transport, port), published);
    }
    let address = podman.address("a", &WEB);
    podman.remove("a");
    site.assert_nothing_left(&[&address, "8080", "9010"]);
}

#[test]
fn a_container_resolves_names_with_the_server_of_its_resolv_conf() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB]);
    podman.start("a", "");
    let conf = podman.exec("a", "cat /etc/resolv.conf");
    let server = format!("nameserver {}", Outside::V4);
    assert!(conf.lines().any(|line| line == server), "{conf}");
    let found = podman.exec("a", &format!("nslookup {}", dns::NAME));
    assert!(found.contains(&dns::ADDRESS.to_string()), "{found}");
}

#[test]
fn a_container_of_two_networks_reaches_both() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[WEB, DB]);
    let both = podman.start("both", "--network web,db");
    podman.start("a", "--network web");
    podman.start("b", "--network db");
    let (a, b) = (podman.address("a", &WEB), podman.address("b", &DB));
    podman.exec(
        "both",
        &format!("ping -c 1 -W 2 -I {} {a}", podman.address("both", &WEB)),
    );
    podman.exec(
        "both",
        &format!("ping -c 1 -W 2 -I {} {b}", podman.address("both", &DB)),
    );
    site.assert_reaches_outside(&both, Outside::V4.into(), Outside::NODE_V4.into());
    podman.remove("both");
    podman.exec("a", "ping -c 1 -W 2 10.77.0.1");
    podman.exec("b", "ping -c 1 -W 2 10.79.0.1");
}

#[test]
fn a_dual_stack_container_is_reached_and_reaches_in_both_families() {
    let site = Site::new();
    let podman = Podman::new(&site, UNDER_TEST, &[DUAL]);
    let container = podman.start("a", "--publish 8080:80 --publish 8081:81/udp");
    podman.start("b", "");
    let attachment = podman.attachment("b", &DUAL);
    for key in ["IPAddress", "GlobalIPv6Address"] {
        let address = attachment[key].as_str().expect("it has one of each family");
        podman.exec("a", &format!("ping -c 1 -W 2 {address}"));
    }
    site.assert_reaches_outside(&container, Outside::V4.into(), Outside::NODE_V4.into());
    site.assert_reaches_outside(&container, Outside::V6.into(), Outside::NODE_V6.into());
    for node in [Outside::NODE_V4.into(), Outside::NODE_V6.into()] {
        let tcp = SocketAddr::new(node, 8080);
        site.assert_published(&container, (Transport::Tcp, 80), tcp);
        let udp = SocketAddr::new(node, 8081);
        site.assert_published(&container, (Transport::Udp, 81), udp);
    }
}
