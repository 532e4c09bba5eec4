//! The collector, and what it recorded, read back.

use saigen_schemas::event::{Event, write_json};
use saigen_schemas::journal::{FrameHeader, PayloadReader};
use serde_json::Value;
use std::path::Path;
use std::process::Command;

/// The collector, as it was built for this test.
pub fn collector() -> Command {
    Command::new(env!("CARGO_BIN_EXE_saigen-collector"))
}

/// The events of a journal, as JSON.
pub fn events(journal: &Path) -> Vec<Value> {
    let mut all = Vec::new();
    each_event(journal, |event| {
        let mut text = String::new();
        write_json(event, "", &mut text);
        all.push(serde_json::from_str(&text).expect("JSON"));
    });
    all
}

/// Shows each event of a journal's segments to `each`.
pub fn each_event(journal: &Path, mut each: impl FnMut(&Event<'_>)) {
    let mut names: Vec<_> = std::fs::read_dir(journal)
        .expect("a journal")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "saj"))
        .collect();
    names.sort();
    let mut reader = PayloadReader::default();
    for name in names {
        let bytes = std::fs::read(&name).expect("a segment");
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let frame = FrameHeader::read(rest).expect("a whole frame");
            let header = frame.header;
            if header.kind.holds_events() {
                let events = reader
                    .read(
                        frame.payload,
                        header.raw_len,
                        header.events,
                        header.first_seq,
                    )
                    .expect("a whole payload");
                events.for_each(|event| each(&event.expect("a whole event")));
            }
            rest = &rest[frame.len()..];
        }
    }
}
