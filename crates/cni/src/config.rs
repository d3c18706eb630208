//! The configuration that comes on standard input: JSON in, a checked `Config` out.
//!
//! Its words are Pontoon's own and those of the reference `bridge` and `host-local` plugins where
//! they mean the same here. A word that can't be honoured is refused by name, and so is an
//! unknown one. Which field means what: `network`, `ipam`, `ports`, `runtime`.

mod bandwidth;
mod error;
mod ipam;
mod network;
mod ports;
mod runtime;

use model::{Alias, ListName, NetworkName, NetworkWish, Rates};
use serde_json::Value;

use crate::failure::CniError;
use crate::fields::{Case, Field, FieldPath, Fields};
use crate::result::{Dns, Success};
use crate::version::SpecVersion;
use crate::wishes::Asked;

pub use error::ConfigError;
pub use ports::{Ports, PublishPolicy};

/// The longest configuration read, in bytes: room for 65535 port mappings, one by one.
pub const CONFIG_BYTES_MAX: usize = 8 << 20;

/// A checked configuration.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    pub version: SpecVersion,
    /// The `name` of the network list.
    pub list_name: ListName,
    pub network: NetworkWish,
    pub ports: Ports,
    /// What `runtimeConfig` asks for. See `Wishes`.
    pub runtime_asked: Asked,
    /// What `args.cni` asks for. See `Wishes`.
    pub args_asked: Asked,
    /// What `runtimeConfig.bandwidth` asks for.
    pub rates: Rates,
    pub aliases: Vec<Alias>,
    /// `dns`, less what `runtimeConfig.dns` puts in its place.
    pub dns: Dns,
    /// An absolute path: a file whose words go into the result's `dns`.
    pub resolv_conf: Option<String>,
    pub previous: Option<Success>,
    /// `None`: not said.
    pub valid_attachments: Option<Vec<Attachment>>,
}

/// An attachment that a runtime still has. Plain text: it is compared and never used as a name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Attachment {
    pub container: String,
    pub ifname: String,
}

/// As much of a configuration as says which network it is about.
///
/// DEL and GC need no more. A configuration that was edited since ADD, and is wrong now, must not
/// keep them from cleaning up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    pub version: SpecVersion,
    pub list_name: ListName,
    pub network: NetworkName,
    /// `None`: not said.
    pub valid_attachments: Option<Vec<Attachment>>,
}

/// Reads a whole configuration.
///
/// # Errors
/// The first field that is wrong, that can't be honoured or that is not known.
pub fn parse_config(bytes: &[u8]) -> Result<Config, CniError> {
    let value = decode(bytes)?;
    let mut top = top(&value)?;
    let subject = subject(&mut top)?;
    Ok(parse_rest(top, subject)?)
}

/// Reads which network a configuration is about, and nothing else.
///
/// # Errors
/// Where just that is wrong.
pub fn parse_subject(bytes: &[u8]) -> Result<Subject, CniError> {
    let value = decode(bytes)?;
    subject(&mut top(&value)?)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Value, ConfigError> {
    if bytes.len() > CONFIG_BYTES_MAX {
        return Err(ConfigError::TooLong);
    }
    serde_json::from_slice(bytes).map_err(ConfigError::Decode)
}

fn top(value: &Value) -> Result<Fields<'_>, ConfigError> {
    let root = Field {
        path: FieldPath::root(),
        value,
    };
    root.fields(Case::Exact)
}

fn subject(top: &mut Fields) -> Result<Subject, CniError> {
    let version = top.take("cniVersion");
    let version = SpecVersion::of_field(version.map(|field| field.value))?;
    let name = top.take("name").ok_or(ConfigError::NoName)?;
    let list_name = name.word()?;
    let network = top.take("network");
    let network = match &network {
        Some(field) => field.word()?,
        None => name
            .word()
            .map_err(|_| ConfigError::NameTooLong(name.path.clone()))?,
    };
    Ok(Subject {
        version,
        list_name,
        network,
        valid_attachments: attachments(top)?,
    })
}

/// Under both of their names: libcni sends the older one too. `null` is an empty list as Go
/// writes it; a runtime that says nothing leaves the field out.
fn attachments(top: &mut Fields) -> Result<Option<Vec<Attachment>>, ConfigError> {
    let older = top.take_with_null("cni.dev/attachments");
    let Some(field) = top.take_with_null("cni.dev/valid-attachments").or(older) else {
        return Ok(None);
    };
    if field.value.is_null() {
        return Ok(Some(Vec::new()));
    }
    field
        .list()?
        .map(|one| attachment(&one))
        .collect::<Result<_, _>>()
        .map(Some)
}

fn attachment(field: &Field) -> Result<Attachment, ConfigError> {
    let mut fields = field.fields(Case::Any)?;
    let mut text = |name| {
        let text = fields
            .take(name)
            .map(|field| field.text().map(str::to_owned));
        text.transpose()?
            .ok_or_else(|| field.expected("an object with containerID and ifname"))
    };
    Ok(Attachment {
        container: text("containerID")?,
        ifname: text("ifname")?,
    })
}

fn parse_rest(mut top: Fields, subject: Subject) -> Result<Config, ConfigError> {
    protocol_words(&mut top)?;
    let runtime = runtime::parse_runtime(&mut top, subject.list_name.as_str())?;
    let args_asked = runtime::parse_args(&mut top)?;
    let ipam = ipam::parse_ipam(&mut top, runtime.ip_ranges)?;
    let ports = ports::parse_policy(&mut top, runtime.mappings)?;
    let mut dns = top
        .take("dns")
        .map(|field| runtime::parse_dns(&field))
        .transpose()?
        .unwrap_or_default();
    dns.replace_with(runtime.dns);
    let previous = top
        .take("prevResult")
        .map(|field| previous(&field, subject.version))
        .transpose()?;
    let resolv_conf = ipam.resolv_conf.clone();
    let network = network::parse_network(&mut top, subject.network, ipam)?;
    top.finish()?;
    Ok(Config {
        version: subject.version,
        list_name: subject.list_name,
        network,
        ports,
        runtime_asked: runtime.asked,
        args_asked,
        rates: runtime.rates,
        aliases: runtime.aliases,
        dns,
        resolv_conf,
        previous,
        valid_attachments: subject.valid_attachments,
    })
}

/// Words that are the runtime's and say nothing to a plugin.
fn protocol_words(top: &mut Fields) -> Result<(), ConfigError> {
    if let Some(field) = top.take("type") {
        field.text()?;
    }
    if let Some(field) = top.take("plugins") {
        let advice = "this is a list of plugins: the runtime passes each plugin its own entry";
        return Err(field.unsupported(advice));
    }
    top.skip(|key| {
        let of_the_list = matches!(
            key,
            "capabilities" | "cniVersions" | "disableCheck" | "disableGC"
        );
        of_the_list || key.starts_with("cni.dev/")
    });
    Ok(())
}

fn previous(field: &Field, version: SpecVersion) -> Result<Success, ConfigError> {
    Success::parse(field.value, version).map_err(|source| ConfigError::Previous {
        field: field.path.clone(),
        source,
    })
}
