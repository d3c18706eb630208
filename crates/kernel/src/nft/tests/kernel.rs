//! Transactions and observation against the running kernel.

use std::io::Write;
use std::process::{Command, Stdio};

use netstate::nft::{Datum, DatumType, ElementKey, Item, NftFamily, Rule, SetSpec, text};
use netstate::{KernelState, Step, diff};
use rustix::io::Errno;

use super::super::{Ruleset, TransactionError, element, observe, transaction};
use super::fixture::{self, chain_key, ifname, ip, port, set_key};
use super::rules::{DROP, host, is};
use crate::netlink::{Protocol, Socket};
use NftFamily::{Bridge, Inet};

/// Runs `test` on a thread in a network namespace of its own.
#[allow(unsafe_code)]
pub fn in_fresh_netns(test: impl FnOnce(&mut Socket) + Send + 'static) {
    let thread = std::thread::spawn(|| {
        // SAFETY: unshare(2) takes no pointers and moves only this thread, which ends after.
        let answer = unsafe { libc::unshare(libc::CLONE_NEWNET) };
        assert_eq!(
            answer,
            0,
            "unshare needs root: {}",
            std::io::Error::last_os_error()
        );
        test(&mut Socket::open(Protocol::Netfilter).unwrap());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

/// Runs `nft` in the calling thread's namespace.
pub fn nft(arguments: &[&str], input: &str) -> String {
    let mut child = Command::new("nft")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success(),
        "nft {arguments:?} refused:\n{input}"
    );
    String::from_utf8(output.stdout).unwrap()
}

pub fn list(family: NftFamily) -> String {
    let family = family.to_string();
    nft(&["--stateless", "list", "table", &family, text::TABLE], "")
}

/// White space made one, elements sorted.
fn canonical(listing: &str) -> Vec<String> {
    let one_line = listing.split_whitespace().collect::<Vec<_>>().join(" ");
    let sort = |part: &str| match part.split_once(" }") {
        Some((elements, rest)) => {
            let mut elements: Vec<&str> = elements.trim().split(", ").collect();
            elements.sort_unstable();
            format!("elements = {{ {} }}{rest}", elements.join(", "))
        }
        None => part.to_owned(),
    };
    let mut parts = one_line.split("elements = {");
    let head = parts.next().unwrap_or_default().to_owned();
    let sorted = [head]
        .into_iter()
        .chain(parts.map(sort))
        .collect::<String>();
    sorted
        .split_inclusive([';', '{', '}'])
        .map(|line| line.trim().to_owned())
        .collect()
}

pub fn as_state(seen: Ruleset) -> KernelState {
    KernelState {
        tables: seen
            .tables
            .into_iter()
            .map(|(family, mark)| (family, mark.unwrap_or_default()))
            .collect(),
        sets: seen.sets,
        chains: seen.chains,
        elements: seen.elements,
        ..KernelState::default()
    }
}

pub fn install(socket: &mut Socket) {
    let steps = fixture::steps();
    if let Err(error) = transaction(socket, &steps) {
        let step = match &error {
            TransactionError::DoStep { index, .. } | TransactionError::WriteStep { index } => {
                Some(&steps[*index])
            }
            _ => None,
        };
        panic!("{error}: {step:?}");
    }
}

#[test]
fn what_is_installed_is_observed() {
    in_fresh_netns(|socket| {
        assert_eq!(observe(socket).unwrap(), Ruleset::default());
        install(socket);
        let seen = as_state(observe(socket).unwrap());
        let wanted = fixture::state();
        assert_eq!(seen.sets, wanted.sets);
        assert_eq!(seen.elements, wanted.elements);
        for (key, chain) in &wanted.chains {
            assert_eq!(seen.chains.get(key), Some(chain), "{key:?}");
        }
        assert_eq!(seen, wanted);
        assert!(diff(&seen, &wanted).is_empty());
        let mut removal = diff(&seen, &KernelState::default()).steps;
        removal.retain(Step::is_nft);
        transaction(socket, &removal).unwrap();
        assert_eq!(observe(socket).unwrap(), Ruleset::default());
    });
}

#[test]
fn our_text_is_what_nft_lists() {
    in_fresh_netns(|socket| {
        install(socket);
        for family in [Inet, Bridge] {
            let ours = text::table(family, &fixture::state());
            assert_eq!(canonical(&list(family)), canonical(&ours));
        }
    });
}

#[test]
fn the_table_text_loads_and_is_observed_as_ours() {
    in_fresh_netns(|socket| {
        for family in [Inet, Bridge] {
            nft(&["-f", "-"], &text::table(family, &fixture::state()));
        }
        assert_eq!(as_state(observe(socket).unwrap()), fixture::state());
    });
}

#[test]
fn the_printed_steps_make_the_same_tables() {
    let commands: Vec<String> = fixture::steps().iter().filter_map(text::command).collect();
    let (native, printed) = (listings_of(install), move |socket: &mut Socket| {
        for command in &commands {
            nft(&[command], "");
        }
        assert_eq!(as_state(observe(socket).unwrap()), fixture::state());
    });
    assert_eq!(listings_of(printed), native);
}

/// What `nft` lists after `make`.
fn listings_of(make: impl FnOnce(&mut Socket) + Send + 'static) -> Vec<Vec<String>> {
    let (sender, receiver) = std::sync::mpsc::channel();
    in_fresh_netns(move |socket| {
        make(socket);
        let listings = [Inet, Bridge].map(|family| canonical(&list(family)));
        sender.send(listings.to_vec()).unwrap();
    });
    receiver.recv().unwrap()
}

#[test]
fn deletes_of_what_is_gone_do_not_fail_the_rest() {
    in_fresh_netns(|socket| {
        let gone: Vec<Step> = vec![
            Step::DelElement(bridge_element("brA")),
            Step::DelElement(bridge_element("brB")),
            Step::FlushChain(chain_key(Inet, "next")),
            Step::DelChain(chain_key(Inet, "next")),
            Step::DelSet(set_key(Inet, "bridges")),
            Step::DelTable(Inet),
        ];
        transaction(socket, &gone).unwrap();
        install(socket);
        let steps = vec![
            Step::DelElement(bridge_element("absent")),
            Step::DelElement(bridge_element("brA")),
            Step::DelElement(bridge_element("absent2")),
            Step::DelChain(chain_key(Inet, "absent")),
            Step::AddElement(bridge_element("brZ"), vec![]),
        ];
        transaction(socket, &steps).unwrap();
        assert_eq!(element(socket, &bridge_element("brA")).unwrap(), None);
        assert_eq!(
            element(socket, &bridge_element("brZ")).unwrap(),
            Some(vec![])
        );
    });
}

#[test]
fn elements_go_and_come_back_without_their_sets() {
    in_fresh_netns(|socket| {
        install(socket);
        let elements = || fixture::state().elements.into_iter();
        let gone: Vec<Step> = elements().map(|(key, _)| Step::DelElement(key)).collect();
        transaction(socket, &gone).unwrap();
        assert_eq!(observe(socket).unwrap().elements.len(), 0);
        let back: Vec<Step> = elements()
            .map(|(key, data)| Step::AddElement(key, data))
            .collect();
        transaction(socket, &back).unwrap();
        assert_eq!(as_state(observe(socket).unwrap()), fixture::state());
    });
}

pub fn bridge_element(name: &str) -> ElementKey {
    ElementKey {
        set: set_key(Inet, "bridges"),
        key: vec![Item::One(ifname(name))],
    }
}

#[test]
fn the_same_again_is_no_error_and_other_data_is() {
    in_fresh_netns(|socket| {
        install(socket);
        let elements = fixture::state().elements;
        let again: Vec<Step> = fixture::steps()
            .into_iter()
            .filter(|step| !matches!(step, Step::AddRule(..)))
            .collect();
        transaction(socket, &again).unwrap();
        assert_eq!(as_state(observe(socket).unwrap()), fixture::state());
        for (key, data) in elements.iter().filter(|(_, data)| !data.is_empty()) {
            let mut other = data.clone();
            other[0] = match &other[0] {
                Datum::Ipv4Addr(_) => ip("10.66.66.66"),
                _ => ip("fd66::66"),
            };
            let steps = [
                Step::AddElement(bridge_element("brY"), vec![]),
                Step::AddElement(key.clone(), other),
            ];
            match transaction(socket, &steps) {
                Err(TransactionError::DoStep { index: 1, source }) => {
                    assert_eq!(source.errno, Errno::EXIST, "{key:?}");
                }
                other => panic!("{key:?}: {other:?}"),
            }
        }
        assert_eq!(element(socket, &bridge_element("brY")).unwrap(), None);
    });
}

#[test]
fn the_refused_step_is_named_among_many() {
    in_fresh_netns(|socket| {
        install(socket);
        let mut steps: Vec<Step> = (0..1000).map(|n| port_step(n, 80)).collect();
        steps[777] = Step::AddElement(port_key(8080), vec![ip("10.1.0.3"), port(80)]);
        let error = transaction(socket, &steps).unwrap_err();
        assert!(
            matches!(&error, TransactionError::DoStep { index: 777, source } if source.errno == Errno::EXIST),
            "{error:?}"
        );
        let nonsense = Rule(vec![is(netstate::nft::Expr::Iifname, host("::1")), DROP]);
        let steps = [Step::AddRule(chain_key(Inet, "next"), nonsense)];
        let error = transaction(socket, &steps).unwrap_err();
        assert_eq!(error, TransactionError::WriteStep { index: 0 });
    });
}

pub fn port_key(number: u16) -> ElementKey {
    ElementKey {
        set: set_key(Inet, "ports4"),
        key: vec![
            Item::One(Datum::InetProto(model::Proto::Tcp)),
            Item::One(port(number)),
        ],
    }
}

pub fn port_step(number: u16, to: u16) -> Step {
    let number = number + 10_000;
    Step::AddElement(port_key(number), vec![ip("10.1.0.2"), port(to)])
}

#[test]
fn a_batch_is_all_or_nothing() {
    in_fresh_netns(|socket| {
        let spec = SetSpec {
            key: vec![DatumType::Ifname],
            data: vec![],
            interval: false,
        };
        let steps = [
            Step::AddTable(Inet, "mark".into()),
            Step::AddSet(set_key(Inet, "bridges"), spec),
            Step::AddElement(bridge_element("brA"), vec![]),
            Step::DelElement(bridge_element("absent")),
            Step::AddRule(chain_key(Inet, "absent"), Rule(vec![DROP])),
        ];
        let error = transaction(socket, &steps).unwrap_err();
        assert!(
            matches!(error, TransactionError::DoStep { index: 4, .. }),
            "{error}"
        );
        assert_eq!(observe(socket).unwrap(), Ruleset::default());
        transaction(socket, &steps[..4]).unwrap();
        assert_eq!(observe(socket).unwrap().elements.len(), 1);
    });
}
