//! The whole normalizer, fed with batches as sources give them.

use super::*;
use crate::source::netlink;

fn settings() -> Settings {
    Settings {
        scope: Scope::System,
        args_from: ArgsFrom::Audit,
        audit: Some(Role::Owner),
        codes: Codes::Connector,
        perf_clock: Clock::Boot,
        tracepoints: Tracepoints::default(),
        host: b"host".to_vec(),
        boot: BootId::default(),
        lists: Lists::default(),
    }
}

/// A batch with one call as audit tells of it, dated by the wall clock.
fn call_at(number: u32, wall_s: i64, serial: u64, boot_us: u64) -> Batch {
    let mut batch = Batch::new();
    batch.feed = Feed::Audit;
    batch.drained_us = boot_us;
    let subject = "success=yes exit=3 a0=0 a1=0 a2=0 a3=0 ppid=1 pid=4000001 auid=0 uid=0 gid=0 euid=0 egid=0 tty=(none) ses=1 comm=\"x\" exe=\"/bin/x\"";
    for (kind, text) in [
        (
            1300_u16,
            format!("arch=c000003e syscall={number} {subject}"),
        ),
        (1309, "argc=1 a0=\"x\"".to_owned()),
        (1320, String::new()),
    ] {
        let mut datagram = vec![0; netlink::HEADER_BYTES];
        datagram[4..6].copy_from_slice(&kind.to_le_bytes());
        datagram.extend(format!("audit({wall_s}.000:{serial}): {text}").bytes());
        batch.push_datagram(&datagram);
    }
    batch
}

#[test]
fn a_clock_that_goes_back_a_year_delays_and_loses_nothing() {
    const EXECVE: u32 = 59;
    const MEMFD_CREATE: u32 = 319;
    const YEAR_US: i64 = 365 * 86_400 * 1_000_000;
    let at = |boot_us: u64, wall_us: i64| Now {
        boot_us,
        monotonic_us: boot_us,
        wall_us,
    };
    let wall_us = 1_700_000_000_000_000;
    let mut normalizer = Normalizer::new(settings(), None, at(10_000_000, wall_us));
    let mut told = Vec::new();
    let mut sink = |event: &Event<'_>| told.push(event.kind.name().as_str());
    normalizer.round(at(10_000_000, wall_us), &mut sink);
    normalizer.batch(&call_at(EXECVE, 1_700_000_000, 1, 10_000_000));
    // Dated by the old clock, and read when the new one stands.
    let back = wall_us - YEAR_US;
    normalizer.round(at(10_100_000, back + 100_000), &mut sink);
    normalizer.batch(&call_at(MEMFD_CREATE, 1_700_000_000, 2, 10_100_000));
    normalizer.batch(&call_at(
        EXECVE,
        (back + 200_000) / 1_000_000,
        3,
        10_200_000,
    ));
    for round in 1..40_u64 {
        let passed = 100_000 * round;
        let wall = back + i64::try_from(passed).unwrap();
        normalizer.round(at(10_200_000 + passed, wall), &mut sink);
    }
    assert_eq!(normalizer.waiting(), 0, "nothing waits for a year");
    told.sort_unstable();
    assert_eq!(told, ["file.memory", "process.start", "process.start"]);
}
