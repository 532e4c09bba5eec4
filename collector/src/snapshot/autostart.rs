//! What starts by itself: cron tables, units, profile scripts, keys that open the door.
//!
//! Each file is told with the hash of its content and the time of its last change, and where it
//! says in one line what it starts, with that line.

use std::collections::BTreeSet;

use rustix::fs::FileType;
use saigen_schemas::event::{AutostartKind, Hash32, Kind, StateAutostart, Text};
use sha2::{Digest, Sha256};

use super::accounts;
use super::root::{Found, Root};

/// The most command lines that are told of one file.
const LINES_MAX: usize = 256;

/// The most homes that are looked into.
const HOMES_MAX: usize = 256;

/// Files of the system.
const FILES: &[(AutostartKind, &str)] = &[
    (AutostartKind::Cron, "/etc/crontab"),
    (AutostartKind::Cron, "/etc/anacrontab"),
    (AutostartKind::Init, "/etc/inittab"),
    (AutostartKind::Init, "/etc/rc.local"),
    (AutostartKind::Init, "/etc/rc.d/rc.local"),
    (AutostartKind::LdPreload, "/etc/ld.so.preload"),
    (AutostartKind::ShellProfile, "/etc/bash.bashrc"),
    (AutostartKind::ShellProfile, "/etc/bashrc"),
    (AutostartKind::ShellProfile, "/etc/profile"),
    (AutostartKind::ShellProfile, "/etc/zsh/zprofile"),
    (AutostartKind::ShellProfile, "/etc/zsh/zshenv"),
    (AutostartKind::ShellProfile, "/etc/zsh/zshrc"),
];

/// Directories of the system of which every file counts. Units that a distribution ships in
/// `/usr/lib` start only by a link below `/etc`, and are found there.
const DIRECTORIES: &[(AutostartKind, &str)] = &[
    (AutostartKind::At, "/var/spool/at"),
    (AutostartKind::At, "/var/spool/cron/atjobs"),
    (AutostartKind::Cron, "/etc/cron.d"),
    (AutostartKind::Cron, "/etc/cron.daily"),
    (AutostartKind::Cron, "/etc/cron.hourly"),
    (AutostartKind::Cron, "/etc/cron.monthly"),
    (AutostartKind::Cron, "/etc/cron.weekly"),
    (AutostartKind::Cron, "/var/spool/cron"),
    (AutostartKind::Cron, "/var/spool/cron/crontabs"),
    (AutostartKind::Desktop, "/etc/xdg/autostart"),
    (AutostartKind::Init, "/etc/init.d"),
    (AutostartKind::Pam, "/etc/pam.d"),
    (AutostartKind::ShellProfile, "/etc/profile.d"),
    (AutostartKind::Systemd, "/etc/systemd/system"),
    (AutostartKind::Systemd, "/etc/systemd/user"),
    (AutostartKind::Systemd, "/run/systemd/system"),
    (AutostartKind::Udev, "/etc/udev/rules.d"),
];

/// Files in each home.
const HOME_FILES: &[(AutostartKind, &str)] = &[
    (AutostartKind::AuthorizedKeys, ".ssh/authorized_keys"),
    (AutostartKind::AuthorizedKeys, ".ssh/authorized_keys2"),
    (AutostartKind::ShellProfile, ".bash_login"),
    (AutostartKind::ShellProfile, ".bash_logout"),
    (AutostartKind::ShellProfile, ".bash_profile"),
    (AutostartKind::ShellProfile, ".bashrc"),
    (AutostartKind::ShellProfile, ".profile"),
    (AutostartKind::ShellProfile, ".zprofile"),
    (AutostartKind::ShellProfile, ".zshenv"),
    (AutostartKind::ShellProfile, ".zshrc"),
];

/// Directories in each home.
const HOME_DIRECTORIES: &[(AutostartKind, &str)] = &[
    (AutostartKind::Desktop, ".config/autostart"),
    (AutostartKind::Systemd, ".config/systemd/user"),
];

/// Tells of everything that starts by itself below `root`, whose accounts `passwd` lists.
pub fn tell(root: &Root, passwd: &[u8], emit: &mut dyn FnMut(Kind<'_>)) {
    for (kind, path) in FILES {
        tell_file(root, *kind, path.as_bytes(), None, emit);
    }
    for (kind, dir) in DIRECTORIES {
        tell_directory(root, *kind, dir.as_bytes(), None, emit);
    }
    let homes: BTreeSet<(&[u8], &[u8])> = accounts::parse(passwd)
        .filter(|account| account.home.len() > 1 && account.home.starts_with(b"/"))
        .map(|account| (account.home, account.name))
        .take(HOMES_MAX)
        .collect();
    let mut last = None;
    for (home, account) in homes {
        // Several accounts may share a home; its files are told once.
        if last.replace(home) == Some(home) {
            continue;
        }
        let below = |path: &str| [home, b"/", path.as_bytes()].concat();
        for (kind, path) in HOME_FILES {
            tell_file(root, *kind, &below(path), Some(account), emit);
        }
        for (kind, dir) in HOME_DIRECTORIES {
            tell_directory(root, *kind, &below(dir), Some(account), emit);
        }
    }
}

fn tell_directory(
    root: &Root,
    kind: AutostartKind,
    dir: &[u8],
    account: Option<&[u8]>,
    emit: &mut dyn FnMut(Kind<'_>),
) {
    for entry in root.names(dir) {
        let path = [dir, b"/", &entry.name].concat();
        let is_dir = entry.file_type == FileType::Directory;
        if is_dir && kind == AutostartKind::Systemd && is_wanting(&entry.name) {
            for unit in root.names(&path) {
                let path = [&path, b"/".as_slice(), &unit.name].concat();
                tell_file(root, kind, &path, account, emit);
            }
        } else if !is_dir {
            // A table under /var/spool/cron belongs to the account of its name.
            let owner = dir
                .starts_with(b"/var/spool/cron")
                .then_some(entry.name.as_slice());
            tell_file(root, kind, &path, owner.or(account), emit);
        }
    }
}

/// Whether a directory of units says what starts with another.
fn is_wanting(name: &[u8]) -> bool {
    [".wants", ".requires", ".upholds", ".d"]
        .iter()
        .any(|end| name.ends_with(end.as_bytes()))
}

fn tell_file(
    root: &Root,
    kind: AutostartKind,
    path: &[u8],
    account: Option<&[u8]>,
    emit: &mut dyn FnMut(Kind<'_>),
) {
    let Some(found) = root.read(path) else {
        return;
    };
    let sha256 = Hash32(Sha256::digest(&found.content).into());
    let mut one = |command: Option<&[u8]>, account: Option<&[u8]>| {
        emit(Kind::StateAutostart(StateAutostart {
            mechanism: Some(kind),
            path: Some(Text(path)),
            command: command.map(Text),
            account: account.map(Text),
            sha256: Some(sha256),
            modified_us: Some(found.modified_us),
        }));
    };
    let started = started(kind, path, &found);
    if started.is_empty() {
        one(None, account);
    }
    for line in started {
        one(Some(line.command), line.account.or(account));
    }
}

/// A line that says what is started.
#[derive(Debug, PartialEq, Eq)]
struct Line<'a> {
    command: &'a [u8],
    account: Option<&'a [u8]>,
}

/// The lines of a file that say what is started; none where the file itself is what runs.
fn started<'a>(kind: AutostartKind, path: &[u8], found: &'a Found) -> Vec<Line<'a>> {
    let lines = found
        .content
        .split(|byte| *byte == b'\n')
        .map(<[u8]>::trim_ascii);
    let plain = |command| Line {
        command,
        account: None,
    };
    match kind {
        AutostartKind::Cron if is_script_directory(path) => Vec::new(),
        AutostartKind::Cron => {
            let with_account = !path.starts_with(b"/var/spool");
            lines
                .filter_map(|line| cron_line(line, with_account))
                .take(LINES_MAX)
                .collect()
        }
        AutostartKind::Systemd => {
            let account = lines.clone().find_map(|line| line.strip_prefix(b"User="));
            let commands = lines.filter(|line| line.starts_with(b"Exec"));
            let commands = commands.filter_map(|line| line.splitn(2, |byte| *byte == b'=').nth(1));
            commands
                .map(|command| Line { command, account })
                .take(LINES_MAX)
                .collect()
        }
        AutostartKind::Desktop => lines
            .filter_map(|line| line.strip_prefix(b"Exec="))
            .map(plain)
            .collect(),
        AutostartKind::LdPreload => lines
            .filter(|line| !line.is_empty() && !line.starts_with(b"#"))
            .map(plain)
            .take(LINES_MAX)
            .collect(),
        AutostartKind::AuthorizedKeys
        | AutostartKind::ShellProfile
        | AutostartKind::Init
        | AutostartKind::At
        | AutostartKind::Udev
        | AutostartKind::Pam
        | AutostartKind::RunKey
        | AutostartKind::Service
        | AutostartKind::ScheduledTask => Vec::new(),
    }
}

/// Whether the files of a cron directory are scripts, not tables.
fn is_script_directory(path: &[u8]) -> bool {
    ["hourly", "daily", "weekly", "monthly"]
        .iter()
        .any(|period| path.starts_with(format!("/etc/cron.{period}/").as_bytes()))
}

/// A line of a cron table (crontab(5)): five fields of time or one word for them, in a table of
/// the system the account, and the command.
fn cron_line(line: &[u8], with_account: bool) -> Option<Line<'_>> {
    let first = *line.first()?;
    let times = match first {
        b'@' => 1,
        b'0'..=b'9' | b'*' => 5,
        // A comment, a variable.
        _ => return None,
    };
    let mut rest = line;
    let mut word = || {
        let end = rest.iter().position(u8::is_ascii_whitespace)?;
        let (word, after) = rest.split_at(end);
        rest = after.trim_ascii_start();
        Some(word)
    };
    for _ in 0..times {
        word()?;
    }
    let account = if with_account { Some(word()?) } else { None };
    (!rest.is_empty()).then_some(Line {
        command: rest,
        account,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(kind: AutostartKind, path: &str, content: &str) -> Vec<(String, Option<String>)> {
        let found = Found {
            content: content.into(),
            modified_us: 0,
        };
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        started(kind, path.as_bytes(), &found)
            .into_iter()
            .map(|line| (text(line.command), line.account.map(text)))
            .collect()
    }

    #[test]
    fn cron_tables_say_what_runs_and_as_whom() {
        let table = "# m h\nPATH=/bin\n*/5 * * * *\troot  /opt/x -q\n@reboot ann y\n17 * *\n";
        assert_eq!(
            lines(AutostartKind::Cron, "/etc/cron.d/x", table),
            [
                ("/opt/x -q".into(), Some("root".into())),
                ("y".into(), Some("ann".into()))
            ]
        );
        assert_eq!(
            lines(
                AutostartKind::Cron,
                "/var/spool/cron/crontabs/ann",
                "1 2 3 4 5 curl x | sh\n"
            ),
            [("curl x | sh".into(), None)]
        );
        assert!(
            lines(
                AutostartKind::Cron,
                "/etc/cron.daily/logrotate",
                "1 2 3 4 5 x y\n"
            )
            .is_empty()
        );
    }

    #[test]
    fn units_say_what_runs_and_as_whom() {
        let unit = "[Service]\nUser=ann\nExecStartPre=-/bin/a\nExecStart=/bin/b --c=d\n";
        assert_eq!(
            lines(
                AutostartKind::Systemd,
                "/etc/systemd/system/x.service",
                unit
            ),
            [
                ("-/bin/a".into(), Some("ann".into())),
                ("/bin/b --c=d".into(), Some("ann".into()))
            ]
        );
    }

    #[test]
    fn a_table_without_end_is_cut() {
        let table = "* * * * * root x\n".repeat(10_000);
        assert_eq!(
            lines(AutostartKind::Cron, "/etc/crontab", &table).len(),
            LINES_MAX
        );
    }
}
