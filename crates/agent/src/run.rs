//! The daemon: wait for a reason, look, say what came of it.
//!
//! What the cluster is, another thread asks (`talk`). This one does to the node what is to be done,
//! and never waits for anybody else.

use std::net::IpAddr;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::{Duration, Instant};

use engine::{Adopted, Change, EngineError, now_secs};
use tracing::{debug, info, warn};

use crate::agent::Pass;
use crate::alone::Alone;
use crate::api::Api;
use crate::away::{Away, Next};
use crate::backoff::Backoff;
use crate::board::Board;
use crate::journal::{Journal, Line};
use crate::meters::Cause;
use crate::notify::Notifier;
use crate::pace::Pace;
use crate::reason::{Inbox, Reason, start};
use crate::talk::{Answer, Call, Claims, Return};
use crate::{Agent, AgentError};

/// Between two looks at which endpoints there are: each may wake every node.
const TELL_EVERY: Duration = Duration::from_secs(1);
/// How long endpoints may go on coming and going before the first is told of.
const GATHER: Duration = Duration::from_millis(100);
/// How long a network that is being removed is left alone before this node claims its part anew.
const RECLAIM: Duration = Duration::from_secs(2);

impl Agent {
    /// Keeps the node as the cluster and the records say, until SIGTERM or SIGINT. What it made
    /// stays.
    ///
    /// # Errors
    /// Another agent on the same records; a process that can't take signals or start threads.
    /// Everything else is tried again.
    pub fn run(self) -> Result<(), AgentError> {
        let settings = &self.settings;
        let _alone = Alone::acquire(&settings.engine.state_dir)?;
        let inbox = Inbox::open(settings.place.open()?, settings.resync)?;
        let board = Board::new(settings);
        let _api = Api::open(settings, &board, &inbox.into)?;
        let (calls, called) = channel();
        let (outcome, returns) = channel();
        let (talk, into) = (self.talk()?, inbox.into.clone());
        start("cluster", move || talk.run(&called, &outcome, &into))?;
        Course {
            backoff: Backoff::new(&settings.name),
            journal: Journal::default(),
            pace: Pace::default(),
            notifier: Notifier::from_env(),
            status: String::new(),
            calls,
            returns,
            asking: false,
            again: None,
            away: None,
            ask_at: Instant::now(),
            heal_at: None,
            tell_at: None,
            told_at: None,
            stays: None,
            unnamed: None,
            board,
            inbox,
            agent: self,
        }
        .run();
        info!("ends; the network stays as it is");
        Ok(())
    }
}

/// The daemon under way.
struct Course {
    agent: Agent,
    inbox: Inbox,
    board: Board,
    backoff: Backoff,
    journal: Journal,
    pace: Pace,
    notifier: Notifier,
    /// As the service manager was told last.
    status: String,
    calls: Sender<Call>,
    returns: Receiver<Return>,
    /// Whether the store is being asked, and what is to be asked after that.
    asking: bool,
    again: Option<Claims>,
    /// Where the store did not answer at the last look.
    away: Option<Away>,
    /// When to ask though nobody says that anything changed.
    ask_at: Instant,
    /// When to look for what the kernel has told of.
    heal_at: Option<Instant>,
    /// When to look whether there are endpoints to tell of, and when it did last.
    tell_at: Option<Instant>,
    told_at: Option<Instant>,
    /// The underlay addresses that were found at the last look.
    stays: Option<Vec<IpAddr>>,
    /// Why names are not answered for, as it was said last.
    unnamed: Option<String>,
}

impl Course {
    fn run(mut self) {
        self.inbox.listen_on();
        loop {
            let times = [Some(self.ask_at), self.heal_at, self.tell_at];
            let deadline = times.into_iter().flatten().min().unwrap_or(self.ask_at);
            let Self {
                inbox, notifier, ..
            } = &self;
            let reason = inbox.wait_for_reason(deadline, notifier.beat, || notifier.alive());
            self.board.begin();
            match reason {
                Reason::Stop => break,
                Reason::Cluster => self.ask(Claims::New),
                Reason::Resync => self.ask(Claims::All),
                Reason::Answer => self.take_returns(),
                Reason::Rules => self.void_fast_path_proofs(),
                Reason::Kernel => {
                    self.void_fast_path_proofs();
                    self.board.count(|meters| meters.kernel_news += 1);
                    self.heal_at = Some(self.pace.look_at(Instant::now()));
                    self.tell_soon();
                }
                Reason::Endpoints => self.tell_soon(),
                Reason::Time => {}
            }
            let now = Instant::now();
            if self.heal_at.is_some_and(|at| at <= now) {
                self.heal();
            }
            if self.tell_at.is_some_and(|at| at <= now) {
                self.tell();
            }
            if self.ask_at <= now {
                self.ask_in_time(now);
            }
            self.board.end();
        }
        self.notifier.stopping();
    }

    fn tell_soon(&mut self) {
        let now = Instant::now();
        let paced = self.told_at.map_or(now, |last| last + TELL_EVERY);
        self.tell_at.get_or_insert(paced.max(now + GATHER));
    }

    /// Has the others know of endpoints that came and went. While the store is away there is
    /// nobody to tell: whoever asks next does.
    fn tell(&mut self) {
        self.tell_at = None;
        self.told_at = Some(Instant::now());
        if self.backoff.is_waiting() {
            return;
        }
        match self.agent.has_to_tell() {
            Ok(true) => self.ask(Claims::New),
            Ok(false) => {}
            // The look that follows finds the same, and says it.
            Err(error) => debug!("{}", crate::error::in_one_line(&error)),
        }
    }

    /// Asks the cluster, or once more after the answer that is under way.
    fn ask(&mut self, claims: Claims) {
        self.ask_at = Instant::now() + self.agent.settings.resync;
        if self.asking {
            self.again = self.again.max(Some(claims));
            return;
        }
        let question = self.agent.settle().map(|first| {
            self.say_steps(&first);
            self.agent.question(claims)
        });
        match question {
            Ok(Ok(question)) => self.call(Call::Agree(Box::new(question))),
            Ok(Err(error)) | Err(error) => self.conclude(&Pass::of_nothing(error)),
        }
    }

    fn call(&mut self, call: Call) {
        self.asking = true;
        // A thread that ended took its panic message along; the time is still a reason.
        let _ = self.calls.send(call);
    }

    /// Nobody says that anything changed. A store that is away is asked whether it is back.
    fn ask_in_time(&mut self, now: Instant) {
        let backoff = &self.backoff;
        match self.away.as_mut() {
            Some(away) if !self.asking && matches!(away.next(now, backoff), Next::Probe(_)) => {
                away.probed(now);
                self.ask_at = now + self.agent.settings.resync;
                self.call(Call::Probe);
            }
            _ => self.ask(Claims::All),
        }
    }

    fn take_returns(&mut self) {
        while let Ok(outcome) = self.returns.try_recv() {
            self.asking = false;
            match outcome {
                Return::Probed(Err(error)) if error.is_passing() => self.wait_for_return(),
                // What else is wrong, the look finds and says.
                Return::Probed(_) => {
                    if let Some(away) = &mut self.away {
                        away.answered();
                    }
                    self.ask(Claims::All);
                }
                Return::Agreed(answer) => self.take_answer(*answer),
            }
            if let Some(claims) = self.again.take() {
                self.ask(claims);
            }
        }
    }

    /// Until the next probe of a store that is away, or the next look at everything.
    fn wait_for_return(&mut self) {
        if let Some(away) = &self.away {
            let (Next::Probe(at) | Next::Look(at)) = away.next(Instant::now(), &self.backoff);
            self.ask_at = at;
        }
    }

    fn take_answer(&mut self, answer: Answer) {
        self.heal_at = None;
        // Before the look: what changes during it is found by the next one.
        self.inbox.listen_on();
        let began = Instant::now();
        let named = self.agent.networks_with_names();
        let pass = self.agent.take(answer);
        if named != self.agent.networks_with_names() {
            // What they are called is worth telling now, or not any more.
            self.tell_soon();
        }
        self.stays = self.agent.underlay_now();
        self.board.took(Cause::Cluster, began.elapsed());
        if let Ok(agreed) = &pass.agreed {
            self.inbox.watch_from(agreed.revision);
        }
        self.conclude(&pass);
        self.keep_fast_path();
        self.keep_names();
    }

    /// Looks for what the kernel told of: at the node alone, whatever the cluster does.
    fn heal(&mut self) {
        self.heal_at = None;
        self.inbox.listen_on();
        let began = Instant::now();
        let change = self.agent.heal();
        self.pace.looked(began, Instant::now());
        self.board.took(Cause::Kernel, began.elapsed());
        self.conclude_healing(change);
        self.keep_fast_path();
        self.keep_names();
        let stays = self.agent.underlay_now();
        if stays != self.stays {
            self.stays = stays;
            self.ask(Claims::All);
        }
    }

    /// What of it fails leaves packets the kernel's way.
    fn keep_fast_path(&self) {
        if let Err(error) = self.agent.ensure_fast_path() {
            warn!("the fast path: {}", crate::error::in_one_line(&error));
        }
    }

    /// Names are not the network: what is wrong with them is no fault of the node's.
    fn keep_names(&mut self) {
        let unnamed = self.agent.keep_names().err();
        if let Some(why) = unnamed.as_ref().filter(|_| unnamed != self.unnamed) {
            warn!("names are not answered for: {why}");
        }
        self.unnamed = unnamed;
    }

    fn void_fast_path_proofs(&self) {
        if let Err(error) = self.agent.void_fast_path_proofs() {
            warn!("the fast path: {}", crate::error::in_one_line(&error));
        }
    }

    fn say_steps(&self, change: &Change<Adopted>) {
        let steps = &change.plan.steps;
        steps.iter().for_each(|step| debug!("{step}"));
        // What Debug prints begins with the kind of step.
        let steps = steps.iter().map(|step| format!("{step:?}"));
        self.board.count_steps(steps);
    }

    fn say(&self, lines: Vec<Line>) {
        for line in lines {
            match line {
                Line::Info(text) => info!("{text}"),
                Line::Mended(text) => {
                    self.board.count(|meters| meters.mended += 1);
                    info!("mended: {text}");
                }
                Line::Warning(text) => warn!("{text}"),
            }
        }
    }

    /// Says and keeps what came of healing.
    fn conclude_healing(&mut self, change: Result<Change<Adopted>, EngineError>) {
        match change {
            Ok(change) => {
                self.say_steps(&change);
                self.say(Journal::note_healing(&change.outcome));
            }
            Err(error) => {
                self.board.count(|meters| meters.failed_passes += 1);
                let fault = crate::error::in_one_line(&error);
                let lines = self.journal.note_fault(Some(fault.clone()));
                self.say(lines);
                self.board.looked(Some(fault), None, now_secs());
                self.ask_at = self.ask_at.min(Instant::now() + self.backoff.failed());
            }
        }
    }

    /// Says and keeps what came of a look at the cluster, and when the next one is.
    fn conclude(&mut self, pass: &Pass) {
        if let Ok(change) = &pass.change {
            self.say_steps(change);
        }
        let lines = self.journal.note(pass);
        self.say(lines);
        let fault = pass.fault();
        let failed = fault.is_some();
        self.board.looked(fault, Some(pass), now_secs());
        let wait = match failed {
            true => self.backoff.failed(),
            false => {
                self.backoff.succeeded();
                match pass.agreed.as_ref().is_ok_and(|agreed| agreed.unfinished) {
                    true => RECLAIM,
                    false => self.agent.settings.resync,
                }
            }
        };
        let now = Instant::now();
        let wait = wait.min(self.agent.settings.resync);
        self.ask_at = now + wait;
        let before = self.away.take();
        if pass.is_unanswered() {
            self.away = Some(Away::since(now, wait, before.as_ref()));
            self.wait_for_return();
        }
        self.tell_manager(status_line(pass));
    }

    fn tell_manager(&mut self, now: String) {
        if self.status.is_empty() {
            self.notifier.ready(&now);
        } else if now != self.status {
            self.notifier.status(&now);
        }
        self.status = now;
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
