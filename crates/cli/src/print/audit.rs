//! Addresses that are not free, as text.

use engine::{AddressState, AddressStatus, Owner, Reconciled};

use super::table::table;
use super::{reconciled, why};

const MINUTE: u64 = 60;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;

/// What was freed, where that was asked for, and what there is.
pub fn audited(addresses: &[AddressStatus], fixed: Option<&Reconciled>) -> String {
    let freed = match fixed {
        Some(fixed) if *fixed != Reconciled::default() => reconciled(fixed),
        Some(_) => "nothing to free\n".to_owned(),
        None => String::new(),
    };
    let rows: Vec<Vec<String>> = addresses.iter().map(row).collect();
    let head = [
        "NETWORK",
        "ADDRESS",
        "OWNER",
        "TARGET",
        "CONTAINER",
        "AGE",
        "STATE",
    ];
    freed + &table(&head, &rows)
}

fn row(status: &AddressStatus) -> Vec<String> {
    let (owner, state) = match &status.state {
        AddressState::InUse(owner) => (Some(owner), "in use".to_owned()),
        AddressState::Dead { owner, why: reason } => {
            (Some(owner), format!("dead: {}", why(*reason)))
        }
        AddressState::Unfinished { owner, why: reason } => {
            (Some(owner), format!("unfinished: {}", why(*reason)))
        }
        AddressState::Resting { left_secs } => (None, format!("resting, {} more", age(*left_secs))),
    };
    let of = |text: fn(&Owner) -> Option<String>| {
        let text = owner.and_then(text);
        text.unwrap_or_else(|| "-".to_owned())
    };
    vec![
        status.network.to_string(),
        status.address.to_string(),
        of(|owner| Some(owner.name.to_string())),
        of(|owner| Some(owner.target.to_string())),
        of(|owner| owner.container.as_ref().map(ToString::to_string)),
        of(|owner| Some(age(owner.age_secs))),
        state,
    ]
}

/// Seconds as people say them: in one unit, rounded down.
pub(super) fn age(secs: u64) -> String {
    match secs {
        0..MINUTE => format!("{secs}s"),
        MINUTE..HOUR => format!("{}m", secs / MINUTE),
        HOUR..DAY => format!("{}h", secs / HOUR),
        DAY.. => format!("{}d", secs / DAY),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_have_one_unit() {
        for (secs, text) in [
            (0, "0s"),
            (59, "59s"),
            (60, "1m"),
            (3599, "59m"),
            (7200, "2h"),
            (86_399, "23h"),
            (5 * 86_400, "5d"),
            (u64::MAX, "213503982334601d"),
        ] {
            assert_eq!(age(secs), text);
        }
    }
}
