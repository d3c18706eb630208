//! Tables of the older packet filter, which nftables does not show (iptables-legacy(8)).

/// Lists of tables of the calling thread's namespace, and the command that shows them.
const LISTS: [(&str, &str); 2] = [
    ("/proc/thread-self/net/ip_tables_names", "iptables-legacy"),
    ("/proc/thread-self/net/ip6_tables_names", "ip6tables-legacy"),
];

/// The commands that have a table `filter`: what it does with forwarded packets they alone tell.
pub fn filters() -> Vec<&'static str> {
    let has_filter = |path: &str| {
        let names = std::fs::read_to_string(path).unwrap_or_default();
        names.lines().any(|name| name == "filter")
    };
    let lists = LISTS.iter().filter(|(path, _)| has_filter(path));
    lists.map(|(_, command)| *command).collect()
}
