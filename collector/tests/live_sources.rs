//! The sources on the running kernel. These tests need root and the machine to themselves: audit has
//! one owner. They run where `SAIGEN_LIVE=1` is set.

mod live;

use live::live;
use saigen_collector::source::audit::assemble::{ArgsState, Assembler, AuditEvent, What};
use saigen_collector::source::audit::rules::Call;
use saigen_collector::source::audit::{self, Audit, Role, Share};
use saigen_collector::source::perf::record::{Record, RecordKind, records};
use saigen_collector::source::perf::{Perf, PerfOptions, Stack};
use saigen_collector::source::proc_connector::{Note, NoteKind, ProcConnector};
use saigen_collector::source::{Batch, Drained, Source, datagrams};
use std::process::Command;
use std::time::Duration;

/// Starts `true` with an argument that only this test uses, from a process born after the sources.
fn start_marked(marker: &str) {
    let status = Command::new("/bin/sh")
        .args(["-c", &format!("/bin/true {marker}; exit 7")])
        .status();
    assert_eq!(status.expect("sh runs").code(), Some(7));
    std::thread::sleep(Duration::from_millis(100));
}

/// Everything that a source has now, batch by batch.
fn drain(source: &mut dyn Source, mut each: impl FnMut(&Batch)) {
    loop {
        let mut batch = Batch::new();
        let drained = source.drain(&mut batch).expect("the source drains");
        each(&batch);
        if drained == Drained::Empty {
            return;
        }
    }
}

#[test]
fn perf_sees_forks_starts_and_mappings_in_order() {
    live("perf", || {
        let mut perf = Perf::open(PerfOptions {
            budget_bytes: 8 << 20,
            stack: Stack::Left,
        })
        .expect("perf opens");
        start_marked("perf");
        let exec = perf.tracepoints.exec.clone().expect("the exec tracepoint");
        let (mut forks, mut mapped, mut started) = (0, 0, 0);
        for ring in &mut perf.rings {
            let mut last_ns = 0;
            drain(ring, |batch| {
                for bytes in records(&batch.bytes) {
                    let record = Record::parse(bytes).expect("a whole record");
                    assert!(
                        record.stamp.time_ns >= last_ns,
                        "records of one CPU are in order"
                    );
                    last_ns = record.stamp.time_ns;
                    match record.kind {
                        RecordKind::Fork(_) => forks += 1,
                        RecordKind::Mmap(mapping) if mapping.path.ends_with(b"/true") => {
                            mapped += 1
                        }
                        RecordKind::Sample { raw, .. } => {
                            let path = exec.field("filename").and_then(|field| field.text(raw));
                            started += usize::from(path == Some(b"/bin/true"));
                        }
                        RecordKind::Lost(lost) => panic!("{lost} records lost"),
                        RecordKind::Exit(_)
                        | RecordKind::Comm { .. }
                        | RecordKind::Mmap(_)
                        | RecordKind::Namespaces { .. }
                        | RecordKind::Bpf { .. }
                        | RecordKind::Symbol { .. }
                        | RecordKind::Other(_) => {}
                    }
                }
            });
        }
        assert!(
            forks >= 2 && mapped >= 1 && started >= 1,
            "{forks} forks, {mapped} mapped, {started} started"
        );
    });
}

#[test]
fn audit_gives_whole_arguments_and_is_left_as_it_was_found() {
    live("audit", || {
        let before = Audit::status().expect("audit answers");
        let mut source = Audit::open(Share::No).expect("audit opens");
        assert_eq!(source.role, Role::Owner);
        assert!(
            source.rule_count() > 10,
            "{} rules, {} refused",
            source.rule_count(),
            source.refused
        );
        let long = "x".repeat(100_000);
        start_marked(&long);
        let mut assembler = Assembler::default();
        let mut starts: Vec<AuditEvent> = Vec::new();
        drain(&mut source, |batch| {
            starts.extend(
                datagrams(&batch.bytes)
                    .filter_map(|datagram| assembler.push(datagram, batch.drained_us)),
            );
        });
        let whole = starts.iter().find(|event| {
            event.what == What::Call(Call::Execve)
                && event.args.ends_with(b"x\0")
                && event.args.starts_with(b"/bin/true\0")
        });
        let whole = whole.expect("the start is there");
        assert_eq!(whole.args_state, ArgsState::Whole);
        assert_eq!(whole.args.len(), "/bin/true\0".len() + long.len() + 1);
        assert_eq!(assembler.missing_serials, 0);
        drop(source);
        assert_eq!(audit::leftover_rules().expect("audit answers"), 0);
        let after = Audit::status().expect("audit answers");
        assert_eq!((after.enabled, after.pid), (before.enabled, 0));
        assert_eq!(
            (after.backlog_limit, after.backlog_wait),
            (before.backlog_limit, before.backlog_wait)
        );
    });
}

#[test]
fn the_connector_knows_exit_codes() {
    live("proc connector", || {
        let mut connector = ProcConnector::open().expect("the connector opens");
        start_marked("connector");
        let (mut starts, mut sevens) = (0, 0);
        drain(&mut connector, |batch| {
            for note in datagrams(&batch.bytes).filter_map(Note::parse) {
                starts += usize::from(matches!(note.kind, NoteKind::Exec { .. }));
                sevens += usize::from(matches!(note.kind, NoteKind::Exit { code: 0x700, .. }));
            }
        });
        assert!(
            starts >= 2 && sevens >= 1,
            "{starts} starts, {sevens} exits with 7"
        );
    });
}
