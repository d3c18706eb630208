//! `pontoon stack` of a container: its network, its namespaces and its limits.

use serde_json::Value;

use crate::ground::Ground;

fn stack(ground: &Ground, target: &str) -> Value {
    serde_json::from_str(&ground.pontoon(&format!("stack {target} --json"))).unwrap()
}

#[test]
fn the_stack_of_a_container_is_all_that_the_kernel_gives_it() {
    let ground = Ground::new();
    ground.run(
        "-d --name one --memory 64M --cpus 0.5 --pids 20 --net-rate 10mbit --user-ns host",
        "sleep 3600",
    );
    let pid = ground.pid("one");
    let seen = stack(&ground, "one");
    assert!(seen["addresses"].to_string().contains("10.5.0.2"), "{seen}");
    let inside = &seen["container"];
    assert_eq!(inside["pid"].to_string(), pid);
    let namespaces = inside["namespaces"].as_array().unwrap();
    assert_eq!(namespaces.len(), 6, "{inside}");
    for one in namespaces {
        let kind = one["kind"].as_str().unwrap();
        let link = ground.sh(&format!("readlink /proc/{pid}/ns/{kind}"));
        assert!(
            link.contains(&format!("[{}]", one["inode"])),
            "{kind}: {link}"
        );
        let whose = if kind == "user" { "node" } else { "own" };
        assert_eq!(one["whose"], whose, "{kind}");
    }
    assert_eq!(inside["limits"]["memory"], 64 << 20);
    assert_eq!(inside["rates"]["sends"], 10_000_000);
    assert!(inside["usage"]["memory"].as_u64() > Some(0), "{inside}");
    assert!(inside["usage"]["pids"].as_u64() >= Some(2), "{inside}");
    // By whatever leads to its namespace.
    for target in [format!("pid:{pid}"), format!("/proc/{pid}/ns/net")] {
        assert_eq!(
            stack(&ground, &target)["container"]["name"],
            "one",
            "{target}"
        );
    }
    let text = ground.pontoon("stack one");
    for part in [
        "its own",
        "the node's",
        "64.0M",
        "0.50",
        "10mbit",
        "no limit",
        "cgroup /pontoon/",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(stack(&ground, "").get("container").is_none());
}

#[test]
fn a_container_that_is_over_has_no_stack() {
    let ground = Ground::new();
    ground.run("--name one", "true");
    let said = ground.try_words(&["stack", "one"]);
    assert!(!said.success() && said.stderr.contains("one"), "{said}");
    ground.refused("stack nobody", 3);
    // A named namespace goes before a container of its name.
    ground.run("-d --name two", "sleep 3600");
    ground.sh("ip netns add two");
    assert!(stack(&ground, "two").get("container").is_none());
}
