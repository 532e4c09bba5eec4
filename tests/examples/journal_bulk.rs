//! Writes a sealed journal of a given size with the recorder's own writer, to see what reading one costs.
//!
//! ```text
//! cargo run --release -p saigen-tests --example journal_bulk -- FOLDER MEGABYTES
//! ```
//!
//! `FOLDER/journal` and `FOLDER/keys` are made. A sixth of each event is noise and the rest repeats, so
//! that frames are as long on disk as those of a busy machine, and segments hold as many of them.

use std::path::{Path, PathBuf};

use saigen_collector::clock::Now;
use saigen_collector::journal::{Directory, Identity, Limits, Recording, Urgency, Writer};
use saigen_collector::keys::{KeyState, generate};
use saigen_schemas::event::{
    BootId, Event, Fields, FileWritten, Kind, Marks, RecordBoot, Source, Text,
};

type Failure = Box<dyn std::error::Error>;

/// Bytes of a path that are noise, and of all of it.
const NOISE_BYTES: usize = 200;
const PATH_BYTES: usize = 1_200;

/// Events a second of the journal's own clock.
const EVENT_US: u64 = 200;

fn main() -> Result<(), Failure> {
    let usage = "usage: journal_bulk FOLDER MEGABYTES";
    let mut arguments = std::env::args_os().skip(1);
    let folder = PathBuf::from(arguments.next().ok_or(usage)?);
    let megabytes: u64 = arguments
        .next()
        .and_then(|text| text.to_str().and_then(|text| text.parse().ok()))
        .ok_or(usage)?;
    std::fs::create_dir(&folder)?;
    let events = write(&folder, megabytes * 1_000_000)?;
    println!("{events} events");
    Ok(())
}

const fn at(boot_us: u64) -> Now {
    Now {
        boot_us,
        monotonic_us: boot_us,
        wall_us: 1_700_000_000_000_000 + boot_us.cast_signed(),
    }
}

fn write(folder: &Path, bytes: u64) -> Result<u64, Failure> {
    let made = generate(&folder.join("keys"))?;
    let (state, key) = KeyState::open(&made.endpoint)?;
    let identity = Identity::Sealed(state, key);
    let store = Directory::create(&folder.join("journal"), &identity.label())?;
    let recording = Recording {
        host: "bench".into(),
        boot: BootId([7; 16]),
        tool: "journal_bulk".into(),
        configuration_sha256: String::new(),
        scope: "system".into(),
        sources: Vec::new(),
    };
    let mut now = at(EVENT_US);
    let mut writer = Writer::create(store, identity, recording, Limits::of(u64::MAX), now)?;
    let boot = event(Kind::RecordBoot(RecordBoot::default()), now);
    writer.push(&boot, Urgency::Ordinary, now)?;
    let mut path = [b'/'; PATH_BYTES];
    let mut noise = 0x9e37_79b9_7f4a_7c15_u64;
    while writer.journal_bytes() < bytes {
        now = at(now.boot_us + EVENT_US);
        let (words, _) = path[..NOISE_BYTES].as_chunks_mut::<8>();
        for word in words {
            noise ^= noise << 13;
            noise ^= noise >> 7;
            noise ^= noise << 17;
            *word = noise.to_le_bytes();
        }
        let written = FileWritten {
            path: Some(Text(&path)),
            ..FileWritten::default()
        };
        let event = event(Kind::FileWritten(written), now);
        writer.push(&event, Urgency::Ordinary, now)?;
        writer.tick(now)?;
    }
    let events = writer.next_seq();
    writer.close(now)?;
    Ok(events)
}

fn event(kind: Kind<'_>, now: Now) -> Event<'_> {
    Event {
        seq: 0,
        time: now.time(),
        recorded_us: None,
        host: Text(b"bench"),
        boot: BootId([7; 16]),
        source: Source::Fanotify,
        actor: None,
        marks: Marks(&[]),
        extra: Fields(&[]),
        kind,
    }
}
