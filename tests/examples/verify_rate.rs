//! How fast a journal is verified and read, beside the machine's own speed in the same run.
//!
//! ```text
//! cargo run --release -p saigen-tests --example verify_rate -- JOURNAL_DIR [MILLIONS_OF_EVENTS]
//! ```
//!
//! The events of a real journal are written again and again to a sealed journal of that many
//! events. Rates are events a second of CPU time, over all threads: a busy machine does not change them.

use std::hint::black_box;
use std::path::{Path, PathBuf};

use saigen_analyzer::evidence::{Asked, Depth, JournalStream, Key, open, verify};
use saigen_analyzer::stream::EventStream as _;
use saigen_schemas::event::BootId;
use saigen_schemas::journal::seal::{
    ChainValue, EnrolmentId, EnrolmentSecret, FrameKey, Sealer, chain_start,
};
use saigen_schemas::journal::{
    AHEAD_DEFAULT, AuditorKey, FORMAT_VERSION, FRAME_RAW_BYTES_TARGET, FrameHeader, FrameKind,
    OfEvents, Opening, PayloadBuilder, PayloadSummary, segment_file_name,
};

type Failure = Box<dyn std::error::Error>;

const ENROLMENT: EnrolmentId = EnrolmentId([7; 16]);

fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args_os().skip(1);
    let usage = "usage: verify_rate JOURNAL_DIR [MILLIONS_OF_EVENTS]";
    let journal = PathBuf::from(arguments.next().ok_or(usage)?);
    let millions: u64 = match arguments.next() {
        Some(text) => text.to_str().ok_or(usage)?.parse()?,
        None => 5,
    };
    let folder = tempfile::tempdir()?;
    write(&journal, millions * 1_000_000, folder.path())?;
    let bytes = std::fs::read(folder.path().join(segment_file_name(1)))?;
    let auditor = AuditorKey {
        enrolment: ENROLMENT,
        secret: EnrolmentSecret([7; 32]),
        ahead: AHEAD_DEFAULT,
    };
    let key = Key::Auditor(auditor);
    let found = open(&[folder.path().to_owned()]);
    let journal = found.journals.first().ok_or("the journal is not found")?;
    let asked = Asked {
        key: Some(&key),
        ..Asked::default()
    };
    let before = cpu_s();
    let verified = verify(journal, asked, &mut |_| {});
    let verify_s = cpu_s() - before;
    let deep = Asked {
        depth: Depth::Roots,
        ..asked
    };
    let before = cpu_s();
    black_box(verify(journal, deep, &mut |_| {}));
    let deep_s = cpu_s() - before;
    let before = cpu_s();
    let mut stream = JournalStream::new(journal, &verified);
    while stream.peek().is_some() {
        black_box(stream.next().is_some());
    }
    let stream_s = cpu_s() - before;
    println!(
        "{} events, {} bytes: {}",
        verified.events,
        bytes.len(),
        verified.verdict.word()
    );
    show(
        "verified: SHA-256, checksum, decode, chain, seals",
        verified.events,
        verify_s,
    );
    show(
        "the same, and the roots made again (--deep)",
        verified.events,
        deep_s,
    );
    show(
        "read as a stream: checksum, decode",
        verified.events,
        stream_s,
    );
    machine(&bytes)
}

fn show(what: &str, events: u64, seconds: f64) {
    let events = u32::try_from(events).map_or(f64::MAX, f64::from);
    println!("{what:<52} {:>7.2} M events/s", events / seconds / 1e6);
}

/// BLAKE3 and memcpy over the journal's own bytes.
fn machine(bytes: &[u8]) -> Result<(), Failure> {
    const ROUNDS: u32 = 40;
    let gigabytes = f64::from(ROUNDS) * f64::from(u32::try_from(bytes.len())?) / 1e9;
    let before = cpu_s();
    for _ in 0..ROUNDS {
        black_box(blake3::hash(black_box(bytes)));
    }
    let blake3_s = cpu_s() - before;
    let mut copy = vec![0; bytes.len()];
    let before = cpu_s();
    for _ in 0..ROUNDS {
        copy.copy_from_slice(black_box(bytes));
        black_box(&copy);
    }
    let copy_s = cpu_s() - before;
    println!("{:<52} {:>7.2} GB/s", "BLAKE3", gigabytes / blake3_s);
    println!("{:<52} {:>7.2} GB/s", "memcpy", gigabytes / copy_s);
    Ok(())
}

/// CPU time of the process so far, all threads, in seconds.
fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Writes the events of a journal, over and over, as one sealed segment.
fn write(journal: &Path, events: u64, folder: &Path) -> Result<(), Failure> {
    let found = open(&[journal.to_owned()]);
    let journal = found.journals.first().ok_or("no journal is there")?;
    let verified = verify(journal, Asked::default(), &mut |_| {});
    if verified.events == 0 {
        return Err("the journal holds no events".into());
    }
    let first = FrameKey::first(&EnrolmentSecret([7; 32]));
    let mut writer = Writer {
        sealer: Sealer::sealed(chain_start(ENROLMENT), first),
        builder: PayloadBuilder::default(),
        seq: 0,
        out: Vec::new(),
    };
    writer.open();
    while writer.seq < events {
        let mut stream = JournalStream::new(journal, &verified);
        while stream.peek().is_some() && writer.seq < events {
            if let Some((_, event)) = stream.next() {
                writer.builder.push(&event);
                writer.seq += 1;
            }
            if writer.builder.raw_len() >= FRAME_RAW_BYTES_TARGET {
                writer.seal_events();
            }
        }
    }
    writer.seal_events();
    writer.seal(FrameKind::Close, PayloadSummary::default(), b"");
    std::fs::write(folder.join(segment_file_name(1)), writer.out)?;
    Ok(())
}

struct Writer {
    sealer: Sealer,
    builder: PayloadBuilder,
    seq: u64,
    out: Vec<u8>,
}

impl Writer {
    fn open(&mut self) {
        let opening = Opening {
            format: FORMAT_VERSION,
            segment: 1,
            enrolment: ENROLMENT.to_string(),
            sealed: true,
            recording: 0,
            host: "bench".to_owned(),
            tool: "verify_rate".to_owned(),
            configuration_sha256: String::new(),
            generation: Some(0),
            successions: Vec::new(),
            scope: "system".to_owned(),
            sources: Vec::new(),
        };
        let mut payload = Vec::new();
        let raw_len = opening.write(&mut payload);
        let summary = PayloadSummary {
            raw_len,
            ..PayloadSummary::default()
        };
        self.seal(FrameKind::Open, summary, &payload);
    }

    fn seal_events(&mut self) {
        if self.builder.events() > 0 {
            let mut payload = Vec::new();
            let summary = self.builder.finish([1; 16], &mut payload);
            self.seal(FrameKind::Data, summary, &payload);
        }
    }

    fn seal(&mut self, kind: FrameKind, summary: PayloadSummary, payload: &[u8]) {
        let header = FrameHeader {
            kind,
            position: 0,
            first_seq: self.seq - u64::from(summary.events),
            events: summary.events,
            payload_len: 0,
            raw_len: summary.raw_len,
            boot: BootId([1; 16]),
            boot_us: 1,
            wall_us: summary.last_us,
            lost: 0,
            before: ChainValue([0; 32]),
            of_events: kind.holds_events().then_some(OfEvents {
                first_us: summary.first_us,
                last_us: summary.last_us,
                kinds: summary.kinds,
                root: summary.root,
            }),
        };
        self.sealer.seal(&header, payload, &mut self.out);
    }
}
