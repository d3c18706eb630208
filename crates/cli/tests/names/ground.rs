//! A node whose processes all end with the test, a client that asks, and a resolver to be asked.

use std::fs;
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::ops::Deref;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use hickory_proto::op::{Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::{Name, RData, Record, RecordType};
use serde_json::Value;
use testnet::{Netns, Node, Output, output, wait_until};

const PONTOON: &str = env!("CARGO_BIN_EXE_pontoon");
/// How long the server may take to notice, and an answer to come.
pub const SOON: Duration = Duration::from_secs(10);
/// How long nothing must come.
const NEVER: Duration = Duration::from_millis(700);
const READY: &str = "/run/ground";
/// The node's resolver configuration, mounted over the machine's.
const RESOLV_CONF: &str = "/run/resolv.conf";
/// The first process of a process namespace: what the server outlives its parents in.
const FIRST: &str = "\
read -r pid rest < /proc/self/stat
mount -t proc proc /proc
echo $pid > $1.new
mv $1.new $1
sleep infinity & wait";

pub struct NamesNode {
    node: Node,
    keeper: Child,
    first: u32,
}

impl Deref for NamesNode {
    type Target = Node;
    fn deref(&self) -> &Node {
        &self.node
    }
}

impl NamesNode {
    /// Whose own resolver is at this address.
    pub fn with_resolver(resolver: &str) -> Self {
        let node = Node::new();
        fs::write(RESOLV_CONF, format!("nameserver {resolver}\n")).unwrap();
        node.sh(&format!(
            "mount --make-rshared /run; mount --bind {RESOLV_CONF} /etc/resolv.conf"
        ));
        let mut keeper = node.command("unshare");
        keeper
            .args(["--fork", "--kill-child", "--pid", "--mount"])
            .args([
                "--propagation",
                "unchanged",
                "sh",
                "-euc",
                FIRST,
                "sh",
                READY,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let keeper = keeper.spawn().unwrap();
        let read = || fs::read_to_string(READY).ok()?.trim().parse().ok();
        wait_until("the first process", SOON, || read().is_some());
        Self {
            node,
            keeper,
            first: read().unwrap(),
        }
    }

    pub fn new() -> Self {
        Self::with_resolver("127.0.0.1")
    }

    /// Names another resolver.
    pub fn set_resolver(&self, resolver: &str) {
        fs::write(RESOLV_CONF, format!("nameserver {resolver}\n")).unwrap();
    }

    /// A command inside.
    pub fn inside(&self, program: &str) -> Command {
        let mut command = self.node.command("nsenter");
        command
            .args(["--target", &self.first.to_string(), "--pid", "--mount"])
            .args(["--", program]);
        command
    }

    pub fn try_pontoon(&self, line: &str) -> Output {
        self.try_pontoon_at(PONTOON, line)
    }

    /// By the binary at this path.
    pub fn try_pontoon_at(&self, path: &str, line: &str) -> Output {
        output(self.inside(path).args(line.split_whitespace()))
    }

    /// Runs `pontoon`, which must succeed and complain about nothing.
    pub fn pontoon(&self, line: &str) -> String {
        let out = self.try_pontoon(line);
        assert_eq!(out.stderr, "", "pontoon {line}");
        out.expect_success(line)
    }

    pub fn names(&self) -> Value {
        serde_json::from_str(&self.pontoon("names --json")).unwrap()
    }

    pub fn server(&self) -> Option<u32> {
        let pid = self.names()["server"]["pid"].as_u64()?;
        Some(u32::try_from(pid).unwrap())
    }

    /// Kills the server, and waits until it is gone.
    pub fn kill_server(&self) {
        let pid = self.server().expect("the server runs").to_string();
        let _ = output(self.inside("kill").args(["-KILL", &pid])).expect_success("kill");
        wait_until("the server is gone", SOON, || self.server().is_none());
    }

    pub fn binary() -> &'static Path {
        Path::new(PONTOON)
    }
}

impl Drop for NamesNode {
    fn drop(&mut self) {
        // With it goes whatever else runs inside.
        let _ = Command::new("kill")
            .args(["-KILL", &self.first.to_string()])
            .status();
        let _ = self.keeper.wait();
    }
}

fn question(name: &str, kind: RecordType) -> Message {
    let mut message = Message::query();
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(Name::from_ascii(name).unwrap(), kind));
    message
}

/// What the server at `server` answers in a namespace; `None` where it does not.
pub fn ask(from: &str, server: &str, name: &str, kind: RecordType) -> Option<Message> {
    ask_within(NEVER * 8, &Netns::named(from), server, name, kind)
}

pub fn ask_within(
    bound: Duration,
    from: &Netns,
    server: &str,
    name: &str,
    kind: RecordType,
) -> Option<Message> {
    let question = question(name, kind);
    let server = SocketAddr::new(server.parse().unwrap(), 53);
    let any = if server.is_ipv4() {
        "0.0.0.0:0"
    } else {
        "[::]:0"
    };
    let heard = from.run(|| {
        let socket = UdpSocket::bind(any).ok()?;
        socket.set_read_timeout(Some(bound)).ok()?;
        socket.connect(server).ok()?;
        socket.send(&question.to_vec().ok()?).ok()?;
        let mut bytes = [0; 4096];
        let n = socket.recv(&mut bytes).ok()?;
        Some(bytes[..n].to_vec())
    })?;
    let answer = Message::from_vec(&heard).unwrap();
    assert_eq!(answer.metadata.id, question.metadata.id);
    Some(answer)
}

/// That nobody answers, from a namespace.
pub fn is_silent(from: &Netns, server: &str, name: &str) -> bool {
    ask_within(NEVER, from, server, name, RecordType::A).is_none()
}

/// The same by TCP.
pub fn ask_by_tcp(from: &str, server: &str, name: &str, kind: RecordType) -> Message {
    let question = question(name, kind).to_vec().unwrap();
    let server = SocketAddr::new(server.parse().unwrap(), 53);
    let heard = Netns::named(from).run(|| {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        let length = u16::try_from(question.len()).unwrap().to_be_bytes();
        stream
            .write_all(&[&length[..], &question].concat())
            .unwrap();
        let mut length = [0; 2];
        stream.read_exact(&mut length).unwrap();
        let mut bytes = vec![0; u16::from_be_bytes(length).into()];
        stream.read_exact(&mut bytes).unwrap();
        bytes
    });
    Message::from_vec(&heard).unwrap()
}

/// The addresses of an answer, sorted.
pub fn addresses(answer: &Message) -> Vec<String> {
    let of = |record: &Record| match &record.data {
        RData::A(a) => Some(a.0.to_string()),
        RData::AAAA(a) => Some(a.0.to_string()),
        _ => None,
    };
    let mut all: Vec<String> = answer.answers.iter().filter_map(of).collect();
    all.sort();
    all
}

/// Waits until a name has exactly these IPv4 addresses.
pub fn wait_for(from: &str, server: &str, name: &str, expected: &[&str]) {
    wait_until(&format!("{name} is {expected:?}"), SOON, || {
        ask(from, server, name, RecordType::A).is_some_and(|a| addresses(&a) == expected)
    });
}

/// A resolver that answers as `with` makes of each question, by UDP and TCP, until the test ends.
pub fn resolver(netns: &Netns, address: &str, with: fn(&Message, By) -> Vec<Message>) {
    let address: IpAddr = address.parse().unwrap();
    let udp = netns.run(|| UdpSocket::bind((address, 53)).unwrap());
    let tcp = netns.run(|| std::net::TcpListener::bind((address, 53)).unwrap());
    std::thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok((n, from)) = udp.recv_from(&mut bytes) {
            for answer in with(&Message::from_vec(&bytes[..n]).unwrap(), By::Udp) {
                udp.send_to(&answer.to_vec().unwrap(), from).unwrap();
            }
        }
    });
    std::thread::spawn(move || {
        for stream in tcp.incoming() {
            let mut stream = stream.unwrap();
            let mut length = [0; 2];
            stream.read_exact(&mut length).unwrap();
            let mut bytes = vec![0; u16::from_be_bytes(length).into()];
            stream.read_exact(&mut bytes).unwrap();
            for answer in with(&Message::from_vec(&bytes).unwrap(), By::Tcp) {
                let bytes = answer.to_vec().unwrap();
                let length = u16::try_from(bytes.len()).unwrap().to_be_bytes();
                stream.write_all(&[&length[..], &bytes].concat()).unwrap();
            }
        }
    });
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum By {
    Udp,
    Tcp,
}

/// An answer to a question, with this address.
pub fn reply(question: &Message, address: &str) -> Message {
    let mut answer = Message::new(question.metadata.id, MessageType::Response, OpCode::Query);
    answer.metadata.response_code = ResponseCode::NoError;
    answer.metadata.recursion_available = true;
    let query = question.queries[0].clone();
    let data = RData::A(address.parse().unwrap());
    answer.add_answer(Record::from_rdata(query.name().clone(), 60, data));
    answer.add_query(query);
    answer
}
