//! How nft steps stand among the others of a plan. What they do is tested beside `nft`.

mod common;

use common::{apply, assert_holds, bridge_key, network};
use kernel::{ErrorKind, Kernel};
use netstate::nft::{Datum, DatumType, ElementKey, Item, NftFamily, SetKey, SetSpec};
use netstate::{KernelState, Plan, Step, diff};
use testnet::Node;

const MARK: &str = "pontoon 0123456789abcdef";

fn set(name: &str) -> SetKey {
    SetKey {
        family: NftFamily::Inet,
        name: name.into(),
    }
}

fn element(set: SetKey) -> ElementKey {
    let bridge = Datum::Ifname(bridge_key().name);
    ElementKey {
        set,
        key: vec![Item::One(bridge)],
    }
}

fn state() -> KernelState {
    let mut state = network();
    state.tables.insert(NftFamily::Inet, MARK.to_owned());
    let spec = SetSpec {
        key: vec![DatumType::Ifname],
        data: Vec::new(),
        interval: false,
    };
    state.sets.insert(set("bridges"), spec);
    state.elements.insert(element(set("bridges")), Vec::new());
    state
}

#[test]
fn nft_steps_are_one_transaction() {
    let _node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state();
    let plan = diff(&KernelState::default(), &wanted);
    let alone = plan.steps.iter().filter(|step| !step.is_nft()).count();
    let mut checkpoints = 0;
    let report = kernel.apply(&plan, &mut || checkpoints += 1);
    assert!(report.is_success(), "{report:?}");
    assert_eq!(report.done, (0..plan.steps.len()).collect::<Vec<_>>());
    assert_eq!(checkpoints, alone + 1);
    assert_holds(&mut kernel, &wanted);
    let there = kernel.element(&element(set("bridges"))).unwrap();
    assert_eq!(there, Some(Vec::new()));
    assert_eq!(kernel.element(&element(set("none"))).unwrap(), None);
    let stack = kernel.stack(None).unwrap();
    assert!(stack.tables[0].text.contains("elements = { \"pt-web\" }"));
    // And the whole of it goes again, network and tables.
    let report = apply(&mut kernel, &diff(&wanted, &KernelState::default()));
    assert!(report.is_success(), "{report:?}");
    assert_holds(&mut kernel, &KernelState::default());
}

#[test]
fn a_refused_nft_step_stops_its_transaction_alone() {
    let _node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    let wanted = state();
    let mut plan = Plan {
        steps: vec![
            Step::AddTable(NftFamily::Inet, MARK.to_owned()),
            Step::AddElement(element(set("none")), Vec::new()),
        ],
    };
    plan.steps
        .extend(diff(&KernelState::default(), &network()).steps);
    let report = apply(&mut kernel, &plan);
    let [(1, error)] = report.failed.as_slice() else {
        panic!("{report:?}");
    };
    assert_eq!(error.kind(), ErrorKind::Missing, "{error}");
    assert_eq!(report.skipped, [0]);
    assert_eq!(report.done.len(), plan.steps.len() - 2);
    let observed = kernel.observe(&common::interest(&wanted)).unwrap();
    assert_eq!(observed, network());
}

#[test]
fn a_table_of_our_name_shows_its_comment() {
    let node = Node::new();
    let mut kernel = Kernel::open().unwrap();
    node.sh("nft 'add table inet pontoon { comment \"mine\" ; }; add table bridge pontoon'");
    let observed = kernel.observe(&common::interest(&network())).unwrap();
    let marks: Vec<&str> = observed.tables.values().map(String::as_str).collect();
    assert_eq!(marks, ["mine", ""]);
}
