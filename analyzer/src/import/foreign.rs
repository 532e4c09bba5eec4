//! What is known of files that others recorded, their events in one order, and their records again
//! by their references.

mod again;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::PathBuf;

use saigen_schemas::event::{Event, KindName, Source, Text, read_row};
use saigen_schemas::report::{FindingKind, Format};

use crate::import::order::{Cursor, Order};
use crate::import::repeats::Repeats;
use crate::import::sink::{Finding, Skipped};
use crate::import::spool::{Entry, Spool, kind_of, source_of};
use crate::reference::{Citations, EventRef, SourceId};
use crate::stream::{EventStream, Gap};

/// Findings that are listed of one file: one made of damage would fill memory.
const FINDINGS_MAX: usize = 1000;

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
    /// Records, as the format counts them: what an event log numbers, the lines of one audit event
    /// together, an object, a line. One may give several events, or none and a reason.
    pub records: u64,
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
    pub(super) fn push(&mut self, finding: Finding) {
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
    pub(super) leaves: Vec<(usize, usize)>,
    pub(super) spool: Spool,
    pub(super) order: Order,
    pub(super) hosts: Vec<Vec<u8>>,
    /// Names of hosts in single files, where they are others than elsewhere: by file and host.
    pub(super) own_hosts: BTreeMap<(u32, u32), Vec<u8>>,
    /// Files hold the same records: each is given once.
    pub(super) repeats: bool,
}

impl Foreign {
    pub(super) fn member_mut(&mut self, file: usize, member: usize) -> Option<&mut Member> {
        self.files.get_mut(file)?.members.get_mut(member)
    }

    /// Takes records that another file holds too out of the counts, and says so.
    pub(super) fn count_repeats(&mut self) {
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

    /// The name that a host of a file is settled to.
    pub(super) fn host(&self, leaf: u32, host: u32) -> Option<&[u8]> {
        let own = if self.own_hosts.is_empty() {
            None
        } else {
            self.own_hosts.get(&(leaf, host))
        };
        own.or_else(|| self.hosts.get(host as usize))
            .map(Vec::as_slice)
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
        if let Some(name) = self.foreign.host(entry.leaf, entry.host) {
            event.host = Text(name);
        }
        Some((self.foreign.reference(entry), event))
    }

    fn gaps(&self) -> &[Gap] {
        &[]
    }
}
