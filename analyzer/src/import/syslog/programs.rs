//! What login programs, sudo, su and cron write into the system log.

use saigen_schemas::event::{
    Change, FailedLogon, Kind, Logoff, Logon, Outcome, PrivilegeSwitch, ScheduledTask, Text,
};

use crate::import::syslog::Entry;

/// What a line says, and its parts that rules ask for by name.
#[derive(Default)]
pub(super) struct Said<'l> {
    pub(super) kind: Option<Kind<'l>>,
    pub(super) fields: Vec<(&'static str, &'l [u8])>,
}

impl<'l> Said<'l> {
    fn only(kind: Option<Kind<'l>>) -> Self {
        Self {
            kind,
            fields: Vec::new(),
        }
    }
}

/// Reads a line by the program that wrote it.
pub(super) fn read<'l>(entry: &Entry<'l>) -> Said<'l> {
    let text = entry.text.trim_ascii_start();
    match entry.program {
        b"sshd" | b"sshd-session" | b"dropbear" => {
            Said::only(ssh(text, entry.program).or_else(|| pam(text, entry.program)))
        }
        b"sudo" | b"doas" => sudo(text).unwrap_or_default(),
        b"su" | b"runuser" => Said::only(su(text, entry.program)),
        b"cron" | b"CRON" | b"crond" | b"/usr/sbin/cron" | b"anacron" => Said::only(cron(text)),
        _ => Said::only(pam(text, entry.program)),
    }
}

/// `Accepted METHOD for USER from IP port N ssh2`, `Failed METHOD for [invalid user ]USER from …`.
fn ssh<'l>(text: &'l [u8], program: &'l [u8]) -> Option<Kind<'l>> {
    let (rest, accepted) = match text.strip_prefix(b"Accepted ") {
        Some(rest) => (rest, true),
        None => (text.strip_prefix(b"Failed ")?, false),
    };
    let (method, rest) = split(rest, b" for ")?;
    let (account, rest) = split_last(rest, b" from ")?;
    let mut words = rest.split(|&byte| byte == b' ');
    let address = words.next()?;
    let port = (words.next() == Some(b"port"))
        .then(|| words.next())
        .flatten();
    let ip = std::str::from_utf8(address)
        .ok()
        .and_then(|ip| ip.parse().ok());
    let port = port.and_then(|port| std::str::from_utf8(port).ok()?.parse().ok());
    let host = ip.is_none().then_some(Text(address));
    if accepted {
        return Some(Kind::Logon(Logon {
            account: Some(Text(account)),
            remote_ip: ip,
            remote_port: port,
            remote_host: host,
            logon_type: Some(Text(program)),
            program: Some(Text(program)),
            method: Some(Text(method)),
            ..Logon::default()
        }));
    }
    let (account, reason) = match account.strip_prefix(b"invalid user ") {
        Some(account) => (account, &b"invalid user"[..]),
        None => (account, method),
    };
    Some(Kind::FailedLogon(FailedLogon {
        account: Some(Text(account)),
        remote_ip: ip,
        remote_host: host,
        logon_type: Some(Text(program)),
        program: Some(Text(program)),
        reason: Some(Text(reason)),
        ..FailedLogon::default()
    }))
}

/// What the PAM module of Unix accounts writes for any program: the end of a session, a refusal.
/// Beginnings of sessions are told by the program itself.
fn pam<'l>(text: &'l [u8], program: &'l [u8]) -> Option<Kind<'l>> {
    let rest = text.strip_prefix(b"pam_unix(")?;
    let (place, rest) = split(rest, b"): ")?;
    if let Some(account) = rest.strip_prefix(b"session closed for user ") {
        return Some(Kind::Logoff(Logoff {
            account: Some(Text(account.trim_ascii())),
            program: Some(Text(program)),
            ..Logoff::default()
        }));
    }
    // The SSH server tells of each refusal itself.
    let is_ssh = place.starts_with(b"sshd");
    let rest = rest
        .strip_prefix(b"authentication failure;")
        .filter(|_| !is_ssh)?;
    let value = |name: &[u8]| {
        let value = rest
            .split(|&byte| byte == b' ')
            .find_map(|word| word.strip_prefix(name)?.strip_prefix(b"="))?;
        (!value.is_empty()).then_some(value)
    };
    let remote = value(b"rhost");
    let ip = remote.and_then(|host| std::str::from_utf8(host).ok()?.parse().ok());
    Some(Kind::FailedLogon(FailedLogon {
        account: value(b"user").map(Text),
        terminal: value(b"tty").map(Text),
        remote_ip: ip,
        remote_host: remote.filter(|_| ip.is_none()).map(Text),
        logon_type: Some(Text(program)),
        program: Some(Text(program)),
        reason: Some("authentication failure".into()),
        ..FailedLogon::default()
    }))
}

/// `ada : [REASON ; ]TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh`. With a reason it was refused.
fn sudo(text: &[u8]) -> Option<Said<'_>> {
    let (account, rest) = split(text, b" : ")?;
    let command = split(rest, b"COMMAND=").map(|(_, command)| command);
    let head = split(rest, b" ; COMMAND=").map_or(rest, |(head, _)| head);
    let mut fields = Vec::new();
    let mut refused = false;
    let (mut terminal, mut target) = (None, None);
    for part in head.split(|&byte| byte == b';').map(<[u8]>::trim_ascii) {
        match split(part, b"=") {
            Some((b"TTY", value)) => {
                terminal = Some(Text(value));
                fields.push(("TTY", value));
            }
            Some((b"PWD", value)) => fields.push(("PWD", value)),
            Some((b"USER", value)) => {
                target = Some(Text(value));
                fields.push(("USER", value));
            }
            Some((b"GROUP", value)) => fields.push(("GROUP", value)),
            Some((b"ENV", value)) => fields.push(("ENV", value)),
            Some((b"TSID" | b"HOST" | b"CHROOT", _)) => {}
            Some(_) | None => refused = true,
        }
    }
    let command = command?;
    fields.push(("COMMAND", command));
    let kind = Kind::PrivilegeSwitch(PrivilegeSwitch {
        account: Some(Text(account.trim_ascii())),
        to_account: target,
        program: Some("sudo".into()),
        command: Some(Text(command)),
        terminal,
        outcome: Some(if refused {
            Outcome::Failure
        } else {
            Outcome::Success
        }),
        privileges: None,
    });
    Some(Said {
        kind: Some(kind),
        fields,
    })
}

/// `(to root) ada on pts/0`, `FAILED SU (to root) ada on pts/0`, `Successful su for root by ada`.
fn su<'l>(text: &'l [u8], program: &'l [u8]) -> Option<Kind<'l>> {
    let switch = |account: &'l [u8], target: &'l [u8], terminal: Option<&'l [u8]>, outcome| {
        Kind::PrivilegeSwitch(PrivilegeSwitch {
            account: Some(Text(account)),
            to_account: Some(Text(target)),
            program: Some(Text(program)),
            terminal: terminal.map(Text),
            outcome: Some(outcome),
            ..PrivilegeSwitch::default()
        })
    };
    let (rest, outcome) = match text.strip_prefix(b"FAILED SU ") {
        Some(rest) => (rest, Outcome::Failure),
        None => (text, Outcome::Success),
    };
    if let Some(rest) = rest.strip_prefix(b"(to ") {
        let (target, rest) = split(rest, b") ")?;
        let (account, terminal) = match split(rest, b" on ") {
            Some((account, terminal)) => (account, Some(terminal)),
            None => (rest, None),
        };
        return Some(switch(account, target, terminal, outcome));
    }
    let (rest, outcome) = match text.strip_prefix(b"Successful su for ") {
        Some(rest) => (rest, Outcome::Success),
        None => (text.strip_prefix(b"FAILED su for ")?, Outcome::Failure),
    };
    let (target, account) = split(rest, b" by ")?;
    Some(switch(account, target, None, outcome))
}

/// `(root) CMD (command)`.
fn cron(text: &[u8]) -> Option<Kind<'_>> {
    let rest = text.strip_prefix(b"(")?;
    let (account, rest) = split(rest, b") CMD (")?;
    let command = rest.strip_suffix(b")").unwrap_or(rest);
    Some(Kind::ScheduledTask(ScheduledTask {
        change: Some(Change::Ran),
        name: Some("cron".into()),
        command_line: Some(Text(command.trim_ascii())),
        account: Some(Text(account)),
        ..ScheduledTask::default()
    }))
}

/// What stands before and behind a mark.
fn split<'l>(text: &'l [u8], mark: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let place = memchr::memmem::find(text, mark)?;
    Some((text.get(..place)?, text.get(place + mark.len()..)?))
}

/// What stands before and behind the last of a mark: names may be chosen to hold it.
fn split_last<'l>(text: &'l [u8], mark: &[u8]) -> Option<(&'l [u8], &'l [u8])> {
    let place = memchr::memmem::rfind(text, mark)?;
    Some((text.get(..place)?, text.get(place + mark.len()..)?))
}
