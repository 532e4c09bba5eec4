//! Single records of files that others recorded, read again.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;

use crate::import::container::{Leaf, Visitor, walk};
use crate::import::foreign::Foreign;
use crate::import::read::record_at;
use crate::import::sink::{Finding, ImportError};
use crate::import::sniff::What;
use crate::reference::{EventRef, Place};

impl Foreign {
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
