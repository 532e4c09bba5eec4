//! Watching over ourselves: what somebody does to the recorder's own means is an event.
//!
//! Root can switch audit off, take its socket, empty its rules, or carry away the journal's directory.
//! None of it can be prevented from user mode; each leaves a mark in the journal, and one when it is
//! whole again.

use crate::source::audit::{AuditNow, Role};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// A change that is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// Of what: a source, or the journal.
    pub name: &'static str,
    /// Whether it is whole again.
    pub whole: Whole,
    /// What was done, and what it means.
    pub detail: String,
}

/// Whether something is as it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whole {
    /// It is.
    Yes,
    /// It is not.
    No,
}

/// What was found the last time.
#[derive(Debug)]
pub struct Watch {
    /// How many rules were added; `None` if none are ours.
    rules: Option<usize>,
    own_pid: u32,
    role: Option<Role>,
    audit: Trouble,
    directory: PathBuf,
    /// Device and inode of the directory.
    identity: Option<(u64, u64)>,
    journal: Trouble,
}

/// What is wrong, in words; empty if nothing is.
type Trouble = String;

impl Watch {
    /// A watch over `rules` rules of ours in audit, and over the directory of the journal.
    #[must_use]
    pub fn new(role: Option<Role>, rules: usize, directory: &Path) -> Watch {
        Watch {
            rules: (rules > 0).then_some(rules),
            own_pid: std::process::id(),
            role,
            audit: Trouble::new(),
            directory: directory.to_owned(),
            identity: identity(directory),
            journal: Trouble::new(),
        }
    }

    /// Looks again, and gives what changed.
    pub fn look(&mut self, audit: AuditNow) -> Vec<Change> {
        let mut changes = Vec::new();
        let found = self.audit_trouble(audit);
        tell(&mut self.audit, found, "audit", &mut changes);
        let found = if self.identity.is_none() || identity(&self.directory) == self.identity {
            Trouble::new()
        } else {
            format!(
                "the journal's directory is no longer at {}: it was moved, removed, or its disk unmounted",
                self.directory.display()
            )
        };
        tell(&mut self.journal, found, "journal", &mut changes);
        changes
    }

    fn audit_trouble(&self, now: AuditNow) -> Trouble {
        let Some(role) = self.role else {
            return Trouble::new();
        };
        let mut found = Vec::new();
        if let Some(status) = now.status {
            if status.enabled == 0 {
                found.push(
                    "audit is switched off: arguments, identities and reaches into processes are missed"
                        .to_owned(),
                );
            }
            if role == Role::Owner && status.pid != self.own_pid {
                found.push(match status.pid {
                    0 => "audit's socket is no longer ours: its records are lost".to_owned(),
                    pid => format!("process {pid} took audit's socket: its records are lost to us"),
                });
            }
        }
        if let (Some(added), Some(standing)) = (self.rules, now.rules)
            && standing < added
        {
            found.push(format!(
                "{} of our {added} rules in audit were removed: what they told is missed",
                added - standing
            ));
        }
        found.join("; ")
    }
}

/// Tells of trouble that began, became another, or ended.
fn tell(known: &mut Trouble, found: Trouble, name: &'static str, changes: &mut Vec<Change>) {
    if *known == found {
        return;
    }
    let (whole, detail) = if found.is_empty() {
        (Whole::Yes, format!("as it should be again, after: {known}"))
    } else {
        (Whole::No, found.clone())
    };
    changes.push(Change {
        name,
        whole,
        detail,
    });
    *known = found;
}

fn identity(path: &Path) -> Option<(u64, u64)> {
    let status = path.metadata().ok()?;
    Some((status.dev(), status.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::audit::Status;

    fn audit(enabled: u32, pid: u32, rules: usize) -> AuditNow {
        AuditNow {
            status: Some(Status {
                enabled,
                pid,
                ..Status::default()
            }),
            rules: Some(rules),
        }
    }

    #[test]
    fn each_reach_for_audit_is_told_once_and_its_end_too() {
        let own = std::process::id();
        let mut watch = Watch::new(Some(Role::Owner), 9, Path::new("/"));
        assert!(watch.look(audit(1, own, 9)).is_empty());
        let off = watch.look(audit(0, own, 9));
        assert!(off[0].detail.contains("switched off") && off[0].whole == Whole::No);
        assert!(watch.look(audit(0, own, 9)).is_empty(), "it is told once");
        let emptied = watch.look(audit(1, own, 0));
        assert!(emptied[0].detail.contains("9 of our 9 rules"));
        let taken = watch.look(audit(1, 7, 9));
        assert!(taken[0].detail.contains("process 7"));
        assert_eq!(watch.look(audit(1, own, 9))[0].whole, Whole::Yes);
    }

    #[test]
    fn what_is_not_ours_is_not_missed() {
        let mut listener = Watch::new(Some(Role::Listener), 0, Path::new("/"));
        assert!(listener.look(audit(1, 7, 0)).is_empty());
        let mut without = Watch::new(None, 0, Path::new("/"));
        assert!(without.look(AuditNow::default()).is_empty());
    }

    #[test]
    fn a_directory_that_is_carried_away_is_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let (here, there) = (dir.path().join("here"), dir.path().join("there"));
        std::fs::create_dir(&here).unwrap();
        let mut watch = Watch::new(None, 0, &here);
        std::fs::rename(&here, &there).unwrap();
        std::fs::create_dir(&here).unwrap();
        let changes = watch.look(AuditNow::default());
        assert_eq!((changes[0].name, changes[0].whole), ("journal", Whole::No));
        std::fs::remove_dir(&here).unwrap();
        assert!(watch.look(AuditNow::default()).is_empty());
        std::fs::rename(&there, &here).unwrap();
        assert_eq!(watch.look(AuditNow::default())[0].whole, Whole::Yes);
    }
}
