//! A full disk, and one that can no longer be written to. Both need root, for a file system of their own.

use std::path::Path;
use std::process::Command;

use saigen_collector::journal::{Limits, Urgency, WriteError};
use saigen_schemas::report::Verdict;

use crate::{at, begin, judge, written};

/// A mount that goes when the test does.
struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}

fn mount(arguments: &[&str], at: &Path) -> bool {
    let done = Command::new("mount").args(arguments).arg(at).output();
    done.is_ok_and(|output| output.status.success())
}

/// Writes until it cannot go on.
fn fill(
    writer: &mut saigen_collector::journal::Writer<saigen_collector::journal::Directory>,
) -> WriteError {
    let mut random = 1_u64;
    for ms in 1.. {
        random = random
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        let path: String = (0..40)
            .map(|n| format!("{:x}", random.rotate_left(n)))
            .collect();
        let now = at(ms * 60);
        if let Err(error) = writer.push(&written(&path, now), Urgency::Critical, now) {
            return error;
        }
    }
    unreachable!("a disk is full some time")
}

#[test]
fn a_full_disk_is_closed_in_the_reserve() {
    let folder = tempfile::tempdir().unwrap();
    let made = saigen_collector::keys::generate(&folder.path().join("keys")).unwrap();
    let disk = folder.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    if !mount(&["-t", "tmpfs", "-o", "size=2m", "none"], &disk) {
        println!("skipped: a small disk cannot be mounted here");
        return;
    }
    let _mounted = Mounted(&disk);
    let journal = disk.join("journal");
    let mut writer = begin(&journal, &made.endpoint, Limits::default(), at(0));
    let error = fill(&mut writer);
    assert!(matches!(error, WriteError::DiskFull), "{error}");
    let events = writer.next_seq();
    writer.close(at(100_000_000)).unwrap();
    let judged = judge(&journal, &made.auditor);
    assert_eq!(judged.verdict, Verdict::Intact, "{}", judged.explanation);
    assert_eq!(judged.events, events);
}

#[test]
fn a_disk_that_becomes_read_only_ends_the_recording_and_what_was_written_reads() {
    let folder = tempfile::tempdir().unwrap();
    let made = saigen_collector::keys::generate(&folder.path().join("keys")).unwrap();
    let journal = folder.path().join("journal");
    let limits = Limits {
        segment_bytes: 20_000,
        ..Limits::default()
    };
    let mut writer = begin(&journal, &made.endpoint, limits, at(0));
    let events = writer.next_seq();
    // A file system with open files is not made read-only: one that is stands in its place.
    if !mount(&["-t", "tmpfs", "-o", "ro", "none"], &journal) {
        println!("skipped: nothing can be mounted here");
        return;
    }
    let mounted = Mounted(&journal);
    let error = fill(&mut writer);
    assert!(matches!(error, WriteError::Io { .. }), "{error}");
    drop(writer);
    drop(mounted);
    let judged = judge(&journal, &made.auditor);
    assert_eq!(judged.verdict, Verdict::OpenEnd, "{}", judged.explanation);
    assert!(judged.events > events);
}
