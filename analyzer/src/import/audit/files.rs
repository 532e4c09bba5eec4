//! What system calls did to files.

use saigen_schemas::event::{
    FileAttributes, FileCreated, FileDeleted, FileLinked, FileRead, FileRenamed, FileWritten, Had,
    Kind, KindName, Marks, Near, Outcome, ProcessKey, Text,
};

use crate::import::ImportError;
use crate::import::audit::calls::outcome;
use crate::import::audit::map::{Out, mark};
use crate::import::audit::parsed::Parsed;
use crate::import::audit::paths::{self, Item, Role};
use crate::import::audit::subject::Call;

/// What a call does to files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Deed {
    /// Opens, for what the argument of this place says.
    Open(usize),
    /// Opens for writing.
    Creat,
    /// Opens, for what stands in memory.
    Open2,
    Make,
    Remove,
    Rename,
    Link,
    Symlink,
    Truncate,
    /// Sets the mode bits in the argument of this place.
    Mode(usize),
    /// Sets owner and group, in the arguments from this place.
    Owner(usize),
    Attribute,
}

fn deed(name: &[u8]) -> Option<Deed> {
    Some(match name {
        b"open" => Deed::Open(1),
        b"openat" => Deed::Open(2),
        b"open_by_handle_at" => Deed::Open(2),
        b"openat2" => Deed::Open2,
        b"creat" => Deed::Creat,
        b"mkdir" | b"mkdirat" | b"mknod" | b"mknodat" => Deed::Make,
        b"unlink" | b"unlinkat" | b"rmdir" => Deed::Remove,
        b"rename" | b"renameat" | b"renameat2" => Deed::Rename,
        b"link" | b"linkat" => Deed::Link,
        b"symlink" | b"symlinkat" => Deed::Symlink,
        b"truncate" | b"ftruncate" | b"truncate64" | b"ftruncate64" => Deed::Truncate,
        b"chmod" | b"fchmod" => Deed::Mode(1),
        b"fchmodat" | b"fchmodat2" => Deed::Mode(2),
        b"chown" | b"fchown" | b"lchown" | b"chown32" | b"fchown32" | b"lchown32" => Deed::Owner(1),
        b"fchownat" => Deed::Owner(2),
        b"setxattr" | b"lsetxattr" | b"fsetxattr" | b"setxattrat" | b"removexattr"
        | b"lremovexattr" | b"fremovexattr" | b"removexattrat" | b"utime" | b"utimes"
        | b"utimensat" | b"futimesat" => Deed::Attribute,
        _ => return None,
    })
}

/// Tells what a call did to files; whether it was one that this module knows.
pub(super) fn tell(
    parsed: &Parsed,
    call: &Call<'_>,
    actor: Option<ProcessKey>,
    out: &mut Out<'_>,
) -> Result<bool, ImportError> {
    let Some(deed) = deed(call.name) else {
        return Ok(false);
    };
    let items = paths::items(parsed);
    let Some((kind, is_inexact)) = kind(deed, call, &items) else {
        return Ok(false);
    };
    // Audit sees a file opened, not when and whether it was written before it was closed.
    let mark = is_inexact.then(|| mark(KindName::FileWritten, "path", Had::Approximate));
    let marks = mark.flatten();
    let marks = marks.as_ref().map_or(&b""[..], |mark| mark);
    out.tell(actor, kind, Marks(marks))?;
    Ok(true)
}

/// What a call did, and whether it is only near to what the kind means. `None` where the records do
/// not say enough.
fn kind<'i>(deed: Deed, call: &Call<'_>, items: &'i [Item]) -> Option<(Kind<'i>, bool)> {
    let exact = |kind| Some((kind, false));
    if !call.is_done() {
        return refused(deed, call, items).map(|kind| (kind, false));
    }
    match deed {
        Deed::Open(_) | Deed::Creat | Deed::Open2 => opened(deed, call, items),
        Deed::Make => exact(created(with_role(items, Role::Create)?)),
        Deed::Remove => {
            let item = with_role(items, Role::Delete)?;
            exact(Kind::FileDeleted(FileDeleted {
                path: path(item),
                inode: item.inode.map(Near),
                dev: item.dev,
                ..FileDeleted::default()
            }))
        }
        Deed::Rename => {
            // What stood at the new place before is deleted, too; it comes later in the list.
            let from = items.iter().find(|item| item.role == Role::Delete)?;
            let to = with_role(items, Role::Create)?;
            exact(Kind::FileRenamed(FileRenamed {
                path: path(from),
                to: path(to),
                inode: to.inode.or(from.inode).map(Near),
                dev: to.dev.or(from.dev),
            }))
        }
        Deed::Link => {
            let target = items.iter().find(|item| item.role == Role::Normal)?;
            exact(linked(with_role(items, Role::Create)?, target))
        }
        Deed::Symlink => {
            let target = items
                .iter()
                .find(|item| item.role == Role::Unknown && item.inode.is_none())?;
            exact(linked(with_role(items, Role::Create)?, target))
        }
        Deed::Truncate => Some((written(named(items)?), true)),
        Deed::Mode(_) | Deed::Owner(_) | Deed::Attribute => {
            exact(attributes(deed, call, named(items)?))
        }
    }
}

fn opened<'i>(deed: Deed, call: &Call<'_>, items: &'i [Item]) -> Option<(Kind<'i>, bool)> {
    if let Some(item) = with_role(items, Role::Create) {
        return Some((created(item), false));
    }
    let item = named(items)?;
    let writes = match deed {
        Deed::Open(place) => writes(call, place),
        Deed::Creat => true,
        Deed::Open2
        | Deed::Make
        | Deed::Remove
        | Deed::Rename
        | Deed::Link
        | Deed::Symlink
        | Deed::Truncate
        | Deed::Mode(_)
        | Deed::Owner(_)
        | Deed::Attribute => return None,
    };
    if writes {
        Some((written(item), true))
    } else {
        Some((read(item, outcome(call)), false))
    }
}

/// What was tried and not done is told of opening for reading alone; the rest is kept as it is.
fn refused<'i>(deed: Deed, call: &Call<'_>, items: &'i [Item]) -> Option<Kind<'i>> {
    match deed {
        Deed::Open(place) if !writes(call, place) => {
            Some(read(items.last()?, Some(Outcome::Failure)))
        }
        Deed::Open(_)
        | Deed::Creat
        | Deed::Open2
        | Deed::Make
        | Deed::Remove
        | Deed::Rename
        | Deed::Link
        | Deed::Symlink
        | Deed::Truncate
        | Deed::Mode(_)
        | Deed::Owner(_)
        | Deed::Attribute => None,
    }
}

/// Whether the flags at a place ask for writing: `O_WRONLY`, `O_RDWR` or `O_TRUNC`, `open(2)`.
fn writes(call: &Call<'_>, place: usize) -> bool {
    const ACCESS: u64 = 0o3;
    const TRUNCATE: u64 = 0o1000;
    call.args
        .get(place)
        .is_some_and(|flags| flags & (ACCESS | TRUNCATE) != 0)
}

/// The last file of a role: the folders on the way come before it.
fn with_role(items: &[Item], role: Role) -> Option<&Item> {
    items.iter().rfind(|item| item.role == role)
}

/// The file that the call is about: the last that is no folder on the way.
fn named(items: &[Item]) -> Option<&Item> {
    items.iter().rfind(|item| item.role != Role::Parent)
}

fn path(item: &Item) -> Option<Text<'_>> {
    (!item.path.is_empty()).then_some(Text(&item.path))
}

fn created(item: &Item) -> Kind<'_> {
    Kind::FileCreated(FileCreated {
        path: path(item),
        inode: item.inode.map(Near),
        dev: item.dev,
        mode: item.mode,
        ..FileCreated::default()
    })
}

fn written(item: &Item) -> Kind<'_> {
    Kind::FileWritten(FileWritten {
        path: path(item),
        inode: item.inode.map(Near),
        dev: item.dev,
        mode: item.mode,
        ..FileWritten::default()
    })
}

fn read(item: &Item, outcome: Option<Outcome>) -> Kind<'_> {
    Kind::FileRead(FileRead {
        path: path(item),
        inode: item.inode.map(Near),
        dev: item.dev,
        outcome,
        ..FileRead::default()
    })
}

fn linked<'i>(item: &'i Item, target: &'i Item) -> Kind<'i> {
    Kind::FileLinked(FileLinked {
        path: path(item),
        target: path(target),
        inode: item.inode.map(Near),
        dev: item.dev,
    })
}

/// `PATH` shows a file as it was before the call; what the call set stands in its arguments.
fn attributes<'i>(deed: Deed, call: &Call<'_>, item: &'i Item) -> Kind<'i> {
    /// The bits that `chmod(2)` sets; the others are the file's type.
    const MODE_BITS: u32 = 0o7777;
    let (mode, uid, gid) = match deed {
        Deed::Mode(place) => {
            let kept = item.mode.unwrap_or(0) & !MODE_BITS;
            let set = call.word(place).map(|set| set & MODE_BITS | kept);
            (set, item.uid, item.gid)
        }
        Deed::Owner(place) => {
            let set = |place: usize, own| call.word(place).filter(|&id| id != u32::MAX).or(own);
            (item.mode, set(place, item.uid), set(place + 1, item.gid))
        }
        Deed::Open(_)
        | Deed::Creat
        | Deed::Open2
        | Deed::Make
        | Deed::Remove
        | Deed::Rename
        | Deed::Link
        | Deed::Symlink
        | Deed::Truncate
        | Deed::Attribute => (item.mode, item.uid, item.gid),
    };
    Kind::FileAttributes(FileAttributes {
        path: path(item),
        inode: item.inode.map(Near),
        dev: item.dev,
        mode,
        uid,
        gid,
        ..FileAttributes::default()
    })
}
