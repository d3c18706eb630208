//! What killed processes left of containers, and the turns of a container's life that its
//! supervisor calls: attached when its namespaces are there, detached when it is over.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::Result;
use engine::{
    AttachRequest, DetachRequest, Detachee, Engine, EngineError, ErrorClass, Mode, NetnsAfter,
    NetnsBefore, NetworkChoice,
};
use model::{CniAttachment, ContainerId, EndpointName, IfName, ListName, Names, Rates};
use sandbox::cgroup::Cgroups;
use sandbox::container::{Afterwards, State};
use sandbox::{Place, bundle, end_abandoned};

use super::args::Created;
use crate::names;

/// The interface inside.
pub const IFNAME: &str = "eth0";
/// As CNI's configuration lists keep runtimes apart: these endpoints are of `pontoon run`.
const LIST: &str = "pontoon-run";
/// Before a container's name in the id its endpoint is known by.
const PREFIX: &str = "run.";

/// What the endpoint of a container is found by, whatever has become of its processes: their
/// numbers may be others' by now.
pub fn id_of(name: &EndpointName) -> Result<ContainerId> {
    Ok(format!("{PREFIX}{name}").parse()?)
}

/// Attaches a container whose command is about to start.
pub fn created(args: Created, engine: &Engine, state_dir: &Path) -> Result<()> {
    let place = place(engine)?;
    let known = place.find(&args.name)?;
    let request = AttachRequest {
        network: NetworkChoice::Existing(known.container.network.clone()),
        target: args.target,
        cni: Some(CniAttachment {
            container: id_of(&args.name)?,
            list: LIST.parse::<ListName>()?,
        }),
        before: NetnsBefore::Exists,
        name: Some(args.name),
        addresses: args.ip,
        mac: None,
        ifname: Some(IFNAME.parse::<IfName>()?),
        publish: args.publish,
        rates: Rates::both(args.rate),
        aliases: args.alias,
    };
    let attached = engine.attach(&request, Mode::Apply)?.outcome;
    if attached.names == Names::On {
        names::ensure(state_dir);
    }
    let addresses = attached.endpoint.addresses.iter().map(ToString::to_string);
    let text = bundle::hosts(
        known.container.hostname.as_str(),
        &addresses.collect::<Vec<_>>(),
    );
    Ok(known.home.write_shown(bundle::HOSTS, &text)?)
}

/// Detaches a container that is over, and forgets it if that was asked for.
pub fn ended(name: &EndpointName, engine: &Engine) -> Result<()> {
    detach(id_of(name)?, engine)?;
    let known = place(engine)?.find(name)?;
    if known.container.afterwards == Afterwards::Remove {
        known.home.remove()?;
    }
    Ok(())
}

/// What is detached already is success.
fn detach(container: ContainerId, engine: &Engine) -> Result<()> {
    let request = DetachRequest {
        who: Detachee::Container {
            container,
            ifname: IFNAME.parse::<IfName>()?,
        },
        network: None,
        after: NetnsAfter::Keep,
    };
    match engine.detach(&request, Mode::Apply) {
        Err(error) if !is_missing(&error) => Err(error.into()),
        _ => Ok(()),
    }
}

fn is_missing(error: &EngineError) -> bool {
    error.class() == ErrorClass::Missing
}

pub fn place(engine: &Engine) -> Result<Place> {
    Ok(Place::of_node(&engine.node_id()?.to_string()))
}

/// Ends and removes what nobody looks after: containers whose supervisor was killed, directories
/// of containers that were never made whole, endpoints of containers that are over.
pub fn heal(engine: &Engine) -> Result<()> {
    let place = place(engine)?;
    let cgroups = Cgroups::find();
    let mut alive = BTreeSet::new();
    {
        let all = place.all()?;
        let unfinished = place.unfinished()?;
        let is_lost = |state: State| state == State::Abandoned;
        if all.iter().any(|known| is_lost(known.state)) || !unfinished.is_empty() {
            let _lock = place.lock()?;
            // Who makes one holds the lock: what is still not whole now never will be.
            place
                .unfinished()?
                .iter()
                .try_for_each(sandbox::Home::remove)?;
            for mut known in place.all()? {
                if is_lost(known.state) {
                    end_abandoned(&mut known, &cgroups)?;
                    if known.container.afterwards == Afterwards::Remove {
                        known.home.remove()?;
                    }
                }
            }
        }
    }
    for known in place.all()? {
        if matches!(known.state, State::Creating | State::Running) {
            alive.insert(id_of(&known.container.name)?);
        }
    }
    for status in engine.endpoints()? {
        if let Some(cni) = status.endpoint.cni
            && cni.list.as_str() == LIST
            && !alive.contains(&cni.container)
        {
            detach(cni.container, engine)?;
        }
    }
    Ok(())
}
