//! A disk that is really full: the journal is closed in the space kept for that.
//!
//! Needs root, to mount a small file system; runs only when `SAIGEN_LIVE` is set.

use std::path::Path;
use std::process::Command;

use saigen_collector::clock;
use saigen_collector::journal::{
    Directory, Identity, Limits, Recording, Urgency, WriteError, Writer,
};
use saigen_schemas::event::{BootId, Event, Fields, FileWritten, Kind, Marks, Source, Text};
use saigen_schemas::journal::seal::EnrolmentId;
use saigen_schemas::journal::{FrameHeader, FrameKind};

/// A small file system, gone with the value.
struct Small(tempfile::TempDir);

impl Small {
    fn mount(size: &str) -> Self {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let options = format!("size={size}");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &options, "saigen-test"])
            .arg(dir.path())
            .status();
        assert!(mounted.is_ok_and(|status| status.success()));
        Self(dir)
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // The test has ended either way; a mount that stays is seen by who looks.
        let _ = Command::new("umount").arg(self.path()).status();
    }
}

#[test]
fn a_full_disk_ends_the_recording_with_every_frame_whole() {
    if std::env::var_os("SAIGEN_LIVE").is_none() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root and SAIGEN_LIVE=1");
        return;
    }
    let small = Small::mount("3m");
    let path = small.path().join("journal");
    let identity = Identity::Unsealed(EnrolmentId([1; 16]));
    let store = Directory::create(&path, &identity.label()).unwrap();
    let recording = Recording {
        host: "pc".into(),
        boot: BootId([7; 16]),
        tool: "test".into(),
        configuration_sha256: String::new(),
        scope: "system".into(),
        sources: Vec::new(),
    };
    let now = clock::now();
    let mut writer = Writer::create(store, identity, recording, Limits::default(), now).unwrap();
    let mut noise = 1_u64;
    let full = loop {
        // What does not compress fills a disk soonest.
        let path: String = (0..200)
            .map(|_| {
                noise = noise
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                format!("{:08x}", noise >> 32)
            })
            .collect();
        let written = FileWritten {
            path: Some(Text(path.as_bytes())),
            ..FileWritten::default()
        };
        let event = Event {
            seq: 0,
            time: now.time(),
            recorded_us: None,
            host: "pc".into(),
            boot: BootId([7; 16]),
            source: Source::Fanotify,
            actor: None,
            marks: Marks(&[]),
            extra: Fields(&[]),
            kind: Kind::FileWritten(written),
        };
        if let Err(error) = writer.push(&event, Urgency::Ordinary, now) {
            break error;
        }
    };
    assert!(matches!(full, WriteError::DiskFull), "{full}");
    writer.close(clock::now()).unwrap();
    let bytes = std::fs::read(path.join("00000001.saj")).unwrap();
    assert!(bytes.len() > 1 << 20);
    let mut rest = bytes.as_slice();
    let mut last = None;
    while !rest.is_empty() {
        let frame = FrameHeader::read(rest).unwrap();
        rest = &rest[frame.len()..];
        last = Some(frame.header.kind);
    }
    assert_eq!(last, Some(FrameKind::Close));
}

#[test]
fn a_disk_that_is_full_from_the_beginning_is_refused_in_one_line() {
    if std::env::var_os("SAIGEN_LIVE").is_none() || !rustix::process::geteuid().is_root() {
        eprintln!("skipped: needs root and SAIGEN_LIVE=1");
        return;
    }
    let small = Small::mount("64k");
    let path = small.path().join("journal");
    let error = Directory::create(&path, "{}").unwrap_err().to_string();
    assert!(error.contains("set space aside"), "{error}");
    assert_eq!(error.lines().count(), 1);
    let left: Vec<_> = std::fs::read_dir(&path).unwrap().collect();
    assert!(left.is_empty(), "nothing is left behind but the directory");
}
