//! Following a probe through the node's firewall: the table that marks it, the reports of it.
//!
//! `probe` sends it. Nothing outlives the process: the table goes with its socket.

pub mod probe;

use std::collections::{BTreeMap, HashMap};
use std::time::Instant;

use netstate::Netns;
use netstate::nft::text::TABLE;
use netstate::nft::{ChainKey, NftFamily, NftName};
use netstate::trace::{Heading, Sighting, TraceBy, TracePlan};

use crate::error::{KernelError, Listed};
use crate::foreign;
use crate::namespace::Namespace;
use crate::netlink::{Listener, NetlinkError, Protocol, Socket, wait_for_any};
use crate::nft::trace::{self, Decision, Quote, Report};

/// `NFNLGRP_NFTRACE`.
const GROUP: u32 = 9;
/// Reports kept of one probe; a flow that meets as many rules is a loop.
const REPORTS_MAX: usize = 4096;

/// Marks the packets of one flow in the node's namespace, and hears what is said of them.
#[derive(Debug)]
pub struct Tracer {
    plan: TracePlan,
    /// Owns the table.
    owner: Socket,
    listener: Listener,
    reports: Vec<Report>,
}

impl Tracer {
    /// # Errors
    /// `OpenSocket`; `InstallTrace` for what the kernel refuses: tables with an owner are there
    /// since Linux 5.12.
    pub fn open(plan: TracePlan) -> Result<Self, KernelError> {
        let failed = |source| KernelError::OpenSocket {
            netns: Netns::Node,
            source,
        };
        let listener = Listener::open(Protocol::Netfilter, &[GROUP]).map_err(failed)?;
        let mut owner = Socket::open(Protocol::Netfilter).map_err(failed)?;
        trace::install(&mut owner, &plan).map_err(|source| KernelError::InstallTrace { source })?;
        Ok(Self {
            plan,
            owner,
            listener,
            reports: Vec::new(),
        })
    }

    /// Takes in what comes until `end`.
    ///
    /// # Errors
    /// `List`: nothing more is heard.
    pub fn hear(&mut self, end: Instant) -> Result<(), KernelError> {
        while self.hear_some(end)? {}
        Ok(())
    }

    /// Takes in what comes first; false where nothing comes until `end`.
    ///
    /// # Errors
    /// Those of [`Tracer::hear`].
    pub fn hear_some(&mut self, end: Instant) -> Result<bool, KernelError> {
        let failed = |source| Listed::Reports.failed(&Netns::Node)(source);
        let Self {
            plan,
            listener,
            reports,
            ..
        } = self;
        let is_ready = wait_for_any([&*listener], end).map_err(NetlinkError::from);
        if !is_ready.map_err(failed)? {
            return Ok(false);
        }
        // A lost report leaves a gap in what is shown, and no more.
        let heard = listener.hear(|notice| {
            if reports.len() < REPORTS_MAX {
                reports.extend(trace::parse(plan, notice.kind, notice.payload));
            }
        });
        heard.map(|_| true).map_err(failed)
    }

    /// Takes the table away and tells what was heard, in its order.
    ///
    /// # Errors
    /// `List`, `OpenSocket`.
    pub(crate) fn finish(self, node: &mut Namespace) -> Result<Vec<Sighting>, KernelError> {
        let Self {
            plan,
            owner,
            reports,
            ..
        } = self;
        drop(owner);
        let links = node.links()?.into_iter();
        let names: BTreeMap<u32, String> = links.map(|link| (link.index, link.name)).collect();
        let name = |index: Option<u32>| {
            let index = index.filter(|index| *index != 0)?;
            Some(names.get(&index).cloned().unwrap_or(format!("#{index}")))
        };
        let mut texts = Texts::default();
        let mut quotes: HashMap<u32, Quote> = HashMap::new();
        let mut sightings = Vec::new();
        for report in reports {
            if let Some(quote) = report.quote {
                let known = quotes.get(&report.packet).and_then(|known| known.heading);
                let heading = quote.heading.or(known);
                quotes.insert(report.packet, Quote { heading, ..quote });
            }
            let quote = quotes.get(&report.packet);
            if let Some((decision, quote)) = report.decision.zip(quote) {
                let (source, destination) = quote.addresses.unzip();
                sightings.push(Sighting {
                    heading: quote.heading.unwrap_or(Heading::There),
                    source,
                    destination,
                    input: name(quote.input),
                    output: name(quote.output),
                    by: texts.with_text(node, &plan, &decision)?,
                    family: decision.family.to_owned(),
                    table: decision.table,
                    chain: decision.chain,
                    verdict: decision.verdict,
                });
            }
        }
        Ok(sightings)
    }
}

/// The rules that were read, by where they stand.
#[derive(Default)]
struct Texts(HashMap<(&'static str, String, String, u64), Option<String>>);

impl Texts {
    fn with_text(
        &mut self,
        node: &mut Namespace,
        plan: &TracePlan,
        decision: &Decision,
    ) -> Result<TraceBy, KernelError> {
        let TraceBy::Rule(handle, _) = decision.by else {
            return Ok(decision.by.clone());
        };
        if decision.table == plan.table {
            return Ok(decision.by.clone());
        }
        let Decision {
            family,
            table,
            chain,
            ..
        } = decision;
        let key = (*family, table.clone(), chain.clone(), handle);
        if let Some(known) = self.0.get(&key) {
            return Ok(TraceBy::Rule(handle, known.clone()));
        }
        let text = match our_chain(family, table, chain) {
            Some(chain) => {
                let read = trace::our_rule(node.netfilter()?, &chain, handle);
                read.map_err(Listed::Tables.failed(&Netns::Node))?
            }
            None => foreign_rule([family, table, chain], handle),
        };
        self.0.insert(key, text.clone());
        Ok(TraceBy::Rule(handle, text))
    }
}

fn our_chain(family: &str, table: &str, chain: &str) -> Option<ChainKey> {
    let ours = [NftFamily::Inet, NftFamily::Bridge].into_iter();
    let family = ours
        .filter(|_| table == TABLE)
        .find(|known| known.to_string() == family)?;
    let name = NftName::from(chain);
    Some(ChainKey { family, name })
}

fn foreign_rule(place: [&str; 3], handle: u64) -> Option<String> {
    let text = foreign::listed(&["--handle", "--stateless", "list", "chain"], place)?;
    let tail = format!(" # handle {handle}");
    let mut lines = text.lines();
    let line = lines.find_map(|line| line.strip_suffix(tail.as_str()))?;
    Some(line.trim().to_owned())
}
