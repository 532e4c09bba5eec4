//! The connector's notes: the third count of starts, exit codes, changed ids where audit is not had.

use super::fact::{Credentials, Detail, Fact, Raced, StartNote, Who};
use super::starts::Joined;
use super::{ArgsFrom, Normalizer};
use crate::procfs;
use crate::source::Feed;
use crate::source::proc_connector::{Note, NoteKind};
use saigen_schemas::event::{Outcome, Source, Touch};

impl Normalizer {
    pub(super) fn note(&mut self, note: &Note) {
        let lost = self.sequences.lost_before(note);
        if lost > 0 {
            self.ledger.lost(Feed::ProcConnector, lost);
        }
        let at_us = self.boot_us_of_monotonic(note.monotonic_ns);
        match note.kind {
            NoteKind::Exec { pid } => self.start_noted(pid, at_us),
            NoteKind::Exit { pid, tid, code } if pid == tid => {
                self.codes.insert(pid, (at_us, code));
                self.code_order.push_back((at_us, pid));
            }
            NoteKind::Uid {
                pid,
                tid,
                real,
                effective,
            } if pid == tid => {
                self.ids_noted(pid, at_us, [Some(real), Some(effective), None, None]);
            }
            NoteKind::Gid {
                pid,
                tid,
                real,
                effective,
            } if pid == tid => {
                self.ids_noted(pid, at_us, [None, None, Some(real), Some(effective)]);
            }
            NoteKind::Ptrace { pid, tracer } if tracer != 0 && self.settings.audit.is_none() => {
                let detail = Detail::Traced {
                    target: pid,
                    how: Touch::Ptrace,
                    outcome: Outcome::Success,
                };
                self.push(at_us, Source::ProcConnector, Who::Pid(tracer), detail);
            }
            NoteKind::Fork { .. }
            | NoteKind::Exit { .. }
            | NoteKind::Uid { .. }
            | NoteKind::Gid { .. }
            | NoteKind::Sid { .. }
            | NoteKind::Ptrace { .. }
            | NoteKind::Other => {}
        }
    }

    fn start_noted(&mut self, pid: u32, at_us: u64) {
        // Without audit `/proc` is the last witness of the arguments, and it must be asked at once.
        let raced = match self.settings.args_from {
            ArgsFrom::Stack => Raced::read(pid).map(Box::new),
            ArgsFrom::Audit => None,
        };
        if self.starts.by_connector(pid, StartNote { at_us, raced }) == Joined::Waits {
            let fact = Fact {
                at_us,
                serial: None,
                source: Source::ProcConnector,
                who: Who::Pid(pid),
                detail: Detail::NoteStartAlone,
            };
            self.push_due(at_us, fact);
        }
    }

    fn ids_noted(&mut self, pid: u32, at_us: u64, ids: [Option<u32>; 4]) {
        // Audit tells the same with the call that did it.
        if self.settings.audit.is_none() {
            let credentials = Credentials {
                call: "",
                ids,
                capabilities: None,
            };
            let detail = Detail::Credentials(Box::new(credentials));
            self.push(at_us, Source::ProcConnector, Who::Pid(pid), detail);
        }
    }
}

impl Raced {
    /// What `/proc` says of a process now; `None` if it is gone.
    pub(super) fn read(pid: u32) -> Option<Raced> {
        let args = procfs::args(pid)?;
        Some(Raced {
            args,
            exe: procfs::exe(pid).unwrap_or_default(),
            cwd: procfs::cwd(pid).unwrap_or_default(),
            login_uid: procfs::login_uid(pid),
            ids: procfs::ids(pid),
        })
    }
}
