//! What a journal costs: bytes an event beside other ways to keep the same events, and events a
//! second through the codec beside the machine's own speed in the same run.
//!
//! ```text
//! cargo run --release -p saigen-tests --example journal_cost -- JOURNAL_DIR [ROUNDS]
//! ```

use std::hint::black_box;
use std::path::{Path, PathBuf};

use saigen_schemas::event::{Event, write_json, write_row};
use saigen_schemas::journal::merkle::{Rows, root};
use saigen_schemas::journal::seal::{
    EnrolmentId, EnrolmentSecret, Follower, FrameKey, Sealer, chain_start, frame_digest,
};
use saigen_schemas::journal::{
    FRAME_RAW_BYTES_TARGET, Frame, FrameHeader, OfEvents, PayloadBuilder, PayloadReader,
    PayloadSummary,
};

/// CPU time of this thread, in seconds: what others do meanwhile is not in it. The clock, and not
/// `schedstat` of proc(5), which goes on from tick to tick and makes short runs look free.
fn cpu_s() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}

/// Runs of each measurement; the best counts, since whatever else runs only makes it slower.
const ROUNDS: usize = 7;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args_os().skip(1);
    let journal = PathBuf::from(
        arguments
            .next()
            .ok_or("usage: journal_cost JOURNAL_DIR [ROUNDS]")?,
    );
    let rounds = match arguments.next() {
        Some(text) => text.to_str().ok_or("ROUNDS is a number")?.parse()?,
        None => ROUNDS,
    };
    let segments = read_segments(&journal)?;
    let file_bytes: usize = segments.iter().map(Vec::len).sum();
    let frames: Vec<Frame<'_>> = segments
        .iter()
        .flat_map(|segment| frames_of(segment))
        .collect();
    let events: usize = frames
        .iter()
        .map(|frame| frame.header.events as usize)
        .sum();
    if events == 0 {
        return Err("the journal holds no events".into());
    }
    println!(
        "{events} events in {} frames, {file_bytes} bytes",
        frames.len()
    );
    sizes(&frames, file_bytes, events)?;
    machine(rounds);
    reading("as it lies there", &frames, events, rounds);
    writing(&frames, events, rounds);
    let (bytes, count) = full_frames(&frames, MANY);
    let full = frames_of(&bytes);
    println!(
        "the same events again and again: {count} in {} full frames",
        full.len()
    );
    reading("in full frames", &full, count, rounds);
    writing(&full, count, rounds);
    curve(&frames);
    Ok(())
}

/// Events of the long journal.
const MANY: usize = 200_000;

/// The events, over and over, in frames of the target size; each round a second later.
fn full_frames(frames: &[Frame<'_>], events: usize) -> (Vec<u8>, usize) {
    let mut out = Vec::new();
    let mut sealing = Sealing::new(frames);
    let mut count = 0;
    while count < events {
        decode(frames, |list| {
            for event in list {
                sealing.push(event, &mut out);
            }
            count += list.len();
        });
    }
    sealing.close(&mut out);
    (out, count)
}

/// Seals events in frames.
struct Sealing {
    sealer: Sealer,
    builder: PayloadBuilder,
    payload: Vec<u8>,
    template: FrameHeader,
}

impl Sealing {
    fn new(frames: &[Frame<'_>]) -> Self {
        let secret = EnrolmentSecret([1; 32]);
        let template = frames.iter().find(|frame| frame.header.events > 0);
        Self {
            sealer: Sealer::sealed(chain_start(EnrolmentId([0; 16])), FrameKey::first(&secret)),
            builder: PayloadBuilder::default(),
            payload: Vec::new(),
            template: template
                .map(|frame| frame.header)
                .expect("there are events"),
        }
    }

    fn push(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        self.builder.push(event);
        if self.builder.raw_len() >= FRAME_RAW_BYTES_TARGET {
            self.close(out);
        }
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if self.builder.events() == 0 {
            return;
        }
        self.payload.clear();
        let summary = self.builder.finish([5; 16], &mut self.payload);
        let header = FrameHeader {
            events: summary.events,
            raw_len: summary.raw_len,
            of_events: Some(OfEvents {
                first_us: summary.first_us,
                last_us: summary.last_us,
                kinds: summary.kinds,
                root: summary.root,
            }),
            ..self.template
        };
        self.sealer.seal(&header, &self.payload, out);
    }
}

/// Bytes an event where so many come in a second: a frame is closed after five seconds, and a minute
/// with news ends with a checkpoint (289 bytes).
fn curve(frames: &[Frame<'_>]) {
    const CHECKPOINT_FRAME_BYTES: usize = 289;
    for rate in [1, 10, 100, 1_000, 10_000] {
        let mut out = Vec::new();
        let mut sealing = Sealing::new(frames);
        let mut count = 0_usize;
        while count < 20 * rate.max(50) {
            decode(frames, |list| {
                for event in list {
                    sealing.push(event, &mut out);
                    count += 1;
                    if count.is_multiple_of(5 * rate) {
                        sealing.close(&mut out);
                    }
                }
            });
        }
        sealing.close(&mut out);
        let checkpoints = count.div_ceil(60 * rate) * CHECKPOINT_FRAME_BYTES;
        let bytes = (out.len() + checkpoints) as f64 / count as f64;
        println!("at {rate:>6} events/s {bytes:>9.2} bytes an event");
    }
}

fn read_segments(journal: &Path) -> std::io::Result<Vec<Vec<u8>>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(journal)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "saj"));
    paths.sort();
    paths.iter().map(std::fs::read).collect()
}

fn frames_of(segment: &[u8]) -> Vec<Frame<'_>> {
    let mut rest = segment;
    let mut frames = Vec::new();
    while let Ok(frame) = FrameHeader::read(rest) {
        rest = rest.get(frame.len()..).unwrap_or_default();
        frames.push(frame);
    }
    frames
}

/// Calls `each` with the events of every frame, decoded.
fn decode(frames: &[Frame<'_>], mut each: impl FnMut(&[Event<'_>])) {
    let mut reader = PayloadReader::default();
    for frame in frames.iter().filter(|frame| frame.header.events > 0) {
        let header = &frame.header;
        let read = reader.read(
            frame.payload,
            header.raw_len,
            header.events,
            header.first_seq,
        );
        let events: Vec<Event<'_>> = read.into_iter().flatten().filter_map(Result::ok).collect();
        each(&events);
    }
}

fn sizes(frames: &[Frame<'_>], file_bytes: usize, events: usize) -> std::io::Result<()> {
    let mut json = String::new();
    decode(frames, |list| {
        for event in list {
            write_json(event, "", &mut json);
            json.push('\n');
        }
    });
    let show = |name: &str, bytes: usize| {
        let each = bytes as f64 / events as f64;
        println!("{name:<52} {each:>9.2} bytes an event");
    };
    show("journal as it lies there, seals and all", file_bytes);
    show("JSON lines", json.len());
    for level in [3, 19] {
        let bytes = zstd::bulk::compress(json.as_bytes(), level)?.len();
        show(&format!("JSON lines, zstd -{level}"), bytes);
    }
    show(
        "the same events in frames of the target size",
        encode(frames, EncodeWith::Seals).1,
    );
    Ok(())
}

fn machine(rounds: usize) {
    let from = vec![7_u8; 64 << 20];
    let mut to = vec![0_u8; 64 << 20];
    let copy = best(rounds, || {
        black_box(&mut to).copy_from_slice(black_box(&from))
    });
    let hash = best(rounds, || {
        black_box(blake3::hash(black_box(&from)));
    });
    let rate = |seconds: f64| from.len() as f64 / seconds / 1e9;
    println!(
        "memcpy {:.2} GB/s, BLAKE3 {:.2} GB/s on one core, in this run",
        rate(copy),
        rate(hash)
    );
}

fn reading(how: &str, frames: &[Frame<'_>], events: usize, rounds: usize) {
    let secret = EnrolmentSecret([1; 32]);
    let check = best(rounds, || {
        let mut follower = Follower::new(chain_start(EnrolmentId([0; 16])), Some(&secret));
        for (position, frame) in (0..).zip(frames) {
            let digest = frame_digest(frame.digested, frame.payload);
            black_box(follower.follow_digest(frame.header.before, &digest, frame.tag, position));
        }
    });
    let mut reader = PayloadReader::default();
    let read = best(rounds, || {
        for frame in frames.iter().filter(|frame| frame.header.events > 0) {
            let header = &frame.header;
            let read = reader.read(
                frame.payload,
                header.raw_len,
                header.events,
                header.first_seq,
            );
            read.into_iter().flatten().for_each(|event| {
                black_box(event.is_ok());
            });
        }
    });
    show(&format!("chain and tags followed, {how}"), events, check);
    show(&format!("decoded to events, {how}"), events, read);
    show(&format!("both, {how}"), events, check + read);
}

fn writing(frames: &[Frame<'_>], events: usize, rounds: usize) {
    let plain = (0..rounds)
        .map(|_| encode(frames, EncodeWith::Columns).0)
        .fold(f64::MAX, f64::min);
    let sealed = (0..rounds)
        .map(|_| encode(frames, EncodeWith::Seals).0)
        .fold(f64::MAX, f64::min);
    let seals = (0..rounds)
        .map(|_| seals_alone(frames))
        .fold(f64::MAX, f64::min);
    show("encoded, with the roots over events", events, plain);
    show("encoded and sealed", events, sealed);
    show("of that the seals: rows, roots, chain, tags", events, seals);
}

/// Seconds that seals take, roots included: a row of each event, their root, digest, tag and chain.
fn seals_alone(frames: &[Frame<'_>]) -> f64 {
    let secret = EnrolmentSecret([1; 32]);
    let mut sealer = Sealer::sealed(chain_start(EnrolmentId([0; 16])), FrameKey::first(&secret));
    let (mut rows, mut out, mut seconds) = (Rows::default(), Vec::new(), 0.0);
    let mut of_events = frames.iter().filter(|frame| frame.header.events > 0);
    decode(frames, |events| {
        let Some(frame) = of_events.next() else {
            return;
        };
        let start = cpu_s();
        rows.clear();
        out.clear();
        for event in events {
            rows.push(|out| write_row(event, out));
        }
        let mut header = frame.header;
        if let Some(said) = &mut header.of_events {
            said.root = root(rows.leaves([5; 16]));
        }
        black_box(sealer.seal(&header, frame.payload, &mut out));
        seconds += cpu_s() - start;
    });
    seconds
}

/// What is timed.
#[derive(Clone, Copy, PartialEq)]
enum EncodeWith {
    Columns,
    Seals,
}

/// Encodes all events again in frames of the target size: seconds for that alone, and bytes.
fn encode(frames: &[Frame<'_>], with: EncodeWith) -> (f64, usize) {
    let secret = EnrolmentSecret([1; 32]);
    let mut sealer = Sealer::sealed(chain_start(EnrolmentId([0; 16])), FrameKey::first(&secret));
    let mut builder = PayloadBuilder::default();
    let (mut payload, mut out) = (Vec::new(), Vec::new());
    let (mut seconds, mut bytes) = (0.0, 0);
    let Some(template) = frames.iter().find(|frame| frame.header.events > 0) else {
        return (0.0, 0);
    };
    let mut close = |builder: &mut PayloadBuilder| {
        payload.clear();
        out.clear();
        let summary: PayloadSummary = builder.finish([5; 16], &mut payload);
        if with == EncodeWith::Seals {
            let header = FrameHeader {
                events: summary.events,
                raw_len: summary.raw_len,
                of_events: Some(OfEvents {
                    first_us: summary.first_us,
                    last_us: summary.last_us,
                    kinds: summary.kinds,
                    root: summary.root,
                }),
                ..template.header
            };
            sealer.seal(&header, &payload, &mut out);
        }
        bytes += out.len().max(payload.len());
    };
    decode(frames, |events| {
        let start = cpu_s();
        for event in events {
            builder.push(event);
            if builder.raw_len() >= FRAME_RAW_BYTES_TARGET {
                close(&mut builder);
            }
        }
        seconds += cpu_s() - start;
    });
    let start = cpu_s();
    if builder.events() > 0 {
        close(&mut builder);
    }
    (seconds + cpu_s() - start, bytes)
}

fn best(rounds: usize, mut run: impl FnMut()) -> f64 {
    let once = |run: &mut dyn FnMut()| {
        let start = cpu_s();
        run();
        cpu_s() - start
    };
    (0..rounds.max(1))
        .map(|_| once(&mut run))
        .fold(f64::MAX, f64::min)
}

fn show(name: &str, events: usize, seconds: f64) {
    let millions = events as f64 / seconds / 1e6;
    let nanoseconds = seconds / events as f64 * 1e9;
    println!("{name:<52} {millions:>9.2} M events/s {nanoseconds:>8.0} ns an event");
}
