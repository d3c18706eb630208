//! Each command as one call of the engine.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use engine::{
    AddressStatus, AttachRequest, DetachRequest, Detachee, Engine, Health, Mode, NetnsAfter,
    NetnsBefore, NetworkChoice, NewNetwork, Reconciled, Settings, SubnetChoice, TakeOver,
};
use model::{Names, Rates, Reach};
use netstate::Plan;
use serde::Serialize;

use crate::args::{
    Attach, Cli, CniCommand, CniInstall, CniUninstall, Command, Common, Detach, Dry, IpamAudit,
    IpamCommand, NetworkCommand, NetworkCreate,
};
use crate::cluster;
use crate::exit::FOUND;
use crate::fastpath;
use crate::install::{self, Installation};
use crate::lab;
use crate::late::Late;
use crate::names;
use crate::print::{self, Out};
use crate::sandbox;
use crate::trace;

pub fn run(cli: Cli) -> Result<ExitCode> {
    let settings = settings(&cli.common)?;
    let engine = Engine::new(settings.clone());
    let out = Out {
        json: cli.common.json,
    };
    match cli.command {
        Command::Network(Late(command)) => network(&engine, command, out)?,
        Command::Attach(Late(args)) => {
            let mode = mode(&args.dry);
            let change = engine.attach(&attach_request(args), mode)?;
            if mode == Mode::Apply && change.outcome.names == Names::On {
                names::ensure(&cli.common.state_dir);
            }
            out.change(mode, &change, print::attached)?;
        }
        Command::Detach(Late(args)) => {
            let mode = mode(&args.dry);
            let change = engine.detach(&detach_request(args), mode)?;
            out.change(mode, &change, |detached| print::detached(detached))?;
        }
        Command::Ls => out.show(&engine.endpoints()?, |all| print::endpoints(all))?,
        Command::Stack { target } => sandbox::stack(&engine, target, out)?,
        Command::Trace(Late(args)) => return trace::run(args, cli.common.verbose, &engine, out),
        Command::Reconcile { dry, take_over } => {
            let code = reconcile(&engine, &dry, take_over, out)?;
            if !dry.dry_run {
                names::ensure_used(&engine, &cli.common.state_dir);
            }
            return Ok(code);
        }
        Command::Doctor => return doctor(&engine, out),
        Command::Agent(Late(args)) => return cluster::agent(*args, settings, &cli.common),
        Command::Node(Late(command)) => cluster::node(&engine, command, &cli.common)?,
        Command::Status(Late(args)) => return cluster::status(&engine, args, &cli.common),
        Command::Topology(Late(args)) => cluster::topology(&engine, args, &cli.common)?,
        Command::Ipam(Late(IpamCommand::Audit(args))) => return audit(&engine, &args, out),
        Command::Cni(Late(CniCommand::Install(args))) => install(args, out)?,
        Command::Cni(Late(CniCommand::Uninstall(args))) => uninstall(&args, out)?,
        Command::Names(Late(args)) => return names::run(args, &engine, &cli.common, out),
        Command::Capture(Late(args)) => fastpath::capture::run(&args, &engine, out)?,
        Command::FastPath(Late(command)) => {
            return fastpath::run(&command, &engine, &settings, out);
        }
        Command::Container(command) => {
            return sandbox::run(command, &engine, &cli.common, out);
        }
        Command::Lab(Late(args)) => return lab::run(args, &cli.common, out),
    }
    Ok(ExitCode::SUCCESS)
}

fn settings(common: &Common) -> Result<Settings> {
    let mut random = [0; 8];
    getrandom::fill(&mut random).context("can't get random bits from the kernel")?;
    Ok(Settings {
        state_dir: common.state_dir.clone(),
        now_secs: engine::now_secs(),
        random: u64::from_ne_bytes(random),
        lock_wait: Duration::from_secs(common.lock_wait),
        announce: if common.verbose {
            print::announce
        } else {
            |_: &Plan| {}
        },
    })
}

fn mode(dry: &Dry) -> Mode {
    if dry.dry_run {
        Mode::DryRun
    } else {
        Mode::Apply
    }
}

fn network(engine: &Engine, command: NetworkCommand, out: Out) -> Result<()> {
    match command {
        NetworkCommand::Create(args) if args.overlay.overlay => cluster::create(engine, *args, out),
        NetworkCommand::Create(args) => {
            let mode = mode(&args.dry);
            let change = engine.create_network(&new_network(*args), mode)?;
            out.change(mode, &change, print::network_created)
        }
        NetworkCommand::Ls => out.show(&engine.networks()?, |all| print::networks(all)),
        NetworkCommand::Show { name } => out.show(&engine.network(&name)?, print::network),
        NetworkCommand::Rm { name, cluster, dry } => {
            let mode = mode(&dry);
            if cluster::remove(engine, &name, cluster, mode, out)? {
                return Ok(());
            }
            let change = engine.remove_network(&name, mode)?;
            out.change(mode, &change, print::network_removed)
        }
    }
}

fn new_network(args: NetworkCreate) -> NewNetwork {
    NewNetwork {
        name: args.name,
        subnets: match (args.subnet.is_empty(), args.ipv6) {
            (false, _) => SubnetChoice::Given(args.subnet),
            (true, false) => SubnetChoice::PickIpv4,
            (true, true) => SubnetChoice::PickBoth,
        },
        gateways: args.gateway,
        ranges: args.ip_range,
        bridge: args.bridge,
        mtu: args.mtu,
        reach: if args.internal {
            Reach::Internal
        } else {
            Reach::Outside
        },
        names: if args.names { Names::On } else { Names::Off },
    }
}

fn attach_request(args: Attach) -> AttachRequest {
    AttachRequest {
        network: NetworkChoice::Existing(args.network),
        target: args.target,
        cni: None,
        before: if args.create {
            NetnsBefore::Create
        } else {
            NetnsBefore::Exists
        },
        name: args.name,
        addresses: args.ip,
        mac: args.mac,
        ifname: args.ifname,
        publish: args.publish,
        rates: Rates::both(args.rate),
        aliases: args.alias,
    }
}

fn detach_request(args: Detach) -> DetachRequest {
    DetachRequest {
        who: Detachee::Target(args.target),
        network: args.network,
        after: if args.delete {
            NetnsAfter::Delete
        } else {
            NetnsAfter::Keep
        },
    }
}

fn reconcile(engine: &Engine, dry: &Dry, take_over: bool, out: Out) -> Result<ExitCode> {
    let mode = mode(dry);
    let take_over = if take_over {
        TakeOver::Yes
    } else {
        TakeOver::No
    };
    let change = engine.reconcile(take_over, mode)?;
    if mode == Mode::Apply {
        sandbox::heal(engine)?;
    }
    out.change(mode, &change, print::reconciled)?;
    let outcome = &change.outcome;
    let nothing = change.plan.is_empty()
        && outcome.released.is_empty()
        && outcome.removed_networks.is_empty();
    Ok(match mode {
        Mode::DryRun if !nothing => ExitCode::from(FOUND),
        Mode::DryRun | Mode::Apply => ExitCode::SUCCESS,
    })
}

fn doctor(engine: &Engine, out: Out) -> Result<ExitCode> {
    let mut checks = engine.doctor();
    checks.push(sandbox::doctor::check());
    out.show(&checks, |checks| print::checks(checks))?;
    let bad = checks.iter().any(|check| check.health == Health::Bad);
    Ok(if bad {
        ExitCode::from(FOUND)
    } else {
        ExitCode::SUCCESS
    })
}

/// What an audit answers.
#[derive(Debug, Serialize)]
struct Audited {
    addresses: Vec<AddressStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fixed: Option<Reconciled>,
}

fn audit(engine: &Engine, args: &IpamAudit, out: Out) -> Result<ExitCode> {
    let network = args.network.as_ref();
    let mut addresses = engine.audit(network)?;
    let is_lost = |status: &AddressStatus| status.state.is_lost();
    let mut fixed = args.fix.then(Reconciled::default);
    if args.fix && addresses.iter().any(is_lost) {
        fixed = Some(engine.reconcile(TakeOver::No, Mode::Apply)?.outcome);
        addresses = engine.audit(network)?;
    }
    let lost = addresses.iter().any(is_lost);
    let audited = Audited { addresses, fixed };
    out.show(&audited, |audited| {
        print::audited(&audited.addresses, audited.fixed.as_ref())
    })?;
    Ok(if lost {
        ExitCode::from(FOUND)
    } else {
        ExitCode::SUCCESS
    })
}

fn install(args: CniInstall, out: Out) -> Result<()> {
    let dry_run = args.places.dry_run;
    let installation = Installation::plan(args)?;
    if !dry_run {
        installation.apply()?;
    }
    let outcome = installation.outcome();
    let text = if dry_run {
        print::install_planned(&outcome)
    } else {
        print::installed(&outcome)
    };
    out.files(dry_run, &outcome, &text)
}

fn uninstall(args: &CniUninstall, out: Out) -> Result<()> {
    let dry_run = args.places.dry_run;
    let outcome = install::plan_removal(&args.places)?;
    if !dry_run {
        install::remove(&outcome)?;
    }
    let text = if dry_run {
        print::removal_planned(&outcome)
    } else {
        print::removed(&outcome)
    };
    out.files(dry_run, &outcome, &text)
}
