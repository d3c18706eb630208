//! What each verb does: words to an engine's request, its answer to a result.

use std::env;
use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::time::Duration;

use cni::{
    Attachment, Call, CallError, CniError, Config, Dns, PublishPolicy, Verb, Wishes, parse_config,
    parse_subject,
};
use engine::{
    AttachRequest, Change, DetachRequest, Detachee, EndpointStatus, Engine, EngineError,
    ErrorClass, Known, Mode, NetnsAfter, NetnsBefore, NetworkChoice, Settings,
};
use model::{CniAttachment, ContainerId, EndpointName, Family, IfName, Names, Publish, Target};

use crate::answer;
use crate::refusal::Refusal;

/// How long a call waits for others that are changing the node. Runtimes give up after a minute
/// and more.
const LOCK_WAIT: Duration = Duration::from_secs(30);
const STATE_DIR: &str = "/var/lib/pontoon";

pub fn add(call: &Call, stdin: &[u8]) -> Result<String, Refusal> {
    let config = parse_config(stdin)?;
    let (container, ifname) = attachment(call)?;
    let wishes = Wishes::combine(&config, &call.args);
    let dns = dns(&config)?;
    let engine = engine()?;
    let request = AttachRequest {
        network: NetworkChoice::OrCreate(config.network.clone()),
        target: target(call)?,
        cni: Some(CniAttachment {
            container: container.clone(),
            list: config.list_name.clone(),
        }),
        before: NetnsBefore::Exists,
        name: Some(id_name(&container)?),
        addresses: wishes.addresses,
        mac: wishes.mac,
        ifname: Some(ifname),
        publish: publish(&config, &engine)?,
        rates: config.rates,
        aliases: config.aliases.clone(),
    };
    let named = call
        .args
        .pod_name
        .as_deref()
        .and_then(|name| name.parse().ok());
    let attached = attach(&engine, &request, named)?.outcome;
    let dns = match attached.names {
        Names::Off => dns,
        Names::On => {
            have_names_answered();
            Dns {
                nameservers: attached.gateways.iter().map(ToString::to_string).collect(),
                ..dns
            }
        }
    };
    let result = answer::result(&attached, sandbox(), dns)?;
    let result = match config.previous {
        Some(previous) => result.behind(previous),
        None => result,
    };
    Ok(result.print(config.version))
}

/// Without it the rest of an endpoint works: what goes wrong is said where a runtime logs it.
fn have_names_answered() {
    if let Err(error) = names::ensure(&state_dir()) {
        let _ = writeln!(
            std::io::stderr(),
            "pontoon-cni: warning: names are not answered for: {error}"
        );
    }
}

/// Under the name that the runtime shows people, or where another endpoint has it (a pod's next
/// sandbox comes before the last one goes), under the container's id.
fn attach(
    engine: &Engine,
    by_id: &AttachRequest,
    name: Option<EndpointName>,
) -> Result<Change<EndpointStatus>, EngineError> {
    if name.is_some() {
        let named = AttachRequest {
            name,
            ..by_id.clone()
        };
        match engine.attach(&named, Mode::Apply) {
            Err(error) if error.is_name_taken() => {
                return engine.attach(&shared(named, by_id), Mode::Apply);
            }
            done => return done,
        }
    }
    engine.attach(by_id, Mode::Apply)
}

/// Under the container's id, with the name as an alias where the network has names: it is both
/// sandboxes' until the last one goes.
fn shared(named: AttachRequest, by_id: &AttachRequest) -> AttachRequest {
    let has_names = match &by_id.network {
        NetworkChoice::OrCreate(wish) => wish.names == Some(Names::On),
        NetworkChoice::Existing(_) => false,
    };
    let name = named.name.filter(|_| has_names);
    let alias = name.and_then(|name| name.as_str().parse().ok());
    AttachRequest {
        aliases: by_id.aliases.iter().cloned().chain(alias).collect(),
        ..by_id.clone()
    }
}

pub fn del(call: &Call, stdin: &[u8]) -> Result<String, Refusal> {
    let subject = parse_subject(stdin)?;
    let (container, ifname) = attachment(call)?;
    let request = DetachRequest {
        who: Detachee::Container { container, ifname },
        network: Some(subject.network),
        after: NetnsAfter::Keep,
    };
    match engine()?.detach(&request, Mode::Apply) {
        Ok(_) => Ok(String::new()),
        // What is gone is as good as detached: a runtime repeats DEL until it succeeds.
        Err(error) if error.class() == ErrorClass::Missing => Ok(String::new()),
        Err(error) => Err(error.into()),
    }
}

pub fn check(call: &Call, stdin: &[u8]) -> Result<String, Refusal> {
    let config = parse_config(stdin)?;
    config.version.check_verb(Verb::Check)?;
    let (container, ifname) = attachment(call)?;
    let checked = engine()?.check(&config.network.name, &container, &ifname)?;
    let mut findings = checked.findings;
    findings.extend(answer::differences(
        &checked.endpoint,
        config.previous.as_ref(),
    ));
    if findings.is_empty() {
        Ok(String::new())
    } else {
        Err(Refusal::Findings(findings))
    }
}

pub fn gc(stdin: &[u8]) -> Result<String, Refusal> {
    let subject = parse_subject(stdin)?;
    subject.version.check_verb(Verb::Gc)?;
    let attachments = subject.valid_attachments.ok_or(Refusal::NoAttachments)?;
    let pair = |one: Attachment| (one.container, one.ifname);
    let known = Known {
        list: subject.list_name,
        attachments: attachments.into_iter().map(pair).collect(),
    };
    engine()?.collect(&known, Mode::Apply)?;
    Ok(String::new())
}

pub fn status(stdin: &[u8]) -> Result<String, Refusal> {
    let config = parse_config(stdin)?;
    config.version.check_verb(Verb::Status)?;
    let ready = engine()?.check_ready(&config.network);
    ready.map(|()| String::new()).map_err(Refusal::NotReady)
}

fn engine() -> Result<Engine, Refusal> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).map_err(Refusal::Random)?;
    let verbose = env::var_os("PONTOON_VERBOSE").is_some_and(|value| value == "1");
    Ok(Engine::new(Settings {
        state_dir: state_dir(),
        now_secs: engine::now_secs(),
        random: u64::from_ne_bytes(random),
        lock_wait: LOCK_WAIT,
        announce: if verbose {
            |plan| drop(write!(std::io::stderr(), "{plan}"))
        } else {
            |_| {}
        },
    }))
}

fn state_dir() -> PathBuf {
    let dir = env::var_os("PONTOON_STATE_DIR").filter(|dir| !dir.is_empty());
    dir.map_or_else(|| PathBuf::from(STATE_DIR), PathBuf::from)
}

/// What every verb that is about one attachment has: `Call::parse` saw to it.
fn attachment(call: &Call) -> Result<(ContainerId, IfName), CniError> {
    let both = call.container.clone().zip(call.ifname.clone());
    Ok(both.ok_or_else(|| missing(call))?)
}

fn target(call: &Call) -> Result<Target, CniError> {
    Ok(call.netns.clone().ok_or_else(|| missing(call))?)
}

fn missing(call: &Call) -> CallError {
    CallError::Missing {
        verb: call.verb,
        names: vec!["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"],
    }
}

/// The namespace as the runtime spells it: later plugins compare texts.
fn sandbox() -> Option<String> {
    env::var("CNI_NETNS").ok()
}

/// Which loopback addresses a port lands on depends on the network's families.
fn publish(config: &Config, engine: &Engine) -> Result<Vec<Publish>, EngineError> {
    let ports = &config.ports;
    let families = match ports.policy() {
        PublishPolicy::Localhost if !ports.is_empty() => families(config, engine)?,
        _ => Vec::new(),
    };
    Ok(ports.on(&families))
}

/// The families that the network has, or will have when it is created.
fn families(config: &Config, engine: &Engine) -> Result<Vec<Family>, EngineError> {
    let spec = &config.network;
    let said = spec.subnets.iter().map(|prefix| prefix.family());
    if !spec.subnets.is_empty() {
        return Ok(said.collect());
    }
    match engine.recorded_network(&spec.name) {
        Ok(network) => {
            let subnets = network.subnets.iter();
            Ok(subnets.map(|subnet| subnet.prefix.family()).collect())
        }
        Err(EngineError::NetworkMissing(_)) => Ok(vec![Family::Ipv4]),
        Err(error) => Err(error),
    }
}

fn dns(config: &Config) -> Result<Dns, Refusal> {
    let Some(path) = config
        .resolv_conf
        .as_ref()
        .filter(|_| config.dns.is_empty())
    else {
        return Ok(config.dns.clone());
    };
    let read = fs::read_to_string(path);
    let read = read.map_err(|source| Refusal::ResolvConf {
        path: path.into(),
        source,
    })?;
    Ok(Dns::of_resolv_conf(&read))
}

/// An id is a name but for its length.
fn id_name(container: &ContainerId) -> Result<EndpointName, EngineError> {
    let short: String = container.as_str().chars().take(EndpointName::MAX).collect();
    Ok(short.parse()?)
}
