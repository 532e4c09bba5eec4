//! Files of two hosts with the same bytes, where one came to its place after the other.

use std::collections::BTreeMap;

use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::query::HostClock;
use crate::graph::{Ground, NodeId, NodeKind, Verb};
use crate::replay::{HostId, Replay};

/// Content that stands at more places than this is everyone's: who had it from whom says nothing.
const PLACES_MAX: usize = 64;

/// A place at which content stands.
struct Copy {
    host: HostId,
    file: NodeId,
    /// When it came there, by the clock of the reference; before all where that was not recorded.
    even_us: i64,
    /// The same by its host's own clock.
    came_us: Option<i64>,
}

impl GraphBuilder {
    /// Leads from each file to the next one on another host that has the same bytes and came to be later.
    pub(super) fn join_copies(&mut self, replay: &Replay, clocks: &[HostClock]) {
        let ahead: BTreeMap<HostId, i64> = clocks
            .iter()
            .map(|clock| (clock.host, clock.ahead_us))
            .collect();
        let mut places: BTreeMap<[u8; 32], Vec<Copy>> = BTreeMap::new();
        for (index, node) in self.store.nodes.iter().enumerate() {
            if node.kind != NodeKind::File {
                continue;
            }
            let row = self.store.files.get(node.row as usize);
            let (Some(file), Some(row)) = (NodeId::from_index(index), row) else {
                continue;
            };
            let Some(hash) = row.sha256 else { continue };
            let came_us = row.created_us.or(row.changed_us);
            let skew = ahead.get(&row.host).copied().unwrap_or(0);
            places.entry(hash.0).or_default().push(Copy {
                host: row.host,
                file,
                even_us: came_us.map_or(i64::MIN, |us| us.saturating_sub(skew)),
                came_us,
            });
        }
        for mut copies in places.into_values() {
            if copies.len() > PLACES_MAX {
                continue;
            }
            copies.sort_by_key(|copy| (copy.even_us, copy.file));
            for (at, copy) in copies.iter().enumerate() {
                let before = copies.get(..at).unwrap_or_default();
                let source = before.iter().rev().find(|other| other.host != copy.host);
                if let Some((source, came_us)) = source.zip(copy.came_us) {
                    self.join_copy(replay, source.file, copy.file, came_us);
                }
            }
        }
    }

    fn join_copy(&mut self, replay: &Replay, from: NodeId, to: NodeId, us: i64) {
        // The record that first tells of the file stands for its coming.
        let alias = self.store.nodes.get(to.index()).and_then(|node| {
            let file = self.store.files.get(node.row as usize)?;
            self.store.aliases.get(file.alias?.index())
        });
        let scene = alias.and_then(|alias| Scene::of_act(replay, alias.seen, us, None));
        let Some(scene) = scene else {
            return;
        };
        let says = Says {
            verb: Verb::Copied,
            ground: Ground::SameContent,
        };
        self.link_at(&scene, us, (from, to), says);
    }
}
