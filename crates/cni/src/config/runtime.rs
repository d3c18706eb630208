//! What the runtime puts in: `runtimeConfig` and `args` (CONVENTIONS.md of the specification).

use std::collections::BTreeSet;
use std::net::IpAddr;

use model::{Alias, Rates};

use crate::config::ConfigError;
use crate::config::bandwidth::parse_bandwidth;
use crate::fields::{Case, Field, Fields};
use crate::result::Dns;
use crate::wishes::{Asked, parse_address};

/// The longest word of a resolver's configuration, in bytes (a DNS name, RFC 1035 section 2.3.4).
const DNS_WORD_MAX: usize = 255;

/// What `runtimeConfig` says. Ports and ranges are left to the modules that know them.
#[derive(Debug, Default)]
pub(crate) struct Runtime<'a> {
    pub mappings: Option<Field<'a>>,
    pub ip_ranges: Option<Field<'a>>,
    pub asked: Asked,
    pub rates: Rates,
    pub dns: Dns,
    pub aliases: Vec<Alias>,
}

pub(crate) fn parse_runtime<'a>(
    top: &mut Fields<'a>,
    list_name: &str,
) -> Result<Runtime<'a>, ConfigError> {
    let Some(field) = top.take("runtimeConfig") else {
        return Ok(Runtime::default());
    };
    let mut fields = field.fields(Case::Any)?;
    let bandwidth = fields.take("bandwidth");
    let aliases = fields.take("aliases");
    let dns = fields.take("dns");
    let runtime = Runtime {
        mappings: fields.take("portMappings"),
        ip_ranges: fields.take("ipRanges"),
        asked: asked(&mut fields)?,
        rates: bandwidth
            .map(|f| parse_bandwidth(&f))
            .transpose()?
            .unwrap_or_default(),
        dns: dns
            .map(|f| runtime_dns(&f))
            .transpose()?
            .unwrap_or_default(),
        aliases: aliases
            .map(|f| parse_aliases(&f, list_name))
            .transpose()?
            .unwrap_or_default(),
    };
    fields.finish()?;
    Ok(runtime)
}

/// `args.cni.ips` and `args.cni.mac`. What else is in `args` may be anybody's.
pub(crate) fn parse_args(top: &mut Fields) -> Result<Asked, ConfigError> {
    let Some(args) = top.take("args") else {
        return Ok(Asked::default());
    };
    match args.fields(Case::Exact)?.take("cni") {
        Some(cni) => asked(&mut cni.fields(Case::Exact)?),
        None => Ok(Asked::default()),
    }
}

fn asked(fields: &mut Fields) -> Result<Asked, ConfigError> {
    let mut asked = Asked::default();
    if let Some(ips) = fields.take("ips") {
        asked.addresses = ips
            .list()?
            .map(|ip| address(&ip))
            .collect::<Result<Vec<_>, _>>()?;
        // Podman, reloading a network, names each twice.
        let mut seen = BTreeSet::new();
        asked.addresses.retain(|address| seen.insert(*address));
        Asked::check_addresses(&asked.addresses).map_err(|source| ConfigError::Asked {
            field: ips.path.clone(),
            source,
        })?;
    }
    if let Some(mac) = fields.take("mac")
        && !mac.text()?.is_empty()
    {
        asked.mac = Some(mac.word()?);
    }
    Ok(asked)
}

fn address(field: &Field) -> Result<IpAddr, ConfigError> {
    parse_address(field.text()?)
        .ok_or_else(|| field.expected("an address, with or without a length"))
}

/// A list of names, or podman's and CRI-O's form: the lists of all networks by their names.
fn parse_aliases(field: &Field, list_name: &str) -> Result<Vec<Alias>, ConfigError> {
    let own = match field.value.as_object() {
        None => field.clone(),
        Some(networks) => match networks.get_key_value(list_name) {
            None => return Ok(Vec::new()),
            Some((name, value)) => Field {
                path: field.path.child(name),
                value,
            },
        },
    };
    if own.value.is_null() {
        return Ok(Vec::new());
    }
    let aliases = own.list()?.map(|alias| alias.word());
    Alias::check_all(aliases.collect::<Result<_, _>>()?).map_err(|source| own.wrong(source))
}

/// The `dns` of the configuration itself.
pub(crate) fn parse_dns(field: &Field) -> Result<Dns, ConfigError> {
    let mut fields = field.fields(Case::Exact)?;
    let dns = Dns {
        nameservers: nameservers(fields.take("nameservers"))?,
        domain: match fields.take("domain") {
            Some(domain) if !domain.text()?.is_empty() => Some(dns_word(&domain)?),
            _ => None,
        },
        search: dns_words(fields.take("search"))?,
        options: dns_words(fields.take("options"))?,
        ..Dns::default()
    };
    fields.finish()?;
    Ok(dns)
}

/// The capability has other names for the same.
fn runtime_dns(field: &Field) -> Result<Dns, ConfigError> {
    let mut fields = field.fields(Case::Any)?;
    let dns = Dns {
        nameservers: nameservers(fields.take("servers"))?,
        search: dns_words(fields.take("searches"))?,
        options: dns_words(fields.take("options"))?,
        ..Dns::default()
    };
    fields.finish()?;
    Ok(dns)
}

fn nameservers(field: Option<Field>) -> Result<Vec<String>, ConfigError> {
    let Some(field) = field else {
        return Ok(Vec::new());
    };
    let one = |server: Field| server.address().map(|address| address.to_string());
    field.list()?.map(one).collect()
}

fn dns_words(field: Option<Field>) -> Result<Vec<String>, ConfigError> {
    let Some(field) = field else {
        return Ok(Vec::new());
    };
    field.list()?.map(|word| dns_word(&word)).collect()
}

/// Runtimes write these into resolv.conf, where a line break would begin another line.
fn dns_word(field: &Field) -> Result<String, ConfigError> {
    let text = field.text()?;
    let clean =
        (1..=DNS_WORD_MAX).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic());
    if !clean {
        return Err(field.expected("1 to 255 printable characters without white space"));
    }
    Ok(text.to_owned())
}
