//! The bundle as the library gets it: that of the container, with the namespaces that are made
//! ahead, and without what the library is not to do: groups, and a filter that it can't load.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::ahead::Ahead;
use crate::bundle::CONFIG;
use crate::error::SandboxError;
use crate::heal::RUNTIME;
use crate::place::Home;

/// Beside the library's own directory of the container, whose name begins with no dot.
const BUNDLE: &str = ".bundle";

/// Writes it, and answers where.
///
/// # Errors
/// A file that can't be read or written.
pub fn write(home: &Home, ahead: &Ahead) -> Result<PathBuf, SandboxError> {
    let path = home.file(CONFIG);
    let text = fs::read(&path).map_err(|source| SandboxError::Read {
        path: path.clone(),
        source,
    })?;
    let config = serde_json::from_slice(&text);
    let mut config: Value = config.map_err(|source| SandboxError::Parse { path, source })?;
    let root = config["root"]["path"].as_str().unwrap_or_default();
    // A path that is absolute stays itself.
    config["root"]["path"] = json!(home.dir().join(root));
    let (users, network) = ahead.own_paths();
    if let Some(linux) = config["linux"].as_object_mut() {
        linux.remove("resources");
        linux.remove("seccomp");
        let kinds = linux.get_mut("namespaces").and_then(Value::as_array_mut);
        for one in kinds.into_iter().flatten() {
            match one["type"].as_str() {
                Some("network") => one["path"] = json!(network),
                Some("user") => one["path"] = json!(users),
                _ => {}
            }
        }
    }
    let dir = home.file(RUNTIME).join(BUNDLE);
    fs::create_dir_all(&dir).map_err(|source| SandboxError::Make {
        path: dir.clone(),
        source,
    })?;
    Home::at(dir.clone()).write_json(CONFIG, &config)?;
    Ok(dir)
}
