//! For as long as it takes: flows between nodes outlive everything that is done to the fast path.
//!
//! `PONTOON_SOAK=N` makes it N times as long: `make soak`.

mod heavy {
    use std::env::{self, current_exe};
    use std::process::{Child, Command, Stdio};
    use std::time::{Duration, Instant};

    use testnet::wait_until;

    use crate::crossing::wait_for_more;
    use crate::ground::{BOUND, assert_nothing_lost};
    use crate::nodes::{Backend, FAR, NEAR, Nodes, Side, datagrams, stream};

    /// Of a soak of one.
    const LENGTH: Duration = Duration::from_secs(5);
    const CHILD: &str = "soak::heavy::the_fast_path_is_renewed_until_the_process_is_killed";
    /// The side that the child is on.
    const SIDE: &str = "PONTOON_SOAK_SIDE";

    /// Does nothing but put new programs in the place of old ones.
    fn renewing(side: Side) -> Child {
        let mut child = Command::new(current_exe().unwrap());
        child
            .args(["--exact", "--ignored", CHILD])
            .env(SIDE, if side == NEAR { "near" } else { "far" })
            .stdout(Stdio::null());
        side.node().run(|| child.spawn()).unwrap()
    }

    #[test]
    #[ignore = "the process that another test kills"]
    fn the_fast_path_is_renewed_until_the_process_is_killed() {
        let side = match env::var(SIDE).as_deref() {
            Ok("near") => NEAR,
            Ok("far") => FAR,
            other => panic!("no side: {other:?}"),
        };
        let parent = rustix::process::getppid();
        while rustix::process::getppid() == parent {
            Backend::Vxlan4.turn_on_here(side);
        }
    }

    /// At another moment each time.
    fn renew_and_kill(nodes: &Nodes, side: Side, number: u32) {
        let before = nodes.programs(side);
        let mut child = renewing(side);
        wait_until("programs are replaced", BOUND * 2, || {
            nodes.programs(side) != before
        });
        let moment = Instant::now() + Duration::from_micros(u64::from(number % 40) * 700);
        wait_until("the moment to kill it", BOUND, || Instant::now() >= moment);
        assert!(child.try_wait().unwrap().is_none(), "it ended by itself");
        child.kill().unwrap();
        child.wait().unwrap();
    }

    #[test]
    fn flows_outlive_switches_replaced_programs_and_killed_processes() {
        let times = env::var("PONTOON_SOAK").map_or(1, |n| n.parse().unwrap());
        let nodes = Nodes::on(Backend::Vxlan4);
        let begun = Instant::now();
        let mut number = 0;
        assert_nothing_lost((datagrams(0), stream(1)), || {
            while number == 0 || begun.elapsed() < LENGTH * times {
                for side in [NEAR, FAR] {
                    nodes.turn_off(side);
                    nodes.turn_on(side);
                    wait_for_more(&nodes, side);
                    renew_and_kill(&nodes, side, number);
                    nodes.turn_on(side);
                    wait_for_more(&nodes, side);
                    number += 1;
                }
            }
        });
        assert!(nodes.running().passes(b"and goes on"));
    }
}
