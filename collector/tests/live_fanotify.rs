//! fanotify on this kernel: what is done to files is told, with its names.
//!
//! Needs root; runs only when `SAIGEN_LIVE` is set.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Command, Stdio};

use saigen_collector::source::fanotify::{self, Audience, FileRecord, Files, Options, Queue, Seen};
use saigen_collector::source::{Batch, Drained, Source};

/// What a record said, owned.
struct Told {
    seen: Seen,
    path: Option<String>,
    to: Option<String>,
    size: Option<u64>,
    pid: u32,
    inode: Option<u64>,
}

impl std::fmt::Debug for Told {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            seen,
            path,
            to,
            size,
            pid,
            inode,
        } = self;
        write!(
            out,
            "{seen:?} {path:?} → {to:?} size {size:?} pid {pid} inode {inode:?}"
        )
    }
}

fn live() -> bool {
    let live = std::env::var_os("SAIGEN_LIVE").is_some() && rustix::process::geteuid().is_root();
    if !live {
        eprintln!("skipped: needs root and SAIGEN_LIVE=1");
    }
    live
}

/// Takes everything down.
#[derive(Default)]
struct Notes(Vec<Told>);

impl Audience for Notes {
    fn namespace_of(&self, pid: u32, _: u64) -> Option<u64> {
        Some(fs::metadata(format!("/proc/{pid}/ns/mnt")).ok()?.ino())
    }

    fn take(&mut self, record: &FileRecord<'_>) {
        let text =
            |path: Option<&[u8]>| path.map(|path| String::from_utf8_lossy(path).into_owned());
        self.0.push(Told {
            seen: record.seen,
            path: text(record.path),
            to: text(record.to),
            size: record.status.map(|status| status.size),
            pid: record.pid,
            inode: record.inode,
        });
    }
}

fn everything(queue: &mut Queue, files: &mut Files) -> Vec<Told> {
    let mut told = Notes::default();
    loop {
        let mut batch = Batch::new();
        let drained = queue.drain(&mut batch).unwrap();
        let named = files.name_all(&batch, &mut None, &mut told);
        assert_eq!(named.malformed, None);
        if drained == Drained::Empty {
            return told.0;
        }
    }
}

/// Runs a shell script: our own process is left out of what is recorded.
fn shell(script: &str, at: &Path) -> u32 {
    let mut child = Command::new("/bin/sh")
        .arg("-ec")
        .arg(script)
        .current_dir(at)
        .spawn()
        .unwrap();
    let pid = child.id();
    assert!(child.wait().unwrap().success(), "{script}");
    pid
}

fn has(told: &[Told], seen: Seen, path: &Path) -> bool {
    told.iter()
        .any(|told| told.seen.has(seen) && told.path.as_deref() == path.to_str())
}

#[test]
fn what_is_done_to_files_is_told_by_name() {
    if !live() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let (mut queue, mut files) = fanotify::open(&Options::default()).unwrap();
    files.add_view(None).unwrap();
    let pid = shell(
        "mkdir -p a/b; echo hello > a/b/f; mv a/b/f a/b/g; mv a c; echo more >> c/b/g; chmod 4755 c/b/g; ln c/b/g h; rm c/b/g; rm -r c",
        at,
    );
    let told = everything(&mut queue, &mut files);
    let told: Vec<Told> = told
        .into_iter()
        .filter(|told| {
            told.path
                .as_deref()
                .is_some_and(|path| path.starts_with(at.to_str().unwrap()))
        })
        .collect();
    assert!(has(&told, Seen::CREATED, &at.join("a/b/f")), "{told:#?}");
    let written = told
        .iter()
        .find(|told| told.seen.has(Seen::WRITTEN))
        .unwrap();
    assert_eq!(written.pid, pid);
    assert!(written.inode.is_some());
    let renamed = |from: &str, to: &str| {
        told.iter().any(|told| {
            told.seen.has(Seen::RENAMED)
                && told.path.as_deref() == at.join(from).to_str()
                && told.to.as_deref() == at.join(to).to_str()
        })
    };
    assert!(renamed("a/b/f", "a/b/g"), "{told:#?}");
    assert!(renamed("a", "c"), "{told:#?}");
    assert!(
        has(&told, Seen::WRITTEN, &at.join("c/b/g")),
        "the directory moved: {told:#?}"
    );
    assert!(has(&told, Seen::ATTRIBUTES, &at.join("c/b/g")), "{told:#?}");
    assert!(has(&told, Seen::CREATED, &at.join("h")), "{told:#?}");
    assert!(has(&told, Seen::DELETED, &at.join("c/b")), "{told:#?}");
    assert!(has(&told, Seen::DELETED, &at.join("c")), "{told:#?}");
}

#[test]
fn a_directory_that_is_gone_is_named_by_its_own_deletion() {
    if !live() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    fs::create_dir_all(at.join("x/y")).unwrap();
    fs::write(at.join("x/y/file"), "1").unwrap();
    let (mut queue, mut files) = fanotify::open(&Options::default()).unwrap();
    files.add_view(None).unwrap();
    shell("rm -r x", at);
    let told = everything(&mut queue, &mut files);
    assert!(has(&told, Seen::DELETED, &at.join("x/y/file")), "{told:#?}");
}

#[test]
fn a_mount_that_appears_is_watched_and_can_be_unmounted() {
    if !live() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    let (mut queue, mut files) = fanotify::open(&Options::default()).unwrap();
    files.add_view(None).unwrap();
    fs::create_dir(at.join("m")).unwrap();
    shell("mount -t tmpfs -o size=64k saigen-test m", at);
    files.mounts_changed().unwrap();
    let refused = files.take_refusals();
    assert!(refused.is_empty(), "{refused:?}");
    shell("echo 12345 > m/file; mkdir m/d; echo 1 > m/d/e", at);
    let told = everything(&mut queue, &mut files);
    let busy = Command::new("umount").arg(at.join("m")).status().unwrap();
    files.mounts_changed().unwrap();
    assert!(busy.success(), "we must not keep a mount busy");
    assert!(has(&told, Seen::WRITTEN, &at.join("m/file")), "{told:#?}");
    let written = told
        .iter()
        .find(|told| told.path.as_deref() == at.join("m/file").to_str());
    assert_eq!(written.unwrap().size, Some(6));
    assert!(written.unwrap().inode.is_some());
    assert!(has(&told, Seen::CREATED, &at.join("m/d/e")), "{told:#?}");
}

#[test]
fn files_go_by_the_names_that_the_recorded_tree_sees() {
    if !live() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let at = dir.path();
    for part in ["low/etc", "up", "work", "root"] {
        fs::create_dir_all(at.join(part)).unwrap();
    }
    for part in ["bin", "lib", "lib64", "usr", "proc"] {
        fs::create_dir(at.join("low").join(part)).unwrap();
    }
    fs::write(at.join("low/etc/passwd"), "root:x:0:0::/root:/bin/sh\n").unwrap();
    fs::write(at.join("low/etc/group"), "root:x:0:\n").unwrap();
    fs::write(at.join("low/etc/shadow"), "root:*:1::::::\n").unwrap();
    fs::set_permissions(at.join("low/etc/shadow"), fs::Permissions::from_mode(0o600)).unwrap();
    let script = "mount -t overlay overlay -o lowerdir=low,upperdir=$PWD/up,workdir=$PWD/work root
        for d in bin lib lib64 usr; do mount --rbind /$d root/$d; done
        cd root; echo ready; read go
        exec chroot . /bin/sh -ec 'echo ready; read go; echo evil > /etc/cron; echo x >> /etc/passwd; : < /etc/shadow; rm /etc/group; echo done; read go'";
    let mut child = Command::new("unshare")
        .args(["-m", "/bin/sh", "-ec", script])
        .current_dir(at)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut say = child.stdin.take().unwrap();
    let mut line = || {
        let mut line = String::new();
        std::io::BufRead::read_line(&mut said, &mut line).unwrap();
        line
    };
    let (mut queue, mut files) = fanotify::open(&Options::default()).unwrap();
    files.add_view(None).unwrap();
    assert_eq!(line(), "ready\n");
    say.write_all(b"go\n").unwrap();
    assert_eq!(line(), "ready\n");
    let namespace = fs::metadata(format!("/proc/{}/ns/mnt", child.id())).unwrap();
    files.enter(child.id(), namespace.ino());
    everything(&mut queue, &mut files);
    say.write_all(b"go\n").unwrap();
    assert_eq!(line(), "done\n");
    let told = everything(&mut queue, &mut files);
    let mut outside = Command::new("/bin/sh")
        .args(["-c", "echo 1 > up/host; read go"])
        .current_dir(at)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    std::thread::sleep(std::time::Duration::from_millis(100));
    let told_outside = everything(&mut queue, &mut files);
    outside.kill().unwrap();
    outside.wait().unwrap();
    assert!(
        has(&told_outside, Seen::WRITTEN, &at.join("up/host")),
        "who is outside sees it outside: {told_outside:#?}"
    );
    drop(say);
    child.wait().unwrap();
    assert!(
        has(&told, Seen::WRITTEN, Path::new("/etc/cron")),
        "{told:#?}"
    );
    assert!(
        has(&told, Seen::WRITTEN, Path::new("/etc/passwd")),
        "{told:#?}"
    );
    assert!(
        has(&told, Seen::DELETED, Path::new("/etc/group")),
        "{told:#?}"
    );
    let inside = told.iter().all(|told| {
        !told
            .path
            .as_deref()
            .unwrap_or("")
            .starts_with(at.to_str().unwrap())
    });
    assert!(
        inside,
        "the overlay's own work is not the tree's: {told:#?}"
    );
    assert!(
        has(&told, Seen::OPENED, Path::new("/etc/shadow")),
        "{told:#?}"
    );
}

#[test]
fn a_credential_file_that_was_replaced_is_still_watched() {
    if !live() {
        return;
    }
    let script = "mount -t tmpfs t /root; mkdir /root/.ssh; echo ready; read go
        echo key > /root/.ssh/new; mv /root/.ssh/new /root/.ssh/id_rsa; mkdir /root/.aws; echo x > /root/.aws/credentials; echo done; read go
        cat /root/.ssh/id_rsa /root/.aws/credentials; echo done; read go";
    let mut child = Command::new("unshare")
        .args(["-m", "/bin/sh", "-ec", script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut said = std::io::BufReader::new(child.stdout.take().unwrap());
    let mut say = child.stdin.take().unwrap();
    let mut until = |wanted: &str| {
        let mut line = String::new();
        while line.trim_end() != wanted {
            line.clear();
            assert_ne!(
                std::io::BufRead::read_line(&mut said, &mut line).unwrap(),
                0
            );
        }
    };
    until("ready");
    let (mut queue, mut files) = fanotify::open(&Options::default()).unwrap();
    files.add_view(None).unwrap();
    files.add_view(Some(child.id())).unwrap();
    say.write_all(b"go\n").unwrap();
    until("done");
    everything(&mut queue, &mut files);
    say.write_all(b"go\n").unwrap();
    until("done");
    let told = everything(&mut queue, &mut files);
    drop(say);
    child.wait().unwrap();
    assert!(
        has(&told, Seen::OPENED, Path::new("/root/.ssh/id_rsa")),
        "{told:#?}"
    );
    assert!(
        has(&told, Seen::OPENED, Path::new("/root/.aws/credentials")),
        "{told:#?}"
    );
}
