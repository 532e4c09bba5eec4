//! Starts where every start is a new process (Windows), and processes that records only name.
//!
//! There is no exec: a pid that starts again is another process. One start is often in two logs, the
//! one with a GUID and perhaps without a pid, the other with a pid alone. They are one
//! if they are near in time and run the same program.

use std::collections::VecDeque;

use saigen_schemas::event::{Event, Kind, ProcessKey, ProcessStart, Source, Text};

use crate::replay::lives::Moment;
use crate::replay::process::{Program, REORDERED_US, Unit};
use crate::replay::{ProcessId, Processes, Recorded, Step, UnitId};

/// Two records of one start are nearer than this: two logs stamp it one after the other.
const SEEN_TWICE_US: u64 = 2_000_000;

/// Most of the last starts that are looked through for one that another log has told already.
const RECENT_MAX: usize = 64;

/// Fields of foreign records that name the program of their actor.
const IMAGE_FIELDS: [&[u8]; 3] = [b"Image", b"SourceImage", b"ProcessName"];

/// Fields of foreign records that name the account of their actor.
const ACCOUNT_FIELDS: [&[u8]; 2] = [b"User", b"SourceUser"];

/// The last starts.
#[derive(Default)]
pub(super) struct Recent(VecDeque<ProcessId>);

/// Whether a start in such a log is always a new process.
pub(super) const fn is_spawn(source: Source) -> bool {
    matches!(source, Source::Sysmon | Source::Evtx)
}

impl Processes {
    /// A process was created with a program of its own.
    pub(super) fn spawn(
        &mut self,
        moment: Moment,
        event: &Event<'_>,
        start: &ProcessStart<'_>,
    ) -> Option<(UnitId, Step)> {
        let key = event.actor?;
        if key.pid == 0 && key.guid.is_none() {
            return None;
        }
        let image = start.image.and_then(|image| self.texts.intern(image.0));
        let known = self
            .find(moment.machine, key, moment.wall_us)
            .filter(|&known| self.is_this_start(known, key, moment, start.image))
            .or_else(|| self.told_already(moment, key, start));
        let (unit, step) = match known {
            Some(process) => {
                self.say_more(moment.machine, process, key);
                let unit = self.process(process)?.first_unit;
                let told = self.unit(unit)?.program == Program::Own;
                (unit, if told { Step::Repeated } else { Step::Started })
            }
            None => {
                let recorded = Recorded::Started;
                let unit = self.create(moment.machine, key, recorded, moment.wall_us)?;
                (unit, Step::Started)
            }
        };
        let process = self.unit(unit)?.process;
        let parent = start.parent.filter(|parent| *parent != key);
        if let Some(parent) = parent.and_then(|parent| self.resolve(moment, parent)) {
            self.set_parent(process, parent);
            self.learn_named(parent, start.parent_image, start.parent_command_line, None);
        }
        if step == Step::Repeated {
            let before = self.unit(unit)?.clone();
            self.learn_start(unit, event, start, image);
            self.keep_known(unit, before);
        } else {
            self.process_mut(process)?.recorded = Recorded::Started;
            self.begin_program(unit, moment);
            // What named it before its start was told late.
            self.unit_mut(unit)?.start_us = moment.wall_us;
            self.learn_start(unit, event, start, image);
            if self.recent.0.len() >= RECENT_MAX {
                self.recent.0.pop_front();
            }
            self.recent.0.push_back(process);
        }
        Some((unit, step))
    }

    /// Whether a start is that of a process which a key leads to, rather than of a later one with
    /// the same pid.
    fn is_this_start(
        &self,
        process: ProcessId,
        key: ProcessKey,
        moment: Moment,
        image: Option<Text<'_>>,
    ) -> bool {
        let Some(row) = self.process(process) else {
            return false;
        };
        if key.guid.is_some() && row.key.guid == key.guid {
            return true;
        }
        let Some(unit) = self.unit(row.first_unit) else {
            return false;
        };
        let near = unit.start_us.abs_diff(moment.wall_us) < SEEN_TWICE_US;
        match unit.program {
            Program::Own => near && self.runs_same(unit, image),
            Program::Copied | Program::Unknown => near,
        }
    }

    /// The process that another log told of a moment ago, where the one log has no pid and the
    /// other no GUID: the same program with the same command line.
    fn told_already(
        &self,
        moment: Moment,
        key: ProcessKey,
        start: &ProcessStart<'_>,
    ) -> Option<ProcessId> {
        let fits = |process: &ProcessId| {
            let Some(row) = self.process(*process) else {
                return false;
            };
            let apart = row.key.guid.is_some() != key.guid.is_some()
                && (row.key.pid == 0) != (key.pid == 0);
            let unit = self.unit(row.first_unit);
            apart
                && row.machine == moment.machine
                && unit.is_some_and(|unit| {
                    let line = unit.command_line.map(|line| self.texts.get(line));
                    let said = line.zip(start.command_line);
                    unit.start_us.abs_diff(moment.wall_us) < SEEN_TWICE_US
                        && self.runs_same(unit, start.image)
                        && said
                            .is_none_or(|(one, other)| one.0.trim_ascii() == other.0.trim_ascii())
                })
        };
        let mut near: Vec<ProcessId> = self.recent.0.iter().copied().filter(fits).collect();
        // Of several that fit, the nearest in time; of equals the first.
        near.sort_by_key(|&process| {
            let unit = self
                .process(process)
                .and_then(|row| self.unit(row.first_unit));
            unit.map_or(u64::MAX, |unit| unit.start_us.abs_diff(moment.wall_us))
        });
        near.first().copied()
    }

    fn runs_same(&self, unit: &Unit, image: Option<Text<'_>>) -> bool {
        let own = unit.image.map(|image| self.texts.get(image));
        own.zip(image)
            .is_some_and(|(own, image)| own.0.eq_ignore_ascii_case(image.0))
    }

    /// What was known first stays; a second record only fills what was missing.
    fn keep_known(&mut self, unit: UnitId, before: Unit) {
        if let Some(unit) = self.unit_mut(unit) {
            unit.image = before.image.or(unit.image);
            unit.args = before.args.or(unit.args);
            unit.command_line = before.command_line.or(unit.command_line);
            unit.cwd = before.cwd.or(unit.cwd);
            unit.tty = before.tty.or(unit.tty);
            unit.account = before.account.or(unit.account);
            unit.session = before.session.or(unit.session);
            unit.sha256 = before.sha256.or(unit.sha256);
        }
    }

    /// What a record says beside its own matter of a process whose start nobody told.
    pub(super) fn learn_named(
        &mut self,
        id: UnitId,
        image: Option<Text<'_>>,
        command_line: Option<Text<'_>>,
        account: Option<Text<'_>>,
    ) {
        let nameless = self
            .unit(id)
            .is_some_and(|unit| unit.program == Program::Unknown && !unit.is_named());
        if !nameless {
            return;
        }
        let texts = &mut self.texts;
        let mut keep = |text: Option<Text<'_>>| {
            let said = text.filter(|text| !matches!(text.0, b"" | b"-"));
            said.and_then(|text| texts.intern(text.0))
        };
        let (image, command_line, account) = (keep(image), keep(command_line), keep(account));
        if let Some(unit) = self.unit_mut(id) {
            unit.image = unit.image.or(image);
            unit.command_line = unit.command_line.or(command_line);
            unit.account = unit.account.or(account);
        }
    }

    /// What a foreign record says of its actor, and that the actor lives: some logs tell the end
    /// of a thread as that of its process.
    pub(super) fn acts(&mut self, moment: Moment, unit: UnitId, event: &Event<'_>) {
        if event.extra.is_empty() {
            return;
        }
        let Some(row) = self.unit(unit) else { return };
        let process = row.process;
        if row.program == Program::Unknown && !row.is_named() {
            let said = |names: &[&[u8]]| {
                let mut fields = event.extra.iter();
                fields.find_map(|(name, value)| names.contains(&name.0).then_some(value))
            };
            self.learn_named(unit, said(&IMAGE_FIELDS), None, said(&ACCOUNT_FIELDS));
        }
        if event.actor.is_some_and(|key| key.guid.is_some())
            && let Some(row) = self.process_mut(process)
            && row
                .end_us
                .is_some_and(|end| end.saturating_add(REORDERED_US) < moment.wall_us)
        {
            (row.end_us, row.exit_ref) = (None, None);
            (row.exit_code, row.exit_signal) = (None, None);
        }
    }
}

/// What a record says of the program of the process that it acts on.
pub(super) fn other_image<'a>(kind: &Kind<'a>) -> Option<Text<'a>> {
    if let Kind::ProcessTraced(traced) = kind {
        traced.target_image
    } else if let Kind::ProcessOpened(opened) = kind {
        opened.target_image
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::{Replay, Tale};
    use saigen_schemas::event::{Guid, ProcessOpened};

    const NOTES: &str = "C:\\Windows\\System32\\notes.exe";

    fn by_guid(pid: u32, guid: u8) -> ProcessKey {
        ProcessKey {
            pid,
            start_us: 0,
            guid: Some(Guid([guid; 16])),
        }
    }

    fn by_pid(pid: u32) -> ProcessKey {
        ProcessKey::new(pid, 0)
    }

    fn spawned(tale: &mut Tale, source: Source, key: ProcessKey, parent: ProcessKey) {
        let start = ProcessStart {
            parent: Some(parent),
            image: Some(NOTES.into()),
            command_line: Some("notes.exe one".into()),
            parent_image: Some("C:\\Windows\\explorer.exe".into()),
            ..ProcessStart::default()
        };
        tale.tell(Some(key), Kind::ProcessStart(start));
        if let Some((_, event)) = tale.events.last_mut() {
            event.source = source;
        }
    }

    fn replayed(tale: &Tale) -> Replay {
        let mut replay = Replay::new();
        for (reference, event) in &tale.events {
            replay.apply(*reference, event);
        }
        replay
    }

    fn started(replay: &Replay) -> usize {
        let units = replay.processes().unit_ids();
        units
            .filter_map(|unit| replay.facts(unit))
            .filter(|facts| facts.recorded == Recorded::Started)
            .count()
    }

    #[test]
    fn one_start_in_two_logs_is_one_process() {
        let mut tale = Tale::on("h", 1);
        spawned(&mut tale, Source::Sysmon, by_guid(40, 1), by_guid(7, 9));
        spawned(&mut tale, Source::Evtx, by_pid(40), by_pid(7));
        // A log that lost the pids, and one that has no GUIDs.
        spawned(&mut tale, Source::Sysmon, by_guid(0, 2), by_guid(7, 9));
        spawned(&mut tale, Source::Evtx, by_pid(44), by_pid(7));
        let replay = replayed(&tale);
        assert_eq!(started(&replay), 2);
        assert_eq!(replay.processes().len(), 3, "one parent");
    }

    #[test]
    fn a_pid_that_starts_again_is_another_process() {
        let mut tale = Tale::on("h", 1);
        spawned(&mut tale, Source::Evtx, by_pid(40), by_pid(7));
        tale.wait(60_000_000);
        spawned(&mut tale, Source::Evtx, by_pid(40), by_pid(7));
        // Two in one millisecond, told apart by their GUIDs alone.
        spawned(&mut tale, Source::Sysmon, by_guid(50, 3), by_guid(7, 9));
        spawned(&mut tale, Source::Sysmon, by_guid(50, 4), by_guid(7, 9));
        assert_eq!(started(&replayed(&tale)), 4);
    }

    #[test]
    fn the_same_log_twice_changes_nothing() {
        let mut tale = Tale::on("h", 1);
        for _ in 0..2 {
            spawned(&mut tale, Source::Sysmon, by_guid(40, 1), by_guid(7, 9));
            spawned(&mut tale, Source::Sysmon, by_guid(41, 2), by_guid(40, 1));
        }
        let replay = replayed(&tale);
        assert_eq!((started(&replay), replay.processes().len()), (2, 3));
    }

    #[test]
    fn what_others_say_names_a_process_without_a_start() {
        let mut tale = Tale::on("h", 1);
        let opened = ProcessOpened {
            target: Some(by_guid(600, 8)),
            target_image: Some("C:\\Windows\\System32\\lsass.exe".into()),
            ..ProcessOpened::default()
        };
        spawned(&mut tale, Source::Sysmon, by_guid(40, 1), by_guid(7, 9));
        tale.tell(Some(by_guid(40, 1)), Kind::ProcessOpened(opened));
        let replay = replayed(&tale);
        let images: Vec<String> = replay
            .processes()
            .unit_ids()
            .filter_map(|unit| Some(replay.facts(unit)?.image?.lossy().into_owned()))
            .collect();
        let implied = [
            "C:\\Windows\\explorer.exe",
            "C:\\Windows\\System32\\lsass.exe",
        ];
        assert!(
            implied
                .iter()
                .all(|image| images.contains(&(*image).to_owned()))
        );
    }

    #[test]
    fn an_earlier_process_of_the_pid_is_not_around_a_start() {
        let mut tale = Tale::on("h", 1);
        spawned(&mut tale, Source::Evtx, by_pid(40), by_pid(7));
        tale.wait(60_000_000);
        let mut replay = replayed(&tale);
        spawned(&mut tale, Source::Evtx, by_pid(40), by_pid(8));
        let (reference, event) = tale.events[1];
        assert!(replay.around(&event).actor.is_none());
        replay.apply(reference, &event);
        let actor = replay.applied().and_then(|applied| applied.actor).unwrap();
        let parent = replay.facts(actor).and_then(|facts| facts.parent).unwrap();
        assert_eq!(replay.facts(parent).unwrap().key.pid, 8);
    }

    #[test]
    fn a_pid_is_forgotten_over_a_long_silence() {
        let parent_after = |silence_us: i64| {
            let mut tale = Tale::on("h", 1);
            spawned(&mut tale, Source::Evtx, by_pid(40), by_pid(7));
            tale.wait(silence_us);
            spawned(&mut tale, Source::Evtx, by_pid(44), by_pid(40));
            let replay = replayed(&tale);
            let actor = replay.applied().and_then(|applied| applied.actor).unwrap();
            let parent = replay.facts(actor).and_then(|facts| facts.parent).unwrap();
            replay.facts(parent).unwrap().recorded
        };
        let hour = 3_600_000_000;
        assert_eq!(parent_after(hour), Recorded::Started);
        assert_eq!(parent_after(24 * hour), Recorded::Implied);
    }
}
