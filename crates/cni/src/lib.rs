//! The words of the CNI plugin: what a runtime says, checked, and what it is told.
//!
//! Bytes and lookups in, values out. This library reads no file, no clock and no environment and
//! knows no engine: the plugin's main does, which acts on what is parsed here. The format is that
//! of the CNI specification (SPEC.md and CONVENTIONS.md of containernetworking/cni).

mod args;
mod call;
mod config;
mod failure;
mod fields;
mod resolv_conf;
mod result;
mod version;
mod wishes;

pub use args::{Args, ArgsError};
pub use call::{Call, CallError, Verb};
pub use config::{
    Attachment, CONFIG_BYTES_MAX, Config, ConfigError, Ports, PublishPolicy, Subject, parse_config,
    parse_subject,
};
pub use failure::{CniError, Code, Failure};
pub use fields::{FieldPath, Shown};
pub use result::{Address, Cidr, Dns, Interface, ResultError, Route, Success};
pub use version::{SpecVersion, VersionError, Versions, peek_version};
pub use wishes::{Asked, AskedError, Wishes};
