//! Places from which a Linux system starts things by itself: what is written there runs later.

use saigen_schemas::event::AutostartKind;

/// Directories: everything below them.
const DIRECTORIES: [(&str, AutostartKind); 31] = [
    ("/etc/cron.d/", AutostartKind::Cron),
    ("/etc/cron.hourly/", AutostartKind::Cron),
    ("/etc/cron.daily/", AutostartKind::Cron),
    ("/etc/cron.weekly/", AutostartKind::Cron),
    ("/etc/cron.monthly/", AutostartKind::Cron),
    ("/var/spool/cron/atjobs/", AutostartKind::At),
    ("/var/spool/at/", AutostartKind::At),
    ("/var/spool/cron/", AutostartKind::Cron),
    ("/etc/systemd/system/", AutostartKind::Systemd),
    ("/etc/systemd/user/", AutostartKind::Systemd),
    ("/etc/systemd/system-generators/", AutostartKind::Systemd),
    ("/run/systemd/system/", AutostartKind::Systemd),
    ("/run/systemd/transient/", AutostartKind::Systemd),
    ("/lib/systemd/system/", AutostartKind::Systemd),
    ("/lib/systemd/user/", AutostartKind::Systemd),
    ("/usr/lib/systemd/system/", AutostartKind::Systemd),
    ("/usr/lib/systemd/user/", AutostartKind::Systemd),
    ("/usr/local/lib/systemd/system/", AutostartKind::Systemd),
    (
        "/usr/lib/systemd/system-generators/",
        AutostartKind::Systemd,
    ),
    ("/etc/profile.d/", AutostartKind::ShellProfile),
    ("/etc/zsh/", AutostartKind::ShellProfile),
    ("/etc/update-motd.d/", AutostartKind::Pam),
    ("/etc/pam.d/", AutostartKind::Pam),
    ("/etc/init.d/", AutostartKind::Init),
    ("/etc/rc.d/", AutostartKind::Init),
    ("/etc/init/", AutostartKind::Init),
    ("/etc/udev/rules.d/", AutostartKind::Udev),
    ("/lib/udev/rules.d/", AutostartKind::Udev),
    ("/usr/lib/udev/rules.d/", AutostartKind::Udev),
    ("/run/udev/rules.d/", AutostartKind::Udev),
    ("/etc/xdg/autostart/", AutostartKind::Desktop),
];

/// Single files.
const FILES: [(&str, AutostartKind); 12] = [
    ("/etc/crontab", AutostartKind::Cron),
    ("/etc/anacrontab", AutostartKind::Cron),
    ("/etc/profile", AutostartKind::ShellProfile),
    ("/etc/bash.bashrc", AutostartKind::ShellProfile),
    ("/etc/bashrc", AutostartKind::ShellProfile),
    ("/etc/environment", AutostartKind::ShellProfile),
    ("/etc/zshenv", AutostartKind::ShellProfile),
    ("/etc/ld.so.preload", AutostartKind::LdPreload),
    ("/etc/rc.local", AutostartKind::Init),
    ("/etc/inittab", AutostartKind::Init),
    ("/etc/pam.conf", AutostartKind::Pam),
    ("/etc/ssh/authorized_keys", AutostartKind::AuthorizedKeys),
];

/// Files and directories of a home directory, wherever that is: what the path ends with, or has
/// in it where it ends with a slash.
const IN_HOMES: [(&str, AutostartKind); 20] = [
    ("/.bashrc", AutostartKind::ShellProfile),
    ("/.bash_profile", AutostartKind::ShellProfile),
    ("/.bash_login", AutostartKind::ShellProfile),
    ("/.bash_logout", AutostartKind::ShellProfile),
    ("/.bash_aliases", AutostartKind::ShellProfile),
    ("/.profile", AutostartKind::ShellProfile),
    ("/.zshrc", AutostartKind::ShellProfile),
    ("/.zshenv", AutostartKind::ShellProfile),
    ("/.zprofile", AutostartKind::ShellProfile),
    ("/.zlogin", AutostartKind::ShellProfile),
    ("/.kshrc", AutostartKind::ShellProfile),
    ("/.cshrc", AutostartKind::ShellProfile),
    ("/.config/fish/config.fish", AutostartKind::ShellProfile),
    ("/.ssh/authorized_keys", AutostartKind::AuthorizedKeys),
    ("/.ssh/authorized_keys2", AutostartKind::AuthorizedKeys),
    ("/.ssh/rc", AutostartKind::AuthorizedKeys),
    ("/.xprofile", AutostartKind::Desktop),
    ("/.config/autostart/", AutostartKind::Desktop),
    ("/.config/systemd/user/", AutostartKind::Systemd),
    ("/.local/share/systemd/user/", AutostartKind::Systemd),
];

/// What would start what stands in a file of this path; `None` for any other place.
#[must_use]
pub fn autostart_place(path: &[u8]) -> Option<AutostartKind> {
    let below = |place: &str| path.len() > place.len() && path.starts_with(place.as_bytes());
    let in_home = |place: &str| {
        if place.ends_with('/') {
            let place = place.as_bytes();
            path.windows(place.len()).any(|part| part == place) && !path.ends_with(place)
        } else {
            path.ends_with(place.as_bytes())
        }
    };
    // Nearly every path of a busy machine lies elsewhere, and this is asked for each.
    let may_be_home = path.windows(2).any(|part| part == b"/.");
    let found = |list: &[(&str, AutostartKind)], fits: &dyn Fn(&str) -> bool| {
        list.iter()
            .find(|(place, _)| fits(place))
            .map(|&(_, kind)| kind)
    };
    found(&DIRECTORIES, &below)
        .or_else(|| found(&FILES, &|place| path == place.as_bytes()))
        .or_else(|| may_be_home.then(|| found(&IN_HOMES, &in_home)).flatten())
        .or_else(|| is_pam_module(path).then_some(AutostartKind::Pam))
        .or_else(|| is_rc_directory(path).then_some(AutostartKind::Init))
}

/// `…/security/pam_NAME.so`, as distributions place it in one of several library directories.
fn is_pam_module(path: &[u8]) -> bool {
    let name = file_name(path);
    let directory = path.strip_suffix(name).unwrap_or_default();
    name.starts_with(b"pam_") && directory.ends_with(b"/security/")
}

/// `/etc/rcN.d/…`.
fn is_rc_directory(path: &[u8]) -> bool {
    path.strip_prefix(b"/etc/rc")
        .and_then(|rest| rest.get(1..))
        .is_some_and(|rest| rest.starts_with(b".d/") && rest.len() > 3)
}

/// The last part of a path.
pub(super) fn file_name(path: &[u8]) -> &[u8] {
    path.rsplit(|&byte| byte == b'/').next().unwrap_or(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn autostart_places_are_told_from_others() {
        for (path, kind) in [
            ("/etc/cron.d/backup", AutostartKind::Cron),
            ("/var/spool/cron/crontabs/ann", AutostartKind::Cron),
            ("/var/spool/cron/atjobs/a0001", AutostartKind::At),
            (
                "/etc/systemd/system/multi-user.target.wants/x.service",
                AutostartKind::Systemd,
            ),
            (
                "/home/ann/.config/systemd/user/x.service",
                AutostartKind::Systemd,
            ),
            ("/root/.bashrc", AutostartKind::ShellProfile),
            (
                "/srv/homes/ann/.ssh/authorized_keys",
                AutostartKind::AuthorizedKeys,
            ),
            ("/etc/ld.so.preload", AutostartKind::LdPreload),
            ("/etc/rc3.d/S99x", AutostartKind::Init),
            (
                "/usr/lib/x86_64-linux-gnu/security/pam_unix.so",
                AutostartKind::Pam,
            ),
        ] {
            assert_eq!(autostart_place(path.as_bytes()), Some(kind), "{path}");
        }
        for path in [
            "/etc/cron.d/",
            "/usr/lib/systemd/systemd",
            "/home/ann/bashrc",
            "/tmp/crontab",
            "/etc/ld.so.preload.bak",
            "",
        ] {
            assert_eq!(autostart_place(path.as_bytes()), None, "{path}");
        }
    }
}
