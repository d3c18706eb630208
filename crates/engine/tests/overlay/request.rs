//! What the engine's tests ask of attach where nothing is asked for. Other targets include this file.

use engine::{AttachRequest, NetnsBefore, NetworkChoice};
use model::Rates;

/// For a new namespace, with nothing asked for.
pub fn request(network: &str, name: &str) -> AttachRequest {
    AttachRequest {
        network: NetworkChoice::Existing(network.parse().unwrap()),
        target: name.parse().unwrap(),
        cni: None,
        before: NetnsBefore::Create,
        name: None,
        addresses: Vec::new(),
        mac: None,
        ifname: None,
        publish: Vec::new(),
        rates: Rates::default(),
        aliases: Vec::new(),
    }
}
