//! One container asks as fast as it can: it is refused, and nobody else is.

use std::io::{Read, Write};
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use hickory_proto::op::{Message, Query};
use hickory_proto::rr::{Name, RecordType};
use model::Reach;
use testnet::dns::{SOON, addresses, ask, ask_within};
use testnet::{Netns, patient, wait_until};

use crate::ground::NamesNode;

/// How many questions the other container asks during the flood.
const ASKED: usize = 300;

fn question() -> Vec<u8> {
    let mut message = Message::query();
    message.add_query(Query::query(Name::from_ascii("b.").unwrap(), RecordType::A));
    message.to_vec().unwrap()
}

fn node() -> NamesNode {
    let node = NamesNode::with_resolver("127.0.0.1");
    node.network(5, Reach::Outside);
    node.attach(5, "a", 10, &[]);
    node.attach(5, "b", 11, &[]);
    node.serve();
    node
}

fn refused(node: &NamesNode, address: &str) -> u64 {
    let report = names::read_report(node.state_dir());
    let address: IpAddr = address.parse().unwrap();
    report.map_or(0, |report| {
        report.refused.get(&address).copied().unwrap_or(0)
    })
}

/// Processor time of this process so far, in ticks.
fn cpu() -> u64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let behind = stat.rsplit_once(')').unwrap().1;
    let ticks = behind.split_whitespace().skip(11).take(2);
    ticks.map(|ticks| ticks.parse::<u64>().unwrap()).sum()
}

#[test]
fn others_are_answered_while_one_floods() {
    let node = node();
    let over = AtomicBool::new(false);
    thread::scope(|scope| {
        let flood = scope.spawn(|| {
            let socket = Netns::named("a").run(|| UdpSocket::bind("10.5.0.10:0").unwrap());
            socket.connect("10.5.0.1:53").unwrap();
            let question = question();
            let mut sent = 0_u64;
            while !over.load(Ordering::Relaxed) {
                // Its own queue may be full.
                sent += u64::from(socket.send(&question).is_ok());
            }
            sent
        });
        wait_until("the flood is refused", SOON, || {
            refused(&node, "10.5.0.10") > 0
        });
        let netns = Netns::named("b");
        let begun = Instant::now();
        let answered = (0..ASKED).filter(|_| {
            // As a resolver does, which asks once more.
            (0..2).any(|_| {
                let bound = patient(SOON) / 10;
                let answer = ask_within(bound, &netns, "10.5.0.1", "b", RecordType::A);
                answer.is_some_and(|answer| addresses(&answer) == ["10.5.0.11"])
            })
        });
        let answered = answered.count();
        let (took, ticks) = (begun.elapsed(), cpu());
        over.store(true, Ordering::Relaxed);
        let sent = flood.join().unwrap();
        println!(
            "{answered} of {ASKED} answered in {took:?}, {ticks} ticks, {sent} sent by the flood"
        );
        assert_eq!(answered, ASKED);
    });
    assert_eq!(refused(&node, "10.5.0.11"), 0);
    // Who stops is answered again.
    wait_until("a is answered", SOON, || {
        ask("a", "10.5.0.1", "b", RecordType::A).is_some()
    });
}

#[test]
fn a_connection_that_asks_too_much_is_closed() {
    let node = node();
    Netns::named("a").run(|| {
        let mut stream = TcpStream::connect("10.5.0.1:53").unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let mut reader = stream.try_clone().unwrap();
        let reading = thread::spawn(move || {
            let mut answers = Vec::new();
            let _ = reader.read_to_end(&mut answers);
            answers.len()
        });
        let question = question();
        let length = u16::try_from(question.len()).unwrap().to_be_bytes();
        let asked = [&length[..], &question].concat();
        // Far more than the server takes at once, and than fits on the way.
        let all = (0..1_000_000).all(|_| stream.write_all(&asked).is_ok());
        assert!(!all, "the server hangs up");
        assert!(
            reading.join().unwrap() > 1000 * asked.len(),
            "it has answered before"
        );
    });
    wait_until("it is told", SOON, || refused(&node, "10.5.0.10") > 0);
    assert!(ask("b", "10.5.0.1", "a", RecordType::A).is_some());
}
