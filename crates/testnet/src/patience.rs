//! How long tests wait: their bounds hold on real hardware, and are longer where everything is
//! slower.
//!
//! A bound is what a test gives up at, never what it measures.

use std::env;
use std::sync::OnceLock;
use std::time::Duration;

/// By how much bounds are longer: a number, 1 where it is not set.
const PATIENCE_VARIABLE: &str = "PONTOON_TEST_PATIENCE";
const PATIENCE_MAX: u32 = 100;

/// A bound that holds on real hardware, as long as this machine needs it. Everything in this crate
/// that takes a bound or has one does this by itself.
///
/// # Panics
/// When `PONTOON_TEST_PATIENCE` is not a number from 1 to 100.
#[must_use]
pub fn patient(bound: Duration) -> Duration {
    static PATIENCE: OnceLock<u32> = OnceLock::new();
    bound * *PATIENCE.get_or_init(patience)
}

fn patience() -> u32 {
    let Some(value) = env::var_os(PATIENCE_VARIABLE) else {
        return 1;
    };
    let number = value.to_str().and_then(|text| text.parse().ok());
    let number = number.filter(|number| (1..=PATIENCE_MAX).contains(number));
    number.unwrap_or_else(|| {
        panic!("{PATIENCE_VARIABLE} is {value:?}, not a number from 1 to {PATIENCE_MAX}")
    })
}
