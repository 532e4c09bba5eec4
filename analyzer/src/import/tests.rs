//! What readers tell, kept for tests.

use std::io::Cursor;

use saigen_schemas::event::{Event, write_json};
use serde_json::Value as Json;

use crate::import::{At, Finding, ImportError, Input, Sink, Skipped};

/// Everything that a reader told.
#[derive(Default)]
pub(super) struct Told {
    /// Events as JSON, in the order in which they were told.
    pub(super) events: Vec<Json>,
    pub(super) places: Vec<At>,
    pub(super) skipped: Vec<(At, Skipped)>,
    pub(super) findings: Vec<Finding>,
}

impl Sink for Told {
    fn event(&mut self, at: At, event: &Event<'_>) -> Result<(), ImportError> {
        let mut json = String::new();
        write_json(event, "e1:@0", &mut json);
        self.events.push(serde_json::from_str(&json).unwrap());
        self.places.push(at);
        Ok(())
    }

    fn skip(&mut self, at: At, why: Skipped) {
        self.skipped.push((at, why));
    }

    fn find(&mut self, finding: Finding) {
        self.findings.push(finding);
    }
}

impl Told {
    /// What a reader tells of these bytes.
    pub(super) fn by(
        read: impl FnOnce(&mut dyn Input, &mut dyn Sink) -> Result<(), ImportError>,
        bytes: &[u8],
    ) -> Self {
        let mut told = Self::default();
        read(&mut Cursor::new(bytes), &mut told).unwrap();
        told
    }

    /// The events of a kind.
    pub(super) fn of(&self, kind: &str) -> Vec<&Json> {
        self.events
            .iter()
            .filter(|event| event["kind"] == kind)
            .collect()
    }

    /// The only event of a kind.
    pub(super) fn one(&self, kind: &str) -> &Json {
        let events = self.of(kind);
        assert_eq!(events.len(), 1, "{kind}: {:#?}", self.events);
        events[0]
    }
}

/// Counts what it is told and keeps nothing.
#[derive(Default)]
pub(super) struct Counted(pub(super) u64);

impl Sink for Counted {
    fn event(&mut self, _: At, _: &Event<'_>) -> Result<(), ImportError> {
        self.0 += 1;
        Ok(())
    }
    fn skip(&mut self, _: At, _: Skipped) {}
    fn find(&mut self, _: Finding) {}
}

/// Changes bytes at places that a seed chooses, and has them read: nothing may panic.
pub(super) fn mutate(seed: &[u8], rounds: u32, mut read: impl FnMut(&[u8], &mut Counted)) {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    for _ in 0..rounds {
        let mut bytes = seed.to_vec();
        for _ in 0..=next() % 6 {
            let place = usize::try_from(next()).unwrap_or(0) % bytes.len().max(1);
            let byte = u8::try_from(next() % 256).unwrap();
            match next() % 5 {
                0 => bytes[place] = byte,
                1 => bytes.truncate(place),
                2 => bytes.insert(place, byte),
                3 => {
                    let piece = bytes[place..(place + 40).min(bytes.len())].to_vec();
                    bytes.extend(piece);
                }
                _ => bytes[place] ^= 1 << (byte % 8),
            }
            if bytes.is_empty() {
                bytes.push(byte);
            }
        }
        read(&bytes, &mut Counted::default());
    }
}
