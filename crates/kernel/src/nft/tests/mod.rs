//! Against the running kernel, in a fresh namespace a test, and against `nft` itself.

mod fixture;
mod hostile;
mod kernel;
mod many;
mod rules;
mod strangers;

use super::lift::lift;
use super::lower::lower;
use netstate::nft::NftFamily;

#[test]
fn every_rule_comes_back_from_its_instructions() {
    for family in [NftFamily::Inet, NftFamily::Bridge] {
        for rule in [rules::of_family(family), rules::of_nat()].concat() {
            let lowered = lower(family, &rule, &fixture::leads_to_port).unwrap();
            let lifted = lift(family, &lowered, &fixture::leads_to_port);
            assert_eq!(lifted.as_ref(), Some(&rule), "{family}: {lowered:?}");
        }
    }
}
