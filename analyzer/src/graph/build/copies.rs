//! Files that went from one host to another: by their bytes, or by their name where a process below a
//! connection with the other host made the second.

use std::collections::BTreeMap;

use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::places::file_name;
use crate::graph::query::HostClock;
use crate::graph::store::File;
use crate::graph::{Ground, NodeId, NodeKind, Verb};
use crate::replay::{HostId, ProcessId, Processes, Replay};

/// Content that stands at more places than this is everyone's: who had it from whom says nothing.
const PLACES_MAX: usize = 64;

/// A name that more files have than this is no sign that one of them came from another.
const NAMESAKES_MAX: usize = 8;

/// A file that came over a connection comes to be within this time of its opening. Longer sessions
/// carry files too; which of them is then not told by the name alone.
const CARRIED_US: i64 = 600_000_000;

/// Most parents between the process that holds a connection and the one that writes the file: a
/// server, its session, a shell, the tool that copies.
const BELOW_MAX: usize = 6;

/// A place at which a file stands.
struct Copy {
    host: HostId,
    file: NodeId,
    row: usize,
    /// When it came there, by the clock of the reference; before all where that was not recorded.
    even_us: i64,
    /// The same by its host's own clock.
    came_us: Option<i64>,
}

/// The processes of a host that held an end of a connection with another host, and when by the clock
/// of the reference: by host, other host and process.
type Held = BTreeMap<(HostId, HostId, ProcessId), Vec<i64>>;

impl GraphBuilder {
    /// Leads from each file to the next one on another host that has the same bytes and came to be
    /// later, or, where no hash says, that has its name and came over a connection of the two hosts.
    pub(super) fn join_copies(&mut self, replay: &Replay, clocks: &[HostClock]) {
        let ahead: BTreeMap<HostId, i64> = clocks
            .iter()
            .map(|clock| (clock.host, clock.ahead_us))
            .collect();
        let mut by_content: BTreeMap<[u8; 32], Vec<Copy>> = BTreeMap::new();
        let mut by_name: BTreeMap<Vec<u8>, Vec<Copy>> = BTreeMap::new();
        let held = self.held(replay.processes(), &ahead);
        for (index, node) in self.store.nodes.iter().enumerate() {
            if node.kind != NodeKind::File {
                continue;
            }
            let at = node.row as usize;
            let (Some(file), Some(row)) = (NodeId::from_index(index), self.store.files.get(at))
            else {
                continue;
            };
            let came_us = row.created_us.or(row.changed_us);
            let skew = ahead.get(&row.host).copied().unwrap_or(0);
            let copy = || Copy {
                host: row.host,
                file,
                row: at,
                even_us: came_us.map_or(i64::MIN, |us| us.saturating_sub(skew)),
                came_us,
            };
            if let Some(hash) = row.sha256 {
                by_content.entry(hash.0).or_default().push(copy());
            }
            if !held.is_empty() {
                let name = file_name(self.texts.get(row.path).0).to_ascii_lowercase();
                by_name.entry(name).or_default().push(copy());
            }
        }
        for mut copies in by_content.into_values() {
            if copies.len() > PLACES_MAX {
                continue;
            }
            copies.sort_by_key(|copy| (copy.even_us, copy.file));
            for (at, copy) in copies.iter().enumerate() {
                let before = copies.get(..at).unwrap_or_default();
                let source = before.iter().rev().find(|other| other.host != copy.host);
                if let Some(source) = source {
                    self.join_copy(replay, source, copy, Ground::SameContent);
                }
            }
        }
        for (name, copies) in by_name {
            if !name.is_empty() && copies.len() <= NAMESAKES_MAX {
                self.join_namesakes(replay, &held, copies);
            }
        }
    }

    /// Who held connections between hosts, and when.
    fn held(&self, processes: &Processes, ahead: &BTreeMap<HostId, i64>) -> Held {
        let mut held = Held::new();
        for flow in &self.ways.crossings {
            let client = (
                flow.client_host,
                flow.server_host,
                flow.client,
                flow.client_us,
            );
            let server = (
                flow.server_host,
                flow.client_host,
                flow.server,
                flow.server_us,
            );
            for (host, other, node, us) in [client, server] {
                let unit = self.store.nodes.get(node.index()).and_then(|row| {
                    let row = (row.kind == NodeKind::Process).then_some(row.row as usize)?;
                    self.store.process_rows.get(row).copied()
                });
                if let Some(unit) = unit.and_then(|unit| processes.unit(unit)) {
                    let even_us = us.saturating_sub(ahead.get(&host).copied().unwrap_or(0));
                    held.entry((host, other, unit.process))
                        .or_default()
                        .push(even_us);
                }
            }
        }
        held
    }

    fn join_namesakes(&mut self, replay: &Replay, held: &Held, mut copies: Vec<Copy>) {
        copies.sort_by_key(|copy| (copy.even_us, copy.file));
        for (at, copy) in copies.iter().enumerate() {
            let before = copies.get(..at).unwrap_or_default();
            let source = before.iter().rev().find(|other| {
                let rows = (
                    self.store.files.get(other.row),
                    self.store.files.get(copy.row),
                );
                let (Some(from), Some(to)) = rows else {
                    return false;
                };
                other.host != copy.host
                    && may_be_alike(from, to)
                    && came_over(replay.processes(), held, other.host, (copy, to))
            });
            if let Some(source) = source {
                self.join_copy(replay, source, copy, Ground::SameName);
            }
        }
    }

    fn join_copy(&mut self, replay: &Replay, from: &Copy, to: &Copy, ground: Ground) {
        // The record that first tells of the file stands for its coming.
        let seen = self.store.files.get(to.row).and_then(|file| {
            let alias = self.store.aliases.get(file.alias?.index())?;
            Some(alias.seen)
        });
        let (Some(us), Some(seen)) = (to.came_us, seen) else {
            return;
        };
        if let Some(scene) = Scene::of_act(replay, seen, us, None) {
            let says = Says {
                verb: Verb::Copied,
                ground,
            };
            self.link_at(&scene, us, (from.file, to.file), says);
        }
    }
}

/// Whether nothing that is known of two files says that they are not the same. Two hashes have spoken
/// already, for or against.
fn may_be_alike(one: &File, other: &File) -> bool {
    let sizes = one.size.zip(other.size);
    one.sha256.zip(other.sha256).is_none() && sizes.is_none_or(|(one, other)| one == other)
}

/// Whether a process that held a connection with the first file's host, or one below it, made the
/// second file soon after the connection began.
fn came_over(
    processes: &Processes,
    held: &Held,
    host: HostId,
    (copy, row): (&Copy, &File),
) -> bool {
    let mut unit = row.changed_by;
    for _ in 0..=BELOW_MAX {
        let Some(process) = unit.and_then(|unit| processes.unit(unit)) else {
            return false;
        };
        let opened = held.get(&(copy.host, host, process.process));
        let soon = |us: &i64| (0..=CARRIED_US).contains(&copy.even_us.saturating_sub(*us));
        if opened.is_some_and(|opened| opened.iter().any(soon)) {
            return true;
        }
        unit = unit.and_then(|unit| processes.parent(unit));
    }
    false
}
