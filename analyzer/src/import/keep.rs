//! What others recorded, kept as a journal: its events in order, each pointing back to the file and
//! place that it is from.
//!
//! It is not sealed: whoever imports could have made it. Its chain and checksums show later changes
//! to whoever noted its last value. The same files give the same bytes: it holds no clock and
//! nothing drawn at random.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write as _};
use std::path::Path;

use saigen_schemas::event::{
    BootId, Event, Fields, FieldsBuf, Kind, Marks, RecordSource, Source, SourceState, Text, Time,
    Value,
};
use saigen_schemas::journal::seal::{ChainValue, EnrolmentId, Sealer, chain_start};
use saigen_schemas::journal::{
    FORMAT_VERSION, FRAME_RAW_BYTES_TARGET, FrameHeader, FrameKind, OfEvents, Opening,
    PayloadBuilder, PayloadSummary, SEGMENT_BYTES_TARGET, SourceLevel, segment_file_name,
};
use sha2::{Digest as _, Sha256};

use crate::import::Foreign;
use crate::reference::Citations;
use crate::stream::EventStream as _;

/// The name of the field that says where an event is from: its reference in the import.
pub const ORIGIN: &str = "saigen.origin";

/// What was kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// Events of the files.
    pub events: u64,
    /// Events too large for a frame, which are counted as lost in the journal.
    pub lost: u64,
    /// Bytes of all segments.
    pub bytes: u64,
    /// The chain after the last frame.
    pub chain: String,
}

/// Writes a journal into a folder, which must not be there yet.
///
/// # Errors
/// Where the folder is there, or cannot be written to.
pub fn keep(
    foreign: &Foreign,
    citations: &Citations,
    folder: &Path,
    tool: &str,
) -> io::Result<Kept> {
    fs::create_dir(folder)?;
    let mut keeper = Keeper::new(foreign, folder, tool)?;
    keeper.origins(foreign)?;
    let mut stream = foreign.stream();
    let mut extra = FieldsBuf::default();
    while stream.peek().is_some() {
        let Some((reference, event)) = stream.next() else {
            continue;
        };
        extra.clear();
        for (name, value) in event.extra.iter() {
            extra.push(name.0, value.0);
        }
        let origin = citations.name(reference).to_string();
        extra.push(ORIGIN.as_bytes(), origin.as_bytes());
        let event = Event {
            extra: extra.as_fields(),
            ..event
        };
        keeper.push(&event)?;
    }
    if let Some(error) = stream.failed() {
        return Err(io::Error::new(error.kind(), error.to_string()));
    }
    keeper.close()
}

/// Writes frames.
struct Keeper<'f> {
    folder: &'f Path,
    file: BufWriter<File>,
    sealer: Sealer,
    builder: PayloadBuilder,
    opening: Opening,
    /// What salts are made from: the hashes of the files.
    seed: [u8; 32],
    /// The time that frames are said to be sealed at: that of the last event. There is no clock.
    wall_us: i64,
    next_seq: u64,
    events: u64,
    lost: u64,
    segment_bytes: u64,
    bytes: u64,
    payload: Vec<u8>,
    frame: Vec<u8>,
}

impl<'f> Keeper<'f> {
    fn new(foreign: &Foreign, folder: &'f Path, tool: &str) -> io::Result<Self> {
        let mut hasher = Sha256::new();
        for file in &foreign.files {
            hasher.update(file.sha256.as_bytes());
        }
        let seed: [u8; 32] = hasher.finalize().into();
        let mut id = [0; 16];
        id.copy_from_slice(seed.get(..16).unwrap_or(&[0; 16]));
        let enrolment = EnrolmentId(id);
        let files = foreign.files.iter();
        let last_us = files.filter_map(|file| file.span_us().map(|(_, last)| last));
        let mut keeper = Self {
            folder,
            file: BufWriter::new(File::create_new(folder.join(segment_file_name(1)))?),
            sealer: Sealer::unsealed(chain_start(enrolment), 0),
            builder: PayloadBuilder::default(),
            opening: opening(foreign, enrolment, tool),
            seed,
            wall_us: last_us.max().unwrap_or(0),
            next_seq: 0,
            events: 0,
            lost: 0,
            segment_bytes: 0,
            bytes: 0,
            payload: Vec::new(),
            frame: Vec::new(),
        };
        keeper.open()?;
        Ok(keeper)
    }

    /// Writes the opening of a segment.
    fn open(&mut self) -> io::Result<()> {
        self.payload.clear();
        let raw_len = self.opening.write(&mut self.payload);
        let summary = PayloadSummary {
            raw_len,
            ..PayloadSummary::default()
        };
        self.seal(FrameKind::Open, summary)
    }

    /// Says of each file what it is: its number, its path, its hash.
    fn origins(&mut self, foreign: &Foreign) -> io::Result<()> {
        for file in &foreign.files {
            let members = file.members.iter().filter_map(|member| {
                let path = member.path.as_ref()?;
                Some((format!("{}!{path}", file.source), path, &member.sha256))
            });
            let own = [(file.source.to_string(), &file.path, &file.sha256)];
            for (id, path, sha256) in own.into_iter().chain(members) {
                let mut extra = FieldsBuf::default();
                extra.push(ORIGIN.as_bytes(), id.as_bytes());
                extra.push(b"path", path.as_bytes());
                extra.push(b"sha256", sha256.as_bytes());
                let kind = Kind::RecordSource(RecordSource {
                    name: Some(Text(path.as_bytes())),
                    state: Some(SourceState::Up),
                    detail: None,
                });
                let first_us = file.span_us().map_or(self.wall_us, |(first, _)| first);
                self.put(&own_event(first_us, extra.as_fields(), kind))?;
            }
        }
        Ok(())
    }

    fn push(&mut self, event: &Event<'_>) -> io::Result<()> {
        if !self.builder.has_room(text_bytes(event)) {
            self.seal_events()?;
            if !self.builder.has_room(text_bytes(event)) {
                self.lost += 1;
                return Ok(());
            }
        }
        self.events += 1;
        self.put(event)
    }

    fn put(&mut self, event: &Event<'_>) -> io::Result<()> {
        self.builder.push(event);
        self.next_seq += 1;
        if self.builder.raw_len() >= FRAME_RAW_BYTES_TARGET {
            self.seal_events()?;
        }
        Ok(())
    }

    fn seal_events(&mut self) -> io::Result<()> {
        if self.builder.events() == 0 {
            return Ok(());
        }
        let mut hasher = Sha256::new();
        hasher.update(self.seed);
        hasher.update(self.sealer.position().to_le_bytes());
        let digest: [u8; 32] = hasher.finalize().into();
        let mut salt = [0; 16];
        salt.copy_from_slice(digest.get(..16).unwrap_or(&[0; 16]));
        self.payload.clear();
        let summary = self.builder.finish(salt, &mut self.payload);
        self.seal(FrameKind::Data, summary)?;
        if self.segment_bytes >= SEGMENT_BYTES_TARGET {
            self.next_segment()?;
        }
        Ok(())
    }

    fn next_segment(&mut self) -> io::Result<()> {
        self.file.flush()?;
        self.opening.segment += 1;
        let name = segment_file_name(self.opening.segment);
        self.file = BufWriter::new(File::create_new(self.folder.join(name))?);
        self.segment_bytes = 0;
        self.open()
    }

    fn seal(&mut self, kind: FrameKind, summary: PayloadSummary) -> io::Result<()> {
        let header = FrameHeader {
            kind,
            position: 0,
            first_seq: self.next_seq - u64::from(summary.events),
            events: summary.events,
            payload_len: 0,
            raw_len: summary.raw_len,
            boot: BootId::default(),
            boot_us: 0,
            wall_us: self.wall_us,
            lost: self.lost,
            before: ChainValue([0; 32]),
            of_events: kind.holds_events().then_some(OfEvents {
                first_us: summary.first_us,
                last_us: summary.last_us,
                kinds: summary.kinds,
                root: summary.root,
            }),
        };
        self.frame.clear();
        self.sealer.seal(&header, &self.payload, &mut self.frame);
        self.file.write_all(&self.frame)?;
        self.segment_bytes += self.frame.len() as u64;
        self.bytes += self.frame.len() as u64;
        Ok(())
    }

    fn close(mut self) -> io::Result<Kept> {
        self.seal_events()?;
        self.payload.clear();
        self.seal(FrameKind::Close, PayloadSummary::default())?;
        self.file.flush()?;
        self.file.get_ref().sync_all()?;
        Ok(Kept {
            events: self.events,
            lost: self.lost,
            bytes: self.bytes,
            chain: self.sealer.chain().to_string(),
        })
    }
}

fn opening(foreign: &Foreign, enrolment: EnrolmentId, tool: &str) -> Opening {
    let files = foreign.files.iter();
    let hosts: std::collections::BTreeSet<String> =
        files.clone().flat_map(|file| file.hosts()).collect();
    let sources = files.map(|file| SourceLevel {
        source: file.path.clone(),
        level: "import".to_owned(),
        gives: file.format().word().to_owned(),
        missed: String::new(),
    });
    Opening {
        format: FORMAT_VERSION,
        segment: 1,
        enrolment: enrolment.to_string(),
        sealed: false,
        recording: 0,
        host: hosts.into_iter().collect::<Vec<_>>().join(", "),
        tool: tool.to_owned(),
        configuration_sha256: String::new(),
        generation: None,
        successions: Vec::new(),
        scope: "import".to_owned(),
        sources: sources.collect(),
    }
}

fn own_event<'a>(wall_us: i64, extra: Fields<'a>, kind: Kind<'a>) -> Event<'a> {
    Event {
        seq: 0,
        time: Time {
            wall_us,
            boot_us: None,
        },
        recorded_us: None,
        host: Text(b""),
        boot: BootId::default(),
        source: Source::Recorder,
        actor: None,
        marks: Marks::default(),
        extra,
        kind,
    }
}

/// The bytes of an event's texts.
fn text_bytes(event: &Event<'_>) -> usize {
    let mut bytes = event.host.0.len() + event.extra.0.len() + event.marks.0.len();
    event.kind.visit(|_, value| {
        bytes += match value {
            Value::Text(text) => text.0.len(),
            Value::Args(args) => args.0.len(),
            Value::Unsigned(_)
            | Value::Signed(_)
            | Value::Process(_)
            | Value::Ip(_)
            | Value::Hash(_)
            | Value::Guid(_)
            | Value::Word(_) => 0,
        };
    });
    bytes
}
