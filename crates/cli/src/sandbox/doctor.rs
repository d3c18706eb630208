//! What `pontoon doctor` says of the limits of containers: which control groups this machine has,
//! and which limits it would refuse.

use std::num::NonZeroU32;
use std::path::Path;

use engine::{Check, Health};
use sandbox::cgroup::Cgroups;
use sandbox::limit::Limits;

const NAME: &str = "limits";
/// What `pontoon run` sets only for who names it.
const RARE: [&str; 2] = ["--net-class", "--net-prio"];

/// Looks; makes no group.
pub fn check() -> Check {
    let cgroups = Cgroups::find();
    let Some(version) = cgroups.version() else {
        return Check {
            name: NAME,
            health: Health::Warning,
            found: "no cgroups are mounted at /sys/fs/cgroup".to_owned(),
            advice: Some(
                "'pontoon run' needs them: 'mount -t cgroup2 none /sys/fs/cgroup'".to_owned(),
            ),
        };
    };
    let names: Vec<&str> = cgroups.controllers().collect();
    let found = format!("cgroup {version} with {}", names.join(", "));
    let refused = every().unenforceable(&cgroups, Path::new("/"));
    let is_common = refused.iter().any(|one| !RARE.contains(&one.option));
    let reasons = refused
        .iter()
        .map(|one| format!("{} is refused: {}", one.option, one.why));
    let whole: Vec<String> = std::iter::once(found).chain(reasons).collect();
    Check {
        name: NAME,
        health: if is_common {
            Health::Warning
        } else {
            Health::Good
        },
        found: whole.join("; "),
        advice: is_common.then(|| {
            "'pontoon run' refuses these limits by name; --best-effort leaves them out".to_owned()
        }),
    }
}

/// Every limit that there is, each as small as it may be.
fn every() -> Limits {
    Limits {
        memory: "1M".parse().ok(),
        cpus: "1".parse().ok(),
        cpuset: "0".parse().ok(),
        pids: NonZeroU32::new(1),
        io_read: "1M".parse().ok(),
        io_write: "1M".parse().ok(),
        io_device: None,
        net_class: NonZeroU32::new(1),
        net_prio: Some(1),
    }
}
