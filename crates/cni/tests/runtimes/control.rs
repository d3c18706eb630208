//! One body of these tests on the reference plugins: where this fails too, the ground is at fault.

use crate::plugin::Plugin;
use crate::podman_traffic;

#[test]
fn the_reference_plugins_pass_the_same_test() {
    podman_traffic::published_ports(Plugin::Reference);
}
