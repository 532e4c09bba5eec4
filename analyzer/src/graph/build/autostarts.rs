//! What runs by itself: which process was started because of what stands in which file.

use std::collections::HashMap;

use saigen_schemas::event::{Args, AutostartKind, StateAutostart, Text};

use crate::graph::build::files::{Content, Identity};
use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::places::file_name;
use crate::graph::store::FileId;
use crate::graph::{Ground, NodeId, Verb};
use crate::replay::{HostId, ProcessFacts, UnitId};

/// Most files of one kind and host that are remembered as changed: the latest ones.
const CHANGED_MAX: usize = 64;

/// Most files that one process is joined to. Where more could have started it, none is named.
const CAUSES_MAX: usize = 4;

/// Files in autostart places: those that were changed since recording began, and what the
/// snapshot says that they start.
#[derive(Default)]
pub(super) struct Autostarts {
    changed: HashMap<(HostId, AutostartKind), Vec<(FileId, i64)>>,
    /// Commands of the snapshot, by host and kind.
    commands: HashMap<(HostId, AutostartKind), Vec<FileId>>,
}

impl Autostarts {
    pub(super) fn changed(&mut self, host: HostId, kind: AutostartKind, file: FileId, at_us: i64) {
        let list = self.changed.entry((host, kind)).or_default();
        list.retain(|&(known, _)| known != file);
        if list.len() >= CHANGED_MAX {
            list.remove(0);
        }
        list.push((file, at_us));
    }

    fn changed_files(&self, host: HostId, kind: AutostartKind) -> impl Iterator<Item = FileId> {
        let list = self.changed.get(&(host, kind)).map(Vec::as_slice);
        list.unwrap_or_default().iter().rev().map(|&(file, _)| file)
    }
}

/// What kind of starter a process is, by its program.
fn starter(image: &[u8]) -> Option<AutostartKind> {
    Some(match file_name(image) {
        b"cron" | b"crond" | b"anacron" | b"fcron" | b"run-parts" => AutostartKind::Cron,
        b"atd" => AutostartKind::At,
        b"systemd" | b"systemd-executor" => AutostartKind::Systemd,
        b"sshd" | b"sshd-session" | b"dropbear" => AutostartKind::AuthorizedKeys,
        b"systemd-udevd" | b"udevd" => AutostartKind::Udev,
        b"init" | b"rc" | b"openrc" | b"openrc-run" => AutostartKind::Init,
        _ => return None,
    })
}

/// Whether a shell reads its user's profile: a login shell, or one that a person types to.
fn reads_profile(facts: &ProcessFacts<'_>) -> bool {
    let name = facts.image.map(|image| file_name(image.0));
    let shells: [&[u8]; 6] = [b"bash", b"sh", b"zsh", b"dash", b"ksh", b"fish"];
    if !name.is_some_and(|name| shells.contains(&name)) {
        return false;
    }
    let mut args = facts.args.unwrap_or_default().iter();
    let login = args.next().is_some_and(|first| first.0.starts_with(b"-"));
    let mut others = args.peekable();
    let typed_to = others.peek().is_none() && facts.tty.is_some();
    let asked = others.take(3).any(|arg| {
        let short = arg.0.starts_with(b"-") && !arg.0.starts_with(b"--");
        arg.0 == b"--login" || short && (arg.0.contains(&b'l') || arg.0.contains(&b'i'))
    });
    login || typed_to || asked
}

/// The command that a shell was given, or the whole command line.
fn command_of(args: Args<'_>) -> Vec<u8> {
    let mut after_c = args.iter().skip_while(|arg| arg.0 != b"-c").skip(1);
    match after_c.next() {
        Some(command) => command.0.to_vec(),
        None => {
            let parts: Vec<&[u8]> = args.iter().map(|arg| arg.0).collect();
            parts.join(&b' ')
        }
    }
}

impl GraphBuilder {
    /// Something that starts by itself, as it stood when recording began.
    pub(super) fn autostart_stood(&mut self, scene: &Scene<'_>, state: &StateAutostart<'_>) {
        let Some(path) = state.path.filter(|path| !path.is_empty()) else {
            return;
        };
        let Some(file) = self.file(scene, Identity::path(path)) else {
            return;
        };
        self.learn_content(
            file,
            Content {
                sha256: state.sha256,
                ..Content::default()
            },
        );
        let command = state.command.filter(|command| !command.is_empty());
        let command = command.and_then(|command| self.texts.intern(command.0));
        let Some(row) = self.store.files.get_mut(file.index()) else {
            return;
        };
        row.autostart = row.autostart.or(state.mechanism);
        row.autostart_command = command.or(row.autostart_command);
        if let Some(kind) = row.autostart
            && row.autostart_command.is_some()
        {
            let known = self
                .autostarts
                .commands
                .entry((row.host, kind))
                .or_default();
            if known.last() != Some(&file) {
                known.push(file);
            }
        }
    }

    /// Joins a process that has just started to what was left for its starter to run.
    pub(super) fn triggered(
        &mut self,
        scene: &Scene<'_>,
        unit: UnitId,
        node: NodeId,
        entered: Entered,
    ) {
        let Some(facts) = scene.replay.facts(unit) else {
            return;
        };
        if reads_profile(&facts) {
            self.trigger_by_home(scene, node, &facts, AutostartKind::ShellProfile);
        }
        let parent = facts.parent.and_then(|parent| scene.replay.facts(parent));
        let Some(kind) = parent.and_then(|parent| starter(parent.image?.0)) else {
            return;
        };
        match kind {
            AutostartKind::AuthorizedKeys => {
                let changed_user = parent.is_some_and(|parent| parent.euid != facts.euid);
                if entered == Entered::Session || changed_user {
                    self.trigger_by_home(scene, node, &facts, kind);
                }
            }
            AutostartKind::Cron
            | AutostartKind::At
            | AutostartKind::Systemd
            | AutostartKind::Udev
            | AutostartKind::Init => {
                if !self.trigger_by_command(scene, node, &facts, kind) {
                    self.trigger_by_change(scene, node, &facts, kind);
                }
            }
            AutostartKind::ShellProfile
            | AutostartKind::LdPreload
            | AutostartKind::Desktop
            | AutostartKind::Pam
            | AutostartKind::RunKey
            | AutostartKind::Service
            | AutostartKind::ScheduledTask => {}
        }
    }

    /// Files of the snapshot whose command is the one that runs. A file that was changed since
    /// may say something else now.
    fn trigger_by_command(
        &mut self,
        scene: &Scene<'_>,
        node: NodeId,
        facts: &ProcessFacts<'_>,
        kind: AutostartKind,
    ) -> bool {
        let Some(files) = self.autostarts.commands.get(&(facts.host, kind)) else {
            return false;
        };
        let Some(args) = facts.args else {
            return false;
        };
        let command = command_of(args);
        let image = facts.image.unwrap_or_default();
        let says = |file: &&FileId| {
            let row = self.store.files.get(file.index());
            let known = row.and_then(|row| row.autostart_command);
            known
                .map(|known| self.texts.get(known))
                .is_some_and(|known| {
                    let known = known.0.trim_ascii();
                    known == command.trim_ascii() || !known.is_empty() && known == image.0
                })
        };
        let found: Vec<FileId> = files
            .iter()
            .filter(says)
            .take(CAUSES_MAX)
            .copied()
            .collect();
        self.trigger(scene, node, &found, Ground::Scheduled);
        !found.is_empty()
    }

    /// Files that were left in the starter's place since recording began. Their content is not
    /// recorded: one is named if it is the only one, a few by time alone, more not at all.
    fn trigger_by_change(
        &mut self,
        scene: &Scene<'_>,
        node: NodeId,
        facts: &ProcessFacts<'_>,
        kind: AutostartKind,
    ) {
        let found: Vec<FileId> = self
            .autostarts
            .changed_files(facts.host, kind)
            .filter(|&file| self.may_start(file, facts, kind))
            .take(CAUSES_MAX + 1)
            .collect();
        if found.len() <= CAUSES_MAX {
            let ground = if found.len() == 1 {
                Ground::Scheduled
            } else {
                Ground::Time
            };
            self.trigger(scene, node, &found, ground);
        }
    }

    /// Whether a changed file may have started a process.
    fn may_start(&self, file: FileId, facts: &ProcessFacts<'_>, kind: AutostartKind) -> bool {
        let Some(row) = self.store.files.get(file.index()) else {
            return false;
        };
        let path = self.texts.get(row.path).0;
        let name = file_name(path);
        if row.deleted_us.is_some() {
            return false;
        }
        if kind == AutostartKind::Systemd {
            // A unit is named for what it runs, or runs what was brought since recording began.
            let stem = name.split(|&byte| byte == b'.' || byte == b'@').next();
            let image = facts.image.unwrap_or_default();
            let named = stem.is_some_and(|stem| !stem.is_empty() && file_name(image.0) == stem);
            return named || self.runs_changed_file(facts);
        }
        // A table in the spool is its user's; those elsewhere may name anyone.
        let spooled = path.starts_with(b"/var/spool/cron/") && kind == AutostartKind::Cron;
        !spooled || facts.account.is_none_or(|account| account.0 == name)
    }

    /// Whether a process runs a program or names a file that was changed since recording began.
    fn runs_changed_file(&self, facts: &ProcessFacts<'_>) -> bool {
        let args = facts.args.unwrap_or_default();
        let named = args.iter().take(16).filter(|arg| arg.0.starts_with(b"/"));
        facts
            .image
            .into_iter()
            .chain(named)
            .any(|path| self.changed_file_at(facts.host, path.0).is_some())
    }

    /// Files of the user's home, and those of all users, that were changed since recording began.
    fn trigger_by_home(
        &mut self,
        scene: &Scene<'_>,
        node: NodeId,
        facts: &ProcessFacts<'_>,
        kind: AutostartKind,
    ) {
        let found: Vec<FileId> = self
            .autostarts
            .changed_files(facts.host, kind)
            .filter(|&file| self.is_read_for(file, facts))
            .take(CAUSES_MAX)
            .collect();
        self.trigger(scene, node, &found, Ground::Scheduled);
    }

    fn is_read_for(&self, file: FileId, facts: &ProcessFacts<'_>) -> bool {
        let path = self
            .store
            .files
            .get(file.index())
            .map(|row| self.texts.get(row.path).0);
        let Some(path) = path else {
            return false;
        };
        if path.starts_with(b"/etc/") {
            return true;
        }
        let uid = facts.euid.or(facts.uid);
        let home = uid.and_then(|uid| self.accounts.homes.get(&(facts.host, uid)));
        let under = |home: &[u8]| {
            path.strip_prefix(home)
                .is_some_and(|rest| rest.starts_with(b"/"))
        };
        match home {
            Some(&home) => under(self.texts.get(home).0),
            None if uid == Some(0) => under(b"/root"),
            None => facts
                .account
                .is_some_and(|account| under(&[b"/home/", account.0].concat())),
        }
    }

    fn trigger(&mut self, scene: &Scene<'_>, node: NodeId, files: &[FileId], ground: Ground) {
        for &file in files {
            if let Some(file) = self.file_node(file) {
                self.link(
                    scene,
                    file,
                    node,
                    Says {
                        verb: Verb::Triggered,
                        ground,
                    },
                );
            }
        }
    }

    /// Files that the arguments of a process name, and that were written since recording began:
    /// it reads them, as far as arguments can say.
    pub(super) fn names_files(&mut self, scene: &Scene<'_>, unit: UnitId, node: NodeId) {
        let Some(facts) = scene.replay.facts(unit) else {
            return;
        };
        let Some(args) = facts.args else {
            return;
        };
        let program = facts
            .image
            .map(|image| file_name(image.0))
            .unwrap_or_default();
        if NOT_READERS.contains(&program) {
            return;
        }
        let cwd = facts.cwd.unwrap_or_default();
        let mut output = false;
        for arg in args.iter().skip(1).take(ARGS_MAX) {
            let is_output = std::mem::replace(&mut output, is_output_option(arg));
            if is_output || arg.0.len() > PATH_MAX {
                continue;
            }
            let mut path = std::mem::take(&mut self.scratch);
            path_of(cwd.0, arg.0, &mut path);
            let file = self.changed_file_at(facts.host, &path);
            self.scratch = path;
            if let Some(file) = file.and_then(|file| self.file_node(file)) {
                let says = Says {
                    verb: Verb::Read,
                    ground: Ground::Arguments,
                };
                self.link(scene, file, node, says);
            }
        }
    }
}

/// Whether a process is the first of its login session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// It is.
    Session,
    /// It goes on in the session of its parent, or there is none.
    Nothing,
}

/// Most arguments of a process that are looked at as names of files.
const ARGS_MAX: usize = 64;

/// The longest path that a system call takes, `path_resolution(7)`.
const PATH_MAX: usize = 4096;

/// Programs that take names of files and do not read what is in them.
const NOT_READERS: [&[u8]; 17] = [
    b"rm", b"unlink", b"rmdir", b"chmod", b"chown", b"chgrp", b"touch", b"mkdir", b"ls", b"stat",
    b"test", b"[", b"ln", b"mv", b"echo", b"printf", b"find",
];

/// Whether the next argument names what is written.
fn is_output_option(arg: Text<'_>) -> bool {
    matches!(
        arg.0,
        b"-o" | b"-O" | b"--output" | b"-of" | b"--output-document"
    )
}

/// The path that an argument may mean: `@file`, `key=file`, relative to the working directory.
fn path_of(cwd: &[u8], arg: &[u8], path: &mut Vec<u8>) {
    path.clear();
    let value = match arg.iter().position(|&byte| byte == b'=') {
        Some(equals) => arg.get(equals + 1..).unwrap_or_default(),
        None => arg,
    };
    let value = value.strip_prefix(b"@").unwrap_or(value);
    let value = value.strip_prefix(b"file://").unwrap_or(value);
    if value.is_empty() || value.starts_with(b"-") {
        return;
    }
    if !value.starts_with(b"/") {
        path.extend_from_slice(cwd.strip_suffix(b"/").unwrap_or(cwd));
    }
    for part in value.split(|&byte| byte == b'/') {
        match part {
            b"" | b"." => {}
            b".." => {
                let up = path.iter().rposition(|&byte| byte == b'/');
                path.truncate(up.unwrap_or(0));
            }
            name => {
                path.push(b'/');
                path.extend_from_slice(name);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_paths_from_the_working_directory() {
        for (arg, expected) in [
            ("/tmp/x", "/tmp/x"),
            ("x.sh", "/srv/www/x.sh"),
            ("./x.sh", "/srv/www/x.sh"),
            ("../x", "/srv/x"),
            ("../../../../x", "/x"),
            ("@loot.tgz", "/srv/www/loot.tgz"),
            ("if=/dev/sda", "/dev/sda"),
            ("file=@/tmp/a", "/tmp/a"),
            ("-x", ""),
            ("", ""),
        ] {
            let mut path = Vec::new();
            path_of(b"/srv/www", arg.as_bytes(), &mut path);
            assert_eq!(path, expected.as_bytes(), "{arg}");
        }
    }
}
