//! SigmaHQ's own regression recordings, where they are at hand: every rule fires on its recording, as often as
//! is stated there.

use std::collections::BTreeMap;
use std::fs;
use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::process::Command;

use saigen_analyzer::detect::{Context, Correlator, Engine, Occasion, Placeholders, read_folder};
use saigen_analyzer::import::{At, Finding, ImportError, Sink, Skipped, json};
use saigen_schemas::event::Event;

/// How often each rule fired, by its id.
struct Fired<'e> {
    engine: &'e Engine,
    correlator: Correlator<'e, u64>,
    counts: BTreeMap<String, u64>,
    events: u64,
    broken: u64,
}

impl Sink for Fired<'_> {
    fn event(&mut self, at: At, event: &Event<'_>) -> Result<(), ImportError> {
        self.events += 1;
        let matches = self.engine.evaluate(event, &Context::default());
        let occasion = Occasion {
            event: at.offset,
            time: event.time,
            host: event.host.lossy().into_owned(),
            process: event.actor,
        };
        for detection in self.correlator.observe(&occasion, &matches) {
            *self.counts.entry(detection.rule.id.clone()).or_default() += 1;
        }
        Ok(())
    }

    fn skip(&mut self, _: At, _: Skipped) {
        self.broken += 1;
    }

    fn find(&mut self, _: Finding) {
        self.broken += 1;
    }
}

/// Unpacks an archive of the evidence that is shared with this project; `None` where it is not.
fn unpacked(archive: &str, into: &Path) -> Option<()> {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
    let archive = shared.join(archive);
    if !archive.is_file() {
        println!("skipped: {} is not there", archive.display());
        return None;
    }
    let status = Command::new("tar")
        .arg("-xJf")
        .arg(&archive)
        .arg("-C")
        .arg(into)
        .status()
        .expect("tar runs");
    assert!(status.success());
    Some(())
}

fn files(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder was unpacked") {
        let path = entry.expect("the folder can be read").path();
        if path.is_dir() {
            files(&path, ending, found);
        } else if path.extension().is_some_and(|own| own == ending) {
            found.push(path);
        }
    }
    found.sort();
}

/// How often the rule must fire at least, by the description beside a recording.
fn stated(recording: &Path) -> u64 {
    let info = fs::read_to_string(recording.with_file_name("info.yml"))
        .expect("a recording has a description");
    info.lines()
        .filter_map(|line| {
            line.trim()
                .strip_prefix("match_count:")?
                .trim()
                .parse()
                .ok()
        })
        .next()
        .unwrap_or(1)
}

#[test]
fn every_rule_fires_on_its_recording() {
    let folder = tempfile::tempdir().unwrap();
    let parts = [
        "sigma/sigmahq-rules.tar.xz",
        "evtx/sigma-regression_dev.tar.xz",
    ];
    for part in parts {
        if unpacked(part, folder.path()).is_none() {
            return;
        }
    }
    let rules = read_folder(folder.path()).unwrap();
    let engine = Engine::new(rules.texts, &Placeholders::new());
    let mut recordings = Vec::new();
    files(folder.path(), "json", &mut recordings);
    assert!(recordings.len() > 100);
    let mut silent = Vec::new();
    for recording in &recordings {
        let mut fired = Fired {
            engine: &engine,
            correlator: Correlator::new(&engine),
            counts: BTreeMap::new(),
            events: 0,
            broken: 0,
        };
        let bytes = fs::read(recording).unwrap();
        json::read(&mut Cursor::new(bytes), &mut fired).unwrap();
        assert!(fired.events > 0 && fired.broken == 0, "{recording:?}");
        let rule = recording.file_stem().unwrap().to_string_lossy();
        let count = fired.counts.get(rule.as_ref()).copied().unwrap_or(0);
        if count < stated(recording) {
            silent.push(recording);
        }
    }
    assert!(silent.is_empty(), "{silent:#?}");
}
