//! How fast the runtime lets a container be: the capability `bandwidth` (CONVENTIONS.md of the
//! specification), in bits a second.
//!
//! `ingress` is what comes to the container. What may go at once after a pause is Pontoon's own
//! choice, a hundredth of a second's: the runtime's burst is read and counts for nothing, since
//! runtimes pass the largest number there is.

use model::{Rate, Rates};

use crate::config::ConfigError;
use crate::fields::{Case, Field};

/// The kernel counts bytes.
const BYTE_BITS: u64 = 8;

pub(crate) fn parse_bandwidth(field: &Field<'_>) -> Result<Rates, ConfigError> {
    let mut fields = field.fields(Case::Any)?;
    for burst in ["ingressBurst", "egressBurst"] {
        if let Some(field) = fields.take(burst) {
            bits(&field)?;
        }
    }
    let receives = fields.take("ingressRate");
    let sends = fields.take("egressRate");
    let rates = Rates {
        sends: sends.map(|f| rate(&f)).transpose()?.flatten(),
        receives: receives.map(|f| rate(&f)).transpose()?.flatten(),
    };
    fields.finish()?;
    Ok(rates)
}

/// None for 0, which is how runtimes say nothing.
fn rate(field: &Field<'_>) -> Result<Option<Rate>, ConfigError> {
    match bits(field)? {
        0 => Ok(None),
        bits => {
            let rate = Rate::try_from(bits / BYTE_BITS * BYTE_BITS);
            rate.map(Some).map_err(|source| field.wrong(source))
        }
    }
}

fn bits(field: &Field<'_>) -> Result<u64, ConfigError> {
    let number = field.value.as_u64();
    number.ok_or_else(|| field.expected("bits, a number from 0"))
}
