//! The vocabulary that the rules are written in.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use model::Prefix;
use netstate::nft::{
    Chain, Expr, Hook, HookPoint, HookType, MatchOp, NftName, Right, Rule, Rules, Statement,
    Verdict,
};

pub(super) type Named = (&'static str, Chain);

pub(super) fn base(kind: HookType, point: HookPoint, priority: i32, rules: Vec<Rule>) -> Chain {
    Chain {
        hook: Some(Hook {
            kind,
            point,
            priority,
        }),
        rules: Rules::Ours(rules),
    }
}

pub(super) fn plain(rules: Vec<Rule>) -> Chain {
    Chain {
        hook: None,
        rules: Rules::Ours(rules),
    }
}

pub(super) fn rule(statements: impl IntoIterator<Item = Statement>) -> Rule {
    Rule(statements.into_iter().collect())
}

pub(super) fn is(left: impl Into<Vec<Expr>>, right: Right) -> Statement {
    compare(left, MatchOp::Eq, right)
}

pub(super) fn is_not(left: impl Into<Vec<Expr>>, right: Right) -> Statement {
    compare(left, MatchOp::Ne, right)
}

pub(super) fn compare(left: impl Into<Vec<Expr>>, op: MatchOp, right: Right) -> Statement {
    let left = left.into();
    Statement::Match { left, op, right }
}

pub(super) fn set(name: &str) -> Right {
    Right::Set(NftName::from(name))
}

pub(super) fn jump(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Jump(NftName::from(chain)))
}

pub(super) fn goto(chain: &str) -> Statement {
    Statement::Verdict(Verdict::Goto(NftName::from(chain)))
}

pub(super) const ACCEPT: Statement = Statement::Verdict(Verdict::Accept);
pub(super) const DROP: Statement = Statement::Verdict(Verdict::Drop);
pub(super) const RETURN: Statement = Statement::Verdict(Verdict::Return);
pub(super) const COUNTER: Statement = Statement::Counter;

pub(super) fn loopback4() -> Right {
    let loopback = IpAddr::V4(Ipv4Addr::LOCALHOST);
    let prefix = Prefix::of(loopback, 8);
    Right::Prefix(prefix.unwrap_or(Prefix::host(loopback)))
}

pub(super) fn address6(address: Ipv6Addr) -> Right {
    Right::Prefix(Prefix::host(address.into()))
}

/// Priorities of hooks (`include/uapi/linux/netfilter_ipv4.h`, `netfilter_bridge.h`).
pub(super) mod priority {
    pub const RAW: i32 = -300;
    pub const DSTNAT: i32 = -100;
    pub const BEHIND_DSTNAT: i32 = DSTNAT + 10;
    pub const FILTER: i32 = 0;
    pub const SRCNAT: i32 = 100;
    pub const BEHIND_SRCNAT: i32 = SRCNAT + 10;
    /// Before `br_netfilter` and before the bridge learns the source address.
    pub const BRIDGE_DSTNAT: i32 = -300;
}
