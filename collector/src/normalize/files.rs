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
        let named = files.name_all(batch, self);
        self.files = Some(files);
        if named.overflows > 0 {
            self.ledger.overrun(Feed::Fanotify, named.overflows);
        }
        if named.malformed.is_some() {
            self.ledger.lost(Feed::Fanotify, 1);
        }
    }

    fn file_record(&mut self, record: &FileRecord<'_>) {
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
        // A further name of a file that was there comes as a creation too.
        let kind = record.status.map(|status| status.mode & TYPE_BITS);
        let linked = kind == Some(ORDINARY) && record.status.is_some_and(|status| status.links > 1);
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
