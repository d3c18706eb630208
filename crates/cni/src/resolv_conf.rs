//! A `resolv.conf` as a result's `dns` (resolv.conf(5)).

use crate::result::Dns;

impl Dns {
    /// The words of the file that the specification has a field for; others are passed over, as a
    /// resolver does.
    #[must_use]
    pub fn of_resolv_conf(text: &str) -> Self {
        let mut dns = Self::default();
        for line in text.lines() {
            let mut words = line.split_whitespace();
            let Some(keyword) = words.next().filter(|word| !word.starts_with(['#', ';'])) else {
                continue;
            };
            let values = words.map(str::to_owned);
            match keyword {
                "nameserver" => dns.nameservers.extend(values.take(1)),
                "options" => dns.options.extend(values),
                // The last one of these counts.
                "search" => dns.search = values.collect(),
                "domain" => dns.domain = values.take(1).next(),
                _ => {}
            }
        }
        dns
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_resolver_are_read() {
        let dns = Dns::of_resolv_conf(
            "# comment\n; another\nnameserver 10.0.0.1 # trailing\nnameserver\tfd00::1\n\
             search old.example\nsearch a.example b.example\noptions ndots:2\noptions rotate\n\
             sortlist 10.0.0.0\ndomain c.example\n\n",
        );
        assert_eq!(dns.nameservers, ["10.0.0.1", "fd00::1"]);
        assert_eq!(dns.search, ["a.example", "b.example"]);
        assert_eq!(dns.options, ["ndots:2", "rotate"]);
        assert_eq!(dns.domain.as_deref(), Some("c.example"));
    }
}
