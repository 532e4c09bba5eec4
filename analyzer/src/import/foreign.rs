//! Evidence that others recorded, read: what is known of each file, its events in one order, and
//! its records again by their references.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::io;
use std::path::PathBuf;

use saigen_schemas::event::{Event, KindName, Source, Text, read_row};
use saigen_schemas::report::{FindingKind, Format};

use crate::import::batch::{Batch, Note};
use crate::import::clocks::Clocks;
use crate::import::container::{Leaf, Visitor, hash, walk};
use crate::import::find;
use crate::import::hosts::Hosts;
use crate::import::order::{Cursor, LeafOrder, Order};
use crate::import::read::{read, record_at};
use crate::import::repeats::{Repeats, Suspects};
use crate::import::sink::{At, Finding, ImportError, NO_TIME_US, Sink, Skipped};
use crate::import::sniff::What;
use crate::import::spool::{Block, Entry, Spool, kind_of, source_of};
use crate::reference::{Citations, EventRef, Place, SourceId};
use crate::stream::{EventStream, Gap};

/// Findings that are listed of one file: one made of damage would fill memory.
const FINDINGS_MAX: usize = 1000;

/// What is said of a record of which a reader says no more than that it is skipped.
const UNREAD: &str = "a record that cannot be read";

/// A file of evidence that others recorded, and what it holds.
#[derive(Clone, Debug)]
pub struct ForeignFile {
    /// Its number among the inputs.
    pub source: SourceId,
    /// Its path, relative to the input as it was given.
    pub path: String,
    /// Where it is.
    pub at: PathBuf,
    /// Lower-case hex SHA-256 of its bytes.
    pub sha256: String,
    /// Its length.
    pub bytes: u64,
    /// Whether it is an archive.
    pub is_archive: bool,
    /// What was read: the file itself, or the files in it, in their order.
    pub members: Vec<Member>,
    /// Files in it that hold no records: path, and what they are.
    pub strangers: Vec<(String, &'static str)>,
    /// What was noticed about the archive itself.
    pub findings: Findings,
}

/// A file with records: an input, or a file in an archive.
#[derive(Clone, Debug)]
pub struct Member {
    /// Its path in the archive; `None` for an input that is none.
    pub path: Option<String>,
    /// What it is.
    pub format: Format,
    /// Lower-case hex SHA-256 of its bytes, unpacked.
    pub sha256: String,
    /// Its length, unpacked.
    pub bytes: u64,
    /// What was read.
    pub counts: Counts,
    /// The hosts that speak in it, settled, by name.
    pub hosts: BTreeSet<String>,
    /// The time of its earliest and its latest event, by the clock that is consistent, µs.
    pub span_us: Option<(i64, i64)>,
    /// What was noticed, in the order of places.
    pub findings: Findings,
}

/// What became of the records of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Events by kind.
    pub kinds: BTreeMap<KindName, u64>,
    /// Events by source.
    pub sources: BTreeMap<Source, u64>,
    /// Records that gave no event.
    pub skipped: BTreeMap<Skipped, u64>,
    /// Records whose time could not be read: they keep their place in the file.
    pub untimed: u64,
}

impl Counts {
    /// Events read.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.kinds.values().sum()
    }

    /// Events of no known kind, kept with their own fields.
    #[must_use]
    pub fn raw(&self) -> u64 {
        self.kinds.get(&KindName::RecordRaw).copied().unwrap_or(0)
    }

    /// Records that are damaged.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        let damaged = self.skipped.iter().filter(|(why, _)| why.is_damage());
        damaged.map(|(_, count)| count).sum()
    }
}

/// Findings, of which a bounded number is listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Findings {
    /// The first ones.
    pub listed: Vec<Finding>,
    /// How many more there were.
    pub unlisted: u64,
    /// How many of all are damage or gaps.
    pub damage: u64,
}

impl Findings {
    fn push(&mut self, finding: Finding) {
        match finding.kind {
            FindingKind::Damage | FindingKind::Gap => self.damage += 1,
            FindingKind::Clock | FindingKind::Loss | FindingKind::Note => {}
        }
        if self.listed.len() < FINDINGS_MAX {
            self.listed.push(finding);
        } else {
            self.unlisted += 1;
        }
    }
}

impl ForeignFile {
    /// Whether bytes of it are damaged, or records are missing.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.findings.damage > 0 || self.members.iter().any(Member::is_damaged)
    }
}

impl Member {
    /// Whether bytes of it are damaged, or records are missing.
    #[must_use]
    pub fn is_damaged(&self) -> bool {
        self.findings.damage > 0 || self.counts.damaged() > 0
    }
}

/// All evidence that others recorded.
#[derive(Debug, Default)]
pub struct Foreign {
    /// The files, in the order of their numbers.
    pub files: Vec<ForeignFile>,
    /// Where each file and member is: its place in `files` and in `members`.
    leaves: Vec<(usize, usize)>,
    spool: Spool,
    order: Order,
    hosts: Vec<Vec<u8>>,
    /// Files hold the same records: each is given once.
    repeats: bool,
}

/// Reads files. `known_hosts` are names by which hosts are called elsewhere; `progress` gets bytes
/// of files as they were read.
///
/// # Errors
/// Where events cannot be kept: the disk for temporary files is full. A file that cannot be read is
/// a finding.
pub fn read_all(
    places: &[(SourceId, find::Place)],
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
}

impl Reading {
    fn file(&mut self, source: SourceId, place: &find::Place) -> Result<(), ImportError> {
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
        order.arrange(&mut self.spool)?;
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
            hosts: names,
        };
        for state in &self.leaves {
            let hosts = state.hosts.iter().filter_map(|&host| {
                let name = foreign.hosts.get(host as usize)?;
                Some(String::from_utf8_lossy(name).into_owned())
            });
            let hosts: BTreeSet<String> = hosts.filter(|name| !name.is_empty()).collect();
            if let Some(member) = foreign.member_mut(state.file, state.member) {
                member.hosts = hosts;
            }
        }
        foreign.measure();
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
            *member.counts.skipped.entry(why).or_default() += 1;
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

impl Foreign {
    fn member_mut(&mut self, file: usize, member: usize) -> Option<&mut Member> {
        self.files.get_mut(file)?.members.get_mut(member)
    }

    /// Measures from when to when each file goes.
    fn measure(&mut self) {
        let mut spans: Vec<Option<(i64, i64)>> = vec![None; self.leaves.len()];
        let mut block = Block::default();
        for number in 0..self.spool.len() {
            if self.spool.get(number, &mut block).is_err() {
                return;
            }
            for entry in &block.entries {
                let us = self.order.key(entry).us;
                if let Some(span) = spans.get_mut(entry.leaf as usize) {
                    let (first, last) = span.unwrap_or((us, us));
                    *span = Some((first.min(us), last.max(us)));
                }
            }
        }
        for (&(file, member), span) in self.leaves.clone().iter().zip(spans) {
            if let Some(member) = self.member_mut(file, member) {
                member.span_us = span;
            }
        }
    }

    /// Takes records that another file holds too out of the counts, and says so.
    fn count_repeats(&mut self) {
        let mut known = Repeats::default();
        type Of = (Option<KindName>, Option<Source>);
        let mut found: BTreeMap<u32, Vec<Of>> = BTreeMap::new();
        let mut cursor = self.order.cursor(&self.spool);
        while cursor.step(&self.order, &self.spool) {
            if let Some((block, entry, key)) = cursor.current()
                && known.is_repeat(key.us, block, entry)
            {
                let of = (kind_of(entry), source_of(entry));
                found.entry(entry.leaf).or_default().push(of);
            }
        }
        self.repeats = !found.is_empty();
        for (leaf, repeats) in found {
            let Some(&(file, member)) = self.leaves.get(leaf as usize) else {
                continue;
            };
            let Some(member) = self.member_mut(file, member) else {
                continue;
            };
            let count = repeats.len() as u64;
            for (kind, source) in repeats {
                if let Some(count) = kind.and_then(|kind| member.counts.kinds.get_mut(&kind)) {
                    *count -= 1;
                }
                if let Some(count) =
                    source.and_then(|source| member.counts.sources.get_mut(&source))
                {
                    *count -= 1;
                }
            }
            member.counts.kinds.retain(|_, count| *count > 0);
            member.counts.sources.retain(|_, count| *count > 0);
            *member.counts.skipped.entry(Skipped::Repeated).or_default() += count;
            let text = format!(
                "{count} events stand in another file too, with the same numbers and times; they are read once"
            );
            member
                .findings
                .push(Finding::new(FindingKind::Note, None, text));
        }
    }

    /// The events of all files, in order.
    #[must_use]
    pub fn stream(&self) -> ForeignStream<'_> {
        let mut stream = ForeignStream {
            cursor: self.order.cursor(&self.spool),
            foreign: self,
            known: Repeats::default(),
            ahead: false,
        };
        stream.go();
        stream
    }

    /// How many events there are.
    #[must_use]
    pub fn events(&self) -> u64 {
        let members = self.files.iter().flat_map(|file| &file.members);
        members.map(|member| member.counts.events()).sum()
    }

    /// Learns the paths in archives.
    pub fn cite(&self, citations: &mut Citations) {
        for file in self.files.iter().filter(|file| file.is_archive) {
            let paths = file.members.iter();
            citations.learn(
                file.source,
                paths.map(|member| member.path.clone().unwrap_or_default()),
            );
        }
    }

    /// The bytes of records, by their references. Each file is gone through once; what is not there
    /// any more is left out.
    #[must_use]
    pub fn records(&self, wanted: &BTreeSet<EventRef>) -> BTreeMap<EventRef, Vec<u8>> {
        let mut records = BTreeMap::new();
        for file in &self.files {
            let own = wanted.iter().copied();
            let own = own.filter(|reference| reference.source() == file.source);
            let mut again = Again {
                wanted: own.collect(),
                next: 0,
                records: &mut records,
            };
            if again.wanted.is_empty() {
                continue;
            }
            // A file that is gone or changed since gives no records: who asks sees that.
            if let Ok(opened) = File::open(&file.at) {
                let _ = walk(opened, &mut again);
            }
        }
        records
    }

    fn reference(&self, entry: &Entry) -> EventRef {
        let leaf = self.leaves.get(entry.leaf as usize);
        let file = leaf.and_then(|&(file, _)| self.files.get(file));
        let source = file.map_or(SourceId(0), |file| file.source);
        let member = leaf
            .filter(|_| file.is_some_and(|file| file.is_archive))
            .and_then(|&(_, member)| u32::try_from(member).ok());
        EventRef::offset(source, member, entry.offset)
    }
}

/// Reads single records again.
struct Again<'r> {
    wanted: BTreeSet<EventRef>,
    /// The number of the next file in the archive.
    next: u32,
    records: &'r mut BTreeMap<EventRef, Vec<u8>>,
}

impl Visitor for Again<'_> {
    fn leaf(&mut self, leaf: Leaf<'_>) -> Result<(), ImportError> {
        let What::Records(reader) = leaf.what else {
            return Ok(());
        };
        let member = leaf.member.map(|_| self.next);
        self.next += u32::from(member.is_some());
        let here = |reference: &EventRef| match reference.place() {
            Place::Frame { .. } => None,
            Place::Offset {
                member: own,
                offset,
            } => (own == member).then_some(offset),
        };
        for &reference in &self.wanted {
            if let Some(offset) = here(&reference)
                && let Ok(bytes) = record_at(reader, leaf.input, offset)
            {
                self.records.insert(reference, bytes);
            }
        }
        self.wanted.retain(|reference| here(reference).is_none());
        Ok(())
    }

    fn stranger(&mut self, _: &str, _: &'static str) {}

    fn find(&mut self, _: Finding) {}

    fn is_done(&self) -> bool {
        self.wanted.is_empty()
    }
}

/// The events of foreign files, lent one at a time.
#[derive(Debug)]
pub struct ForeignStream<'a> {
    foreign: &'a Foreign,
    cursor: Cursor,
    known: Repeats,
    /// The cursor stands on an event that was not given out yet.
    ahead: bool,
}

impl ForeignStream<'_> {
    fn go(&mut self) {
        let Self {
            foreign,
            cursor,
            known,
            ahead,
        } = self;
        loop {
            *ahead = cursor.step(&foreign.order, &foreign.spool);
            let repeat = foreign.repeats
                && cursor
                    .current()
                    .is_some_and(|(block, entry, key)| known.is_repeat(key.us, block, entry));
            if !repeat {
                return;
            }
        }
    }

    /// What kept the rest from being read: the temporary file.
    #[must_use]
    pub fn failed(&self) -> Option<&io::Error> {
        self.cursor.failed.as_ref()
    }
}

impl EventStream for ForeignStream<'_> {
    fn peek(&mut self) -> Option<i64> {
        if !self.ahead {
            self.go();
        }
        self.cursor.current().map(|(_, _, key)| key.us)
    }

    fn next(&mut self) -> Option<(EventRef, Event<'_>)> {
        if !self.ahead {
            self.go();
        }
        self.ahead = false;
        let (block, entry, key) = self.cursor.current()?;
        let mut event = read_row(block.row(entry))?;
        event.time.wall_us = key.us;
        if let Some(name) = self.foreign.hosts.get(entry.host as usize) {
            event.host = Text(name);
        }
        Some((self.foreign.reference(entry), event))
    }

    fn gaps(&self) -> &[Gap] {
        &[]
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// Reads files with these names and contents.
    fn reading(files: &[(&str, &str)]) -> (tempfile::TempDir, Foreign) {
        let folder = tempfile::tempdir().unwrap();
        let mut places = Vec::new();
        for (number, (name, text)) in (1..).zip(files) {
            let at = folder.path().join(name);
            fs::write(&at, text).unwrap();
            let path = (*name).to_owned();
            places.push((SourceId(number), find::Place { path, at }));
        }
        let foreign = read_all(&places, &[], &mut |_| {}).unwrap();
        (folder, foreign)
    }

    fn line(host: &str, second: u32, id: u32) -> String {
        format!(
            "{{\"EventID\":1,\"Channel\":\"Microsoft-Windows-Sysmon/Operational\",\"Hostname\":\"{host}\",\"RecordNumber\":{id},\"UtcTime\":\"2024-01-01 00:00:{second:02}.000\",\"ProcessId\":{id},\"ProcessGuid\":\"{{00000000-0000-0000-0000-{id:012}}}\",\"Image\":\"C:\\\\{id}.exe\"}}\n"
        )
    }

    fn order(foreign: &Foreign) -> Vec<(String, i64, String)> {
        let mut stream = foreign.stream();
        let mut order = Vec::new();
        while let Some(us) = stream.peek() {
            let (reference, event) = stream.next().unwrap();
            assert_eq!(event.time.wall_us, us);
            let host = event.host.lossy().into_owned();
            order.push((reference.to_string(), us / 1_000_000 % 60, host));
        }
        order
    }

    #[test]
    fn files_become_one_stream_in_order_with_one_name_a_host() {
        let old_first: String = (1..5)
            .map(|n| line("ws-1.example.test", 2 * n, n))
            .collect();
        let new_first: String = (1..15).rev().map(|n| line("DC", n, 100 + n)).collect();
        let (_folder, foreign) = reading(&[("a.json", &old_first), ("b.json", &new_first)]);
        let order = order(&foreign);
        assert_eq!(order.len(), 18);
        assert!(
            order.is_sorted_by_key(|(_, second, _)| *second),
            "{order:?}"
        );
        let hosts: BTreeSet<_> = order.iter().map(|(_, _, host)| host.as_str()).collect();
        assert_eq!(hosts, BTreeSet::from(["ws-1", "DC"]));
        let texts: Vec<_> = foreign.files[1]
            .all_findings()
            .map(|(_, f)| &f.text)
            .collect();
        assert!(
            texts[0].contains("from the latest event to the first"),
            "{texts:?}"
        );
        assert_eq!(foreign.files[0].events(), 4);
    }

    #[test]
    fn the_same_bytes_and_the_same_records_are_read_once() {
        let all: String = (1..9).map(|n| line("ws-1", n, n)).collect();
        let some: String = (4..12).map(|n| line("ws-1", n, n)).collect();
        let (_folder, foreign) = reading(&[("a", &all), ("b", &all), ("c", &some)]);
        assert_eq!(order(&foreign).len(), 11);
        let events: u64 = foreign.files.iter().map(ForeignFile::events).sum();
        assert_eq!(events, 11);
        assert!(foreign.files.iter().all(|file| !file.is_damaged()));
    }

    #[test]
    fn a_reference_leads_back_to_the_bytes() {
        let lines: Vec<String> = (1..9).map(|n| line("ws-1", n, n)).collect();
        let (_folder, foreign) = reading(&[("a", &lines.concat())]);
        let mut stream = foreign.stream();
        let mut wanted = BTreeSet::new();
        while stream.peek().is_some() {
            wanted.insert(stream.next().unwrap().0);
        }
        let records = foreign.records(&wanted);
        let found: Vec<_> = records.values().map(|bytes| bytes.as_slice()).collect();
        let expected: Vec<_> = lines
            .iter()
            .map(|line| line.trim_end().as_bytes())
            .collect();
        assert_eq!(found, expected);
    }
}
