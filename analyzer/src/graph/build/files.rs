//! Files: which node a path means at a moment, through renames, links, deletion and reuse.

use saigen_schemas::event::{Hash32, Near, Text};

use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::places::autostart_place;
use crate::graph::store::{AliasId, AliasRow, File, FileId};
use crate::graph::{FileForm, Ground, NodeId, NodeKind, Verb};
use crate::replay::{HostId, Table, TextId};

/// A record about a file that comes this soon after its deletion, and does not say which inode,
/// is about the deleted file: it was still open.
const CLOSED_LATE_US: i64 = 2_000_000;

/// Most names of one file that are looked through. Files have one or two; a bound for those that
/// are made to have more.
const NAMES_MAX: usize = 32;

/// What a record says of a file's identity.
#[derive(Clone, Copy, Default)]
pub(super) struct Identity<'a> {
    pub(super) path: Option<Text<'a>>,
    pub(super) dev: Option<u64>,
    pub(super) inode: Option<u64>,
}

impl<'a> Identity<'a> {
    pub(super) fn new(path: Option<Text<'a>>, dev: Option<u64>, inode: Option<Near>) -> Self {
        Self {
            path,
            dev,
            inode: inode.map(|Near(inode)| inode),
        }
    }

    pub(super) const fn path(path: Text<'a>) -> Self {
        Self {
            path: Some(path),
            dev: None,
            inode: None,
        }
    }
}

/// What a record says of a file's content and state.
#[derive(Clone, Copy, Default)]
pub(super) struct Content {
    pub(super) size: Option<u64>,
    pub(super) mode: Option<u32>,
    pub(super) sha256: Option<Hash32>,
}

/// Which file a path or an inode leads to now.
#[derive(Default)]
pub(super) struct FileIndex {
    by_path: Table<(HostId, TextId), PathState>,
    by_inode: Table<(HostId, u64, u64), FileId>,
    /// The spelling by which a path was first seen, by its folded form, on systems that do not
    /// tell upper case from lower.
    spelled: Table<TextId, TextId>,
}

#[derive(Clone, Copy)]
struct PathState {
    /// The file that it leads to, if any.
    live: Option<FileId>,
    /// The last one that it led to.
    last: FileId,
    /// How many it has led to.
    files: u32,
}

impl GraphBuilder {
    pub(super) fn file_node(&self, file: FileId) -> Option<NodeId> {
        self.store.files.get(file.index()).map(|row| row.node)
    }

    /// The file that a record is about; made if no record spoke of it before.
    pub(super) fn file(&mut self, scene: &Scene<'_>, identity: Identity<'_>) -> Option<FileId> {
        let host = scene.applied.host;
        let Some(path) = identity.path else {
            return self.by_inode(host, identity);
        };
        let path = self.path_id(path.0)?;
        if let Some(known) = self.find_file(scene, path, identity) {
            self.learn_identity(host, known, identity);
            return Some(known);
        }
        if let Some(moved) = self.by_inode(host, identity) {
            // Renamed or linked without a record: the inode is the same.
            self.lead(scene, path, moved);
            return Some(moved);
        }
        self.new_file(scene, path, identity, FileForm::Ordinary)
    }

    /// A file that this record says was made: another one than the path led to before, unless it
    /// is the very same inode or nothing tells them apart.
    pub(super) fn made_file(
        &mut self,
        scene: &Scene<'_>,
        identity: Identity<'_>,
    ) -> Option<FileId> {
        let path = self.path_id(identity.path?.0)?;
        let live = self.live(scene.applied.host, path);
        let file = match live.filter(|&live| self.may_be(live, identity)) {
            Some(live) => live,
            None => self.new_file(scene, path, identity, FileForm::Ordinary)?,
        };
        self.learn_identity(scene.applied.host, file, identity);
        let row = self.store.files.get_mut(file.index())?;
        row.created_us.get_or_insert(scene.at_us);
        Some(file)
    }

    /// A file without a path of a file system. Each is a new one.
    pub(super) fn memory_file(&mut self, scene: &Scene<'_>, name: Text<'_>) -> Option<FileId> {
        let mut path = b"/memfd:".to_vec();
        path.extend_from_slice(name.0);
        let path = self.texts.intern(&path)?;
        let file = self.new_file(scene, path, Identity::default(), FileForm::Memory)?;
        self.store.files.get_mut(file.index())?.created_us = Some(scene.at_us);
        Some(file)
    }

    /// The file that a path leads to now, if it was written since recording began.
    pub(super) fn changed_file_at(&self, host: HostId, path: &[u8]) -> Option<FileId> {
        let live = self.live(host, self.find_path(path)?)?;
        self.store.files.get(live.index())?.changed_us.map(|_| live)
    }

    /// What a record of its content says.
    pub(super) fn learn_content(&mut self, file: FileId, content: Content) {
        if let Some(row) = self.store.files.get_mut(file.index()) {
            row.size = content.size.or(row.size);
            row.mode = content.mode.or(row.mode);
            row.sha256 = content.sha256.or(row.sha256);
        }
    }

    /// That its content, or what its path leads to, was changed.
    pub(super) fn note_change(&mut self, scene: &Scene<'_>, file: FileId) {
        if let Some(row) = self.store.files.get_mut(file.index()) {
            row.changed_us = Some(scene.at_us);
            row.changed_by = scene.applied.actor.or(row.changed_by);
            if let Some(kind) = row.autostart {
                self.autostarts.changed(row.host, kind, file);
            }
        }
    }

    /// A file has another path. What the new path led to is gone.
    pub(super) fn rename(
        &mut self,
        scene: &Scene<'_>,
        identity: Identity<'_>,
        to: Text<'_>,
    ) -> Option<FileId> {
        let file = self.file(scene, identity)?;
        let to = self.path_id(to.0)?;
        if let Some(path) = identity.path.and_then(|path| self.find_path(path.0))
            && path != to
        {
            self.unlead(scene, path, file);
        }
        let replaced = self.live(scene.applied.host, to);
        if let Some(replaced) = replaced.filter(|&replaced| replaced != file) {
            self.unlead(scene, to, replaced);
        }
        self.lead(scene, to, file);
        Some(file)
    }

    /// A name of a file was removed; with its last name the file is gone.
    pub(super) fn delete(&mut self, scene: &Scene<'_>, identity: Identity<'_>) -> Option<FileId> {
        let file = self.file(scene, identity)?;
        if let Some(path) = identity.path.and_then(|path| self.find_path(path.0)) {
            self.unlead(scene, path, file);
        }
        Some(file)
    }

    /// A file has a further name, or a new file leads to it (a symbolic link).
    pub(super) fn link_file(
        &mut self,
        scene: &Scene<'_>,
        identity: Identity<'_>,
        target: Option<Text<'_>>,
    ) -> Option<FileId> {
        let target = target.filter(|target| target.0.starts_with(b"/"));
        let target = target.and_then(|target| self.file(scene, Identity::path(target)));
        let hard = target.filter(|&target| {
            let known = self
                .store
                .files
                .get(target.index())
                .and_then(|row| row.inode);
            identity.inode.is_some() && known == identity.inode
        });
        if let Some(same) = hard {
            let path = self.path_id(identity.path?.0)?;
            self.lead(scene, path, same);
            return Some(same);
        }
        let file = self.made_file(scene, identity)?;
        let ends = target
            .and_then(|target| self.file_node(target))
            .zip(self.file_node(file));
        if let Some((target, node)) = ends {
            self.link(
                scene,
                target,
                node,
                Says {
                    verb: Verb::Linked,
                    ground: Ground::Recorded,
                },
            );
        }
        Some(file)
    }

    /// The id of a path: of its first spelling, where case means nothing.
    pub(super) fn path_id(&mut self, path: &[u8]) -> Option<TextId> {
        let Some(folded) = folded(path) else {
            return self.texts.intern(path);
        };
        let plain = plain_windows(path);
        let key = self.texts.intern(&folded)?;
        if let Some(&known) = self.files.spelled.get(&key) {
            return Some(known);
        }
        let spelling = self.texts.intern(plain)?;
        self.files.spelled.insert(key, spelling);
        Some(spelling)
    }

    fn find_path(&self, path: &[u8]) -> Option<TextId> {
        match folded(path) {
            Some(folded) => {
                let key = self.texts.find(&folded)?;
                self.files.spelled.get(&key).copied()
            }
            None => self.texts.find(path),
        }
    }

    fn live(&self, host: HostId, path: TextId) -> Option<FileId> {
        self.files.by_path.get(&(host, path))?.live
    }

    fn by_inode(&self, host: HostId, identity: Identity<'_>) -> Option<FileId> {
        let key = (host, identity.dev?, identity.inode?);
        self.files.by_inode.get(&key).copied()
    }

    /// Whether nothing speaks against it that a file is the one that a record names. Devices are
    /// not compared: sources of one host number them differently for the same mount.
    fn may_be(&self, file: FileId, identity: Identity<'_>) -> bool {
        let known = self.store.files.get(file.index()).and_then(|row| row.inode);
        known
            .zip(identity.inode)
            .is_none_or(|(known, named)| known == named)
    }

    fn find_file(&self, scene: &Scene<'_>, path: TextId, identity: Identity<'_>) -> Option<FileId> {
        let state = self.files.by_path.get(&(scene.applied.host, path))?;
        if let Some(live) = state.live {
            return self.may_be(live, identity).then_some(live);
        }
        let last = self.store.files.get(state.last.index())?;
        let same_inode = identity.inode.is_some() && last.inode == identity.inode;
        let just_now = last
            .deleted_us
            .is_some_and(|deleted| scene.at_us.saturating_sub(deleted) < CLOSED_LATE_US);
        let late = same_inode || just_now && identity.inode.is_none();
        late.then_some(state.last)
    }

    fn new_file(
        &mut self,
        scene: &Scene<'_>,
        path: TextId,
        identity: Identity<'_>,
        form: FileForm,
    ) -> Option<FileId> {
        let file = FileId::from_index(self.store.files.len())?;
        let node = self.add_node(NodeKind::File, file.index())?;
        let host = scene.applied.host;
        let earlier = self
            .files
            .by_path
            .get(&(host, path))
            .map_or(0, |state| state.files);
        self.store.files.push(File {
            host,
            node,
            path,
            generation: earlier,
            dev: None,
            inode: None,
            form,
            autostart: None,
            autostart_command: None,
            size: None,
            mode: None,
            sha256: None,
            created_us: None,
            changed_us: None,
            changed_by: None,
            deleted_us: None,
            alias: None,
            names: 0,
        });
        self.lead(scene, path, file);
        self.learn_identity(host, file, identity);
        Some(file)
    }

    fn learn_identity(&mut self, host: HostId, file: FileId, identity: Identity<'_>) {
        let Some(row) = self.store.files.get_mut(file.index()) else {
            return;
        };
        row.dev = row.dev.or(identity.dev);
        row.inode = row.inode.or(identity.inode);
        if let Some((dev, inode)) = identity.dev.zip(identity.inode)
            && row.deleted_us.is_none()
        {
            self.files.by_inode.insert((host, dev, inode), file);
        }
    }

    /// From now on a path leads to a file.
    fn lead(&mut self, scene: &Scene<'_>, path: TextId, file: FileId) {
        let host = scene.applied.host;
        let state = self.files.by_path.entry((host, path)).or_insert(PathState {
            live: None,
            last: file,
            files: 0,
        });
        let before = state.live.replace(file);
        if before == Some(file) {
            return;
        }
        if before.is_some() || state.last != file || state.files == 0 {
            state.files = state.files.saturating_add(1);
        }
        state.last = file;
        if let Some(before) = before {
            // Nobody said where the file before went: it is not known to be deleted.
            self.end_alias(before, path, scene.at_us);
            if let Some(row) = self.store.files.get_mut(before.index()) {
                row.names = row.names.saturating_sub(1);
            }
        }
        self.add_alias(scene, path, file);
    }

    fn add_alias(&mut self, scene: &Scene<'_>, path: TextId, file: FileId) {
        let known = self.alias_of(file, path);
        let Some(row) = self.store.files.get_mut(file.index()) else {
            return;
        };
        row.path = path;
        row.deleted_us = None;
        row.autostart = row
            .autostart
            .or_else(|| autostart_place(self.texts.get(path).0));
        row.names = row.names.saturating_add(1);
        if let Some(alias) = known.and_then(|alias| self.store.aliases.get_mut(alias.index())) {
            alias.to_us = None;
            return;
        }
        let Some(id) = AliasId::from_index(self.store.aliases.len()) else {
            return;
        };
        let before = row.alias.replace(id);
        self.store.aliases.push(AliasRow {
            path,
            from_us: scene.at_us,
            to_us: None,
            seen: scene.event,
            before,
        });
    }

    /// A path no longer leads to a file.
    fn unlead(&mut self, scene: &Scene<'_>, path: TextId, file: FileId) {
        if let Some(state) = self.files.by_path.get_mut(&(scene.applied.host, path))
            && state.live == Some(file)
        {
            state.live = None;
        } else {
            return;
        }
        self.end_alias(file, path, scene.at_us);
        let Some(row) = self.store.files.get_mut(file.index()) else {
            return;
        };
        row.names = row.names.saturating_sub(1);
        if row.names == 0 {
            row.deleted_us = Some(scene.at_us);
            if let Some((dev, inode)) = row.dev.zip(row.inode) {
                let key = (row.host, dev, inode);
                if self.files.by_inode.get(&key) == Some(&file) {
                    self.files.by_inode.remove(&key);
                }
            }
        }
    }

    fn alias_of(&self, file: FileId, path: TextId) -> Option<AliasId> {
        let mut next = self.store.files.get(file.index())?.alias;
        for _ in 0..NAMES_MAX {
            let alias = self.store.aliases.get(next?.index())?;
            if alias.path == path {
                return next;
            }
            next = alias.before;
        }
        None
    }

    fn end_alias(&mut self, file: FileId, path: TextId, at_us: i64) {
        let alias = self.alias_of(file, path);
        if let Some(row) = alias.and_then(|alias| self.store.aliases.get_mut(alias.index())) {
            row.to_us = Some(at_us);
        }
    }
}

/// A Windows path without the prefix of the object manager, `\\??\\C:\\x` or `\\\\?\\C:\\x`.
fn plain_windows(path: &[u8]) -> &[u8] {
    let bare = path
        .strip_prefix(br"\??\")
        .or_else(|| path.strip_prefix(br"\\?\"))
        .or_else(|| path.strip_prefix(br"\\.\"));
    bare.filter(|bare| bare.get(1) == Some(&b':'))
        .unwrap_or(path)
}

/// The form in which Windows paths are compared; `None` for any other path.
fn folded(path: &[u8]) -> Option<Vec<u8>> {
    let plain = plain_windows(path);
    let drive = plain.get(1) == Some(&b':') && plain.first().is_some_and(u8::is_ascii_alphabetic);
    let windows = drive || plain.first() == Some(&b'\\');
    // Only ASCII is folded: what else Windows folds depends on its version.
    windows.then(|| plain.to_ascii_lowercase())
}
