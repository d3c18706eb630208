//! A container keeps to its network rate, both ways, whatever it tries.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{Duration, Instant};

use testnet::{patient, stride, wait_until};

use crate::ground::{Ground, SOON};

const MEGABIT: f64 = 1e6;
/// Of a full packet's bits on the wire, those that are data: 1448 bytes of 1514.
const DATA: f64 = 1448.0 / 1514.0;
/// What passes before this is the burst, and TCP finding its speed.
const WARM_UP: Duration = Duration::from_millis(700);
const LONG_ENOUGH: Duration = Duration::from_secs(3);

/// A connection from a new container, which is kept to a rate and runs this script on it.
fn connection(ground: &Ground, rate: &str, script: &str) -> TcpStream {
    let listener = TcpListener::bind("10.5.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let connect = format!("exec 3<>/dev/tcp/10.5.0.1/{port}; {script}");
    ground.pontoon("rm --force --all");
    let words = [
        "run",
        "web",
        "-d",
        "--name",
        "one",
        "--net-rate",
        rate,
        "--",
    ];
    let words = [&words[..], &["bash", "-c", &connect]].concat();
    let begun = ground.try_words(&words);
    assert!(begun.success(), "{begun}");
    let (stream, _) = listener.accept().unwrap();
    stream.set_read_timeout(Some(patient(SOON))).unwrap();
    stream.set_write_timeout(Some(patient(SOON))).unwrap();
    stream
}

/// Data bits by the second, as `pass` answers how many bytes passed each time.
fn speed(mut pass: impl FnMut() -> usize) -> f64 {
    let begun = Instant::now();
    while begun.elapsed() < WARM_UP {
        pass();
    }
    let (begun, mut bytes) = (Instant::now(), 0);
    while begun.elapsed() < LONG_ENOUGH {
        bytes += pass();
    }
    bytes as f64 * 8.0 / begun.elapsed().as_secs_f64()
}

fn assert_kept(what: &str, rate: f64, measured: f64) {
    let on_the_wire = measured / DATA;
    let share = on_the_wire / rate;
    assert!(
        (0.9..=1.1).contains(&share),
        "{what}: {:.1} of {:.1} Mbit/s",
        on_the_wire / MEGABIT,
        rate / MEGABIT
    );
}

/// What it receives, which this end can't see: its kernel's counter does.
fn received(ground: &Ground, mut stream: TcpStream) -> f64 {
    let zeros = vec![0; 64 << 10];
    let stop = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                stream.write_all(&zeros).unwrap();
            }
        });
        let counter = || {
            let text = ground
                .exec("one", "cat /sys/class/net/eth0/statistics/rx_bytes")
                .stdout;
            (text.trim().parse::<f64>().unwrap(), Instant::now())
        };
        wait_until("it is on its way", SOON, || counter().0 > 1e6);
        let (before, begun) = counter();
        let mut after = counter();
        while after.1 - begun < LONG_ENOUGH {
            after = counter();
        }
        stop.store(true, std::sync::atomic::Ordering::Relaxed);
        (after.0 - before) * 8.0 / (after.1 - begun).as_secs_f64() * DATA
    })
}

#[test]
fn it_sends_and_receives_as_fast_as_allowed() {
    let ground = Ground::new();
    // An emulated machine is no faster than its second.
    let rates = match stride() {
        1 => [("10mbit", 10.0), ("200mbit", 200.0)],
        _ => [("10mbit", 10.0), ("20mbit", 20.0)],
    };
    for (rate, bits) in rates {
        let mut buffer = vec![0; 64 << 10];
        let mut stream = connection(&ground, rate, "cat /dev/zero >&3");
        let sent = speed(|| stream.read(&mut buffer).unwrap());
        assert_kept("sent", bits * MEGABIT, sent);
        let stream = connection(&ground, rate, "cat <&3 >/dev/null");
        assert_kept("received", bits * MEGABIT, received(&ground, stream));
    }
    ground.pontoon("rm --force --all");
    ground.assert_gone();
    assert_eq!(ground.sh("ip -o link | grep pifb || true"), "");
}

#[test]
fn a_flood_that_hears_of_no_loss_is_kept_to_the_rate_too() {
    let ground = Ground::new();
    // A command for each datagram: an emulated machine sends 4 Mb/s of them.
    let (rate, megabits) = match stride() {
        1 => ("8mbit", 8.0),
        _ => ("2mbit", 2.0),
    };
    ground.run(
        &format!("-d --name one --net-rate {rate}"),
        "exec bash -c 'while :; do head -c 60000 /dev/zero > /dev/udp/10.5.0.1/9; done'",
    );
    // A port counts what has passed its queue on the way in.
    let counter = || {
        let text = ground.sh("tc -s qdisc show dev $(ls /sys/class/net | grep ^pifb)");
        let sent = text.split(" Sent ").nth(1).unwrap().split(' ').next();
        (sent.unwrap().parse::<f64>().unwrap(), Instant::now())
    };
    wait_until("it floods", SOON, || counter().0 > 1e5);
    let (before, begun) = counter();
    let mut after = counter();
    while after.1 - begun < LONG_ENOUGH {
        after = counter();
    }
    let bits = (after.0 - before) * 8.0 / (after.1 - begun).as_secs_f64();
    let share = bits / (megabits * MEGABIT);
    assert!((0.88..=1.1).contains(&share), "{share} of {rate}");
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn the_rate_is_the_endpoints_and_outlives_what_is_lost() {
    let ground = Ground::new();
    ground.run("-d --name one --net-rate 100mbit", "sleep 3600");
    let listed: serde_json::Value = serde_json::from_str(&ground.pontoon("ls --json")).unwrap();
    assert_eq!(listed[0]["rates"]["sends"], 100_000_000);
    ground.sh("ip link del $(ls /sys/class/net | grep ^pifb)");
    let said = ground.pontoon("reconcile");
    assert!(said.contains("was led elsewhere"), "{said}");
    ground.sh("tc qdisc show dev $(ls /sys/class/net | grep ^pifb) | grep 'rate 100Mbit'");
    // From inside nothing can be changed about it.
    let inside = ground.exec(
        "one",
        "tc qdisc replace dev eth0 root pfifo; tc qdisc show dev eth0",
    );
    assert!(!inside.stdout.contains("pfifo"), "{inside}");
    let refused = ground.try_run("--net-rate 1kbit", "true");
    assert!(
        refused.code == 2 && refused.stderr.contains("8kbit"),
        "{refused}"
    );
    ground.pontoon("rm --force one");
    ground.assert_gone();
}

#[test]
fn a_rate_becomes_another_while_a_connection_lasts() {
    let ground = Ground::new();
    let mut buffer = vec![0; 64 << 10];
    let mut stream = connection(&ground, "20mbit", "cat /dev/zero >&3");
    let mut measure = || speed(|| stream.read(&mut buffer).unwrap());
    assert_kept("sent before", 20.0 * MEGABIT, measure());
    ground.pontoon("limit one --net-rate 10mbit");
    assert_kept("sent after", 10.0 * MEGABIT, measure());
    let listed: serde_json::Value = serde_json::from_str(&ground.pontoon("ls --json")).unwrap();
    assert_eq!(listed[0]["rates"]["sends"], 10_000_000);
    assert!(ground.pontoon("stack one").contains("10mbit"));
    assert!(ground.pontoon("reconcile").contains("nothing"));
    ground.pontoon("rm --force one");
    // One that had none gets one.
    ground.run("-d --name one", "sleep 3600");
    ground.pontoon("limit one --net-rate 10mbit");
    ground.sh("tc qdisc show dev $(ls /sys/class/net | grep ^pifb) | grep 'rate 10Mbit'");
    ground.pontoon("rm --force one");
    ground.assert_gone();
    assert_eq!(ground.sh("ip -o link | grep pifb || true"), "");
}
