//! What system calls other than program starts and forks mean.

use saigen_schemas::event::{
    BpfLoaded, Change, CredentialsChanged, FileMemory, Kind, Marks, ModuleLoaded, Mounted,
    Namespace, NamespaceEntered, Outcome, ProcessExit, ProcessKey, ProcessTraced, SourceState,
    Text, Touch,
};

use crate::import::ImportError;
use crate::import::audit::files;
use crate::import::audit::flows;
use crate::import::audit::kinds::RecordType;
use crate::import::audit::map::{Out, key};
use crate::import::audit::parsed::{Parsed, Record, hex};
use crate::import::audit::paths::{self, Role};
use crate::import::audit::subject::Call;

/// Tells what a system call did, or keeps its records as they are.
pub(super) fn tell(
    parsed: &Parsed,
    record: Record<'_>,
    call: &Call<'_>,
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    let actor = key(call.subject.pid);
    if files::tell(parsed, call, actor, out)? || flows::tell(parsed, call, actor, out)? {
        return Ok(());
    }
    if matches!(call.name, b"unshare" | b"setns") && call.is_done() {
        return namespaces(call, actor, record, out);
    }
    let path = (call.name == b"finit_module" || call.name == b"mount" || call.name == b"umount2")
        .then(|| paths::items(parsed))
        .and_then(|items| items.into_iter().rfind(|item| item.role == Role::Normal))
        .map(|item| item.path);
    match kind(parsed, call, path.as_deref()) {
        Some(kind) => out.tell(actor, kind, Marks(b"")),
        None => out.tell_raw(actor, record),
    }
}

fn kind<'k>(parsed: &'k Parsed, call: &Call<'k>, path: Option<&'k [u8]>) -> Option<Kind<'k>> {
    match call.name {
        b"exit_group" => Some(Kind::ProcessExit(ProcessExit {
            code: call.word(0).map(|code| code & 0xff),
            ..ProcessExit::default()
        })),
        b"setuid" | b"setgid" | b"setreuid" | b"setregid" | b"setresuid" | b"setresgid"
        | b"setfsuid" | b"setfsgid" | b"setuid32" | b"setgid32" | b"setreuid32" | b"setregid32"
        | b"setresuid32" | b"setresgid32" | b"setfsuid32" | b"setfsgid32" | b"capset" => {
            Some(credentials(parsed, call))
        }
        b"ptrace" => traced(call),
        b"process_vm_writev" => Some(touched(call, Touch::MemoryWrite)),
        b"process_vm_readv" => Some(touched(call, Touch::MemoryRead)),
        b"init_module" | b"finit_module" => {
            let module = parsed.find(RecordType::KERN_MODULE);
            Some(Kind::ModuleLoaded(ModuleLoaded {
                name: module.and_then(|record| record.known(b"name")).map(Text),
                path: path.map(Text),
                outcome: outcome(call),
                ..ModuleLoaded::default()
            }))
        }
        b"mount" | b"umount2" | b"umount" => Some(Kind::Mounted(Mounted {
            path: path.map(Text),
            change: Some(if call.name == b"mount" {
                Change::Created
            } else {
                Change::Deleted
            }),
            outcome: outcome(call),
            ..Mounted::default()
        })),
        b"memfd_create" if call.is_done() => Some(Kind::FileMemory(FileMemory {
            name: None,
            flags: call.args.get(1).copied(),
        })),
        b"bpf" => bpf(parsed),
        _ => None,
    }
}

/// Whether a call was done; `None` where the record does not say.
pub(super) fn outcome(call: &Call<'_>) -> Option<Outcome> {
    Some(if call.success? {
        Outcome::Success
    } else {
        Outcome::Failure
    })
}

/// A record has the identity of its process when the call returns: that after it.
fn credentials<'k>(parsed: &'k Parsed, call: &Call<'k>) -> Kind<'k> {
    let subject = &call.subject;
    let capabilities = parsed.find(RecordType::CAPSET).and_then(|record| {
        record
            .get(b"cap_pe")
            .or_else(|| record.get(b"pe"))
            .and_then(hex)
    });
    Kind::CredentialsChanged(CredentialsChanged {
        call: Some(Text(call.name)),
        uid: subject.uid,
        euid: subject.euid,
        gid: subject.gid,
        egid: subject.egid,
        capabilities,
        outcome: outcome(call),
        ..CredentialsChanged::default()
    })
}

/// `ptrace(2)`: taking a process over, or writing into one.
fn traced<'k>(call: &Call<'k>) -> Option<Kind<'k>> {
    match call.args[0] {
        // ATTACH and SEIZE.
        16 | 0x4206 => Some(touched(call, Touch::Ptrace)),
        // POKETEXT, POKEDATA, POKEUSR, SETREGS, SETFPREGS, SETREGSET.
        4 | 5 | 6 | 13 | 15 | 0x4205 => Some(touched(call, Touch::MemoryWrite)),
        _ => None,
    }
}

fn touched<'k>(call: &Call<'k>, how: Touch) -> Kind<'k> {
    let place = if call.name == b"ptrace" { 1 } else { 0 };
    Kind::ProcessTraced(ProcessTraced {
        target: key(call.word(place)),
        how: Some(how),
        outcome: outcome(call),
        ..ProcessTraced::default()
    })
}

/// A program's load or unload; other commands of `bpf(2)` have no `BPF` record.
fn bpf(parsed: &Parsed) -> Option<Kind<'_>> {
    let record = parsed.find(RecordType::BPF)?;
    bpf_of(record)
}

/// What a `BPF` record says.
pub(super) fn bpf_of(record: Record<'_>) -> Option<Kind<'_>> {
    let state = match record.get(b"op")? {
        b"LOAD" => SourceState::Up,
        b"UNLOAD" => SourceState::Down,
        _ => return None,
    };
    Some(Kind::BpfLoaded(BpfLoaded {
        id: record.number(b"prog-id"),
        state: Some(state),
        ..BpfLoaded::default()
    }))
}

/// Bits of `clone(2)` flags for namespaces.
const NAMESPACES: [(u64, Namespace); 8] = [
    (0x0002_0000, Namespace::Mount),
    (0x0400_0000, Namespace::Uts),
    (0x0800_0000, Namespace::Ipc),
    (0x2000_0000, Namespace::Pid),
    (0x4000_0000, Namespace::Net),
    (0x1000_0000, Namespace::User),
    (0x0200_0000, Namespace::Cgroup),
    (0x0000_0080, Namespace::Time),
];

/// One event for each namespace that the flags name; `setns` with none follows its descriptor.
fn namespaces(
    call: &Call<'_>,
    actor: Option<ProcessKey>,
    record: Record<'_>,
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    let flags = call.args[if call.name == b"setns" { 1 } else { 0 }];
    let mut any = false;
    for (bit, namespace) in NAMESPACES {
        if flags & bit == 0 {
            continue;
        }
        any = true;
        let kind = Kind::NamespaceEntered(NamespaceEntered {
            namespace: Some(namespace),
            inode: None,
            call: Some(Text(call.name)),
        });
        out.tell(actor, kind, Marks(b""))?;
    }
    if any {
        Ok(())
    } else {
        out.tell_raw(actor, record)
    }
}
