//! The daemon: look, say what came of it, wait for a reason, look again.

use std::time::{Duration, Instant};

use engine::Change;
use tracing::{debug, info, warn};

use crate::agent::{Claims, Pass, now_secs};
use crate::alone::Alone;
use crate::backoff::Backoff;
use crate::journal::{Journal, Line};
use crate::notify::Notifier;
use crate::reason::{Inbox, Reason};
use crate::report::Report;
use crate::{Agent, AgentError};

/// How long a network that is being removed is left alone before this node claims its part anew.
const RECLAIM: Duration = Duration::from_secs(2);

/// What the loop remembers.
struct Course {
    backoff: Backoff,
    journal: Journal,
    report: Report,
    /// Whether the last report could be written.
    reported: bool,
}

impl Agent {
    /// Keeps the node as the cluster and the records say, until SIGTERM or SIGINT. What it made
    /// stays.
    ///
    /// # Errors
    /// Another agent on the same records; a process that can't take signals or start threads.
    /// Everything else is tried again.
    pub fn run(mut self) -> Result<(), AgentError> {
        let _alone = Alone::acquire(&self.settings.engine.state_dir)?;
        let notifier = Notifier::from_env();
        let inbox = Inbox::open(self.settings.place.open()?, self.settings.resync)?;
        let mut course = Course {
            backoff: Backoff::new(&self.settings.name),
            journal: Journal::default(),
            report: Report {
                cluster: self.settings.place.address.to_string(),
                ..Report::default()
            },
            reported: true,
        };
        let mut claims = Claims::All;
        let mut status = String::new();
        loop {
            let pass = self.pass(claims);
            let wait = self.conclude(&pass, &mut course);
            let now = status_line(&pass);
            if status.is_empty() {
                notifier.ready(&now);
            } else if now != status {
                notifier.status(&now);
            }
            status = now;
            if let Ok(agreed) = &pass.agreed {
                inbox.watch_from(agreed.revision);
            }
            let deadline = Instant::now() + wait;
            let alive = || notifier.alive();
            claims = match inbox.wait_for_reason(deadline, notifier.beat, alive) {
                Reason::Stop => break,
                Reason::Cluster => Claims::New,
                Reason::Time | Reason::Resync => Claims::All,
            };
        }
        notifier.stopping();
        info!("ends; the network stays as it is");
        Ok(())
    }

    /// Says and keeps what came of a look; answers how long to wait for a reason.
    fn conclude(&self, pass: &Pass, course: &mut Course) -> Duration {
        if let Ok(Change { plan, .. }) = &pass.change {
            plan.steps.iter().for_each(|step| debug!("{step}"));
        }
        for line in course.journal.note(pass) {
            match line {
                Line::Info(text) => info!("{text}"),
                Line::Warning(text) => warn!("{text}"),
            }
        }
        let fault = pass.fault();
        let failed = fault.is_some();
        course.report.looked(fault, pass.agreed.is_ok(), now_secs());
        let written = course.report.write(&self.settings.engine.state_dir);
        if let Err(error) = &written
            && course.reported
        {
            warn!("'pontoon status' will not know how this agent is: {error}");
        }
        course.reported = written.is_ok();
        if failed {
            return course.backoff.failed().min(self.settings.resync);
        }
        course.backoff.succeeded();
        let unfinished = pass.agreed.as_ref().is_ok_and(|agreed| agreed.unfinished);
        match unfinished {
            true => RECLAIM.min(self.settings.resync),
            false => self.settings.resync,
        }
    }
}

/// For `systemctl status`.
fn status_line(pass: &Pass) -> String {
    match (pass.fault(), pass.membership()) {
        (Some(fault), _) => fault,
        (None, Some(membership)) => {
            let cluster = &membership.cluster;
            let (nodes, networks) = (cluster.nodes.len(), cluster.networks.len());
            format!("{}: {nodes} node(s), {networks} network(s)", membership.me)
        }
        (None, None) => "no cluster".to_owned(),
    }
}
