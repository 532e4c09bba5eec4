//! Activities: what one request, one session or one job made a host do.
//!
//! Going up from a process by who created whom, one comes to a hub: a server, a scheduler, a
//! login program, the first process. What hangs below the hub is an activity, and it is its
//! highest process that is its root. Two activities of one hub have nothing to do with each
//! other for that alone.

use std::collections::BTreeSet;

use crate::graph::NodeId;
use crate::reconstruct::knowledge::{Place, Role, base_name};
use crate::reconstruct::world::{Station, World};

/// The most creations that are climbed. Real trees are some tens deep; what is deeper is made to
/// be, and its activity begins where the climb ends.
const CLIMB_MAX: usize = 1024;

/// What an activity hangs below.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Boundary {
    /// A hub, and what kind.
    Hub(NodeId, Station),
    /// Nothing that the evidence shows.
    Unseen,
}

/// Where a climb ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Top {
    /// The highest process below the boundary.
    pub(super) root: NodeId,
    /// What it hangs below.
    pub(super) boundary: Boundary,
}

/// Climbs from a process to the root of its activity.
pub(super) fn top_of(world: &World<'_>, process: NodeId) -> Top {
    let mut seen = BTreeSet::from([process]);
    let mut root = process;
    while let Some(cause) = world.cause(root) {
        let station = world.station(cause);
        if station.is_hub() && !world.is_worker(root) {
            return Top {
                root,
                boundary: Boundary::Hub(cause, station),
            };
        }
        if seen.len() >= CLIMB_MAX || !seen.insert(cause) {
            break;
        }
        root = cause;
    }
    Top {
        root,
        boundary: Boundary::Unseen,
    }
}

/// Climbs as far as the processes above only did what they were told: a wrapper that starts the
/// program its arguments name, a shell whose command line names the program. Such a process
/// shares the fate of what it started.
pub(super) fn lifted(world: &World<'_>, process: NodeId) -> NodeId {
    let mut at = process;
    for _ in 0..CLIMB_MAX {
        match world.cause(at) {
            Some(cause) if !world.station(cause).is_hub() && told_to_start(world, cause, at) => {
                at = cause
            }
            _ => break,
        }
    }
    at
}

/// Whether the arguments of a process say that it starts the program of the other.
pub(super) fn told_to_start(world: &World<'_>, parent: NodeId, child: NodeId) -> bool {
    let roles = world.roles(parent);
    let runs_text = roles.any(&[
        Role::Shell,
        Role::Interpreter,
        Role::Wrapper,
        Role::Elevator,
    ]);
    let (Some(above), Some(below)) = (world.process(parent), world.process(child)) else {
        return false;
    };
    if !runs_text {
        return false;
    }
    let Some(told) = world.told(parent) else {
        return false;
    };
    let image = below.image.map(|image| image.lossy().into_owned());
    let called = below
        .args
        .and_then(|args| args.iter().next().map(|arg| arg.lossy().into_owned()));
    let script = below.script.map(|script| script.lossy().into_owned());
    // A copy of a shell is a pipeline or a subshell of what that shell was told.
    let copy = world.is_copy(child) && above.key != below.key;
    copy || [image, called, script]
        .into_iter()
        .flatten()
        .any(|name| names_program(&told, base_name(&name)))
}

/// Whether a command text holds a name as a word of its own.
pub(super) fn names_program(text: &str, name: &str) -> bool {
    if name.is_empty() {
        return false;
    }
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-' || c == '.';
    if let Some(stem) = windows_stem(name) {
        // Windows finds `whoami` and `WHOAMI.EXE` alike.
        let text = text.to_ascii_lowercase();
        return text.match_indices(&stem).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let rest = &text[at + stem.len()..];
            let after = rest.strip_prefix(".exe").unwrap_or(rest).chars().next();
            !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
        });
    }
    text.match_indices(name).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        let after = text[at + name.len()..].chars().next();
        !before.is_some_and(part_of_word) && !after.is_some_and(part_of_word)
    })
}

/// The name of a Windows program without its end, lower case.
fn windows_stem(name: &str) -> Option<String> {
    let name = name.to_ascii_lowercase();
    let stem = name
        .strip_suffix(".exe")
        .or_else(|| name.strip_suffix(".com"))?;
    (!stem.is_empty()).then(|| stem.to_owned())
}

/// Whether a command text holds a path, whole: not as the beginning of a longer one.
pub(super) fn names_path(text: &str, path: &str) -> bool {
    if path.contains('\\') && !path.starts_with('/') {
        let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '\\');
        let (text, path) = (text.to_ascii_lowercase(), path.to_ascii_lowercase());
        return text.match_indices(&path).any(|(at, _)| {
            let after = text[at + path.len()..].chars().next();
            !after.is_some_and(goes_on)
        });
    }
    let goes_on = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
    !path.is_empty()
        && text.match_indices(path).any(|(at, _)| {
            let before = text[..at].chars().next_back();
            let after = text[at + path.len()..].chars().next();
            !before.is_some_and(goes_on) && !after.is_some_and(goes_on)
        })
}

/// Whether an activity is a person's own work: a login session with a terminal, or a desktop.
pub(super) fn is_persons_session(world: &World<'_>, top: Top) -> bool {
    match top.boundary {
        Boundary::Hub(_, Station::Login | Station::Desktop) => true,
        Boundary::Hub(
            _,
            Station::Service
            | Station::Scheduler
            | Station::Init
            | Station::Broker
            | Station::Ordinary,
        ) => false,
        // Someone's terminal whose login was before the recording.
        Boundary::Unseen => world.process(top.root).is_some_and(|root| {
            root.tty.is_some_and(|tty| !tty.is_empty()) && root.login_uid.is_some()
        }),
    }
}

/// Whether a document, a script or a loader that someone opened on a desktop stands between the desktop
/// and a process: what it does was in that file, and is not what a person types.
pub(super) fn was_in_a_file(world: &World<'_>, process: NodeId, top: Top) -> bool {
    if !matches!(top.boundary, Boundary::Hub(_, Station::Desktop)) {
        return false;
    }
    let mut at = process;
    for _ in 0..CLIMB_MAX {
        match world.cause(at) {
            Some(cause) if !world.station(cause).is_hub() => at = cause,
            _ => return false,
        }
        if world.roles(at).any(&[Role::Document, Role::Loader]) {
            return true;
        }
    }
    false
}

/// Whether a process stands below an interpreter that runs a script which stood among the programs
/// of the system, as it stood there before the recording.
pub(super) fn below_system_script(world: &World<'_>, process: NodeId) -> bool {
    let mut at = process;
    for _ in 0..CLIMB_MAX {
        if world.roles(at).has(Role::Interpreter) && world.runs_system_script(at) {
            return true;
        }
        match world.cause(at) {
            Some(cause) if !world.station(cause).is_hub() => at = cause,
            _ => return false,
        }
    }
    false
}

/// Whether a process stands below a program that installs software, within its activity.
pub(super) fn below_package_manager(world: &World<'_>, process: NodeId) -> bool {
    let mut at = process;
    for _ in 0..CLIMB_MAX {
        let trusted = world.roles(at).has(Role::PackageManager)
            && world
                .process(at)
                .and_then(|process| process.image)
                .is_some_and(|image| world.knowledge.is(Place::Installed, &image.lossy()));
        if trusted {
            return true;
        }
        match world.cause(at) {
            Some(cause) if !world.station(cause).is_hub() => at = cause,
            _ => return false,
        }
    }
    false
}
