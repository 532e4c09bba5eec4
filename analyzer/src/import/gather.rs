//! Files that others recorded, read one after the other: what each reader tells is counted, put
//! into blocks, and ordered at the end.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;

use saigen_schemas::event::Event;
use saigen_schemas::report::FindingKind;

use crate::import::batch::{Batch, Note};
use crate::import::clocks::Clocks;
use crate::import::container::{Leaf, Visitor, hash, walk};
use crate::import::find::Place;
use crate::import::foreign::{Counts, Findings, Foreign, ForeignFile, Member};
use crate::import::hosts::Hosts;
use crate::import::order::{LeafOrder, Order};
use crate::import::read::read;
use crate::import::repeats::Suspects;
use crate::import::sink::{At, Finding, ImportError, NO_TIME_US, Sink, Skipped};
use crate::import::sniff::What;
use crate::import::spool::{Block, Entry, Spool, kind_of, source_of};
use crate::reference::SourceId;

/// What is said of a record of which a reader says no more than that it is skipped.
const UNREAD: &str = "a record that cannot be read";

/// Reads files. `known_hosts` are names by which hosts are called elsewhere; `progress` gets bytes
/// of files as they were read.
///
/// # Errors
/// Where events cannot be kept: the disk for temporary files is full. A file that cannot be read is
/// a finding.
pub fn read_all(
    places: &[(SourceId, Place)],
    known_hosts: &[String],
    progress: &mut dyn FnMut(u64),
) -> Result<Foreign, ImportError> {
    let mut reading = Reading::default();
    for (source, place) in places {
        reading.file(*source, place)?;
        progress(reading.files.last().map_or(0, |file| file.bytes));
    }
    reading.finish(known_hosts)
}

/// Files while they are read.
#[derive(Default)]
struct Reading {
    files: Vec<ForeignFile>,
    leaves: Vec<LeafState>,
    /// Files by the hash of their bytes.
    seen: HashMap<String, String>,
    spool: Spool,
    block: Block,
    clocks: Clocks,
    hosts: Hosts,
    suspects: Suspects,
}

/// What is gathered of one file or member.
struct LeafState {
    file: usize,
    member: usize,
    sha256: String,
    next_seq: u64,
    /// The latest time in the order of the file, and how often it rose and fell.
    last_us: i64,
    rises: u64,
    falls: u64,
    first_us: Option<i64>,
    hosts: BTreeSet<u32>,
    /// Where the record stands that gave the last event.
    last_offset: Option<u64>,
}

impl Reading {
    fn file(&mut self, source: SourceId, place: &Place) -> Result<(), ImportError> {
        let mut file = ForeignFile {
            source,
            path: place.path.clone(),
            at: place.at.clone(),
            sha256: String::new(),
            bytes: 0,
            is_archive: false,
            members: Vec::new(),
            strangers: Vec::new(),
            findings: Findings::default(),
        };
        let opened = File::open(&place.at).and_then(|opened| {
            let (bytes, sha256) = hash(&opened)?;
            file.bytes = bytes;
            file.sha256 = sha256;
            Ok(opened)
        });
        self.files.push(file);
        let number = self.files.len() - 1;
        let walked = match opened {
            Ok(opened) => walk(
                opened,
                &mut Shown {
                    reading: self,
                    file: number,
                },
            ),
            Err(error) => Err(ImportError::read(0)(error)),
        };
        self.flush()?;
        match walked {
            Ok(()) => Ok(()),
            // The disk of the program, not the evidence.
            Err(error) if error.is_of_this_machine() => Err(error),
            Err(error) => {
                let finding = Finding::new(FindingKind::Damage, None, error.to_string());
                self.find(number, finding);
                Ok(())
            }
        }
    }

    fn find(&mut self, file: usize, finding: Finding) {
        if let Some(file) = self.files.get_mut(file) {
            file.findings.push(finding);
        }
    }

    /// Reads a file or member; one whose bytes were read before is not read again.
    fn leaf(&mut self, number: usize, leaf: Leaf<'_>) -> Result<(), ImportError> {
        let What::Records(reader) = leaf.what else {
            return Ok(());
        };
        let Some(file) = self.files.get_mut(number) else {
            return Ok(());
        };
        file.is_archive |= leaf.member.is_some();
        let sha256 = leaf.sha256.unwrap_or_else(|| file.sha256.clone());
        let path = leaf.member.map(|(_, path)| path.to_owned());
        let named = match &path {
            None => file.path.clone(),
            Some(inner) => format!("{}!{inner}", file.path),
        };
        file.members.push(Member {
            path,
            format: reader.format(),
            sha256: sha256.clone(),
            bytes: leaf.input.size(),
            counts: Counts::default(),
            hosts: BTreeSet::new(),
            span_us: None,
            findings: Findings::default(),
        });
        let member = file.members.len() - 1;
        let leaf_number = self.leaves.len();
        self.leaves.push(LeafState {
            file: number,
            member,
            sha256: sha256.clone(),
            next_seq: 0,
            last_us: NO_TIME_US,
            rises: 0,
            falls: 0,
            first_us: None,
            hosts: BTreeSet::new(),
            last_offset: None,
        });
        let mut kept = Keeping {
            reading: self,
            leaf: leaf_number,
        };
        if let Some(first) = kept.reading.seen.get(&sha256) {
            let text = format!("the same bytes as {first}, which is read; this is not");
            kept.find(Finding::new(FindingKind::Note, None, text));
            kept.count_skip(Skipped::Repeated);
            return Ok(());
        }
        kept.reading.seen.insert(sha256, named);
        match read(reader, leaf.input, &mut kept) {
            Ok(()) => Ok(()),
            Err(error) if error.is_of_this_machine() => Err(error),
            Err(error) => {
                kept.find(Finding::new(FindingKind::Damage, None, error.to_string()));
                Ok(())
            }
        }
    }

    fn flush(&mut self) -> Result<(), ImportError> {
        if !self.block.entries.is_empty() {
            self.spool.put(std::mem::take(&mut self.block))?;
        }
        Ok(())
    }

    /// Decides about clocks, hosts and the order.
    fn finish(mut self, known_hosts: &[String]) -> Result<Foreign, ImportError> {
        self.flush()?;
        let names = self.hosts.settle(known_hosts);
        let (rules, clock_findings) = self.clocks.decide();
        for found in clock_findings {
            let name = names.get(found.host as usize).cloned().unwrap_or_default();
            let text = format!("{}: {}", String::from_utf8_lossy(&name), found.text);
            self.find_in(found.leaf, Finding::new(FindingKind::Clock, None, text));
        }
        let mut ranks: Vec<usize> = (0..self.leaves.len()).collect();
        ranks.sort_by_key(|&leaf| self.leaves.get(leaf).map(|state| &state.sha256));
        let mut leaves: Vec<LeafOrder> = self.leaves.iter().map(LeafState::order).collect();
        for (rank, leaf) in (0..).zip(ranks) {
            if let Some(order) = leaves.get_mut(leaf) {
                order.rank = rank;
            }
        }
        self.tell_of_times();
        let mut order = Order::new(rules, leaves);
        let mut spans: Vec<Option<(i64, i64)>> = vec![None; self.leaves.len()];
        order.arrange(&mut self.spool, &mut |entry, us| {
            if let Some(span) = spans.get_mut(entry.leaf as usize) {
                let (first, last) = span.unwrap_or((us, us));
                *span = Some((first.min(us), last.max(us)));
            }
        })?;
        let mut foreign = Foreign {
            leaves: self
                .leaves
                .iter()
                .map(|leaf| (leaf.file, leaf.member))
                .collect(),
            files: self.files,
            spool: self.spool,
            order,
            repeats: self.suspects.any(&names),
            own_hosts: own_hosts(&self.leaves, &self.hosts, &names),
            hosts: names,
        };
        for (leaf, state) in (0_u32..).zip(&self.leaves) {
            let hosts = state.hosts.iter().filter_map(|&host| {
                let name = foreign.host(leaf, host)?;
                Some(String::from_utf8_lossy(name).into_owned())
            });
            let hosts: BTreeSet<String> = hosts.filter(|name| !name.is_empty()).collect();
            if let Some(member) = foreign.member_mut(state.file, state.member) {
                member.span_us = spans.get(leaf as usize).copied().flatten();
                member.hosts = hosts;
            }
        }
        if foreign.repeats {
            foreign.count_repeats();
        }
        Ok(foreign)
    }

    fn find_in(&mut self, leaf: u32, finding: Finding) {
        let Some(state) = self.leaves.get(leaf as usize) else {
            return;
        };
        let (file, member) = (state.file, state.member);
        let file = self.files.get_mut(file);
        if let Some(member) = file.and_then(|file| file.members.get_mut(member)) {
            member.findings.push(finding);
        }
    }

    /// Says which files run backwards, and which records have no time.
    fn tell_of_times(&mut self) {
        let mut told = Vec::new();
        for (leaf, state) in (0..).zip(&self.leaves) {
            if state.runs_backwards() {
                told.push((
                    leaf,
                    "written from the latest event to the first".to_owned(),
                ));
            }
            let file = self.files.get(state.file);
            let untimed = file
                .and_then(|file| file.members.get(state.member))
                .map_or(0, |member| member.counts.untimed);
            if untimed > 0 {
                told.push((
                    leaf,
                    format!("{untimed} records have no time that can be read; they keep their place in the file"),
                ));
            }
        }
        for (leaf, text) in told {
            self.find_in(leaf, Finding::new(FindingKind::Clock, None, text));
        }
    }
}

/// The names of hosts in single files, where they are others than elsewhere.
fn own_hosts(
    leaves: &[LeafState],
    hosts: &Hosts,
    settled: &[Vec<u8>],
) -> BTreeMap<(u32, u32), Vec<u8>> {
    let mut own = BTreeMap::new();
    for (leaf, state) in (0..).zip(leaves) {
        for (host, name) in hosts.settle_in(&state.hosts, settled) {
            own.insert((leaf, host), name);
        }
    }
    own
}

impl LeafState {
    fn runs_backwards(&self) -> bool {
        self.falls > 10 && self.falls > 10 * self.rises
    }

    fn order(&self) -> LeafOrder {
        LeafOrder {
            rank: 0,
            falls: self.runs_backwards(),
            first_us: self.first_us.unwrap_or(0),
        }
    }
}

/// Keeps what the walk through a file shows.
struct Shown<'r> {
    reading: &'r mut Reading,
    file: usize,
}

impl Visitor for Shown<'_> {
    fn leaf(&mut self, leaf: Leaf<'_>) -> Result<(), ImportError> {
        self.reading.leaf(self.file, leaf)
    }

    fn stranger(&mut self, path: &str, found: &'static str) {
        if let Some(file) = self.reading.files.get_mut(self.file) {
            file.is_archive |= !path.is_empty();
            file.strangers.push((path.to_owned(), found));
        }
    }

    fn find(&mut self, finding: Finding) {
        self.reading.find(self.file, finding);
    }
}

/// Keeps what the reader of one file tells.
struct Keeping<'r> {
    reading: &'r mut Reading,
    leaf: usize,
}

impl Keeping<'_> {
    fn member(&mut self) -> Option<&mut Member> {
        let state = self.reading.leaves.get(self.leaf)?;
        let (file, member) = (state.file, state.member);
        self.reading.files.get_mut(file)?.members.get_mut(member)
    }

    fn count_skip(&mut self, why: Skipped) {
        if let Some(member) = self.member() {
            member.counts.records += 1;
            *member.counts.skipped.entry(why).or_default() += 1;
        }
    }

    /// Counts the record of the event that is about to be kept: those of one stand together.
    fn count_record(&mut self, offset: u64) {
        let state = self.reading.leaves.get_mut(self.leaf);
        let last = state.and_then(|state| state.last_offset.replace(offset));
        if last != Some(offset)
            && let Some(member) = self.member()
        {
            member.counts.records += 1;
        }
    }

    /// Numbers an event's host and clock, and counts it.
    fn admit(&mut self) {
        let Some(entry) = self.reading.block.entries.last_mut() else {
            return;
        };
        let Some(state) = self.reading.leaves.get_mut(self.leaf) else {
            return;
        };
        entry.seq = state.next_seq;
        state.next_seq += 1;
        let untimed = entry.wall_us == NO_TIME_US;
        if untimed {
            entry.wall_us = state.last_us;
        } else {
            if state.last_us != NO_TIME_US {
                state.rises += u64::from(entry.wall_us > state.last_us);
                state.falls += u64::from(entry.wall_us < state.last_us);
            }
            state.last_us = entry.wall_us;
            state.first_us.get_or_insert(entry.wall_us);
        }
        state.hosts.insert(entry.host);
        entry.clock = self.reading.clocks.see(entry);
        self.reading.suspects.see(entry);
        let (kind, source) = (kind_of(entry), source_of(entry));
        if let Some(member) = self.member() {
            if let Some(kind) = kind {
                *member.counts.kinds.entry(kind).or_default() += 1;
            }
            if let Some(source) = source {
                *member.counts.sources.entry(source).or_default() += 1;
            }
            member.counts.untimed += u64::from(untimed);
        }
    }
}

impl Sink for Keeping<'_> {
    fn event(&mut self, at: At, event: &Event<'_>) -> Result<(), ImportError> {
        self.count_record(at.offset);
        self.later_event(at, event)
    }

    fn later_event(&mut self, at: At, event: &Event<'_>) -> Result<(), ImportError> {
        let host = self.reading.hosts.number(event.host.0);
        let leaf = u32::try_from(self.leaf).unwrap_or(u32::MAX);
        self.reading.block.push(leaf, host, at, event);
        self.admit();
        if self.reading.block.is_full() {
            self.reading.flush()?;
        }
        Ok(())
    }

    fn skip(&mut self, at: At, why: Skipped) {
        self.count_skip(why);
        if let Some(member) = self.member().filter(|_| why.is_damage()) {
            let last = member.findings.listed.last();
            // A reader that knows more has said it already.
            if last.is_none_or(|last| last.at != Some(at)) {
                let text = format!("{UNREAD}: {why}");
                let finding = Finding::new(FindingKind::Damage, at, text);
                member.findings.push(finding);
            }
        }
    }

    fn find(&mut self, finding: Finding) {
        let Some(member) = self.member() else {
            return;
        };
        // What a reader knows of a skipped record takes the place of what is said of any.
        let findings = &mut member.findings;
        let said = findings.listed.last();
        let is_more = said.is_some_and(|said| {
            said.at.is_some() && said.at == finding.at && said.text.starts_with(UNREAD)
        });
        if is_more && finding.kind == FindingKind::Damage {
            if let Some(said) = findings.listed.last_mut() {
                *said = finding;
            }
        } else {
            findings.push(finding);
        }
    }

    fn batch(&mut self, batch: Batch) -> Result<(), ImportError> {
        let leaf = u32::try_from(self.leaf).unwrap_or(u32::MAX);
        let names = batch.hosts.iter();
        let hosts: Vec<u32> = names.map(|name| self.reading.hosts.number(name)).collect();
        for entry in &batch.block.entries {
            let host = hosts.get(entry.host as usize).copied().unwrap_or(0);
            let entry = Entry {
                leaf,
                host,
                ..*entry
            };
            self.count_record(entry.offset);
            self.reading.block.copy(&batch.block, &entry);
            self.admit();
            if self.reading.block.is_full() {
                self.reading.flush()?;
            }
        }
        for (_, note) in batch.notes {
            match note {
                Note::Skipped(at, why) => self.skip(at, why),
                Note::Found(finding) => self.find(finding),
            }
        }
        Ok(())
    }
}
