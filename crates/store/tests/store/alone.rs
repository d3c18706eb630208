//! Records that one process has to itself, and others that want them meanwhile.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

use model::NodeId;
use store::{NetworkRecord, OpenMode, Records};

use crate::fixture::{StateDir, add_endpoint, add_network};

/// Longer than opening and reading takes.
const PATIENCE: Duration = Duration::from_secs(60);
/// Less than anybody waits for records that another one has.
const LOOK: Duration = Duration::from_millis(100);

/// Reads the networks in a thread of its own.
fn reader(dir: &StateDir) -> Receiver<Vec<NetworkRecord>> {
    let (sender, receiver) = channel();
    let path = dir.path().to_owned();
    thread::spawn(move || {
        let records = Records::open(&path, OpenMode::ReadOnly, NodeId::from_bits(1)).unwrap();
        sender.send(records.networks().unwrap()).unwrap();
    });
    receiver
}

#[test]
fn who_opens_what_another_has_alone_waits_until_it_is_closed() {
    let dir = StateDir::new();
    let mut alone = dir.try_open(OpenMode::Alone).unwrap();
    let reader = reader(&dir);
    assert_eq!(reader.recv_timeout(LOOK), Err(RecvTimeoutError::Timeout));
    let web = add_network(&mut alone, "web");
    drop(alone);
    assert_eq!(reader.recv_timeout(PATIENCE), Ok(vec![web]));
}

#[test]
fn what_is_shared_again_can_be_opened_and_goes_on() {
    let dir = StateDir::new();
    let mut alone = dir.try_open(OpenMode::Alone).unwrap();
    let web = add_network(&mut alone, "web");
    alone.share().unwrap();
    assert_eq!(reader(&dir).recv_timeout(PATIENCE), Ok(vec![web.clone()]));
    let added = add_endpoint(&mut alone, web.network.id, |_| {}).unwrap();
    let other = dir.try_open(OpenMode::ReadOnly).unwrap();
    assert_eq!(other.endpoints().unwrap(), [added]);
    // Of no effect where nobody was kept out.
    alone.share().unwrap();
    assert_eq!(alone.networks().unwrap(), [web]);
}

#[test]
fn who_has_the_records_open_is_not_waited_for() {
    let dir = StateDir::new();
    let web = add_network(&mut dir.open(), "web");
    let other = dir.try_open(OpenMode::ReadOnly).unwrap();
    assert_eq!(other.networks().unwrap().len(), 1);
    let mut alone = dir.try_open(OpenMode::Alone).unwrap();
    let added = add_endpoint(&mut alone, web.network.id, |_| {}).unwrap();
    assert_eq!(other.endpoints().unwrap(), [added]);
}

#[test]
fn alone_and_together_in_turns_each_sees_what_was_before() {
    let dir = StateDir::new();
    let web = add_network(&mut dir.open(), "web").network.id;
    let mut all = Vec::new();
    for mode in [OpenMode::Alone, OpenMode::ReadWrite].repeat(3) {
        let mut records = dir.try_open(mode).unwrap();
        assert_eq!(records.endpoints().unwrap(), all);
        all.push(add_endpoint(&mut records, web, |_| {}).unwrap());
        drop(records);
        let reader = dir.try_open(OpenMode::ReadOnly).unwrap();
        assert_eq!(reader.endpoints().unwrap(), all);
    }
}
