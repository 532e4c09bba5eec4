//! fanotify's records: what happened to files, in the order in which it must have happened.

use super::Normalizer;
use super::fact::{Detail, FileFact, FileState, FileWhat, Who};
use super::sideband::MOUNTS;
use crate::source::fanotify::{Audience, FileRecord, Seen};
use crate::source::{Batch, Feed};
use saigen_schemas::event::Source;

/// What the kernel may have joined into one record, in the order in which it can have come about.
const IN_ORDER: [(Seen, FileWhat); 6] = [
    (Seen::CREATED, FileWhat::Created),
    (Seen::RENAMED, FileWhat::Renamed),
    (Seen::OPENED, FileWhat::Read),
    (Seen::WRITTEN, FileWhat::Written),
    (Seen::ATTRIBUTES, FileWhat::Attributes),
    (Seen::DELETED, FileWhat::Deleted),
];

/// How long after its birth a file that is told of for the first time counts as new, microseconds: a
/// round of draining and the file system's own tick.
const NEW_US: u64 = 500_000;

/// Whether a name is a further one of a file that has others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Further {
    Yes,
    No,
}

/// The type bits of a mode, and that of an ordinary file.
const TYPE_BITS: u32 = 0o170_000;
const ORDINARY: u32 = 0o100_000;

impl Audience for Normalizer {
    fn namespace_of(&self, pid: u32, boot_us: u64) -> Option<u64> {
        let process = self.table.find(pid, boot_us)?;
        process
            .namespaces
            .get(MOUNTS)
            .copied()
            .filter(|inode| *inode != 0)
    }

    fn take(&mut self, record: &FileRecord<'_>) {
        self.file_record(record);
    }
}

impl Normalizer {
    pub(super) fn file_batch(&mut self, batch: &Batch) {
        let Some(mut files) = self.files.take() else {
            return;
        };
        let mut left = self.files_left;
        let named = files.name_all(batch, &mut left, self);
        self.files_left = left;
        self.files = Some(files);
        self.passed_over = self.passed_over.saturating_add(named.passed_over);
        if named.overflows > 0 {
            self.ledger.overrun(Feed::Fanotify, named.overflows);
        }
        if named.malformed.is_some() {
            self.ledger.lost(Feed::Fanotify, 1);
        }
    }

    /// A further name of a file that was there comes as a creation too. The file is looked at a moment
    /// later, when it may have more names than it had: one that came to be just then, and was not told
    /// of before, was created.
    fn is_further_name(&mut self, record: &FileRecord<'_>) -> Further {
        let Some(inode) = record.inode else {
            return Further::No;
        };
        let file = (record.device.unwrap_or(0), inode);
        let told = self.born.get(&file).copied();
        let born = record.status.and_then(|status| status.born_us);
        let born_us = born.map(|born| self.boot_us_of_wall(born));
        // The same number may be another file by now: then it was born at another time.
        let known =
            told.is_some_and(|told| born_us.is_none_or(|born| born.abs_diff(told) < NEW_US));
        if !known {
            self.born.insert(file, born_us.unwrap_or(record.boot_us), 1);
        }
        let has_others = record.status.is_some_and(|status| status.links > 1);
        let is_new = born_us.is_some_and(|born| born.saturating_add(NEW_US) >= record.boot_us);
        if known || (has_others && !is_new) {
            Further::Yes
        } else {
            Further::No
        }
    }

    fn file_record(&mut self, record: &FileRecord<'_>) {
        let ends = [record.path, record.to].into_iter().flatten();
        let lists = &self.settings.lists;
        let is_read = record.seen.has(Seen::OPENED);
        if !is_read && record.path.is_some() && ends.clone().all(|path| lists.is_excluded(path)) {
            return;
        }
        let who = if record.pid == 0 {
            Who::Nobody
        } else {
            Who::Pid(record.pid)
        };
        let state = record.status.map(|status| FileState {
            size: status.size,
            mode: status.mode,
            uid: status.uid,
            gid: status.gid,
            modified_us: status.modified_us,
        });
        let kind = record.status.map(|status| status.mode & TYPE_BITS);
        let linked = record.seen.has(Seen::CREATED)
            && kind.is_none_or(|kind| kind == ORDINARY)
            && self.is_further_name(record) == Further::Yes;
        if record.seen.has(Seen::DELETED)
            && record.status.is_none()
            && let Some(inode) = record.inode
        {
            // Its number may come again.
            self.born.remove(&(record.device.unwrap_or(0), inode));
        }
        for (seen, what) in IN_ORDER {
            if !record.seen.has(seen) {
                continue;
            }
            // Terminals and the null device are written to all the time; nothing stays there.
            if what == FileWhat::Written && kind.is_some_and(|kind| kind != ORDINARY) {
                continue;
            }
            let what = if what == FileWhat::Created && linked {
                FileWhat::Linked
            } else {
                what
            };
            let fact = FileFact {
                what,
                path: record.path.map(<[u8]>::to_vec),
                to: record.to.map(<[u8]>::to_vec),
                dev: record.device,
                inode: record.inode,
                status: state,
                changed_us: record.changed_us,
            };
            self.push(
                record.boot_us,
                Source::Fanotify,
                who,
                Detail::File(Box::new(fact)),
            );
        }
    }
}
