//! The two clocks of every event: since boot, and of the wall.

use rustix::time::{ClockId, Timespec, clock_gettime};

/// Microseconds since boot, suspended time included (`CLOCK_BOOTTIME`).
#[must_use]
pub fn boot_us() -> u64 {
    u64::try_from(micros(clock_gettime(ClockId::Boottime))).unwrap_or(0)
}

/// Microseconds since 1970 in UTC (`CLOCK_REALTIME`); whoever may set the clock may move it.
#[must_use]
pub fn wall_us() -> i64 {
    micros(clock_gettime(ClockId::Realtime))
}

fn micros(time: Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000)
        .saturating_add(time.tv_nsec / 1_000)
}
