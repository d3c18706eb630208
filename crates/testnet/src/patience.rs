//! How long tests wait: their bounds hold on real hardware, and are longer where everything is
//! slower.
//!
//! A bound is what a test gives up at, never what it measures. What a test does many times, as more
//! often finds more, it does less often there: see [`stride`].

use std::env;
use std::sync::OnceLock;
use std::time::Duration;

/// By how much bounds are longer: a number, 1 where it is not set.
const PATIENCE_VARIABLE: &str = "PONTOON_TEST_PATIENCE";
const PATIENCE_MAX: u32 = 100;
/// Of many times or places one in so many, where everything is slower.
const SLOW_STRIDE: u32 = 3;

/// A bound that holds on real hardware, as long as this machine needs it. Everything in this crate
/// that takes a bound or has one does this by itself.
///
/// # Panics
/// When `PONTOON_TEST_PATIENCE` is not a number from 1 to 100.
#[must_use]
pub fn patient(bound: Duration) -> Duration {
    bound * patience()
}

/// How long a test listens to silence: longer on a slow machine, but not as long as a bound, which
/// is rarely waited for to its end.
///
/// # Panics
/// As [`patient`].
#[must_use]
pub fn silent(while_fast: Duration) -> Duration {
    while_fast * patience().min(SLOW_STRIDE)
}

/// From one place that a test looks at to the next: 1 on real hardware.
///
/// # Panics
/// As [`patient`].
#[must_use]
pub fn stride() -> u32 {
    match patience() {
        1 => 1,
        _ => SLOW_STRIDE,
    }
}

/// As many times on real hardware, and a part of that on a slow machine.
///
/// # Panics
/// As [`patient`].
#[must_use]
pub fn fewer(times: u32) -> u32 {
    times.div_ceil(stride())
}

fn patience() -> u32 {
    static PATIENCE: OnceLock<u32> = OnceLock::new();
    *PATIENCE.get_or_init(asked_for)
}

fn asked_for() -> u32 {
    let Some(value) = env::var_os(PATIENCE_VARIABLE) else {
        return 1;
    };
    let number = value.to_str().and_then(|text| text.parse().ok());
    let number = number.filter(|number| (1..=PATIENCE_MAX).contains(number));
    number.unwrap_or_else(|| {
        panic!("{PATIENCE_VARIABLE} is {value:?}, not a number from 1 to {PATIENCE_MAX}")
    })
}
