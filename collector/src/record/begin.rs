//! The beginning of a recording: directory, key, isolation, writer, and the thread that drains.

use super::drain::{Drain, Pace};
use super::notify::Manager;
use super::pen::Pen;
use super::sources::Sources;
use super::thin::Thinner;
use super::watch::Watch;
use super::{Doubt, Options, RecordError, Recorder, Stop, TOOL, plan};
use crate::clock;
use crate::isolate::{self, Need, Needs};
use crate::journal::{Directory, Identity, Limits, Recording, Writer};
use crate::keys::{self, KeyState};
use crate::machine::Machine;
use crate::normalize::{ArgsFrom, Codes, Normalizer, Scope, Settings};
use crate::source::Feed;
use crate::tree::Tree;
use sha2::{Digest, Sha256};
use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::Instant;

impl Recorder {
    pub(super) fn create(
        options: &Options,
        tree: Option<Tree>,
        machine: Machine,
        sources: Sources,
        say: &mut dyn FnMut(&str),
    ) -> Result<Recorder, RecordError> {
        let scope = if tree.is_some() {
            Scope::Tree
        } else {
            Scope::System
        };
        let key = match &options.key {
            Some(path) => Some(KeyState::open(path).map_err(RecordError::Key)?),
            None => None,
        };
        let broken_off = Directory::go_on(&options.output).map_err(RecordError::Store)?;
        let (store, identity, tail) = match (broken_off, key) {
            (Some((store, tail)), key) => {
                let identity =
                    Identity::after(&tail, &options.output, key).map_err(RecordError::Store)?;
                say(&format!(
                    "{}: goes on with the recording that was broken off after frame {}",
                    options.output.display(),
                    tail.position
                ));
                (store, identity, Some(tail))
            }
            (None, key) => {
                let identity = match key {
                    Some((state, key)) => Identity::Sealed(state, key),
                    None => Identity::Unsealed(
                        keys::unsealed_enrolment().map_err(RecordError::Machine)?,
                    ),
                };
                let store = Directory::create(&options.output, &identity.label())
                    .map_err(RecordError::Store)?;
                (store, identity, None)
            }
        };
        let manager = Manager::of_environment();
        // Everything is open. What is read from here on was written by others.
        let isolation = isolate::isolate(&needs(options, scope, &sources));
        for part in &isolation.missing {
            say(&format!("not isolated: {part}"));
        }
        let configuration = plan::configuration(options, &sources.levels, &isolation);
        let recording = Recording {
            host: machine.host.clone(),
            boot: machine.boot,
            tool: TOOL.to_owned(),
            configuration_sha256: hex(&Sha256::digest(&configuration)),
            scope: scope_word(scope).to_owned(),
            sources: sources.levels.clone(),
        };
        let (limits, now) = (Limits::of(options.max_disk), clock::now());
        let writer = match &tail {
            Some(tail) => Writer::go_on(store, identity, recording, limits, tail, now),
            None => Writer::create(store, identity, recording, limits, now),
        };
        let writer = writer.map_err(RecordError::Write)?;
        for level in sources
            .levels
            .iter()
            .filter(|level| !level.missed.is_empty())
        {
            say(&format!(
                "{}: {}; missed: {}",
                level.source, level.level, level.missed
            ));
        }
        let pace = match sources.args_from {
            ArgsFrom::Audit => Pace::Gathered,
            ArgsFrom::Stack => Pace::AtOnce,
        };
        let settings = Settings {
            scope,
            args_from: sources.args_from,
            audit: sources.audit,
            codes: if drains(&sources, Feed::ProcConnector) {
                Codes::Connector
            } else {
                Codes::Taskstats
            },
            perf_clock: sources.perf_clock,
            tracepoints: sources.tracepoints,
            host: machine.host.clone().into_bytes(),
            boot: machine.boot,
            lists: options.lists.clone(),
        };
        let watch = Watch::new(sources.audit, sources.audit_rules, &options.output);
        let drain = Drain::start(sources.drained.0, pace).map_err(RecordError::Machine)?;
        Ok(Recorder {
            drain,
            normalizer: Normalizer::new(settings, sources.files, clock::now()),
            segment: writer.segment(),
            pen: Pen {
                writer: Some(writer),
                failed: None,
                thinner: Thinner::new(options.bounds, clock::cpu_us(), clock::boot_us()),
            },
            machine,
            scope,
            configuration,
            levels: sources.levels,
            audit_lost_before: sources.audit_lost_before,
            audit_left: sources.audit_left,
            watch,
            manager,
            state_told: Instant::now(),
            state_doubtful: Doubt::No,
            tree,
            stop: Stop::No,
            housekept: Instant::now(),
            counted: Instant::now(),
            files_bound_us: clock::boot_us(),
        })
    }
}

/// Whether a source was opened.
fn drains(sources: &Sources, feed: Feed) -> bool {
    sources.drained.0.iter().any(|source| source.feed() == feed)
}

/// What the isolated recorder must still be able to do.
fn needs(options: &Options, scope: Scope, sources: &Sources) -> Needs {
    let mut needs = vec![Need::Memory, Need::Files, Need::Processes];
    needs.extend(sources.audit.map(|_| Need::Audit));
    needs.extend(sources.files.as_ref().map(|_| Need::Mounts));
    needs.extend(drains(sources, Feed::ProcConnector).then_some(Need::Connector));
    needs.extend((scope == Scope::Tree).then_some(Need::Command));
    let key = options.key.as_ref().and_then(|key| key.canonicalize().ok());
    let key_directory = key.as_deref().and_then(Path::parent);
    let ours = rustix::process::geteuid().as_raw();
    let foreign = [Some(options.output.as_path()), key_directory]
        .into_iter()
        .flatten()
        .filter_map(|path| path.metadata().ok())
        .any(|status| status.uid() != ours);
    needs.extend(foreign.then_some(Need::ForeignDirectory));
    Needs(needs)
}

fn scope_word(scope: Scope) -> &'static str {
    match scope {
        Scope::System => "system",
        Scope::Tree => "tree",
    }
}

fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        // Writing to a text cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
