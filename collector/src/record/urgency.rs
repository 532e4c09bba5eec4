//! Which events must be durable at once: those after which an intruder can reach the recorder.

use crate::journal::Urgency;
use crate::persistence;
use saigen_schemas::event::{Event, Kind, SourceState, Text};

/// How soon an event must be durable.
#[must_use]
pub fn of(event: &Event<'_>) -> Urgency {
    let critical = match event.kind {
        Kind::CredentialsChanged(change) => {
            change.euid == Some(0) && change.old_euid.is_some_and(|old| old != 0)
        }
        Kind::ProcessStart(start) => start.euid == Some(0) && start.uid.is_some_and(|uid| uid != 0),
        Kind::ProcessTraced(_) | Kind::ModuleLoaded(_) => true,
        Kind::BpfLoaded(bpf) => bpf.state == Some(SourceState::Up),
        Kind::FileCreated(file) => persists(file.path),
        Kind::FileWritten(file) => persists(file.path),
        Kind::FileRenamed(file) => persists(file.path) || persists(file.to),
        Kind::FileLinked(file) => persists(file.path),
        Kind::RecordSource(source) => source.state == Some(SourceState::Down),
        Kind::LogCleared(_) => true,
        Kind::ProcessFork(_)
        | Kind::ProcessExit(_)
        | Kind::ProcessOpened(_)
        | Kind::FileDeleted(_)
        | Kind::FileAttributes(_)
        | Kind::FileMapped(_)
        | Kind::FileMemory(_)
        | Kind::FileRead(_)
        | Kind::NetworkConnected(_)
        | Kind::NetworkAccepted(_)
        | Kind::NetworkListening(_)
        | Kind::NetworkClosed(_)
        | Kind::NetworkResolved(_)
        | Kind::Logon(_)
        | Kind::Logoff(_)
        | Kind::FailedLogon(_)
        | Kind::PrivilegeSwitch(_)
        | Kind::Mounted(_)
        | Kind::NamespaceEntered(_)
        | Kind::Registry(_)
        | Kind::ServiceChange(_)
        | Kind::DriverChange(_)
        | Kind::ScheduledTask(_)
        | Kind::WmiSubscription(_)
        | Kind::ScriptBlock(_)
        | Kind::Pipe(_)
        | Kind::StateProcess(_)
        | Kind::StateSocket(_)
        | Kind::StateModule(_)
        | Kind::StateAccount(_)
        | Kind::StateAutostart(_)
        | Kind::RecordLoss(_)
        | Kind::ClockStep(_)
        | Kind::RecordBoot(_)
        | Kind::RecordSuspend(_)
        | Kind::RecordConfiguration(_)
        | Kind::RecordHeartbeat(_)
        | Kind::RecordCompleteness(_)
        | Kind::RecordRaw(_) => false,
    };
    if critical {
        Urgency::Critical
    } else {
        Urgency::Ordinary
    }
}

fn persists(path: Option<Text<'_>>) -> bool {
    path.is_some_and(|path| persistence::is_there(path.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use saigen_schemas::event::{
        BootId, CredentialsChanged, Fields, FileWritten, Marks, Source, Time,
    };

    fn urgency(kind: Kind<'_>) -> Urgency {
        of(&Event {
            seq: 0,
            time: Time::default(),
            recorded_us: None,
            host: Text(b"h"),
            boot: BootId::default(),
            source: Source::Recorder,
            actor: None,
            marks: Marks::default(),
            extra: Fields::default(),
            kind,
        })
    }

    #[test]
    fn gaining_root_is_critical_and_giving_it_up_is_not() {
        let change = |old_euid, euid| {
            Kind::CredentialsChanged(CredentialsChanged {
                old_euid: Some(old_euid),
                euid: Some(euid),
                ..CredentialsChanged::default()
            })
        };
        assert_eq!(urgency(change(1000, 0)), Urgency::Critical);
        assert_eq!(urgency(change(0, 1000)), Urgency::Ordinary);
    }

    #[test]
    fn what_starts_by_itself_is_critical_and_other_files_are_not() {
        let written = |path: &'static [u8]| {
            Kind::FileWritten(FileWritten {
                path: Some(Text(path)),
                ..FileWritten::default()
            })
        };
        assert_eq!(urgency(written(b"/etc/cron.d/x")), Urgency::Critical);
        assert_eq!(
            urgency(written(b"/home/a/.ssh/authorized_keys")),
            Urgency::Critical
        );
        assert_eq!(urgency(written(b"/tmp/x")), Urgency::Ordinary);
    }
}
