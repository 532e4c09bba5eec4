//! What programs, the daemon and the kernel say without a system call: sessions, services, the
//! recording itself.

use saigen_schemas::event::{
    Change, FailedLogon, Kind, Logoff, Logon, Marks, Outcome, PrivilegeSwitch, ProcessExit,
    RecordLoss, RecordSource, ServiceChange, SourceState, Text,
};

use crate::import::ImportError;
use crate::import::audit::calls::bpf_of;
use crate::import::audit::kinds::RecordType;
use crate::import::audit::map::{Out, key};
use crate::import::audit::parsed::{Record, decimal};
use crate::import::audit::subject::Subject;

/// Programs whose sessions are a change of identity and no login.
const SWITCHES: [&[u8]; 6] = [b"su", b"sudo", b"runuser", b"pkexec", b"doas", b"sudo-rs"];

/// Tells what a record says, or keeps it as it is.
pub(super) fn tell(
    record: Record<'_>,
    subject: &Subject<'_>,
    out: &mut Out<'_>,
) -> Result<(), ImportError> {
    let actor = key(subject.pid);
    match kind(record, subject) {
        Some(kind) => out.tell(actor, kind, Marks(b"")),
        None => out.tell_raw(actor, record),
    }
}

fn kind<'p>(record: Record<'p>, subject: &Subject<'p>) -> Option<Kind<'p>> {
    let said = Said::of(record, subject);
    let allowed = said.outcome != Some(Outcome::Failure);
    let switches = said.program.is_some_and(|program| {
        SWITCHES.contains(
            &program
                .rsplit(|&byte| byte == b'/')
                .next()
                .unwrap_or(program),
        )
    });
    match record.record_type() {
        // A login that succeeds is told twice, as USER_LOGIN and USER_START: the second is taken,
        // since every kind of login has it. One that fails has no USER_START.
        RecordType::USER_AUTH | RecordType::USER_LOGIN if !allowed && !switches => {
            Some(said.refused())
        }
        RecordType::USER_AUTH if !allowed => Some(said.switch()),
        RecordType::USER_START if allowed && switches => Some(said.switch()),
        RecordType::USER_START if allowed => Some(said.logon()),
        RecordType::USER_END if !switches => Some(said.logoff()),
        RecordType::USER_CMD => Some(said.switch()),
        RecordType::SERVICE_START => service(record, Change::Started),
        RecordType::SERVICE_STOP => service(record, Change::Stopped),
        RecordType::ANOM_ABEND => Some(Kind::ProcessExit(ProcessExit {
            signal: record.number(b"sig"),
            ..ProcessExit::default()
        })),
        RecordType::BPF => bpf_of(record),
        RecordType::DAEMON_START => Some(daemon(record, SourceState::Up)),
        RecordType::DAEMON_END | RecordType::DAEMON_ABORT => {
            Some(daemon(record, SourceState::Down))
        }
        RecordType::CONFIG_CHANGE => enabled(record),
        RecordType::KERNEL => lost(record),
        _ => lost(record),
    }
}

/// What login programs say.
#[derive(Clone, Copy, Default)]
struct Said<'p> {
    account: Option<&'p [u8]>,
    by_account: Option<&'p [u8]>,
    uid: Option<u32>,
    session: Option<u64>,
    program: Option<&'p [u8]>,
    terminal: Option<&'p [u8]>,
    address: Option<&'p [u8]>,
    host: Option<&'p [u8]>,
    operation: Option<&'p [u8]>,
    command: Option<&'p [u8]>,
    outcome: Option<Outcome>,
}

impl<'p> Said<'p> {
    fn of(record: Record<'p>, subject: &Subject<'p>) -> Self {
        /// In place of a session: there is none.
        const UNSET: u64 = u32::MAX as u64;
        let outcome = record.get(b"res").map(|word| match word {
            b"success" | b"1" | b"yes" => Outcome::Success,
            _ => Outcome::Failure,
        });
        Self {
            // Interpreted where the daemon did so; else as the program said it.
            account: record.known(b"acct").or_else(|| record.known(b"ID")),
            by_account: record
                .known(b"AUID")
                .filter(|name| *name != b"unset")
                .or(subject.real_account),
            uid: record.number(b"id").or(subject.uid),
            session: subject.session.filter(|&session| session != UNSET),
            program: subject.exe,
            terminal: record.known(b"terminal"),
            address: record.known(b"addr"),
            host: record.known(b"hostname"),
            operation: record.known(b"op"),
            command: record.known(b"cmd"),
            outcome,
        }
    }

    /// Only a session's own id is who logged on; of the rest `uid` is that of the login program.
    fn logon(self) -> Kind<'p> {
        Kind::Logon(Logon {
            account: self.account.map(Text),
            uid: self.uid,
            session: self.session,
            terminal: self.terminal.map(Text),
            remote_ip: self.remote_ip(),
            remote_host: self.remote_host(),
            logon_type: self.service(),
            program: self.program.map(Text),
            method: self.operation.map(Text),
            ..Logon::default()
        })
    }

    fn logoff(self) -> Kind<'p> {
        Kind::Logoff(Logoff {
            account: self.account.map(Text),
            uid: self.uid,
            session: self.session,
            terminal: self.terminal.map(Text),
            program: self.program.map(Text),
        })
    }

    fn refused(self) -> Kind<'p> {
        Kind::FailedLogon(FailedLogon {
            account: self.account.map(Text),
            terminal: self.terminal.map(Text),
            remote_ip: self.remote_ip(),
            remote_host: self.remote_host(),
            logon_type: self.service(),
            program: self.program.map(Text),
            reason: self.operation.map(Text),
            ..FailedLogon::default()
        })
    }

    fn switch(self) -> Kind<'p> {
        Kind::PrivilegeSwitch(PrivilegeSwitch {
            account: self.by_account.map(Text),
            to_account: self.account.map(Text),
            program: self.program.map(Text),
            command: self.command.map(Text),
            terminal: self.terminal.map(Text),
            outcome: self.outcome,
            privileges: None,
        })
    }

    fn remote_ip(self) -> Option<std::net::IpAddr> {
        std::str::from_utf8(self.address?).ok()?.parse().ok()
    }

    /// The name of the other end, where it is more than its address once again.
    fn remote_host(self) -> Option<Text<'p>> {
        self.host
            .filter(|&host| Some(host) != self.address)
            .map(Text)
    }

    /// The service that let in: the terminal of a login that has none of its own.
    fn service(self) -> Option<Text<'p>> {
        let program = self.program?;
        Some(Text(
            program
                .rsplit(|&byte| byte == b'/')
                .next()
                .unwrap_or(program),
        ))
    }
}

fn service(record: Record<'_>, change: Change) -> Option<Kind<'_>> {
    Some(Kind::ServiceChange(ServiceChange {
        change: Some(change),
        name: Some(Text(record.known(b"unit")?)),
        ..ServiceChange::default()
    }))
}

/// The daemon that writes the log came or went.
fn daemon(record: Record<'_>, state: SourceState) -> Kind<'_> {
    Kind::RecordSource(RecordSource {
        name: Some("auditd".into()),
        state: Some(state),
        detail: record.known(b"ver").map(Text),
    })
}

/// Auditing was switched on or off.
fn enabled(record: Record<'_>) -> Option<Kind<'_>> {
    let state = match decimal(record.get(b"audit_enabled")?)? {
        0 => SourceState::Down,
        _ => SourceState::Up,
    };
    Some(Kind::RecordSource(RecordSource {
        name: Some("audit".into()),
        state: Some(state),
        detail: record.known(b"op").map(Text),
    }))
}

/// The kernel counts what it could not hand over: `audit_lost=N audit_rate_limit=… …`. The count is
/// of all since the boot.
fn lost(record: Record<'_>) -> Option<Kind<'_>> {
    let count: u64 = record.number(b"audit_lost")?;
    Some(Kind::RecordLoss(RecordLoss {
        name: Some("audit".into()),
        count: Some(count),
        ..RecordLoss::default()
    }))
}
