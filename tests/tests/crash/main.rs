//! What was made durable reads back, whatever happens to the recorder: killed, out of power, out of disk.
//!
//! The writer is the collector's own, the judge the analyzer's. `SAIGEN_KILLS=1000` kills that often.

#![expect(
    clippy::unwrap_used,
    reason = "a test stops where what it needs is missing"
)]

#[cfg(test)]
mod disk;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod power;
#[cfg(test)]
mod unbegun;

use std::path::Path;

use saigen_analyzer::evidence::{Asked, Key, Verification, open, verify};
use saigen_collector::clock::Now;
use saigen_collector::journal::{Directory, Identity, Limits, Recording, Writer};
use saigen_collector::keys::KeyState;
use saigen_schemas::event::{
    BootId, Event, Fields, FileWritten, Kind, Marks, RecordBoot, Source, Text,
};

/// A moment, so many milliseconds after the first.
fn at(ms: u64) -> Now {
    let boot_us = 1_000_000_000 + ms * 1000;
    Now {
        boot_us,
        monotonic_us: boot_us,
        wall_us: 1_700_000_000_000_000 + boot_us.cast_signed(),
    }
}

fn recording() -> Recording {
    Recording {
        host: "pc".into(),
        boot: BootId([7; 16]),
        tool: "crash test".into(),
        configuration_sha256: String::new(),
        scope: "system".into(),
        sources: Vec::new(),
    }
}

fn event<'a>(kind: Kind<'a>, now: Now) -> Event<'a> {
    Event {
        seq: 0,
        time: now.time(),
        recorded_us: None,
        host: "pc".into(),
        boot: BootId([7; 16]),
        source: Source::Fanotify,
        actor: None,
        marks: Marks(&[]),
        extra: Fields(&[]),
        kind,
    }
}

fn boot(now: Now) -> Event<'static> {
    event(Kind::RecordBoot(RecordBoot::default()), now)
}

fn written(path: &str, now: Now) -> Event<'_> {
    let kind = FileWritten {
        path: Some(Text(path.as_bytes())),
        ..FileWritten::default()
    };
    event(Kind::FileWritten(kind), now)
}

/// Begins a recording in a directory, or goes on with the one that was broken off there.
fn begin(dir: &Path, key: &Path, limits: Limits, now: Now) -> Writer<Directory> {
    let (state, first) = KeyState::open(key).unwrap();
    let mut writer = match Directory::go_on(dir).unwrap() {
        Some((store, tail)) => {
            let identity = Identity::after(&tail, dir, Some((state, first))).unwrap();
            Writer::go_on(store, identity, recording(), limits, &tail, now).unwrap()
        }
        None => {
            let identity = Identity::Sealed(state, first);
            let store = Directory::create(dir, &identity.label()).unwrap();
            Writer::create(store, identity, recording(), limits, now).unwrap()
        }
    };
    let urgency = saigen_collector::journal::Urgency::Critical;
    writer.push(&boot(now), urgency, now).unwrap();
    writer
}

fn judge(dir: &Path, key: &Path) -> Verification {
    let key = Key::read(key).unwrap();
    let asked = Asked {
        key: Some(&key),
        ..Asked::default()
    };
    let found = open(&[dir.to_owned()]);
    assert_eq!(found.journals.len(), 1, "{:?}", found.unread);
    verify(&found.journals[0], asked, &mut |_| {})
}
