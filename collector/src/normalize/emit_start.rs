//! A start whose turn has come: the best of what each source said, and how it was had.

use super::audit::absolute;
use super::emit::args;
use super::fact::{SeenBy, Start, Whole, event_device};
use super::{Normalizer, Sink, Wanted, environment, ledger};
use crate::process_table::Place;
use crate::procfs::{self, Ids};
use crate::snapshot;
use crate::source::audit::assemble::{ArgsState, AuditEvent};
use saigen_schemas::event::{
    Had, Hash32, Kind, KindName, Near, ProcessKey, ProcessStart, Source, Text,
};
use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

/// perf's places of the process and mount namespaces.
const PID_NS: usize = 3;
const MNT_NS: usize = 5;

/// Arguments, and how they were had.
struct Arguments<'a> {
    bytes: std::borrow::Cow<'a, [u8]>,
    had: Option<Had>,
}

impl Normalizer {
    pub(super) fn emit_start(&mut self, pid: u32, start: Start, sink: Sink<'_>) {
        let key = self.table.key(pid, start.at_us);
        let place = self
            .table
            .get(key)
            .map_or(Place::Outside, |process| process.place);
        if self.wanted(place) == Wanted::No {
            return;
        }
        self.learn(key, &start);
        let arguments = self.arguments(pid, key, &start);
        let whole = arguments
            .as_ref()
            .is_some_and(|arguments| arguments.had.is_none());
        self.ledger.start(ledger::Starts {
            audit: u64::from(start.audit.is_some()),
            perf: u64::from(start.by_perf == SeenBy::Yes),
            connector: u64::from(start.note.is_some()),
            recorded: 1,
            whole: u64::from(whole),
        });
        self.send_start(key, &start, arguments, sink);
        if let Some(event) = start.audit {
            self.assembler.recycle(*event);
        }
    }

    /// What the start says of its process, for what comes after.
    fn learn(&mut self, key: ProcessKey, start: &Start) {
        let Some(process) = self.table.get_mut(key) else {
            return;
        };
        if let Some(audit) = &start.audit {
            let subject = &audit.subject;
            process.ids = Ids {
                uid: subject.uid.unwrap_or(process.ids.uid),
                euid: subject.euid.unwrap_or(process.ids.euid),
                gid: subject.gid.unwrap_or(process.ids.gid),
                egid: subject.egid.unwrap_or(process.ids.egid),
            };
            process.login_uid = subject.auid.or(process.login_uid);
            if start.by_perf == SeenBy::No {
                process.image = Arc::from(&subject.exe[..]);
            }
        } else if let Some(ids) = start.raced().and_then(|raced| raced.ids) {
            process.ids = ids;
        }
    }

    fn arguments<'a>(&self, pid: u32, key: ProcessKey, start: &'a Start) -> Option<Arguments<'a>> {
        let borrowed = |bytes: &'a [u8], had| {
            Some(Arguments {
                bytes: bytes.into(),
                had,
            })
        };
        if let Some(audit) = &start.audit {
            match audit.args_state {
                ArgsState::Whole => return borrowed(&audit.args, None),
                ArgsState::Cut { .. } => return borrowed(&audit.args, Some(Had::Truncated)),
                ArgsState::Absent => {}
            }
        }
        if let Some(stack) = start
            .stack
            .as_ref()
            .filter(|stack| stack.whole == Whole::Yes)
        {
            return borrowed(&stack.args, None);
        }
        if let Some(raced) = start.raced() {
            return borrowed(&raced.args, Some(Had::Raced));
        }
        if let Some(stack) = &start.stack {
            return borrowed(&stack.args, Some(Had::Truncated));
        }
        // A task born before audit was first enabled has no audit of its own. If it still runs what it
        // was started as, `/proc` has its arguments.
        let bytes = if self.still_runs(key, start) {
            procfs::args(pid)
        } else {
            None
        };
        bytes.map(|bytes| Arguments {
            bytes: bytes.into(),
            had: Some(Had::Raced),
        })
    }

    /// The hash of the image: of the file at its path if that is still the one that was mapped, else
    /// of what the process runs, if it still runs it.
    fn image_hash(&mut self, key: ProcessKey, start: &Start) -> Option<Hash32> {
        if start.image_id.1 == 0 {
            return None;
        }
        let is_image = |file: &File| {
            file.metadata()
                .is_ok_and(|status| (status.dev(), status.ino()) == start.image_id)
        };
        let path = OsStr::from_bytes(&start.image);
        // All but the first start of a program end here.
        if let Some(hash) = self.hashes.known_at(Path::new(path), start.image_id) {
            return Some(hash);
        }
        let running = format!("/proc/{}/exe", key.pid);
        let file = [Path::new(path), Path::new(&running)]
            .into_iter()
            .filter_map(|path| File::open(path).ok())
            .find(is_image)?;
        self.hashes.of(&file, start.at_us)
    }

    /// The chosen variables: from the new stack, else from what `/proc` shows if it still runs.
    fn environment<'a>(&self, key: ProcessKey, start: &'a Start) -> Option<Arguments<'a>> {
        if let Some(stack) = &start.stack
            && stack.environment_whole == Whole::Yes
        {
            return Some(Arguments {
                bytes: (&stack.environment[..]).into(),
                had: None,
            });
        }
        if let Some(environment) = self
            .still_runs(key, start)
            .then(|| procfs::environment(key.pid))
            .flatten()
        {
            return Some(Arguments {
                bytes: environment::chosen(&environment, &self.settings.lists.variables).into(),
                had: Some(Had::Raced),
            });
        }
        start.stack.as_ref().map(|stack| Arguments {
            bytes: (&stack.environment[..]).into(),
            had: Some(Had::Truncated),
        })
    }

    /// Whether a process still runs the program that it was started as.
    fn still_runs(&self, key: ProcessKey, start: &Start) -> bool {
        self.table
            .get(key)
            .is_some_and(|process| process.ended_us.is_none())
            && !start.image.is_empty()
            && procfs::exe(key.pid).is_some_and(|exe| exe == start.image[..])
    }

    /// The container whose mount namespace this is, by the control group of the first process that is
    /// met there.
    fn container(&mut self, pid: u32, namespace: u64) -> Option<Arc<[u8]>> {
        if let Some(known) = self.containers.get(&namespace) {
            return Some(Arc::clone(known)).filter(|id| !id.is_empty());
        }
        let group = procfs::control_group(pid)?;
        let id: Arc<[u8]> = Arc::from(snapshot::container(&group).unwrap_or_default());
        self.containers.insert(namespace, Arc::clone(&id), 1);
        Some(id).filter(|id| !id.is_empty())
    }

    fn send_start(
        &mut self,
        key: ProcessKey,
        start: &Start,
        arguments: Option<Arguments<'_>>,
        sink: Sink<'_>,
    ) {
        let audit = start.audit.as_deref();
        let raced = start.raced();
        let subject = audit.map(|event| &event.subject);
        let process = self.table.get(key).cloned();
        let known = |bytes: &[u8]| !bytes.is_empty();
        let image = [
            Some(&start.image[..]),
            subject.map(|subject| &subject.exe[..]),
            raced.map(|raced| &raced.exe[..]),
            Some(&start.asked[..]),
        ];
        let image = image.into_iter().flatten().find(|bytes| known(bytes));
        let cwd = audit.map(|event| &event.cwd[..]).filter(|cwd| known(cwd));
        let raced_cwd = raced.map(|raced| &raced.cwd[..]).filter(|cwd| known(cwd));
        let script = audit.and_then(|event| script(event, start.image_id));
        let foreign = |at: usize| {
            let own = self.own_namespaces.get(at).copied()?;
            process
                .as_ref()?
                .namespaces
                .get(at)
                .copied()
                .filter(|inode| *inode != 0 && own != 0 && *inode != own)
        };
        let (mnt_ns, pid_ns) = (foreign(MNT_NS), foreign(PID_NS));
        let ids = process.as_ref().map(|process| process.ids);
        let set = |id: u32| (id != u32::MAX).then_some(id);
        let sha256 = self.image_hash(key, start);
        let environment = self.environment(key, start);
        let container = process
            .as_ref()
            .zip(mnt_ns)
            .and_then(|(process, inode)| self.container(process.key.pid, inode));
        let account = ids.and_then(|ids| self.accounts.get(&ids.euid).cloned());
        if let Some(had) = arguments.as_ref().and_then(|arguments| arguments.had) {
            self.mark(KindName::ProcessStart, "args", had);
        }
        if let Some(had) = environment.as_ref().and_then(|found| found.had) {
            self.mark(KindName::ProcessStart, "environment", had);
        }
        if container.is_some() {
            self.mark(KindName::ProcessStart, "container", Had::Raced);
        }
        if cwd.is_none() && raced_cwd.is_some() {
            self.mark(KindName::ProcessStart, "cwd", Had::Raced);
        }
        if audit.is_none() {
            let had = if raced.is_some() {
                Had::Raced
            } else {
                Had::Inherited
            };
            for field in ["uid", "gid", "euid", "egid"] {
                self.mark(KindName::ProcessStart, field, had);
            }
        }
        let kind = Kind::ProcessStart(ProcessStart {
            parent: process.as_ref().and_then(|process| process.parent),
            image: image.map(Text),
            args: arguments
                .as_ref()
                .and_then(|arguments| args(&arguments.bytes)),
            cwd: cwd.or(raced_cwd).map(Text),
            uid: ids.map(|ids| ids.uid),
            gid: ids.map(|ids| ids.gid),
            euid: ids.map(|ids| ids.euid),
            egid: ids.map(|ids| ids.egid),
            login_uid: process
                .as_ref()
                .and_then(|process| process.login_uid)
                .and_then(set),
            session: subject
                .and_then(|subject| subject.session)
                .and_then(set)
                .map(u64::from),
            tty: subject
                .map(|subject| Text(&subject.tty))
                .filter(|tty| !tty.is_empty()),
            mnt_ns,
            pid_ns,
            container: container.as_deref().map(Text),
            environment: environment.as_ref().and_then(|found| args(&found.bytes)),
            script: script.as_deref().map(Text),
            account: account.as_deref().map(Text),
            sha256,
            dev: (start.image_id.1 != 0).then(|| event_device(start.image_id.0)),
            inode: (start.image_id.1 != 0).then_some(Near(start.image_id.1)),
            ..ProcessStart::default()
        });
        let source = match (start.by_perf, audit, &start.note) {
            (SeenBy::Yes, Some(_), _)
            | (SeenBy::Yes, None, Some(_))
            | (SeenBy::No, Some(_), Some(_)) => Source::Joined,
            (SeenBy::Yes, None, None) => Source::Perf,
            (SeenBy::No, Some(_), None) => Source::Audit,
            (SeenBy::No, None, _) => Source::ProcConnector,
        };
        self.send(start.at_us, source, Some(key), kind, sink);
    }
}

/// The script that was started, if what was asked for is not the image: the kernel puts its path
/// behind the interpreter's own name and its one argument.
fn script(event: &AuditEvent, image_id: (u64, u64)) -> Option<Vec<u8>> {
    let asked = event.paths.first()?;
    let is_image =
        image_id.1 == 0 || (asked.dev, asked.inode) == (Some(image_id.0), Some(image_id.1));
    let named = event
        .args
        .split(|byte| *byte == 0)
        .skip(1)
        .take(2)
        .any(|arg| arg == asked.name);
    (!is_image && named && !asked.name.is_empty()).then(|| absolute(&event.cwd, &asked.name))
}
