//! What the recorder tells by itself: how it began, the state of the machine, losses, and what was
//! done to its own means.

use super::watch::Whole;
use super::{Doubt, Recorder, TOOL};
use crate::clock;
use crate::normalize::Scope;
use crate::snapshot::{self, Unowned};
use crate::tree::Tree;
use saigen_schemas::event::{
    Event, Fields, Kind, Marks, ProcessKey, RecordBoot, RecordConfiguration, RecordSource, Source,
    SourceState, Text,
};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::time::Instant;

impl Recorder {
    /// The first events: the boot, what is recorded and how, the state of the machine.
    pub(super) fn open_journal(&mut self) {
        let machine = self.machine.clone();
        self.own(Kind::RecordBoot(RecordBoot {
            kernel: Some(Text(machine.kernel.as_bytes())),
            command_line: Some(Text(&machine.command_line)),
            machine: Some(Text(machine.architecture.as_bytes())),
        }));
        let configuration = self.configuration.clone();
        self.own(Kind::RecordConfiguration(RecordConfiguration {
            tool: Some(Text(TOOL.as_bytes())),
            content: Some(Text(configuration.as_bytes())),
            sha256: <[u8; 32]>::try_from(&Sha256::digest(&configuration)[..])
                .ok()
                .map(saigen_schemas::event::Hash32),
        }));
        for level in self.levels.clone() {
            let state = if level.gives.is_empty() {
                SourceState::Down
            } else {
                SourceState::Up
            };
            let detail = if level.missed.is_empty() {
                level.level
            } else {
                format!("{}; missed: {}", level.level, level.missed)
            };
            self.own(Kind::RecordSource(RecordSource {
                name: Some(Text(level.source.as_bytes())),
                state: Some(state),
                detail: Some(Text(detail.as_bytes())),
            }));
        }
        if self.audit_left > 0 {
            let detail = format!(
                "an earlier recording did not end by itself: {} rules of its own were left in audit, and were removed",
                self.audit_left
            );
            self.own(Kind::RecordSource(RecordSource {
                name: Some(Text(b"recorder")),
                state: Some(SourceState::Down),
                detail: Some(Text(detail.as_bytes())),
            }));
        }
        self.tell_state();
    }

    /// The state of the machine, or of the tree, as it stands now.
    pub(super) fn tell_state(&mut self) {
        self.state_told = Instant::now();
        self.state_doubtful = Doubt::No;
        let begun = self.tree.as_ref().filter(|tree| !tree.waits());
        let seen_by = begun.map(Tree::pid);
        // A command that was not let go is still a copy of ourselves.
        let at_gate = self.tree.as_ref().filter(|tree| tree.waits());
        let at_gate = at_gate.map(Tree::pid);
        let standing: Vec<_> = crate::procfs::all()
            .into_iter()
            .filter(|process| Some(process.pid) != at_gate)
            .filter(|process| self.normalizer.is_recorded(process.pid, process.start_us))
            .collect();
        let keys: HashMap<u32, ProcessKey> = standing
            .iter()
            .map(|process| {
                (
                    process.pid,
                    self.normalizer
                        .table()
                        .key_of_standing(process.pid, process.start_us),
                )
            })
            .collect();
        let scope = snapshot::Scope {
            seen_by,
            processes: &standing,
            unowned: match self.scope {
                Scope::System => Unowned::Told,
                Scope::Tree => Unowned::LeftOut,
            },
        };
        let now = clock::now();
        let (pen, machine) = (&mut self.pen, &self.machine);
        let missed = snapshot::take(
            &scope,
            &keys,
            &mut self.normalizer.hashes,
            now.boot_us,
            &mut |actor, kind| {
                let event = Event {
                    seq: 0,
                    time: now.time(),
                    recorded_us: None,
                    host: Text(machine.host.as_bytes()),
                    boot: machine.boot,
                    source: Source::Proc,
                    actor,
                    marks: Marks::default(),
                    extra: Fields::default(),
                    kind,
                };
                pen.write(&event);
            },
        );
        for part in missed {
            self.own(Kind::RecordSource(RecordSource {
                name: Some(Text(b"proc")),
                state: Some(SourceState::Down),
                detail: Some(Text(part.as_bytes())),
            }));
        }
    }

    /// Tells what was done to our own means.
    pub(super) fn look_after_ourselves(&mut self) {
        for change in self.watch.look(self.normalizer.audit_now()) {
            let state = match change.whole {
                Whole::Yes => SourceState::Up,
                Whole::No => SourceState::Down,
            };
            self.own(Kind::RecordSource(RecordSource {
                name: Some(Text(change.name.as_bytes())),
                state: Some(state),
                detail: Some(Text(change.detail.as_bytes())),
            }));
        }
    }

    /// Tells what sources lost, and what the bounds left out.
    pub(super) fn tell_losses(&mut self) {
        self.normalizer.settle_losses(self.audit_lost_before);
        let now = clock::now();
        let pen = &mut self.pen;
        let doubtful = &mut self.state_doubtful;
        self.normalizer.ledger.tell_losses(|loss| {
            *doubtful = Doubt::Yes;
            pen.with(|writer, _| writer.lose(loss.name, loss.count, loss.detail, now));
        });
        pen.thinner.passed_over(self.normalizer.take_passed_over());
        pen.with(|writer, thinner| {
            let mut done = Ok(());
            thinner.tell(|left| {
                if done.is_ok() {
                    done = writer.lose("recorder", Some(left.count), left.detail, now);
                }
            });
            done
        });
    }

    /// Gives the normalizer the file events that it may look at until the next round.
    pub(super) fn bound_files(&mut self, now_us: u64) {
        let passed_us = now_us.saturating_sub(self.files_bound_us);
        self.files_bound_us = now_us;
        self.normalizer
            .bound_files(self.pen.thinner.files_for(passed_us));
    }

    /// An event of the recorder itself.
    pub(super) fn own(&mut self, kind: Kind<'_>) {
        let pen = &mut self.pen;
        self.normalizer
            .send_own(clock::boot_us(), kind, &mut |event| pen.write(event));
    }
}
