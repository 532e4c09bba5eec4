//! Makes samples for training the journal's dictionary: payloads before compression, as frames of a
//! quiet machine would hold them, from recordings.
//!
//! What belongs to one machine is left out: hashes of files, salts, the names of host and boot, and what
//! stood when the recording began.
//!
//! ```text
//! cargo run -p saigen-tests --example dictionary_samples -- OUT_DIR JOURNAL…
//! ```

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use saigen_schemas::event::{BootId, Event, Kind, Text};
use saigen_schemas::journal::{FrameHeader, PayloadBuilder, PayloadReader};

/// Events of a sample, in turn: frames of five seconds at a few events a second, and at some tens.
const EVENTS: [u32; 3] = [15, 50, 150];

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<PathBuf> = std::env::args_os().skip(1).map(PathBuf::from).collect();
    let (out, journals) = arguments
        .split_first()
        .filter(|(_, journals)| !journals.is_empty())
        .ok_or("usage: dictionary_samples OUT_DIR JOURNAL…")?;
    fs::create_dir_all(out)?;
    let mut samples = Samples {
        out,
        builder: PayloadBuilder::default(),
        written: 0,
    };
    for journal in journals {
        for path in segments_of(journal)? {
            samples.segment(&fs::read(path)?)?;
        }
    }
    println!("{} samples", samples.written);
    Ok(())
}

fn segments_of(journal: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> = fs::read_dir(journal)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "saj"));
    paths.sort();
    Ok(paths)
}

/// Samples that are being written.
struct Samples<'a> {
    out: &'a Path,
    builder: PayloadBuilder,
    written: usize,
}

impl Samples<'_> {
    fn segment(&mut self, bytes: &[u8]) -> Result<(), Box<dyn Error>> {
        let mut reader = PayloadReader::default();
        let mut rest = bytes;
        while !rest.is_empty() {
            let frame = FrameHeader::read(rest)?;
            rest = rest.get(frame.len()..).unwrap_or_default();
            let header = &frame.header;
            if header.events == 0 {
                continue;
            }
            let events = reader.read(
                frame.payload,
                header.raw_len,
                header.events,
                header.first_seq,
            )?;
            for event in events {
                let event = event?;
                let name = event.kind.name().as_str();
                if name.starts_with("state.") || name.starts_with("record.") {
                    continue;
                }
                self.builder.push(&of_no_machine(event));
                if self.builder.events() >= EVENTS[self.written % EVENTS.len()] {
                    self.write()?;
                }
            }
        }
        self.write()
    }

    fn write(&mut self) -> Result<(), Box<dyn Error>> {
        if self.builder.events() == 0 {
            return Ok(());
        }
        let mut payload = Vec::new();
        let summary = self.builder.finish([0; 16], &mut payload);
        let mut reader = PayloadReader::default();
        let raw = reader.unpacked(&payload, summary.raw_len)?;
        fs::write(self.out.join(format!("{:06}", self.written)), raw)?;
        self.written += 1;
        Ok(())
    }
}

/// The event without what no other machine has.
fn of_no_machine(mut event: Event<'_>) -> Event<'_> {
    event.host = Text(b"host");
    event.boot = BootId([0; 16]);
    let hash = if let Kind::ProcessStart(start) = &mut event.kind {
        Some(&mut start.sha256)
    } else if let Kind::FileWritten(file) = &mut event.kind {
        Some(&mut file.sha256)
    } else if let Kind::FileMapped(file) = &mut event.kind {
        Some(&mut file.sha256)
    } else {
        None
    };
    if let Some(hash) = hash {
        *hash = None;
    }
    event
}
