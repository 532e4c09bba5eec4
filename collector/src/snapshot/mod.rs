//! The state of the machine when recording begins: processes, sockets, modules, accounts, autostarts.
//!
//! It is read again at the beginning of each segment, so that a segment stands on its own. All
//! of it is raced: the machine goes on while it is read.

pub mod accounts;
mod autostart;
mod journal;
mod processes;
mod root;
mod sockets;

use std::collections::HashMap;

use saigen_schemas::event::{Kind, ProcessKey, StateModule, Text};

pub use journal::{SnapshotError, Taken, to_journal};
pub use processes::container;
pub use root::Root;
pub use sockets::Unowned;

use crate::image_hash::ImageHashes;
use crate::procfs::Standing;

/// The most of `/proc/modules` that is read.
const MODULES_MAX: usize = 4096;

/// What the state is taken of.
#[derive(Debug, Clone, Copy)]
pub struct Scope<'a> {
    /// The process through whose root and network is looked; none: our own.
    pub seen_by: Option<u32>,
    /// The processes that are recorded.
    pub processes: &'a [Standing],
    /// Whether sockets that none of them holds are told.
    pub unowned: Unowned,
}

/// Tells of the whole state, each part in a fixed order. What cannot be read is left out; the
/// words for that are returned.
pub fn take(
    scope: &Scope<'_>,
    keys: &HashMap<u32, ProcessKey>,
    hashes: &mut ImageHashes,
    boot_us: u64,
    emit: &mut dyn FnMut(Option<ProcessKey>, Kind<'_>),
) -> Vec<String> {
    let mut missed = Vec::new();
    match Root::open(scope.seen_by) {
        Ok(root) => {
            let passwd = root
                .read(b"/etc/passwd")
                .map(|found| found.content)
                .unwrap_or_default();
            accounts::tell(&passwd, &mut |kind| emit(None, kind));
            autostart::tell(&root, &passwd, &mut |kind| emit(None, kind));
            processes::tell(scope.processes, keys, &passwd, hashes, boot_us, emit);
        }
        Err(error) => missed.push(format!("accounts, autostarts, processes: {error}")),
    }
    match std::fs::read("/proc/modules") {
        Ok(modules) => tell_modules(&modules, &mut |kind| emit(None, kind)),
        // A kernel that is built without modules has none.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => missed.push(format!("modules: {error}")),
    }
    let holders = sockets::holders(scope.processes.iter().map(|process| process.pid));
    let key = |pid: u32| keys.get(&pid).copied();
    if let Err(error) = sockets::tell(scope.seen_by, &holders, scope.unowned, &key, emit) {
        missed.push(format!("sockets: {error}"));
    }
    missed
}

/// The lines of `/proc/modules`: name, size in memory, and what is not told.
fn tell_modules(text: &[u8], emit: &mut dyn FnMut(Kind<'_>)) {
    for line in text.split(|byte| *byte == b'\n').take(MODULES_MAX) {
        let mut words = line.split(|byte| *byte == b' ');
        let Some(name) = words.next().filter(|name| !name.is_empty()) else {
            continue;
        };
        let size = words
            .next()
            .and_then(|size| std::str::from_utf8(size).ok()?.parse().ok());
        emit(Kind::StateModule(StateModule {
            name: Some(Text(name)),
            size,
        }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modules_are_read_by_name_and_size() {
        let text = b"nf_tables 323584 1 nft_ct, Live 0xffffffffc0a00000\n\next4 1 0 - Live 0x0\n";
        let mut told = Vec::new();
        tell_modules(text, &mut |kind| {
            if let Kind::StateModule(module) = kind {
                told.push((module.name.unwrap().0.to_vec(), module.size));
            }
        });
        assert_eq!(
            told,
            [
                (b"nf_tables".to_vec(), Some(323_584)),
                (b"ext4".to_vec(), Some(1))
            ]
        );
    }

    #[test]
    fn the_state_of_this_machine_holds_ourselves() {
        let own = std::process::id();
        let processes = [Standing::read(own).unwrap()];
        let scope = Scope {
            seen_by: None,
            processes: &processes,
            unowned: Unowned::LeftOut,
        };
        let keys = HashMap::from([(own, ProcessKey::new(own, 1))]);
        let mut kinds = HashMap::<&str, usize>::new();
        let mut image = Vec::new();
        take(
            &scope,
            &keys,
            &mut ImageHashes::default(),
            0,
            &mut |actor, kind| {
                *kinds.entry(kind.name().as_str()).or_default() += 1;
                if let Kind::StateProcess(process) = kind {
                    assert_eq!(actor, Some(ProcessKey::new(own, 1)));
                    assert!(process.sha256.is_some());
                    image = process.image.unwrap().0.to_vec();
                }
            },
        );
        assert_eq!(kinds["state.process"], 1);
        assert!(kinds["state.account"] > 0);
        let exe = std::env::current_exe().unwrap();
        assert_eq!(image, exe.as_os_str().as_encoded_bytes());
    }
}
