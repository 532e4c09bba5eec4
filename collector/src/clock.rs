//! The clocks of every event: since boot, and of the wall.

use rustix::time::{ClockId, Timespec, clock_gettime};
use saigen_schemas::event::Time;

/// The time, on the clocks of this machine, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Now {
    /// Since boot, sleep included.
    pub boot_us: u64,
    /// Since boot, sleep left out.
    pub monotonic_us: u64,
    /// Since 1970 in UTC.
    pub wall_us: i64,
}

impl Now {
    /// Wall minus boot clock: it changes only when the wall clock is stepped.
    #[must_use]
    pub fn offset_us(self) -> i64 {
        self.wall_us.saturating_sub_unsigned(self.boot_us)
    }

    /// The time slept since boot.
    #[must_use]
    pub fn slept_us(self) -> u64 {
        self.boot_us.saturating_sub(self.monotonic_us)
    }

    /// The moment as an event carries it.
    #[must_use]
    pub fn time(self) -> Time {
        Time {
            wall_us: self.wall_us,
            boot_us: Some(self.boot_us),
        }
    }
}

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

/// Microseconds that this process has used of the CPUs.
#[must_use]
pub fn cpu_us() -> u64 {
    u64::try_from(micros(clock_gettime(ClockId::ProcessCPUTime))).unwrap_or(0)
}

/// All clocks at one moment, as near as they can be read.
#[must_use]
pub fn now() -> Now {
    Now {
        boot_us: boot_us(),
        monotonic_us: u64::try_from(micros(clock_gettime(ClockId::Monotonic))).unwrap_or(0),
        wall_us: wall_us(),
    }
}

fn micros(time: Timespec) -> i64 {
    time.tv_sec
        .saturating_mul(1_000_000)
        .saturating_add(time.tv_nsec / 1_000)
}
