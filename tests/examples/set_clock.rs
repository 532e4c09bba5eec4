//! Sets the wall clock of a sealed recording by so many milliseconds, and seals it anew.
//!
//! The kernel gives every network namespace one wall clock. Hosts that were re-enacted side by side
//! would all agree to the microsecond, which real ones never do. So the recording of each is
//! written again as a recorder with another clock would have written it: every wall clock moves,
//! boot clocks, order, positions and everything else stay, and each frame, root and signature is
//! made again with the test enrolment's own secret. What comes out verifies; that it was made so is
//! told by `clocks` in the recording's truth.
//!
//! ```text
//! cargo run -p saigen-tests --example set_clock -- JOURNAL AUDITOR_KEY MILLISECONDS OUT
//! ```

use std::error::Error;
use std::fs;
use std::path::Path;

use saigen_schemas::event::{Event, Kind};
use saigen_schemas::journal::checkpoint::{CHECKPOINT_PAYLOAD_BYTES, Checkpoint, CheckpointKey};
use saigen_schemas::journal::merkle::{self, frame_leaf};
use saigen_schemas::journal::seal::{EnrolmentId, FrameKey, Sealer, chain_start};
use saigen_schemas::journal::{
    AuditorKey, Frame, FrameHeader, FrameKind, OfEvents, PayloadBuilder, PayloadReader,
    PayloadSummary, segment_number,
};

const USAGE: &str = "usage: set_clock JOURNAL AUDITOR_KEY MILLISECONDS OUT";

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    let [journal, key, milliseconds, out] = arguments.as_slice() else {
        return Err(USAGE.into());
    };
    let milliseconds: i64 = milliseconds.to_str().ok_or(USAGE)?.parse()?;
    let by_us = milliseconds.checked_mul(1_000).ok_or(USAGE)?;
    let auditor = AuditorKey::read(&fs::read_to_string(key)?)?;
    let out = Path::new(out);
    fs::create_dir(out)?;
    let mut again = Again::new(&auditor, by_us);
    let mut segments = 0;
    for path in segment_paths(Path::new(journal))? {
        let written = again.segment(&fs::read(&path)?)?;
        fs::write(
            out.join(path.file_name().ok_or("a segment has a name")?),
            written,
        )?;
        segments += 1;
    }
    if segments == 0 {
        return Err("the folder holds no segment".into());
    }
    fs::copy(
        Path::new(journal).join("enrolment.json"),
        out.join("enrolment.json"),
    )?;
    Ok(())
}

/// The segments of a journal in their order.
fn segment_paths(journal: &Path) -> std::io::Result<Vec<std::path::PathBuf>> {
    let mut paths: Vec<_> = fs::read_dir(journal)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| {
        path.file_name()
            .and_then(|name| name.to_str())
            .and_then(segment_number)
            .is_some()
    });
    paths.sort();
    Ok(paths)
}

/// A recording that is being written again.
struct Again {
    by_us: i64,
    enrolment: EnrolmentId,
    sealer: Sealer,
    first_checkpoint: CheckpointKey,
    reader: PayloadReader,
    builder: PayloadBuilder,
    /// Digests of the open segment's frames.
    digests: Vec<[u8; 32]>,
}

impl Again {
    fn new(auditor: &AuditorKey, by_us: i64) -> Self {
        Self {
            by_us,
            enrolment: auditor.enrolment,
            sealer: Sealer::sealed(
                chain_start(auditor.enrolment),
                FrameKey::first(&auditor.secret),
            ),
            first_checkpoint: CheckpointKey::first(&auditor.secret),
            reader: PayloadReader::default(),
            builder: PayloadBuilder::default(),
            digests: Vec::new(),
        }
    }

    fn segment(&mut self, bytes: &[u8]) -> Result<Vec<u8>, Box<dyn Error>> {
        self.digests.clear();
        let mut out = Vec::new();
        let mut rest = bytes;
        while !rest.is_empty() {
            let frame = FrameHeader::read(rest)?;
            if frame.header.position != self.sealer.position() {
                return Err(format!(
                    "frame {} stands where {} is due: only a whole recording is written again",
                    frame.header.position,
                    self.sealer.position()
                )
                .into());
            }
            self.frame(&frame, &mut out)?;
            rest = rest
                .get(frame.len()..)
                .ok_or("a frame ends within its segment")?;
        }
        Ok(out)
    }

    fn frame(&mut self, frame: &Frame<'_>, out: &mut Vec<u8>) -> Result<(), Box<dyn Error>> {
        let mut payload = Vec::new();
        // Position, chain and payload's length are the sealer's to say.
        let mut header = FrameHeader {
            wall_us: frame.header.wall_us + self.by_us,
            ..frame.header
        };
        match frame.header.kind {
            // An opening speaks of no time.
            FrameKind::Open => payload.extend_from_slice(frame.payload),
            FrameKind::Checkpoint => {
                header = self.sealer.header(&header, CHECKPOINT_PAYLOAD_BYTES);
                self.checkpoint(frame, &header, &mut payload)?;
            }
            FrameKind::Heartbeat | FrameKind::Close => {}
            FrameKind::Removed => {
                return Err(
                    "segments were removed: only a whole recording is written again".into(),
                );
            }
            FrameKind::Data
            | FrameKind::Loss
            | FrameKind::Clock
            | FrameKind::Suspend
            | FrameKind::Boot
            | FrameKind::Configuration => {
                let summary = self.events(frame, &mut payload)?;
                header.raw_len = summary.raw_len;
                header.of_events = Some(OfEvents {
                    first_us: summary.first_us,
                    last_us: summary.last_us,
                    kinds: summary.kinds,
                    root: summary.root,
                });
            }
        }
        self.digests.push(self.sealer.seal(&header, &payload, out));
        Ok(())
    }

    fn events(
        &mut self,
        frame: &Frame<'_>,
        payload: &mut Vec<u8>,
    ) -> Result<PayloadSummary, Box<dyn Error>> {
        let header = &frame.header;
        let events = self.reader.read(
            frame.payload,
            header.raw_len,
            header.events,
            header.first_seq,
        )?;
        let salt = events.salt();
        for event in events {
            self.builder.push(&moved(event?, self.by_us));
        }
        Ok(self.builder.finish(salt, payload))
    }

    fn checkpoint(
        &self,
        frame: &Frame<'_>,
        header: &FrameHeader,
        payload: &mut Vec<u8>,
    ) -> Result<(), Box<dyn Error>> {
        let before = Checkpoint::read_frame(frame).ok_or("a checkpoint's frame holds one")?;
        let key = self
            .first_checkpoint
            .later(before.generation)
            .ok_or("a generation of checkpoint keys that cannot be")?;
        let root = merkle::root(self.digests.iter().map(frame_leaf).collect());
        let blank = Checkpoint::over(before.segment, before.first_position, root);
        key.sign(self.enrolment, header, &blank)
            .write_payload(payload);
        Ok(())
    }
}

/// The event as a host whose wall clock is `by_us` further would have told it.
fn moved(mut event: Event<'_>, by_us: i64) -> Event<'_> {
    let further = |us: &mut Option<i64>| *us = us.map(|us| us + by_us);
    event.time.wall_us += by_us;
    further(&mut event.recorded_us);
    if let Kind::FileCreated(file) = &mut event.kind {
        further(&mut file.created_us);
    }
    if let Kind::FileAttributes(file) = &mut event.kind {
        further(&mut file.modified_us);
        further(&mut file.old_modified_us);
    }
    if let Kind::StateProcess(process) = &mut event.kind {
        further(&mut process.started_us);
    }
    if let Kind::StateAutostart(autostart) = &mut event.kind {
        further(&mut autostart.modified_us);
    }
    if let Kind::ClockStep(step) = &mut event.kind {
        further(&mut step.old_offset_us);
        further(&mut step.offset_us);
    }
    event
}
