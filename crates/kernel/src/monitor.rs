//! What changes in the kernel without us: whether it is time to look again.
//!
//! It listens to devices, addresses, queues, routes, neighbours, forwarding switches and firewall rules,
//! and leaves out what our own processes do, what devices of strangers do among themselves, and
//! what a table does by itself. It says that something changed, never what: whoever hears it
//! observes. What it can't hear (values that the kernel tells nobody of, insides of targets) is
//! found at the next look.

mod known;

use std::time::{Duration, Instant};

use netstate::Netns;

use crate::error::{KernelError, Listed};
use crate::namespace::Namespace;
use crate::netlink::{Author, Listener, NetlinkError, Protocol, wait_for_any};
use crate::nft::{is_change, is_change_of_ours};
use known::Known;

/// Groups of rtnetlink (`enum rtnetlink_groups`, `include/uapi/linux/rtnetlink.h`): devices,
/// neighbours, traffic control, and of IPv4 and IPv6 addresses, routes and switches.
const ROUTE_GROUPS: [u32; 9] = [1, 3, 4, 5, 9, 7, 11, 24, 25];
/// `NFNLGRP_NFTABLES`.
const NFT_GROUPS: [u32; 1] = [7];

/// Changes come in bursts: one is over when nothing came for so long. The kernel takes up to 20 ms
/// between the steps of removing a device.
const QUIET: Duration = Duration::from_millis(50);
/// How long a burst may take. Who goes on changing things keeps nobody from looking.
const BURST: Duration = Duration::from_millis(250);

/// What came of a wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum News {
    /// Something that may be ours is not as it was.
    Changed,
    /// Somebody's rules are not as they were; nothing of ours is different.
    OthersRules,
    /// One of us has attached or detached endpoints; nothing that is to be mended.
    Endpoints,
    Nothing,
}

/// Hears of changes in the namespace of the thread that opened it.
#[derive(Debug)]
pub struct Monitor {
    route: Listener,
    nft: Listener,
    known: Known,
    /// Whether somebody's rules changed.
    others_rules: bool,
}

impl Monitor {
    /// Hears what changes from now on.
    ///
    /// # Errors
    /// `OpenSocket`, `List`.
    pub fn open() -> Result<Self, KernelError> {
        let open = |protocol, groups: &[u32]| {
            Listener::open(protocol, groups).map_err(|source| KernelError::OpenSocket {
                netns: Netns::Node,
                source,
            })
        };
        let route = open(Protocol::Route, &ROUTE_GROUPS)?;
        let nft = open(Protocol::Netfilter, &NFT_GROUPS)?;
        let known = Known::read(&mut Namespace::of_node())?;
        Ok(Self {
            route,
            nft,
            known,
            others_rules: false,
        })
    }

    /// Waits until something changed and the burst of changes is over, or for `timeout`.
    ///
    /// # Errors
    /// `List`: nothing more is heard.
    pub fn wait(&mut self, timeout: Duration) -> Result<News, KernelError> {
        let end = Instant::now() + timeout;
        loop {
            if self.known.is_suspicious() {
                self.sit_out_the_burst()?;
                if self.known.take_suspicion() {
                    return Ok(News::Changed);
                }
            }
            if std::mem::take(&mut self.others_rules) {
                return Ok(News::OthersRules);
            }
            if self.known.take_endpoints() {
                return Ok(News::Endpoints);
            }
            if !self.hear_until(end)? {
                return Ok(News::Nothing);
            }
        }
    }

    /// A suspicion may resolve: a device that changed is removed by one of us.
    fn sit_out_the_burst(&mut self) -> Result<(), KernelError> {
        let end = Instant::now() + BURST;
        while Instant::now() < end {
            if !self.hear_until(end.min(Instant::now() + QUIET))? {
                break;
            }
        }
        Ok(())
    }

    /// Takes in what comes first; false where nothing comes until `deadline`.
    fn hear_until(&mut self, deadline: Instant) -> Result<bool, KernelError> {
        let any = wait_for_any([&self.route, &self.nft], deadline);
        if !any.map_err(|errno| failed(errno.into()))? {
            return Ok(false);
        }
        let Self {
            route,
            nft,
            known,
            others_rules,
        } = self;
        let routes_whole = route.hear(|notice| known.note(notice)).map_err(failed)?;
        let nft_heard = nft.hear(|notice| {
            let is_ours = is_change_of_ours(notice.kind, notice.payload);
            if is_ours && notice.author != Author::Ours {
                known.suspect_node();
            }
            *others_rules |= is_change(notice.kind) && !is_ours;
        });
        if !(routes_whole && nft_heard.map_err(failed)?) {
            *known = Known::read(&mut Namespace::of_node())?;
            known.suspect_node();
        }
        Ok(true)
    }
}

fn failed(source: NetlinkError) -> KernelError {
    Listed::Changes.failed(&Netns::Node)(source)
}
