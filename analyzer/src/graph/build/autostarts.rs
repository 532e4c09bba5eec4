//! What runs by itself: which process was started because of what stands in which file.

use saigen_schemas::event::{Args, AutostartKind, StateAutostart};

use crate::graph::build::arguments::is_path_byte;
use crate::graph::build::files::{Content, Identity};
use crate::graph::build::{GraphBuilder, Says, Scene};
use crate::graph::places::file_name;
use crate::graph::store::FileId;
use crate::graph::{Ground, NodeId, Verb};
use crate::replay::{HostId, ProcessFacts, Table, TextId, UnitId};

/// Most files of one kind and host that are remembered as changed: the latest ones.
const CHANGED_MAX: usize = 64;

/// Most files of a home that one login is joined to.
const CAUSES_MAX: usize = 4;

/// Most commands of one kind and host that the snapshot may name.
const COMMANDS_MAX: usize = 4096;

/// The shortest name of a table or unit that says something when a command has it in it.
const TELLING_NAME: usize = 4;

/// Files in autostart places: those that were changed since recording began, what the snapshot
/// says that they start, and what was seen to be started.
#[derive(Default)]
pub(super) struct Autostarts {
    changed: Table<(HostId, AutostartKind), Vec<Changed>>,
    /// Commands of the snapshot.
    commands: Table<(HostId, AutostartKind), Vec<(FileId, TextId)>>,
    /// Why each command runs, as it was decided when it first ran: what ran before a file was
    /// changed does not run because of that change.
    ran: Table<(HostId, AutostartKind, TextId), Option<Cause>>,
}

/// A file that was changed.
#[derive(Clone, Copy)]
struct Changed {
    file: FileId,
    /// Whether a command that was new has already been put down to it.
    explains: bool,
}

/// Why a command runs.
#[derive(Clone, Copy)]
struct Cause {
    file: FileId,
    ground: Ground,
}

impl Autostarts {
    pub(super) fn changed(&mut self, host: HostId, kind: AutostartKind, file: FileId) {
        let list = self.changed.entry((host, kind)).or_default();
        list.retain(|known| known.file != file);
        if list.len() >= CHANGED_MAX {
            list.remove(0);
        }
        list.push(Changed {
            file,
            explains: false,
        });
    }

    /// The changed files of a kind, the latest first.
    fn changed_files(&self, host: HostId, kind: AutostartKind) -> impl Iterator<Item = Changed> {
        let list = self.changed.get(&(host, kind)).map(Vec::as_slice);
        list.unwrap_or_default().iter().rev().copied()
    }

    fn note_explained(&mut self, host: HostId, kind: AutostartKind, file: FileId) {
        let list = self.changed.entry((host, kind)).or_default();
        for changed in list.iter_mut().filter(|changed| changed.file == file) {
            changed.explains = true;
        }
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

/// A file's name without what follows its first dot or at sign.
fn stem(name: &[u8]) -> &[u8] {
    name.split(|&byte| byte == b'.' || byte == b'@')
        .next()
        .unwrap_or(name)
}

impl GraphBuilder {
    /// Something that starts by itself, as it stood when recording began. A file that starts
    /// several things comes once for each.
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
        if let Some((kind, command)) = row.autostart.zip(command) {
            let known = self
                .autostarts
                .commands
                .entry((row.host, kind))
                .or_default();
            if known.len() < COMMANDS_MAX && !known.contains(&(file, command)) {
                known.push((file, command));
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
                let cause = self.cause_of(scene, &facts, kind);
                if let Some(Cause { file, ground }) = cause {
                    self.trigger(scene, node, &[file], ground);
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

    /// The file because of which a starter runs a command.
    fn cause_of(
        &mut self,
        scene: &Scene<'_>,
        facts: &ProcessFacts<'_>,
        kind: AutostartKind,
    ) -> Option<Cause> {
        let command = command_of(facts.args?);
        let command = self.texts.intern(command.trim_ascii())?;
        let key = (facts.host, kind, command);
        // Jobs of `at` all run as a bare shell, so that their commands tell nothing apart.
        let told_apart = kind != AutostartKind::At;
        if told_apart && let Some(&known) = self.autostarts.ran.get(&key) {
            return known;
        }
        let cause = self
            .known_command(facts, kind, command)
            .or_else(|| self.new_command(scene, facts, kind, command));
        if told_apart {
            self.autostarts.ran.insert(key, cause);
        }
        if let Some(cause) = cause {
            self.autostarts.note_explained(facts.host, kind, cause.file);
        }
        cause
    }

    /// The file of the snapshot that has this command.
    fn known_command(
        &self,
        facts: &ProcessFacts<'_>,
        kind: AutostartKind,
        command: TextId,
    ) -> Option<Cause> {
        let commands = self.autostarts.commands.get(&(facts.host, kind))?;
        let line = self.texts.get(command).0;
        let image = facts.image.unwrap_or_default();
        let fits = |known: &&(FileId, TextId)| {
            let known = self.texts.get(known.1).0.trim_ascii();
            known == line || !known.is_empty() && known == image.0
        };
        let &(file, _) = commands.iter().find(fits)?;
        Some(Cause {
            file,
            ground: Ground::Scheduled,
        })
    }

    /// The file that brought a command which the snapshot does not have: one that was changed
    /// since recording began. Its content is not recorded. It counts as said where it is the only
    /// one, is named like the command, or comes from whoever left the program; otherwise the
    /// latest is named, by time alone.
    fn new_command(
        &self,
        scene: &Scene<'_>,
        facts: &ProcessFacts<'_>,
        kind: AutostartKind,
        command: TextId,
    ) -> Option<Cause> {
        let may = |changed: &Changed| self.may_start(changed.file, facts, kind);
        let changed = self.autostarts.changed_files(facts.host, kind);
        let candidates: Vec<Changed> = changed.filter(may).collect();
        let line = self.texts.get(command).0;
        let said = |changed: &&Changed| self.fits_command(scene, changed.file, facts, line);
        if let Some(changed) = candidates.iter().find(said) {
            return Some(Cause {
                file: changed.file,
                ground: Ground::Scheduled,
            });
        }
        let waiting: Vec<&Changed> = candidates
            .iter()
            .filter(|changed| !changed.explains)
            .collect();
        match (waiting.as_slice(), candidates.as_slice()) {
            ([only], _) => Some(Cause {
                file: only.file,
                ground: Ground::Scheduled,
            }),
            ([latest, ..], _) => Some(Cause {
                file: latest.file,
                ground: Ground::Time,
            }),
            ([], [latest, ..]) => Some(Cause {
                file: latest.file,
                ground: Ground::Time,
            }),
            ([], []) => None,
        }
    }

    /// Whether a changed file and a command speak of each other: by name, or because whoever
    /// changed the one also brought the program that the other runs.
    fn fits_command(
        &self,
        scene: &Scene<'_>,
        file: FileId,
        facts: &ProcessFacts<'_>,
        line: &[u8],
    ) -> bool {
        let Some(row) = self.store.files.get(file.index()) else {
            return false;
        };
        let name = stem(file_name(self.texts.get(row.path).0));
        let named = name.len() >= TELLING_NAME && line.windows(name.len()).any(|part| part == name);
        let words = line.split(|byte| !is_path_byte(*byte));
        let paths = words.filter(|word| word.starts_with(b"/")).take(16);
        let image = facts.image.map(|image| image.0);
        named
            || paths.chain(image).any(|path| {
                let program = self.changed_file_at(facts.host, path);
                let program = program.and_then(|program| self.store.files.get(program.index()));
                let by = program.and_then(|program| program.changed_by);
                by.zip(row.changed_by)
                    .is_some_and(|(one, other)| scene.replay.processes().are_kin(one, other))
            })
    }

    /// Whether a changed file may have started a process.
    fn may_start(&self, file: FileId, facts: &ProcessFacts<'_>, kind: AutostartKind) -> bool {
        let Some(row) = self.store.files.get(file.index()) else {
            return false;
        };
        let path = self.texts.get(row.path).0;
        let name = file_name(path);
        // A job of `at` is removed as it runs.
        if row.deleted_us.is_some() && kind != AutostartKind::At {
            return false;
        }
        if kind == AutostartKind::Systemd {
            // A unit is named for what it runs, or runs what was brought since recording began.
            let image = facts.image.unwrap_or_default();
            let named = !stem(name).is_empty() && file_name(image.0) == stem(name);
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
            .map(|changed| changed.file)
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
}

/// Whether a process is the first of its login session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Entered {
    /// It is.
    Session,
    /// It goes on in the session of its parent, or there is none.
    Nothing,
}
