//! Who is who: every process that the recorder knows, by pid and time.
//!
//! perf's records move the table, in their order; all other sources ask it. A pid is reused, a key
//! is not: a process that ended stays known for a while, so that what another source tells of it
//! late still finds it. The table is bounded: the longest ended go first.

use crate::procfs::{Ids, Standing};
use crate::source::perf::record::NAMESPACES;
use saigen_schemas::event::ProcessKey;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

/// How long an ended process stays known, microseconds. Sources are late by less than a second.
const KEPT_US: u64 = 10_000_000;

/// Ended processes that stay known at the most: a storm of starts must not fill the memory.
const ENDED_MAX: usize = 16 * 1024;

/// How far a start by `/proc` may lie from perf's for one process: a tick, and the way from the one
/// moment in the kernel to the other.
const START_SLACK_US: u64 = 15_000;

/// How much earlier than it happened another source may date what it tells: audit's clock
/// advances by the tick.
const EARLY_US: u64 = 15_000;

/// Namespaces of a process, by inode, in perf's order: net, uts, ipc, pid, user, mnt, cgroup.
pub type Namespaces = [u64; NAMESPACES];

/// Whether a process belongs to the command's tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Place {
    /// It does not, or the whole system is recorded.
    #[default]
    Outside,
    /// It does.
    Tree,
    /// It is the recorder itself, whose children are the tree.
    Recorder,
}

/// One process.
#[derive(Debug, Clone)]
pub struct Process {
    /// Its name for ever.
    pub key: ProcessKey,
    /// The process that made it.
    pub parent: Option<ProcessKey>,
    /// Path of its program.
    pub image: Arc<[u8]>,
    /// Device and inode of its program.
    pub image_id: (u64, u64),
    /// When it took up that program; 0 if that was not seen.
    pub image_us: u64,
    /// Its ids, as last seen.
    pub ids: Ids,
    /// Login user, as last seen.
    pub login_uid: Option<u32>,
    /// Its namespaces, once perf has told them.
    pub namespaces: Namespaces,
    /// Whether it belongs to the tree.
    pub place: Place,
    /// When it ended.
    pub ended_us: Option<u64>,
}

/// All processes.
#[derive(Debug, Default)]
pub struct ProcessTable {
    by_pid: HashMap<u32, Vec<Process>>,
    /// Ended processes in the order of their ends.
    ended: VecDeque<(u64, u32)>,
    tree_alive: usize,
}

impl ProcessTable {
    /// Takes in what stood when recording began. `recorder` is this process, whose children are the
    /// tree.
    pub fn stand(&mut self, standing: Vec<Standing>, recorder: u32) {
        let starts: HashMap<u32, u64> = standing
            .iter()
            .map(|process| (process.pid, process.start_us))
            .collect();
        for process in standing {
            let place = if recorder == process.pid {
                Place::Recorder
            } else if recorder == process.ppid {
                Place::Tree
            } else {
                Place::Outside
            };
            let parent = starts
                .get(&process.ppid)
                .map(|start| ProcessKey::new(process.ppid, *start));
            self.insert(Process {
                key: ProcessKey::new(process.pid, process.start_us),
                parent,
                image: process.exe.into(),
                image_id: (0, 0),
                image_us: 0,
                ids: process.ids,
                login_uid: None,
                namespaces: process.namespaces,
                place,
                ended_us: None,
            });
        }
    }

    fn insert(&mut self, process: Process) {
        if process.place == Place::Tree && process.ended_us.is_none() {
            self.tree_alive += 1;
        }
        self.by_pid
            .entry(process.key.pid)
            .or_default()
            .push(process);
    }

    /// A process was made, by perf's FORK.
    pub fn fork(&mut self, pid: u32, parent_pid: u32, at_us: u64) -> ProcessKey {
        let parent = self.find(parent_pid, at_us).cloned();
        let key = ProcessKey::new(pid, at_us);
        if let Some(alive) = self.alive_mut(pid) {
            if alive.key.start_us.abs_diff(at_us) <= START_SLACK_US {
                // `/proc` showed it before perf's record was read: perf's start is the exact one.
                alive.key = key;
                return key;
            }
            // Its end was lost: the kernel does not give a living process's pid away.
            self.exit(pid, at_us);
        }
        let place = match parent.as_ref().map(|parent| parent.place) {
            Some(Place::Tree | Place::Recorder) => Place::Tree,
            Some(Place::Outside) | None => Place::Outside,
        };
        let process = match parent {
            Some(parent) => Process {
                key,
                parent: Some(parent.key),
                place,
                ended_us: None,
                ..parent
            },
            None => Process::unknown(key, Some(ProcessKey::new(parent_pid, 0))),
        };
        self.insert(process);
        key
    }

    /// A process ended.
    pub fn exit(&mut self, pid: u32, at_us: u64) -> Option<ProcessKey> {
        let process = self.alive_mut(pid)?;
        process.ended_us = Some(at_us);
        let (key, place) = (process.key, process.place);
        if place == Place::Tree {
            self.tree_alive = self.tree_alive.saturating_sub(1);
        }
        self.ended.push_back((at_us, pid));
        Some(key)
    }

    /// Forgets who ended long ago.
    pub fn forget(&mut self, now_us: u64) {
        while let Some(&(at_us, pid)) = self.ended.front() {
            if self.ended.len() <= ENDED_MAX && at_us.saturating_add(KEPT_US) > now_us {
                break;
            }
            self.ended.pop_front();
            if let Some(runs) = self.by_pid.get_mut(&pid) {
                runs.retain(|run| run.ended_us != Some(at_us));
                if runs.is_empty() {
                    self.by_pid.remove(&pid);
                }
            }
        }
    }

    /// The process that had the pid at a time, by a source whose clock may be early.
    #[must_use]
    pub fn find(&self, pid: u32, at_us: u64) -> Option<&Process> {
        let runs = self.by_pid.get(&pid)?;
        runs.iter()
            .rev()
            .find(|run| run.key.start_us <= at_us && run.ended_us.is_none_or(|end| end >= at_us))
            .or_else(|| {
                runs.iter().find(|run| {
                    run.key.start_us.saturating_sub(EARLY_US) <= at_us
                        && run.ended_us.is_none_or(|end| end >= at_us)
                })
            })
            .or_else(|| runs.iter().rev().find(|run| run.key.start_us <= at_us))
    }

    /// The living process of the pid.
    pub fn alive_mut(&mut self, pid: u32) -> Option<&mut Process> {
        self.by_pid
            .get_mut(&pid)?
            .iter_mut()
            .rev()
            .find(|run| run.ended_us.is_none())
    }

    /// The process of a key.
    #[must_use]
    pub fn get(&self, key: ProcessKey) -> Option<&Process> {
        self.by_pid.get(&key.pid)?.iter().find(|run| run.key == key)
    }

    /// The process of a key, to be changed.
    pub fn get_mut(&mut self, key: ProcessKey) -> Option<&mut Process> {
        self.by_pid
            .get_mut(&key.pid)?
            .iter_mut()
            .find(|run| run.key == key)
    }

    /// The key of the process that had the pid, or one made up for a process whose start was never
    /// seen: from `/proc` if it still stands, else from the time at which it was first met.
    pub fn key(&mut self, pid: u32, at_us: u64) -> ProcessKey {
        if let Some(process) = self.find(pid, at_us) {
            return process.key;
        }
        let standing = Standing::read(pid)
            .filter(|standing| standing.start_us <= at_us.saturating_add(EARLY_US));
        let process = match standing {
            Some(standing) => {
                let parent = self.find(standing.ppid, at_us);
                let place = match parent.map(|parent| parent.place) {
                    Some(Place::Tree | Place::Recorder) => Place::Tree,
                    Some(Place::Outside) | None => Place::Outside,
                };
                Process {
                    image: standing.exe.into(),
                    ids: standing.ids,
                    namespaces: standing.namespaces,
                    place,
                    ..Process::unknown(
                        ProcessKey::new(pid, standing.start_us),
                        parent.map(|parent| parent.key),
                    )
                }
            }
            None => Process {
                ended_us: Some(at_us),
                ..Process::unknown(ProcessKey::new(pid, at_us), None)
            },
        };
        let key = process.key;
        if process.ended_us.is_some() {
            self.ended.push_back((at_us, pid));
        }
        self.insert(process);
        key
    }

    /// The key of a process that `/proc` showed with this start.
    #[must_use]
    pub fn key_of_standing(&self, pid: u32, start_us: u64) -> ProcessKey {
        self.by_pid
            .get(&pid)
            .and_then(|runs| {
                runs.iter()
                    .find(|run| run.key.start_us.abs_diff(start_us) <= START_SLACK_US)
            })
            .map_or(ProcessKey::new(pid, start_us), |run| run.key)
    }

    /// How many processes of the tree are alive.
    #[must_use]
    pub fn tree_alive(&self) -> usize {
        self.tree_alive
    }
}

impl Process {
    fn unknown(key: ProcessKey, parent: Option<ProcessKey>) -> Process {
        Process {
            key,
            parent,
            image: Arc::from(&b""[..]),
            image_id: (0, 0),
            image_us: 0,
            ids: Ids::default(),
            login_uid: None,
            namespaces: Namespaces::default(),
            place: Place::Outside,
            ended_us: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn standing(pid: u32, ppid: u32, start_us: u64) -> Standing {
        Standing {
            pid,
            ppid,
            start_us,
            ..Standing::default()
        }
    }

    #[test]
    fn a_reused_pid_is_two_processes() {
        let mut table = ProcessTable::default();
        let first = table.fork(7, 1, 1_000_000);
        table.exit(7, 2_000_000);
        let second = table.fork(7, 1, 3_000_000);
        assert_ne!(first, second);
        assert_eq!(table.find(7, 1_500_000).unwrap().key, first);
        assert_eq!(table.find(7, 3_500_000).unwrap().key, second);
        assert_eq!(
            table.find(7, 2_500_000).unwrap().key,
            first,
            "what is told late is the earlier one's"
        );
    }

    #[test]
    fn what_is_dated_early_finds_the_process_that_began_right_after() {
        let mut table = ProcessTable::default();
        let key = table.fork(7, 1, 1_004_000);
        assert_eq!(table.find(7, 1_000_000).unwrap().key, key);
        assert!(table.find(7, 900_000).is_none());
    }

    #[test]
    fn a_process_seen_by_proc_and_by_perf_is_one() {
        let mut table = ProcessTable::default();
        table.stand(vec![standing(1, 0, 0), standing(7, 1, 1_000_000)], 0);
        let key = table.fork(7, 1, 1_006_123);
        assert_eq!(key, ProcessKey::new(7, 1_006_123));
        assert_eq!(table.key_of_standing(7, 1_000_000), key);
        assert_eq!(table.find(7, 2_000_000).unwrap().key, key);
    }

    #[test]
    fn the_tree_is_followed_by_who_forked() {
        let mut table = ProcessTable::default();
        table.stand(vec![standing(1, 0, 0), standing(50, 1, 10)], 50);
        let command = table.fork(60, 50, 100);
        let daemon = table.fork(61, 60, 200);
        table.exit(60, 300);
        let grandchild = table.fork(62, 61, 400);
        let stranger = table.fork(70, 1, 500);
        let place = |key: ProcessKey| table.get(key).unwrap().place;
        assert_eq!(
            [place(command), place(daemon), place(grandchild)],
            [Place::Tree; 3]
        );
        assert_eq!(place(stranger), Place::Outside);
        assert_eq!(table.tree_alive(), 2);
    }

    #[test]
    fn the_command_that_waits_at_its_gate_is_of_the_tree() {
        let mut table = ProcessTable::default();
        table.stand(vec![standing(50, 1, 10), standing(60, 50, 1_000_000)], 50);
        assert_eq!(table.tree_alive(), 1);
        let command = table.fork(60, 50, 1_003_000);
        assert_eq!(table.get(command).unwrap().place, Place::Tree);
        assert_eq!(table.tree_alive(), 1, "it is still one");
    }

    #[test]
    fn a_lost_end_is_made_up_for_when_the_pid_comes_again() {
        let mut table = ProcessTable::default();
        let first = table.fork(7, 1, 1_000_000);
        let second = table.fork(7, 1, 9_000_000);
        assert_eq!(table.get(first).unwrap().ended_us, Some(9_000_000));
        assert_eq!(table.find(7, 9_500_000).unwrap().key, second);
    }

    #[test]
    fn a_storm_of_starts_stays_bounded() {
        let mut table = ProcessTable::default();
        for number in 0..100_000_u32 {
            let at_us = u64::from(number) * 10;
            table.fork(number, 1, at_us);
            table.exit(number, at_us + 5);
            table.forget(at_us);
        }
        assert!(table.by_pid.len() <= ENDED_MAX + 1);
        table.forget(u64::MAX);
        assert_eq!(table.by_pid.len(), 0);
    }
}
