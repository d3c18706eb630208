//! Pontoon, as a user calls it.

use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Result;

use super::Contender;
use crate::ground::NETWORK;
use crate::machine::{Call, Machine, Target};

/// A binary and its records.
#[derive(Debug, Clone)]
pub struct Records {
    pub binary: PathBuf,
    pub state_dir: PathBuf,
}

impl Records {
    pub fn call(&self, args: &[&str]) -> Call {
        let state_dir = self.state_dir.to_string_lossy().into_owned();
        let common = ["--state-dir".to_owned(), state_dir];
        let args = args.iter().map(|arg| (*arg).to_owned());
        Call::new(&self.binary, common.into_iter().chain(args))
    }
}

pub struct Pontoon {
    pub machine: Rc<Machine>,
    pub records: Records,
    /// What is added to `attach`.
    pub options: Vec<String>,
}

impl Contender for Pontoon {
    fn attach(&mut self, target: &Target) -> Result<Duration> {
        let mut args = vec!["attach", NETWORK, &target.name];
        args.extend(self.options.iter().map(String::as_str));
        Ok(self.machine.call(&self.records.call(&args))?.took)
    }

    fn detach(&mut self, target: &Target) -> Result<Option<Duration>> {
        let call = self.records.call(&["detach", &target.name]);
        Ok(Some(self.machine.call(&call)?.took))
    }
}
