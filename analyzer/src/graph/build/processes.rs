//! Processes: who created whom, and what became of them.

use saigen_schemas::event::{Event, Kind};

use crate::graph::build::autostarts::Entered;
use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::{EdgeId, NodeId, Verb};
use crate::replay::{Step, UnitId};

impl GraphBuilder {
    /// What the event means for the life of its actor.
    pub(super) fn take_life(&mut self, scene: &Scene<'_>, event: &Event<'_>) {
        let Some((unit, node)) = scene.applied.actor.zip(scene.actor) else {
            return;
        };
        match scene.applied.step {
            Step::Forked | Step::ParentKnown => self.born(scene, unit, node),
            Step::Started => {
                self.started(scene, unit, node);
                self.began(scene, event, unit, node);
            }
            Step::Became => {
                let previous = scene.replay.processes().previous(unit);
                if let Some(previous) = previous.and_then(|previous| self.process(previous)) {
                    let edge = self.link(scene, previous, node, Says::recorded(Verb::Became));
                    self.note_birth(unit, edge);
                }
                self.began(scene, event, unit, node);
            }
            Step::Stood => self.stood(scene, unit, node),
            Step::Repeated | Step::Ended | Step::Acted => {}
        }
    }

    /// A program begins: what it is read from, and why it runs.
    fn began(&mut self, scene: &Scene<'_>, event: &Event<'_>, unit: UnitId, node: NodeId) {
        if let Kind::ProcessStart(start) = &event.kind {
            self.runs(scene, start);
        }
        self.names_files(scene, unit, node);
        let entered = if self.enters_session(scene, unit, node) {
            Entered::Session
        } else {
            Entered::Nothing
        };
        self.triggered(scene, unit, node, entered);
    }

    /// An edge from the unit that created this one.
    fn born(&mut self, scene: &Scene<'_>, unit: UnitId, node: NodeId) {
        let verb = if scene.replay.processes().runs_own_program(unit) {
            Verb::Started
        } else {
            Verb::Forked
        };
        if let Some(parent) = self.parent(scene, unit) {
            let edge = self.link(scene, parent, node, Says::recorded(verb));
            self.note_birth(unit, edge);
        }
    }

    /// A fork becomes a start when its first program runs; without a fork there is a new edge.
    fn started(&mut self, scene: &Scene<'_>, unit: UnitId, node: NodeId) {
        let Some(edge) = self.birth(unit) else {
            self.born(scene, unit, node);
            return;
        };
        let Some(row) = self.store.edges.get(edge) else {
            return;
        };
        if row.verb() == Verb::Forked {
            // Where the edge stands in the table it must be found under its new verb.
            let (from, to, ground) = (row.from, row.to, row.ground());
            if self
                .known
                .remove(&(from, to, Verb::Forked, ground))
                .is_some()
            {
                self.known.insert((from, to, Verb::Started, ground), edge);
            }
            self.store.edges.rename(edge, Verb::Started);
        }
        self.store.cover(edge, scene.at_us, scene.event);
        self.touch(scene, edge);
    }

    /// The parent of a process that stood when recording began: since its start, not since then.
    fn stood(&mut self, scene: &Scene<'_>, unit: UnitId, node: NodeId) {
        let start_us = scene.replay.processes().start_us(unit);
        if let Some((parent, start_us)) = self.parent(scene, unit).zip(start_us) {
            let says = Says::recorded(Verb::Started);
            let edge = self.link_at(scene, start_us, (parent, node), says);
            self.note_birth(unit, edge);
        }
    }

    fn parent(&mut self, scene: &Scene<'_>, unit: UnitId) -> Option<NodeId> {
        let parent = scene.replay.processes().parent(unit)?;
        self.process(parent)
    }

    fn birth(&self, unit: UnitId) -> Option<EdgeId> {
        self.births.get(unit.index()).copied().flatten()
    }

    fn note_birth(&mut self, unit: UnitId, edge: Option<EdgeId>) {
        if let Some(slot) = self.births.get_mut(unit.index()) {
            *slot = edge.or(*slot);
        }
    }
}
