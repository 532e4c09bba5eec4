//! The other kinds of events: files, traces, the kernel, configuration, pipes.

use saigen_schemas::event::{
    BpfLoaded, Change, DriverChange, FileDeleted, FileLinked, FileRead, FileRenamed, FileWritten,
    ModuleLoaded, Outcome, Pipe, ProcessStart, ProcessTraced, Registry, ScheduledTask,
    ServiceChange, SourceState, Text, Touch, WmiSubscription,
};

use crate::graph::build::files::{Content, Identity};
use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::store::{FileId, Module, Named, Persistence};
use crate::graph::{ModuleForm, NodeId, NodeKind, PersistenceKind, Verb};

/// What the kernel appends to the path of a file whose last name is gone, `proc(5)`.
const DELETED: &[u8] = b" (deleted)";

impl GraphBuilder {
    /// The actor does something to a file.
    pub(super) fn does(&mut self, scene: &Scene<'_>, verb: Verb, file: Option<FileId>) {
        let node = file.and_then(|file| self.file_node(file));
        if let Some((actor, node)) = scene.actor.zip(node) {
            self.link(scene, actor, node, Says::recorded(verb));
        }
    }

    /// Something flows from a file to the actor.
    pub(super) fn takes(&mut self, scene: &Scene<'_>, verb: Verb, file: Option<FileId>) {
        let node = file.and_then(|file| self.file_node(file));
        if let Some((actor, node)) = scene.actor.zip(node) {
            self.link(scene, node, actor, Says::recorded(verb));
        }
    }

    /// The program, and the script, that a process runs.
    pub(super) fn runs(&mut self, scene: &Scene<'_>, start: &ProcessStart<'_>) {
        if let Some(image) = start.image.filter(|image| !image.is_empty()) {
            let path = Text(image.0.strip_suffix(DELETED).unwrap_or(image.0));
            let file = self.file(scene, Identity::new(Some(path), start.dev, start.inode));
            if let Some(file) = file {
                let content = Content {
                    sha256: start.sha256,
                    ..Content::default()
                };
                self.learn_content(file, content);
            }
            self.takes(scene, Verb::Executed, file);
        }
        if let Some(script) = start.script.filter(|script| !script.is_empty()) {
            let file = self.file(scene, Identity::path(script));
            self.takes(scene, Verb::Executed, file);
        }
    }

    pub(super) fn wrote(&mut self, scene: &Scene<'_>, written: &FileWritten<'_>) {
        let identity = Identity::new(written.path, written.dev, written.inode);
        let file = self.file(scene, identity);
        if let Some(file) = file {
            let (size, mode, sha256) = (written.size, written.mode, written.sha256);
            self.learn_content(file, Content { size, mode, sha256 });
            self.note_change(scene, file);
        }
        self.does(scene, Verb::Wrote, file);
    }

    pub(super) fn renamed(&mut self, scene: &Scene<'_>, renamed: &FileRenamed<'_>) {
        let Some(to) = renamed.to.filter(|to| !to.is_empty()) else {
            return;
        };
        let identity = Identity::new(renamed.path, renamed.dev, renamed.inode);
        let file = self.rename(scene, identity, to);
        if let Some(file) = file {
            self.note_change(scene, file);
        }
        self.does(scene, Verb::Renamed, file);
    }

    pub(super) fn linked(&mut self, scene: &Scene<'_>, linked: &FileLinked<'_>) {
        let identity = Identity::new(linked.path, linked.dev, linked.inode);
        let file = self.link_file(scene, identity, linked.target);
        if let Some(file) = file {
            self.note_change(scene, file);
        }
        self.does(scene, Verb::Linked, file);
    }

    pub(super) fn deleted(&mut self, scene: &Scene<'_>, deleted: &FileDeleted<'_>) {
        let identity = Identity::new(deleted.path, deleted.dev, deleted.inode);
        let file = self.delete(scene, identity);
        self.does(scene, Verb::Deleted, file);
    }

    pub(super) fn read(&mut self, scene: &Scene<'_>, read: &FileRead<'_>) {
        let file = self.file(scene, Identity::new(read.path, read.dev, read.inode));
        if read.outcome == Some(Outcome::Failure) {
            self.does(scene, Verb::Refused, file);
        } else {
            self.takes(scene, Verb::Read, file);
        }
    }

    pub(super) fn traced(&mut self, scene: &Scene<'_>, traced: &ProcessTraced<'_>) {
        let target = scene.applied.other.and_then(|unit| self.process(unit));
        let Some((actor, target)) = scene.actor.zip(target) else {
            return;
        };
        if traced.outcome == Some(Outcome::Failure) {
            self.link(scene, actor, target, Says::recorded(Verb::Refused));
            return;
        }
        let (from, to, verb) = match traced.how {
            Some(Touch::Ptrace) | None => (actor, target, Verb::Traced),
            Some(Touch::MemoryWrite | Touch::RemoteThread | Touch::ImageReplaced) => {
                (actor, target, Verb::Injected)
            }
            Some(Touch::MemoryRead) => (target, actor, Verb::MemoryRead),
        };
        self.link(scene, from, to, Says::recorded(verb));
    }

    pub(super) fn opened(&mut self, scene: &Scene<'_>) {
        let target = scene.applied.other.and_then(|unit| self.process(unit));
        if let Some((actor, target)) = scene.actor.zip(target) {
            self.link(scene, actor, target, Says::recorded(Verb::Opened));
        }
    }

    pub(super) fn module_loaded(&mut self, scene: &Scene<'_>, loaded: &ModuleLoaded<'_>) {
        let verb = match loaded.outcome {
            Some(Outcome::Failure) => Verb::Refused,
            Some(Outcome::Success | Outcome::InProgress) | None => Verb::Loaded,
        };
        if let Some(name) = loaded.name.or(loaded.path) {
            let node = self.module(scene, ModuleForm::Module, name);
            self.acts_on(scene, verb, node);
        }
        if let Some(path) = loaded.path.filter(|path| !path.is_empty()) {
            let file = self.file(scene, Identity::path(path));
            self.takes(scene, Verb::Mapped, file);
        }
    }

    pub(super) fn bpf_loaded(&mut self, scene: &Scene<'_>, bpf: &BpfLoaded<'_>) {
        if bpf.state == Some(SourceState::Down) {
            return;
        }
        let node = self.module(scene, ModuleForm::Bpf, bpf.name.unwrap_or_default());
        self.acts_on(scene, Verb::Loaded, node);
    }

    pub(super) fn driver_changed(&mut self, scene: &Scene<'_>, driver: &DriverChange<'_>) {
        let node = self.persistence(scene, PersistenceKind::Driver, driver.name, driver.path);
        self.acts_on(scene, Verb::Configured, node);
    }

    pub(super) fn service_changed(&mut self, scene: &Scene<'_>, service: &ServiceChange<'_>) {
        let command = service.command_line;
        let node = self.persistence(scene, PersistenceKind::Service, service.name, command);
        self.acts_on(scene, Verb::Configured, node);
    }

    pub(super) fn task_changed(&mut self, scene: &Scene<'_>, task: &ScheduledTask<'_>) {
        let command = task.command_line.or(task.content);
        let node = self.persistence(scene, PersistenceKind::ScheduledTask, task.name, command);
        let started = scene.applied.other.and_then(|unit| self.process(unit));
        match task.change {
            Some(Change::Started | Change::Ran) => {
                if let Some((node, started)) = node.zip(started) {
                    self.link(scene, node, started, Says::recorded(Verb::Triggered));
                }
            }
            Some(
                Change::Created | Change::Set | Change::Deleted | Change::Renamed | Change::Stopped,
            )
            | None => self.acts_on(scene, Verb::Configured, node),
        }
    }

    pub(super) fn subscribed(&mut self, scene: &Scene<'_>, wmi: &WmiSubscription<'_>) {
        let kind = PersistenceKind::WmiSubscription;
        let node = self.persistence(scene, kind, wmi.name, wmi.content);
        self.acts_on(scene, Verb::Configured, node);
    }

    pub(super) fn registry_changed(&mut self, scene: &Scene<'_>, registry: &Registry<'_>) {
        let Some(path) = registry.path.filter(|path| !path.is_empty()) else {
            return;
        };
        let node = self.named(scene, NodeKind::Registry, path);
        let details = registry
            .details
            .and_then(|details| self.texts.intern(details.0));
        if let Some(row) = node.and_then(|node| self.store.nodes.get(node.index()))
            && let Some(row) = self.store.registry.get_mut(row.row as usize)
        {
            row.details = details.or(row.details);
        }
        let details = registry.details.filter(|details| !details.is_empty());
        if let Some((name, command)) = service_of_key(path.0).zip(details) {
            let kind = PersistenceKind::Service;
            let node = self.persistence(scene, kind, Some(Text(name)), Some(command));
            self.acts_on(scene, Verb::Configured, node);
        }
        let verb = match registry.change {
            Some(Change::Created) => Verb::Created,
            Some(Change::Deleted) => Verb::Deleted,
            Some(Change::Renamed) => Verb::Renamed,
            Some(Change::Set | Change::Started | Change::Stopped | Change::Ran) | None => {
                Verb::Configured
            }
        };
        self.acts_on(scene, verb, node);
    }

    /// A pipe: who creates it serves, who connects to it speaks to its server.
    pub(super) fn piped(&mut self, scene: &Scene<'_>, pipe: &Pipe<'_>) {
        let Some(name) = pipe.name.filter(|name| !name.is_empty()) else {
            return;
        };
        let node = self.named(scene, NodeKind::Pipe, name);
        let verb = match pipe.change {
            Some(Change::Created) => Verb::Created,
            Some(Change::Deleted) => Verb::Deleted,
            Some(
                Change::Set | Change::Renamed | Change::Started | Change::Stopped | Change::Ran,
            )
            | None => Verb::Connected,
        };
        self.acts_on(scene, verb, node);
    }

    /// The actor changes its host: a mount, a cleared log.
    pub(super) fn changes_host(&mut self, scene: &Scene<'_>) {
        let host = scene.applied.host;
        let known = self.things.hosts.get(&host).copied();
        let node = known.or_else(|| {
            let node = self.add_node(NodeKind::Host, self.store.hosts.len())?;
            self.store.hosts.push(host);
            self.things.hosts.insert(host, node);
            Some(node)
        });
        self.acts_on(scene, Verb::Changed, node);
    }

    fn acts_on(&mut self, scene: &Scene<'_>, verb: Verb, node: Option<NodeId>) {
        if let Some((actor, node)) = scene.actor.zip(node) {
            self.link(scene, actor, node, Says::recorded(verb));
        }
    }

    fn module(&mut self, scene: &Scene<'_>, form: ModuleForm, name: Text<'_>) -> Option<NodeId> {
        let host = scene.applied.host;
        let name = self.texts.intern(name.0)?;
        if let Some(&known) = self.things.modules.get(&(host, form, name)) {
            return Some(known);
        }
        let node = self.add_node(NodeKind::Module, self.store.modules.len())?;
        self.store.modules.push(Module { host, name, form });
        self.things.modules.insert((host, form, name), node);
        Some(node)
    }

    fn persistence(
        &mut self,
        scene: &Scene<'_>,
        kind: PersistenceKind,
        name: Option<Text<'_>>,
        command: Option<Text<'_>>,
    ) -> Option<NodeId> {
        let host = scene.applied.host;
        let name = self.texts.intern(name?.0)?;
        let command = command.filter(|command| !command.is_empty());
        let command = command.and_then(|command| self.texts.intern(command.0));
        let key = (host, kind, name);
        let node = match self.things.persistence.get(&key) {
            Some(&known) => known,
            None => {
                let node = self.add_node(NodeKind::Persistence, self.store.persistence.len())?;
                self.store.persistence.push(Persistence {
                    host,
                    kind,
                    name,
                    command,
                    first_us: None,
                });
                self.things.persistence.insert(key, node);
                node
            }
        };
        let row = self
            .store
            .nodes
            .get(node.index())
            .map(|node| node.row as usize);
        if let Some(row) = row.and_then(|row| self.store.persistence.get_mut(row)) {
            row.command = command.or(row.command);
            row.first_us.get_or_insert(scene.at_us);
        }
        Some(node)
    }

    /// A registry key or a pipe.
    fn named(&mut self, scene: &Scene<'_>, kind: NodeKind, name: Text<'_>) -> Option<NodeId> {
        let host = scene.applied.host;
        let name = self.texts.intern(name.0)?;
        let key = (host, kind, name);
        if let Some(&known) = self.things.named.get(&key) {
            return Some(known);
        }
        let row = Named {
            host,
            name,
            details: None,
        };
        let table = if kind == NodeKind::Pipe {
            &mut self.store.pipes
        } else {
            &mut self.store.registry
        };
        let index = table.len();
        table.push(row);
        let node = self.add_node(kind, index)?;
        self.things.named.insert(key, node);
        Some(node)
    }
}

/// The service whose program a registry value names: `…\\Services\\NAME\\ImagePath`.
fn service_of_key(path: &[u8]) -> Option<&[u8]> {
    let mut parts = path.rsplit(|&byte| byte == b'\\');
    let value = parts.next()?;
    let name = parts.next()?;
    let above = parts.next()?;
    let is = value.eq_ignore_ascii_case(b"ImagePath") && above.eq_ignore_ascii_case(b"Services");
    is.then_some(name).filter(|name| !name.is_empty())
}
