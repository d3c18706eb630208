//! Names that are none of ours: asked for by the node's resolvers, or not at all.

use hickory_proto::op::{Message, ResponseCode};
use hickory_proto::rr::RecordType;
use model::Reach;
use testnet::Outside;
use testnet::dns::{By, addresses, ask, ask_by_tcp, reply, resolver, wait_for};

use crate::ground::NamesNode;

fn plain(question: &Message, _: By) -> Vec<Message> {
    vec![reply(question, "198.51.100.7")]
}

/// Before the answer come some that are none: of another number, of another name.
fn with_forgeries(question: &Message, by: By) -> Vec<Message> {
    let mut number = reply(question, "192.0.2.66");
    number.metadata.id = question.metadata.id.wrapping_add(1);
    let mut other = question.clone();
    other.queries[0].set_name(hickory_proto::rr::Name::from_ascii("other.test.").unwrap());
    vec![
        number,
        reply(&other, "192.0.2.66"),
        plain(question, by).remove(0),
    ]
}

/// Long, and by UDP cut.
fn long(question: &Message, by: By) -> Vec<Message> {
    let mut answer = reply(question, "198.51.100.0");
    if by == By::Udp {
        answer.answers.clear();
        answer.metadata.truncation = true;
        return vec![answer];
    }
    for n in 1..200 {
        let more = reply(question, &format!("198.51.100.{n}"));
        answer.answers.extend(more.answers);
    }
    vec![answer]
}

fn silent(_: &Message, _: By) -> Vec<Message> {
    Vec::new()
}

/// A node whose resolver is outside and answers so.
fn node(with: fn(&Message, By) -> Vec<Message>) -> (NamesNode, Outside) {
    let node = NamesNode::with_resolver(&Outside::V4.to_string());
    let outside = node.outside();
    resolver(outside.netns(), &Outside::V4.to_string(), with);
    node.network(5, Reach::Outside);
    node.attach(5, "a", 10, &[]);
    node.serve();
    (node, outside)
}

#[test]
fn other_names_are_asked_for_and_forgeries_are_no_answers() {
    let (_node, _outside) = node(with_forgeries);
    let answer = ask("a", "10.5.0.1", "name.test.", RecordType::A).unwrap();
    assert_eq!(addresses(&answer), ["198.51.100.7"]);
    // Our own names are ours, whatever a resolver would say.
    let own = ask("a", "10.5.0.1", "a", RecordType::A).unwrap();
    assert_eq!(addresses(&own), ["10.5.0.10"]);
}

#[test]
fn long_answers_come_by_tcp() {
    let (_node, _outside) = node(long);
    let short = ask("a", "10.5.0.1", "name.test.", RecordType::A).unwrap();
    assert!(short.metadata.truncation);
    let whole = ask_by_tcp("a", "10.5.0.1", "name.test.", RecordType::A);
    assert_eq!(whole.answers.len(), 200);
}

#[test]
fn a_resolver_that_says_nothing_is_given_up() {
    let (_node, _outside) = node(silent);
    let answer = ask("a", "10.5.0.1", "name.test.", RecordType::A).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
}

#[test]
fn another_resolver_is_asked_as_soon_as_it_is_named() {
    let (node, outside) = node(silent);
    let second = "203.0.113.3";
    node.sh(&format!("ip -n outside addr add {second}/24 dev out0"));
    resolver(outside.netns(), second, plain);
    node.set_resolver(second);
    wait_for("a", "10.5.0.1", "name.test.", &["198.51.100.7"]);
}

#[test]
fn an_internal_network_asks_nobody() {
    let (node, _outside) = node(plain);
    node.network(9, Reach::Internal);
    node.attach(9, "v", 19, &[]);
    wait_for("v", "10.9.0.1", "v", &["10.9.0.19"]);
    let answer = ask("v", "10.9.0.1", "name.test.", RecordType::A).unwrap();
    assert_eq!(answer.metadata.response_code, ResponseCode::NXDomain);
}

#[test]
fn one_container_can_not_take_the_resolvers_from_the_others() {
    let (node, _outside) = node(silent);
    node.attach(5, "b", 11, &[]);
    wait_for("b", "10.5.0.1", "b", &["10.5.0.11"]);
    testnet::Netns::named("a").run(|| {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        for n in 0..2000_u32 {
            let mut question = Message::query();
            let name = hickory_proto::rr::Name::from_ascii(format!("n{n}.test.")).unwrap();
            question.add_query(hickory_proto::op::Query::query(name, RecordType::A));
            socket
                .send_to(&question.to_vec().unwrap(), "10.5.0.1:53")
                .unwrap();
        }
    });
    // A question among the flood may find the socket full, as on any server: the next is answered.
    wait_for("b", "10.5.0.1", "a", &["10.5.0.10"]);
}
