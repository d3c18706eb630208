//! No file may name the machine it was written on: its directories, or the hosts its packages come
//! from. A clone works elsewhere.

use crate::finding::Finding;

/// Directories of one machine. Written in halves, since this file is checked too.
const PLACES: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/tmp/", "target"),
];

/// Parts of the names of package hosts. Lock files name the public index by its git address, which
/// holds none of these.
const HOSTS: &[&str] = &[
    concat!("arti", "factory"),
    concat!("jfrog", ".io"),
    concat!("index.", "crates.io"),
    concat!("static.", "crates.io"),
    concat!("deb.", "debian.org"),
    concat!("pypi.", "org"),
    concat!("registry.", "npmjs"),
    concat!("proxy.", "golang.org"),
];

pub fn check(file: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (index, line) in text.lines().enumerate() {
        let mut object = |what: String| findings.push(Finding::new(file, index + 1, what));
        if let Some(place) = PLACES.iter().find(|place| starts_in(line, place)) {
            object(format!("{place} is a directory of one machine"));
        }
        let lower = line.to_lowercase();
        if let Some(host) = HOSTS.iter().find(|host| lower.contains(**host)) {
            object(format!(
                "{host} is a package host: leave it to the clients' settings"
            ));
        }
    }
    findings
}

/// True when a path that begins with `place` stands in `line`.
fn starts_in(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|c| c.is_alphanumeric() || "_./-~}".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_of_one_machine_are_found() {
        for place in PLACES {
            let findings = check("README.md", &format!("one\nsee {place}x for more"));
            assert_eq!((findings.len(), findings[0].line), (1, 2));
        }
        let below = PLACES[0];
        assert!(
            check(
                "README.md",
                &format!("a{below}b, ..{below}, {{dir}}{below}")
            )
            .is_empty()
        );
    }

    #[test]
    fn package_hosts_are_found() {
        for host in HOSTS {
            let line = format!("registry = \"https://{}/\"", host.to_uppercase());
            assert_eq!(check("config.toml", &line).len(), 1);
        }
        let locked = "source = \"registry+https://github.com/rust-lang/crates.io-index\"";
        assert!(check("Cargo.lock", locked).is_empty());
    }
}
