//! What is written is read, and what was damaged is refused.

use std::net::IpAddr;

use proptest::prelude::*;

use super::*;
use crate::event::{
    Args, BootId, Change, Fields, FileWritten, Guid, Had, Hash32, Kind, Marks, Near,
    NetworkConnected, Outcome, ProcessKey, ProcessStart, Protocol, Registry, Source, Text, Time,
    read_row,
};
use crate::journal::packing::Unpacker;

/// The parts of an event that a test chooses; texts are owned here and borrowed by the event.
#[derive(Clone, Debug)]
struct Chosen {
    kind: u8,
    wall_us: i64,
    boot_us: Option<u64>,
    recorded_us: Option<i64>,
    pid: u32,
    guid: Option<[u8; 16]>,
    texts: Vec<Vec<u8>>,
    number: u64,
    ip: IpAddr,
}

fn chosen() -> impl Strategy<Value = Chosen> {
    let text = prop_oneof![
        Just(b"/usr/bin/cc".to_vec()),
        prop::collection::vec(any::<u8>(), 0..40)
    ];
    (
        0_u8..4,
        any::<i64>(),
        any::<Option<u64>>(),
        any::<Option<i64>>(),
        any::<u32>(),
        any::<Option<[u8; 16]>>(),
        prop::collection::vec(text, 3),
        0..u64::MAX - 1,
        any::<IpAddr>(),
    )
        .prop_map(
            |(kind, wall_us, boot_us, recorded_us, pid, guid, texts, number, ip)| Chosen {
                kind,
                wall_us,
                boot_us,
                recorded_us,
                pid,
                guid,
                texts,
                number,
                ip,
            },
        )
}

fn event(chosen: &Chosen, seq: u64) -> Event<'_> {
    let text = |index: usize| Text(chosen.texts[index].as_slice());
    let key = ProcessKey {
        pid: chosen.pid,
        start_us: chosen.number,
        guid: chosen.guid.map(Guid),
    };
    let kind = match chosen.kind {
        0 => Kind::ProcessStart(ProcessStart {
            parent: Some(key),
            image: Some(text(0)),
            args: Some(Args(text(1).0)),
            uid: Some(chosen.pid),
            sha256: Some(Hash32([7; 32])),
            inode: Some(Near(chosen.number)),
            ..ProcessStart::default()
        }),
        1 => Kind::FileWritten(FileWritten {
            path: Some(text(0)),
            size: Some(chosen.number),
            ..FileWritten::default()
        }),
        2 => Kind::NetworkConnected(NetworkConnected {
            protocol: Some(Protocol::Udp),
            remote_ip: Some(chosen.ip),
            remote_port: Some(443),
            outcome: Some(Outcome::InProgress),
            ..NetworkConnected::default()
        }),
        _ => Kind::Registry(Registry {
            change: Some(Change::Set),
            path: Some(text(1)),
            details: None,
        }),
    };
    Event {
        seq,
        time: Time {
            wall_us: chosen.wall_us,
            boot_us: chosen.boot_us,
        },
        // The journal keeps differences between clocks: those that no clock can show are not events.
        recorded_us: chosen.recorded_us.filter(|us| {
            us.checked_sub(chosen.wall_us)
                .is_some_and(|d| d != i64::MIN)
        }),
        host: text(2),
        boot: BootId([3; 16]),
        source: Source::Audit,
        actor: Some(key),
        marks: Marks(&[1, 2]),
        extra: Fields(b""),
        kind,
    }
}

fn payload_of(list: &[Chosen]) -> (Vec<u8>, PayloadSummary) {
    let mut builder = PayloadBuilder::default();
    for (seq, chosen) in list.iter().enumerate() {
        builder.push(&event(chosen, seq as u64));
    }
    let mut out = Vec::new();
    let summary = builder.finish([9; 16], &mut out);
    (out, summary)
}

proptest! {
    #[test]
    fn what_is_written_is_read(list in prop::collection::vec(chosen(), 0..200)) {
        // A boot clock no further from the wall clock than 2^62 µs: 146,000 years.
        let list: Vec<Chosen> = list.into_iter().map(|mut chosen| {
            chosen.wall_us >>= 2;
            chosen.boot_us = chosen.boot_us.map(|us| us >> 3);
            chosen
        }).collect();
        let (payload, summary) = payload_of(&list);
        prop_assert_eq!(summary.events as usize, list.len());
        let mut reader = PayloadReader::default();
        let events = reader.read(&payload, summary.raw_len, summary.events, 100).unwrap();
        let mut count = 0;
        for (index, got) in events.enumerate() {
            let seq = 100 + index as u64;
            prop_assert_eq!(got.unwrap(), event(&list[index], seq));
            count += 1;
        }
        prop_assert_eq!(count, list.len());
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..400), events in 0_u32..200) {
        let payload = zstd::bulk::compress(&bytes, 1).unwrap();
        let mut reader = PayloadReader::default();
        if let Ok(read) = reader.read(&payload, u32::try_from(bytes.len()).unwrap(), events, 0) {
            read.for_each(drop);
        }
    }

    #[test]
    fn a_changed_byte_before_compression_never_panics(
        list in prop::collection::vec(chosen(), 1..20), at in any::<prop::sample::Index>(), value in any::<u8>(),
    ) {
        let (payload, summary) = payload_of(&list);
        let mut raw = Vec::new();
        Unpacker::default().unpack(&payload, summary.raw_len, &mut raw).unwrap();
        let at = at.index(raw.len());
        raw[at] = value;
        let payload = zstd::bulk::compress(&raw, 1).unwrap();
        let mut reader = PayloadReader::default();
        if let Ok(read) = reader.read(&payload, summary.raw_len, summary.events, 0) {
            read.for_each(drop);
        }
    }
}

proptest! {
    #[test]
    fn the_root_follows_from_what_is_read(list in prop::collection::vec(chosen(), 1..50)) {
        let list: Vec<Chosen> = list.into_iter().map(|mut chosen| {
            chosen.wall_us >>= 2;
            chosen.boot_us = chosen.boot_us.map(|us| us >> 3);
            chosen
        }).collect();
        let (payload, summary) = payload_of(&list);
        let mut reader = PayloadReader::default();
        let events = reader.read(&payload, summary.raw_len, summary.events, 0).unwrap();
        let salt = events.salt();
        let mut rows = merkle::Rows::default();
        for event in events {
            rows.push(|out| write_row(&event.unwrap(), out));
        }
        prop_assert_eq!(merkle::root(rows.leaves(salt)), summary.root);
    }
}

proptest! {
    #[test]
    fn a_row_reads_back_and_no_cut_of_it_does(chosen in chosen(), flip in any::<prop::sample::Index>()) {
        let mut row = Vec::new();
        write_row(&event(&chosen, 0), &mut row);
        prop_assert_eq!(read_row(&row), Some(event(&chosen, 0)));
        for len in 0..row.len() {
            prop_assert_eq!(read_row(&row[..len]), None);
        }
        let at = flip.index(row.len());
        row[at] ^= 0x41;
        let _ = read_row(&row);
        row.push(0);
        let _ = read_row(&row);
    }
}

#[test]
fn a_builder_can_be_used_again() {
    let list = [Chosen {
        kind: 0,
        wall_us: 5,
        boot_us: Some(1),
        recorded_us: None,
        pid: 1,
        guid: None,
        texts: vec![b"a".to_vec(), b"b\0".to_vec(), b"h".to_vec()],
        number: 3,
        ip: IpAddr::from([1, 2, 3, 4]),
    }];
    let mut builder = PayloadBuilder::default();
    let mut payloads = Vec::new();
    for _ in 0..2 {
        builder.push(&event(&list[0], 0));
        let mut out = Vec::new();
        let summary = builder.finish([9; 16], &mut out);
        payloads.push((out, summary));
    }
    assert_eq!(payloads[0], payloads[1]);
}

#[test]
fn a_payload_that_promises_too_much_is_refused_before_it_is_unpacked() {
    let payload = zstd::bulk::compress(&vec![0; 1 << 20], 3).unwrap();
    let mut reader = PayloadReader::default();
    let small = reader.read(&payload, 1000, 0, 0).map(drop);
    assert!(
        matches!(small, Err(PayloadError::Compression { expected: 1000, .. })),
        "{small:?}"
    );
    let large = reader.read(&payload, u32::MAX, 0, 0).map(drop);
    assert!(matches!(large, Err(PayloadError::Compression { .. })));
}

#[test]
fn marks_are_read_by_their_words() {
    assert_eq!(
        Marks(&[1, 2])
            .iter()
            .map(|mark| mark.had)
            .collect::<Vec<_>>(),
        [Had::Raced]
    );
}
