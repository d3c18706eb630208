//! Counting what our rules dropped.

#![allow(clippy::unwrap_used, reason = "tests")]

use kernel::dropped;
use netstate::nft::NftFamily;
use testnet::Node;

#[test]
fn what_our_rules_drop_is_counted_chain_by_chain() {
    let node = Node::new();
    assert_eq!(dropped().unwrap(), []);
    node.sh("nft add table inet pontoon
         nft add chain inet pontoon admin
         nft add rule inet pontoon admin counter drop
         nft 'add chain inet pontoon guard { type filter hook output priority 0; }'
         nft add rule inet pontoon guard ip daddr 127.0.0.7 counter drop
         nft add rule inet pontoon guard ip daddr 127.0.0.8 counter drop
         nft add rule inet pontoon guard counter accept
         nft add table inet other
         nft 'add chain inet other guard { type filter hook output priority 1; }'
         nft add rule inet other guard counter drop
         for to in 7 8 8 9; do ping -c1 -W1 127.0.0.$to || true; done");
    let all = dropped().unwrap();
    let all: Vec<_> = all
        .iter()
        .map(|of| (of.family, of.chain.as_str(), of.packets))
        .collect();
    assert_eq!(all, [(NftFamily::Inet, "guard", 3)]);
}
