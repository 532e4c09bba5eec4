//! The decoders, and what must hold for whatever they take.

use saigen_schemas::event::{read_row, write_json, write_row};
use saigen_schemas::journal::checkpoint::Checkpoint;
use saigen_schemas::journal::seal::{EnrolmentId, payload_digest};
use saigen_schemas::journal::{
    Anchor, AuditorKey, EndpointKey, Enrolment, FrameHeader, Opening, PayloadReader, Proof,
    Removed, find_frame,
};
use saigen_tests::forger::Frames;
use saigen_tests::mutate::Mend;

/// One decoder.
pub struct Target {
    pub name: &'static str,
    pub mend: Mend,
    /// Inputs that a segment gives.
    pub seeds: fn(&[u8]) -> Vec<Vec<u8>>,
    pub feed: fn(&[u8]),
}

pub const ALL: [Target; 7] = [
    Target {
        name: "header",
        mend: Mend::Frame,
        seeds: headers,
        feed: header,
    },
    Target {
        name: "frame",
        mend: Mend::Frame,
        seeds: frames,
        feed: frame,
    },
    Target {
        name: "columns",
        mend: Mend::Nothing,
        seeds: raw_payloads,
        feed: columns,
    },
    Target {
        name: "checkpoint",
        mend: Mend::Nothing,
        seeds: checkpoints,
        feed: checkpoint,
    },
    Target {
        name: "row",
        mend: Mend::Nothing,
        seeds: rows,
        feed: row,
    },
    Target {
        name: "proof",
        mend: Mend::Nothing,
        seeds: proofs,
        feed: proof,
    },
    Target {
        name: "text",
        mend: Mend::Nothing,
        seeds: texts,
        feed: text,
    },
];

fn frames(segment: &[u8]) -> Vec<Vec<u8>> {
    Frames::of(segment).0
}

/// Frames without much of a payload.
fn headers(segment: &[u8]) -> Vec<Vec<u8>> {
    let mut frames = frames(segment);
    frames.retain(|frame| frame.len() < 1024);
    frames
}

fn header(input: &[u8]) {
    if let Some(at) = find_frame(input) {
        let _ = FrameHeader::promised_len(&input[at..]);
    }
    let Ok(frame) = FrameHeader::read(input) else {
        return;
    };
    assert_eq!(frame.header.digested(), frame.digested, "one form only");
    assert_eq!(FrameHeader::read_digested(frame.digested), Ok(frame.header));
    assert!(frame.len() <= input.len());
}

fn frame(input: &[u8]) {
    let Ok(frame) = FrameHeader::read(input) else {
        return;
    };
    let _ = Opening::read(&frame);
    let _ = Removed::read(&frame);
    let _ = Checkpoint::read_frame(&frame);
    events(frame.payload, frame.header.raw_len, frame.header.events);
}

fn events(payload: &[u8], raw_len: u32, count: u32) {
    let mut reader = PayloadReader::default();
    let Ok(events) = reader.read(payload, raw_len, count, 7) else {
        return;
    };
    let (mut json, mut row) = (String::new(), Vec::new());
    for event in events.take(200).map_while(Result::ok) {
        json.clear();
        row.clear();
        write_json(&event, "e1:1:1", &mut json);
        write_row(&event, &mut row);
    }
}

/// Payloads before compression, after their number of events.
fn raw_payloads(segment: &[u8]) -> Vec<Vec<u8>> {
    let frames = frames(segment);
    let mut reader = PayloadReader::default();
    let raws = frames.iter().filter_map(|frame| {
        let frame = FrameHeader::read(frame).ok()?;
        let events = frame.header.events;
        let raw = reader
            .unpacked(frame.payload, frame.header.raw_len)
            .ok()
            .filter(|_| events > 0)?;
        Some([&events.to_le_bytes()[..], raw].concat())
    });
    raws.collect()
}

fn columns(input: &[u8]) {
    let Some((count, raw)) = input.split_first_chunk::<4>() else {
        return;
    };
    let payload = zstd::bulk::compress(raw, -1).unwrap();
    let raw_len = u32::try_from(raw.len()).unwrap();
    events(&payload, raw_len, u32::from_le_bytes(*count));
}

fn checkpoints(segment: &[u8]) -> Vec<Vec<u8>> {
    let frames = frames(segment);
    let read = frames.iter().filter_map(|frame| {
        let frame = FrameHeader::read(frame).ok()?;
        Some(Checkpoint::read_frame(&frame)?.write().to_vec())
    });
    read.collect()
}

fn checkpoint(input: &[u8]) {
    if let Some(checkpoint) = Checkpoint::read(input) {
        assert_eq!(checkpoint.write(), input, "one form only");
    }
}

fn rows(segment: &[u8]) -> Vec<Vec<u8>> {
    let mut reader = PayloadReader::default();
    let mut rows = Vec::new();
    for bytes in frames(segment) {
        let frame = FrameHeader::read(&bytes).unwrap();
        let header = frame.header;
        let Ok(events) = reader.read(frame.payload, header.raw_len, header.events, 0) else {
            continue;
        };
        rows.extend(events.filter_map(Result::ok).step_by(7).map(|event| {
            let mut row = Vec::new();
            write_row(&event, &mut row);
            row
        }));
    }
    rows
}

fn row(input: &[u8]) {
    let Some(event) = read_row(input) else {
        return;
    };
    let (mut again, mut json) = (Vec::new(), String::new());
    write_row(&event, &mut again);
    assert_eq!(again, input, "one form only");
    write_json(&event, "e1:1:1", &mut json);
}

/// Proofs of a record of each frame; that they would not hold does not matter here.
fn proofs(segment: &[u8]) -> Vec<Vec<u8>> {
    let frames = frames(segment);
    let read: Vec<_> = frames
        .iter()
        .filter_map(|bytes| FrameHeader::read(bytes).ok())
        .collect();
    let Some((check, checkpoint)) = read
        .iter()
        .find_map(|frame| Some((frame.header, Checkpoint::read_frame(frame)?)))
    else {
        return Vec::new();
    };
    let with_events = read.iter().filter(|frame| frame.header.events > 0);
    let proofs = with_events.zip(rows(segment)).map(|(frame, row)| {
        let proof = Proof {
            enrolment: EnrolmentId([1; 16]),
            index: 0,
            salt: [2; 16],
            row,
            frame_path: vec![[3; 32]; 5],
            header: frame.header,
            payload: payload_digest(frame.payload),
            segment_path: vec![[4; 32]; 3],
            check_header: check,
            checkpoint,
            successions: Vec::new(),
        };
        proof.write()
    });
    proofs.collect()
}

fn proof(input: &[u8]) {
    let Ok(proof) = Proof::read(input) else {
        return;
    };
    assert_eq!(proof.write(), input, "one form only");
    let auditor = AuditorKey {
        enrolment: proof.enrolment,
        secret: saigen_schemas::journal::seal::EnrolmentSecret([1; 32]),
        ahead: 1,
    };
    assert!(proof.check(&auditor.public()).is_err(), "nobody signed it");
}

/// Lines and files of text: anchors and keys.
fn texts(segment: &[u8]) -> Vec<Vec<u8>> {
    let auditor = AuditorKey {
        enrolment: EnrolmentId([1; 16]),
        secret: saigen_schemas::journal::seal::EnrolmentSecret([2; 32]),
        ahead: 32,
    };
    let frame = FrameHeader::read(segment).unwrap();
    let anchor = Anchor::at(&frame, auditor.enrolment, 0, "web-1".to_owned());
    vec![
        anchor.write().into_bytes(),
        auditor.write().as_bytes().to_vec(),
        EndpointKey::first(&auditor).write().as_bytes().to_vec(),
        auditor.public().write().into_bytes(),
    ]
}

fn text(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    if let Some(anchor) = Anchor::read(&text) {
        assert_eq!(Anchor::read(&anchor.write()), Some(anchor));
    }
    let _ = AuditorKey::read(&text);
    let _ = EndpointKey::read(&text);
    let _ = Enrolment::read(&text);
}
