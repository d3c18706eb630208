//! Questions and answers between two containers, a hundred each second, while something else
//! happens: how many got no answer.

use std::io::{self, Write};
use std::net::{SocketAddr, UdpSocket};
use std::process::Child;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use testnet::silent;

use crate::ground::Ground;

const PACE: Duration = Duration::from_millis(10);
/// An answer that took longer is none.
const PATIENCE: Duration = Duration::from_millis(900);
const PORT: u16 = 7000;

/// Asked and answered.
#[derive(Debug, Clone, Copy, Default)]
pub struct Count {
    pub asked: u32,
    pub lost: u32,
}

pub struct Pulse {
    /// Dropping it ends both sides.
    stop: [Sender<()>; 2],
    asking: JoinHandle<Count>,
    answering: JoinHandle<()>,
    held: [Child; 2],
}

impl Pulse {
    /// From a container on one node to one on another, whose address this is.
    pub fn start(ground: &Ground, from: (&str, &str), to: (&str, &str), address: &str) -> Self {
        let (client, held_client) = ground.container(from.0, from.1);
        let (server, held_server) = ground.container(to.0, to.1);
        let to = SocketAddr::new(address.parse().unwrap(), PORT);
        let listening = server.run(|| UdpSocket::bind(to).unwrap());
        let asking = client.run(|| {
            let socket = UdpSocket::bind(("0.0.0.0", 0)).unwrap();
            socket.connect(to).unwrap();
            socket
        });
        let (stop_asking, asked_to_stop) = channel();
        let (stop_answering, told) = channel();
        Self {
            stop: [stop_asking, stop_answering],
            asking: thread::spawn(move || ask(&asking, &asked_to_stop)),
            answering: thread::spawn(move || answer(&listening, &told)),
            held: [held_client, held_server],
        }
    }

    pub fn end(self) -> Count {
        let [stop_asking, stop_answering] = self.stop;
        drop(stop_asking);
        let count = self.asking.join().unwrap();
        drop(stop_answering);
        self.answering.join().unwrap();
        for mut held in self.held {
            held.kill().unwrap();
            held.wait().unwrap();
        }
        count
    }

    /// Ends it; nothing got lost.
    pub fn assert_whole(self, what: &str) -> Count {
        let count = self.end();
        assert!(count.asked > 20 && count.lost == 0, "{what}: {count:?}");
        count
    }
}

fn ask(socket: &UdpSocket, stop: &Receiver<()>) -> Count {
    socket.set_read_timeout(Some(silent(PATIENCE))).unwrap();
    let mut count = Count::default();
    while let Err(RecvTimeoutError::Timeout) = stop.recv_timeout(PACE) {
        count.asked += 1;
        let question = count.asked.to_be_bytes();
        let answered = socket.send(&question).is_ok() && is_answered(socket, question);
        count.lost += u32::from(!answered);
    }
    count
}

/// Answers that come late are to questions that count as lost.
fn is_answered(socket: &UdpSocket, question: [u8; 4]) -> bool {
    let mut answer = [0; 4];
    let begun = Instant::now();
    while begun.elapsed() < silent(PATIENCE) {
        match socket.recv(&mut answer) {
            Ok(_) if answer == question => return true,
            Ok(_) => {}
            Err(_) => return false,
        }
    }
    false
}

fn answer(socket: &UdpSocket, stop: &Receiver<()>) {
    socket.set_read_timeout(Some(PACE)).unwrap();
    let mut question = [0; 4];
    while let Err(std::sync::mpsc::TryRecvError::Empty) = stop.try_recv() {
        if let Ok((_, from)) = socket.recv_from(&mut question) {
            // Who gets no answer counts it.
            let _ = socket.send_to(&question, from);
        }
    }
}

/// A figure for whoever reads the tests' output.
pub fn figure(text: &str) {
    writeln!(io::stderr().lock(), "figure: {text}").unwrap();
}
