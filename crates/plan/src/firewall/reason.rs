//! Why a rule of ours drops what it drops, in a sentence for a person who wonders.

use netstate::nft::ADMIN_CHAIN;

/// The reason behind a rule, by its chain and its text as `nft list` prints it; `None` where it is
/// none of ours.
pub fn reason(chain: &str, rule: &str) -> Option<&'static str> {
    let networks = || {
        if rule.contains("@internal") {
            "an internal network has no way out or in"
        } else if rule.contains("ct state") {
            "it belongs to no connection that the node knows of"
        } else {
            "networks are kept apart; only published ports lead from one to another"
        }
    };
    Some(match chain {
        ADMIN_CHAIN => "the administrator's own rule",
        "networks" => networks(),
        chain if chain.starts_with("port") => {
            "an endpoint sends from its own MAC and addresses alone, and is no router"
        }
        chain if chain.starts_with("remote") => {
            "a node sends from the MACs and addresses of its own endpoints alone"
        }
        "vxlan" | "ipip" => "only nodes of the cluster send into the overlay",
        "raw_prerouting" => "it came around the bridge, and so around its guard",
        "from_bridge" if rule.contains("@vteps") => {
            "a container does not speak to other nodes' tunnels"
        }
        "from_bridge" => "the node's loopback addresses are for the node alone",
        _ => return None,
    })
}
