//! Golden records, all made up, and hostile ones.

use super::*;
use crate::source::native::{push_u16, push_u32};

fn datagram(kind: u16, text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    push_u32(&mut bytes, 0);
    push_u16(&mut bytes, kind);
    push_u16(&mut bytes, 0);
    push_u32(&mut bytes, 0);
    push_u32(&mut bytes, 0);
    bytes.extend_from_slice(text.as_bytes());
    bytes
}

fn all(records: &[(u16, String)]) -> Vec<AuditEvent> {
    let mut assembler = Assembler::default();
    let mut events: Vec<AuditEvent> = records
        .iter()
        .filter_map(|(kind, text)| assembler.push(&datagram(*kind, text), 5))
        .collect();
    events.extend(std::iter::from_fn(|| assembler.rest()));
    events
}

fn stamp(serial: u64, text: &str) -> String {
    format!("audit(1700000000.500:{serial}): {text}")
}

const SYSCALL: &str = "arch=c000003e syscall=59 success=yes exit=0 a0=1 a1=2 a2=3 a3=8 items=2 ppid=40 pid=41 \
    auid=1000 uid=1000 gid=100 euid=0 suid=0 fsuid=0 egid=100 sgid=100 fsgid=100 tty=pts3 ses=7 comm=\"id\" \
    exe=\"/usr/bin/id\" subj=unconfined key=\"saigen\"";

fn start(serial: u64, execve: &[&str]) -> Vec<(u16, String)> {
    let mut records = vec![(kind::SYSCALL, stamp(serial, SYSCALL))];
    records.extend(
        execve
            .iter()
            .map(|text| (kind::EXECVE, stamp(serial, text))),
    );
    records.push((kind::CWD, stamp(serial, "cwd=\"/home/a\"")));
    records.push((
        kind::PATH,
        stamp(serial, "item=0 name=\"/usr/bin/id\" inode=77 dev=fe:01 mode=0100755 ouid=0 ogid=0 nametype=NORMAL"),
    ));
    records.push((kind::EOE, stamp(serial, "")));
    records
}

#[test]
fn a_start_has_everything_that_its_records_say() {
    let events = all(&start(9, &["argc=3 a0=\"id\" a1=2D6E20C3A4 a2=\"\""]));
    let [event] = &events[..] else {
        panic!("one event")
    };
    assert_eq!(event.what, What::Call(Call::Execve));
    assert_eq!((event.serial, event.wall_ms), (9, 1_700_000_000_500));
    assert_eq!(event.args, b"id\0-n \xc3\xa4\0\0");
    assert_eq!(event.args_state, ArgsState::Whole);
    assert_eq!(event.cwd, b"/home/a");
    assert_eq!(event.subject.pid, Some(41));
    assert_eq!(
        (event.subject.uid, event.subject.euid),
        (Some(1000), Some(0))
    );
    assert_eq!(
        (&event.subject.tty[..], event.subject.session),
        (&b"pts3"[..], Some(7))
    );
    assert_eq!(event.subject.exe, b"/usr/bin/id");
    assert_eq!(
        (event.paths[0].inode, event.paths[0].dev),
        (Some(77), Some(rustix::fs::makedev(0xfe, 1)))
    );
}

#[test]
fn a_long_argument_is_joined_over_its_records() {
    let events = all(&start(
        9,
        &[
            "argc=3 a0=\"sh\" a1_len=8 a1[0]=61626364",
            " a1[1]=\"efgh\" a2=\"z\"",
        ],
    ));
    assert_eq!(events[0].args, b"sh\0abcdefgh\0z\0");
    assert_eq!(events[0].args_state, ArgsState::Whole);
}

#[test]
fn a_lost_record_of_arguments_shows() {
    let events = all(&start(9, &["argc=4 a0=\"sh\"", "a2=\"x\" a3=\"y\""]));
    assert_eq!(events[0].args, b"sh\0x\0y\0");
    assert_eq!(events[0].args_state, ArgsState::Cut { argc: 4 });
    let events = all(&start(9, &["argc=4 a0=\"sh\""]));
    assert_eq!(events[0].args_state, ArgsState::Cut { argc: 4 });
    assert_eq!(all(&start(9, &[]))[0].args_state, ArgsState::Absent);
}

#[test]
fn arguments_beyond_the_bound_are_cut_and_say_so() {
    let piece = "61".repeat(4_000);
    let mut records: Vec<String> = vec!["argc=2 a0=\"x\" a1_len=999999".to_owned()];
    records.extend((0..50).map(|at| format!("a1[{at}]={piece}")));
    let borrowed: Vec<&str> = records.iter().map(String::as_str).collect();
    let events = all(&start(9, &borrowed));
    assert!(events[0].args.len() <= ARGS_BYTES_MAX + 1);
    assert_eq!(events[0].args_state, ArgsState::Cut { argc: 2 });
}

#[test]
fn records_of_two_events_mixed_come_apart() {
    let (first, second) = (
        start(9, &["argc=1 a0=\"one\""]),
        start(10, &["argc=1 a0=\"two\""]),
    );
    let mixed: Vec<(u16, String)> = first
        .iter()
        .zip(&second)
        .flat_map(|(left, right)| [left.clone(), right.clone()])
        .collect();
    let events = all(&mixed);
    assert_eq!(events.len(), 2);
    assert_eq!(
        (&events[0].args[..], &events[1].args[..]),
        (&b"one\0"[..], &b"two\0"[..])
    );
}

#[test]
fn serials_that_never_came_are_counted_and_late_ones_taken_back() {
    let mut assembler = Assembler::default();
    for serial in [5, 6, 9, 8] {
        assembler.push(&datagram(kind::EOE, &stamp(serial, "")), 1);
    }
    assert_eq!(assembler.missing_serials, 1);
}

#[test]
fn an_event_without_its_end_is_given_when_it_has_waited() {
    let mut assembler = Assembler::default();
    let login = "pid=9 uid=0 auid=0 ses=2 msg='op=login acct=\"root\" addr=192.0.2.1 terminal=ssh res=success'";
    assert_eq!(
        assembler.push(&datagram(1112, &stamp(3, login)), 1_000),
        None
    );
    assert_eq!(assembler.overdue(1_000), None);
    let event = assembler.overdue(1_000 + OPEN_US_MAX).unwrap();
    assert_eq!(event.what, What::Note);
    assert_eq!(event.subject.pid, Some(9));
    assert_eq!(event.note.as_ref().map(|note| note.0), Some(1112));
}

#[test]
fn a_recycled_event_remembers_nothing() {
    let mut assembler = Assembler::default();
    let mut last = None;
    for (kind, text) in start(9, &["argc=1 a0=\"one\""]) {
        last = assembler.push(&datagram(kind, &text), 1).or(last);
    }
    assembler.recycle(last.unwrap());
    assert_eq!(
        assembler.push(&datagram(kind::CWD, &stamp(10, "cwd=\"/\"")), 1),
        None
    );
    let event = assembler.rest().unwrap();
    assert_eq!(
        event,
        AuditEvent {
            serial: 10,
            wall_ms: event.wall_ms,
            drained_us: 1,
            cwd: b"/".to_vec(),
            ..AuditEvent::default()
        }
    );
}

#[test]
fn hostile_datagrams_are_counted_or_passed_over() {
    let mut assembler = Assembler::default();
    for text in [
        "",
        "audit(",
        "audit(1.2:3",
        "audit(1.2:99999999999999999999): x=1",
    ] {
        assert_eq!(assembler.push(&datagram(kind::SYSCALL, text), 1), None);
    }
    assert_eq!(assembler.unread, 4);
    assert_eq!(assembler.push(&[0; 3], 1), None);
    for cut in 0..SYSCALL.len() {
        assembler.push(&datagram(kind::SYSCALL, &stamp(1, &SYSCALL[..cut])), 1);
        assembler.push(
            &datagram(
                kind::EXECVE,
                &stamp(1, "a[=1 a18446744073709551616=x a_=1 argc=-1 a9=\""),
            ),
            1,
        );
    }
    assert!(assembler.rest().is_some());
}

#[test]
fn a_flood_of_unfinished_events_stays_bounded() {
    let mut assembler = Assembler::default();
    let given = (0..2_000_u64)
        .filter_map(|serial| assembler.push(&datagram(kind::CWD, &stamp(serial, "cwd=\"/\"")), 1))
        .count();
    assert!(given >= 2_000 - OPEN_MAX - 1);
    assert!(assembler.open.len() <= OPEN_MAX);
}

#[test]
fn a_socket_address_is_decoded() {
    let text = "saddr=0200005000000000";
    let records = vec![
        (
            kind::SYSCALL,
            stamp(
                4,
                &SYSCALL
                    .replace("syscall=59", "syscall=42")
                    .replace("exit=0", "exit=-115"),
            ),
        ),
        (kind::SOCKADDR, stamp(4, text)),
        (kind::EOE, stamp(4, "")),
    ];
    let events = all(&records);
    assert_eq!(events[0].what, What::Call(Call::Connect));
    assert_eq!(events[0].address, [2, 0, 0, 80, 0, 0, 0, 0]);
    assert_eq!(events[0].syscall.unwrap().exit, -115);
    assert!(!events[0].succeeded());
}
