//! A runtime, as far as libcni is one: the plugins of a configuration list called in order, each
//! given the result of the one before; in reverse, with the last result, to remove.
//! Source: the CNI specification 1.1.0, sections 2 to 4.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::{Map, Value, json};
use testnet::Node;

/// Where Debian's package containernetworking-plugins puts the reference plugins.
const REFERENCE_PLUGINS: &str = "/usr/lib/cni";
pub const PLUGIN: &str = env!("CARGO_BIN_EXE_pontoon-cni");

/// Where a test may have a copy of ours with nothing beside it, called `alone` in lists.
pub const ALONE: &str = "/run/alone";

/// What a plugin answered: JSON, or nothing; as an error when it failed.
pub type Answer = Result<Value, Value>;

/// One attachment, as a runtime has it in mind.
#[derive(Debug, Clone)]
pub struct Container {
    pub id: String,
    pub netns: String,
    pub ifname: String,
    /// `CNI_ARGS`.
    pub args: String,
    /// What the runtime would give a plugin that has the capability.
    pub runtime: Value,
    /// More for the environment.
    pub env: Vec<(&'static str, String)>,
}

impl Container {
    /// With a namespace of that name, which there must be for ADD.
    pub fn named(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            netns: format!("/var/run/netns/{id}"),
            ifname: "eth0".to_owned(),
            args: String::new(),
            runtime: json!({}),
            env: Vec::new(),
        }
    }

    pub fn with_runtime(mut self, runtime: Value) -> Self {
        self.runtime = runtime;
        self
    }

    pub fn with_args(mut self, args: &str) -> Self {
        args.clone_into(&mut self.args);
        self
    }
}

/// A configuration list on a node.
#[derive(Debug, Clone)]
pub struct List {
    pub state_dir: PathBuf,
    pub version: String,
    pub name: String,
    pub plugins: Vec<Value>,
}

impl List {
    /// Of Pontoon alone, with these fields.
    pub fn of(node: &Node, fields: Value) -> Self {
        let mut plugin = json!({"type": "pontoon-cni", "capabilities": {
            "portMappings": true, "ips": true, "mac": true, "dns": true,
        }});
        merge(&mut plugin, fields);
        Self {
            state_dir: node.state_dir().to_owned(),
            version: "1.1.0".to_owned(),
            name: "web".to_owned(),
            plugins: vec![plugin],
        }
    }

    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    pub fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.version);
        self
    }

    pub fn then(mut self, plugin: Value) -> Self {
        self.plugins.push(plugin);
        self
    }

    /// On the network of this name, whatever the list is called.
    pub fn then_network(mut self, name: &str) -> Self {
        self.plugins[0]["network"] = name.into();
        self
    }

    pub fn add(&self, container: &Container) -> Answer {
        let mut result = Value::Null;
        for plugin in &self.plugins {
            result = self.call("ADD", plugin, container, &result)?;
        }
        Ok(result)
    }

    /// What the last ADD answered is given back.
    pub fn check(&self, container: &Container, result: &Value) -> Answer {
        let mut plugins = self.plugins.iter();
        plugins.try_fold(Value::Null, |_, plugin| {
            self.call("CHECK", plugin, container, result)
        })
    }

    pub fn del(&self, container: &Container, result: &Value) -> Answer {
        let mut plugins = self.plugins.iter().rev();
        plugins.try_fold(Value::Null, |_, plugin| {
            self.call("DEL", plugin, container, result)
        })
    }

    pub fn gc(&self, valid: &[&Container]) -> Answer {
        let pair = |one: &&Container| json!({"containerID": one.id, "ifname": one.ifname});
        let valid: Vec<Value> = valid.iter().map(pair).collect();
        self.gc_with(json!({"cni.dev/valid-attachments": valid}))
    }

    pub fn gc_with(&self, fields: Value) -> Answer {
        let nobody = Container::named("");
        let mut plugin = self.plugins[0].clone();
        merge(&mut plugin, fields);
        self.call("GC", &plugin, &nobody, &Value::Null)
    }

    pub fn status(&self) -> Answer {
        let nobody = Container::named("");
        self.call("STATUS", &self.plugins[0], &nobody, &Value::Null)
    }

    fn call(&self, verb: &str, plugin: &Value, of: &Container, result: &Value) -> Answer {
        let mut config = plugin.as_object().unwrap().clone();
        config.insert("cniVersion".to_owned(), self.version.clone().into());
        config.insert("name".to_owned(), self.name.clone().into());
        if !result.is_null() {
            config.insert("prevResult".to_owned(), result.clone());
        }
        let runtime = runtime_config(plugin, &of.runtime);
        if !runtime.is_empty() {
            config.insert("runtimeConfig".to_owned(), runtime.into());
        }
        let config = Value::Object(config);
        let mut command = Command::new(file_of(plugin["type"].as_str().unwrap()));
        command
            .env_clear()
            .env("PATH", std::env::var("PATH").unwrap());
        command.env("PONTOON_STATE_DIR", &self.state_dir);
        for (name, value) in [
            ("CNI_COMMAND", verb),
            ("CNI_CONTAINERID", &of.id),
            ("CNI_NETNS", &of.netns),
            ("CNI_IFNAME", &of.ifname),
            ("CNI_ARGS", &of.args),
            ("CNI_PATH", REFERENCE_PLUGINS),
        ] {
            command.env(name, value);
        }
        command.envs(of.env.iter().cloned());
        answer(command, &config.to_string())
    }
}

/// Runs a plugin: its standard output as JSON, an error where it did not end with 0.
pub fn answer(mut command: Command, stdin: &str) -> Answer {
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A plugin that is killed, or that has refused already, reads no more.
    let _ = child.stdin.take().unwrap().write_all(stdin.as_bytes());
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let value = match text.trim() {
        "" => Value::Null,
        text => serde_json::from_str(text).unwrap_or_else(|e| panic!("{e}: {text}")),
    };
    if output.status.success() {
        Ok(value)
    } else {
        Err(value)
    }
}

/// The plugin with these variables and nothing else in its environment.
pub fn bare(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(PLUGIN);
    command.env_clear().envs(variables.iter().copied());
    command
}

fn file_of(kind: &str) -> PathBuf {
    match kind {
        "pontoon-cni" => PathBuf::from(PLUGIN),
        "alone" => Path::new(ALONE).join("pontoon-cni"),
        other => Path::new(REFERENCE_PLUGINS).join(other),
    }
}

fn runtime_config(plugin: &Value, runtime: &Value) -> Map<String, Value> {
    let has = |name: &String| plugin["capabilities"][name] == true;
    let all = runtime.as_object().unwrap().clone().into_iter();
    all.filter(|(name, _)| has(name)).collect()
}

fn merge(into: &mut Value, from: Value) {
    let Value::Object(from) = from else {
        panic!("{from} is no object");
    };
    into.as_object_mut().unwrap().extend(from);
}
