//! Pods as a kubelet makes them, through containerd's CRI.

use std::net::SocketAddr;

use testnet::{Outside, Transport};

use crate::containerd::Containerd;
use crate::cri::{Cri, PodSpec};
use crate::dns;
use crate::image;
use crate::plugin::UNDER_TEST;
use crate::site::{DUAL, Site, WEB};

const POD: PodSpec = PodSpec {
    name: "pod",
    ports: &[(Transport::Tcp, 80, 8080), (Transport::Udp, 53, 5353)],
};

#[test]
fn a_pod_is_reached_at_its_ports_and_reaches_the_outside() {
    let site = Site::new();
    let containerd = Containerd::new(&site, UNDER_TEST, WEB);
    let cri = Cri::new(&containerd);
    let pod = cri.start_pod(&POD);
    let container = cri.start_container(&pod, &image::IDLE);
    let netns = containerd.pen().netns_of(cri.pid(&pod));
    for (transport, port, published) in POD.ports {
        let published = SocketAddr::new(Outside::NODE_V4.into(), *published);
        site.assert_published(&netns, (*transport, *port), published);
    }
    site.assert_reaches_outside(&netns, Outside::V4.into(), Outside::NODE_V4.into());
    let found = cri.exec(&container, &["nslookup", dns::NAME]);
    assert!(found.contains(&dns::ADDRESS.to_string()), "{found}");
    drop(netns);
    let address = cri.address(&pod);
    cri.remove_pod(&pod);
    site.assert_nothing_left(&[&address, "8080", "5353"]);
}

#[test]
fn a_pod_whose_sandbox_is_killed_leaves_nothing() {
    let site = Site::new();
    let containerd = Containerd::new(&site, UNDER_TEST, DUAL);
    let cri = Cri::new(&containerd);
    let pod = cri.start_pod(&POD);
    let address = cri.address(&pod);
    containerd.pen().kill(cri.pid(&pod));
    cri.remove_pod(&pod);
    site.assert_nothing_left(&[&address, "8080", "5353"]);
}
