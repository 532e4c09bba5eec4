//! Which log sources an event is of.

use saigen_schemas::event::{Change, Event, Kind, Source, Text, Touch};

use crate::detect::LogSource;
use crate::detect::channels::{CHANNELS, PROVIDERS};

/// The log sources of an event, each once: by what happened, and by the log that it came from.
pub(super) fn sources_of(event: &Event<'_>) -> Vec<LogSource> {
    let mut sources = Vec::with_capacity(3);
    if is_windows(event) {
        windows_kinds(event, &mut sources);
        sources.push(windows_service(event));
    } else {
        linux_kinds(event, &mut sources);
    }
    sources
}

/// Whether rules for Windows speak of it. A shipper's JSON says so by a channel or an event id.
fn is_windows(event: &Event<'_>) -> bool {
    match event.source {
        Source::Sysmon | Source::Evtx => true,
        Source::Ecs | Source::Json => {
            channel(event).is_some() || event_id(event) != 0 || has_windows_path(event)
        }
        Source::Recorder
        | Source::Perf
        | Source::Audit
        | Source::Fanotify
        | Source::ProcConnector
        | Source::Taskstats
        | Source::SockDiag
        | Source::Proc
        | Source::Packet
        | Source::Utmp
        | Source::Joined
        | Source::SysmonLinux
        | Source::Kunai
        | Source::Tetragon
        | Source::Falco
        | Source::Syslog => false,
    }
}

/// Whether the program behind the event lies on a drive with a letter.
fn has_windows_path(event: &Event<'_>) -> bool {
    let image = if let Kind::ProcessStart(start) = &event.kind {
        start.image
    } else {
        event.extra.get("Image")
    };
    image.is_some_and(|image| image.0.get(1..3) == Some(b":\\".as_slice()))
}

fn linux_kinds(event: &Event<'_>, sources: &mut Vec<LogSource>) {
    let (own, audit) = match &event.kind {
        Kind::ProcessStart(_) => (LogSource::LinuxProcessCreation, true),
        Kind::ProcessFork(_) if event.source == Source::Audit => (LogSource::LinuxAuditd, true),
        Kind::ProcessFork(_) => return,
        Kind::ProcessExit(_) => (LogSource::LinuxProcessTermination, false),
        Kind::CredentialsChanged(_) => (LogSource::LinuxCredentialsChange, true),
        Kind::ProcessTraced(_) | Kind::ProcessOpened(_) => (LogSource::LinuxProcessAccess, true),
        Kind::FileCreated(_) | Kind::FileWritten(_) | Kind::FileLinked(_) => {
            (LogSource::LinuxFileEvent, true)
        }
        Kind::FileRenamed(_) => {
            // What is renamed to a place comes to be there.
            sources.push(LogSource::LinuxFileRename);
            (LogSource::LinuxFileEvent, true)
        }
        Kind::FileDeleted(_) => (LogSource::LinuxFileDelete, true),
        Kind::FileAttributes(_) => (LogSource::LinuxFileChange, true),
        Kind::FileMapped(_) => (LogSource::LinuxImageLoad, false),
        Kind::FileMemory(_) => (LogSource::LinuxMemoryFile, false),
        Kind::FileRead(_) => (LogSource::LinuxFileAccess, true),
        Kind::NetworkConnected(_) | Kind::NetworkAccepted(_) => {
            (LogSource::LinuxNetworkConnection, false)
        }
        Kind::NetworkListening(_) => (LogSource::LinuxNetworkListen, false),
        Kind::NetworkClosed(_) => (LogSource::LinuxNetworkClose, false),
        Kind::NetworkResolved(_) => (LogSource::LinuxDnsQuery, false),
        Kind::Logon(_) | Kind::Logoff(_) | Kind::FailedLogon(_) | Kind::PrivilegeSwitch(_) => {
            (LogSource::LinuxAuthentication, false)
        }
        Kind::ModuleLoaded(_) => (LogSource::LinuxDriverLoad, true),
        Kind::BpfLoaded(_) => (LogSource::LinuxBpfLoad, false),
        Kind::Mounted(_) => (LogSource::LinuxMount, true),
        Kind::NamespaceEntered(_) => (LogSource::LinuxNamespace, false),
        Kind::Registry(_)
        | Kind::ServiceChange(_)
        | Kind::DriverChange(_)
        | Kind::ScheduledTask(_)
        | Kind::WmiSubscription(_)
        | Kind::ScriptBlock(_)
        | Kind::Pipe(_) => (LogSource::LinuxConfiguration, false),
        Kind::StateProcess(_)
        | Kind::StateSocket(_)
        | Kind::StateModule(_)
        | Kind::StateAccount(_)
        | Kind::StateAutostart(_) => return sources.push(LogSource::LinuxState),
        Kind::RecordSource(_)
        | Kind::RecordLoss(_)
        | Kind::ClockStep(_)
        | Kind::RecordBoot(_)
        | Kind::RecordSuspend(_)
        | Kind::RecordConfiguration(_)
        | Kind::RecordHeartbeat(_)
        | Kind::LogCleared(_)
        | Kind::RecordCompleteness(_) => (LogSource::LinuxRecord, false),
        Kind::RecordRaw(_) => (linux_service(event), event.source == Source::Audit),
    };
    sources.push(own);
    if event.source == Source::Syslog {
        line_services(event, sources);
    }
    // What audit itself recorded is asked about in its own words, whatever it became here.
    if (audit || event.source == Source::Audit) && own != LogSource::LinuxAuditd {
        sources.push(LogSource::LinuxAuditd);
    }
}

/// The log that a record came from that is of no kind of its own.
fn linux_service(event: &Event<'_>) -> LogSource {
    if event.source == Source::Audit {
        LogSource::LinuxAuditd
    } else {
        // Services of its own come with the line: see `line_services`.
        LogSource::LinuxSyslog
    }
}

/// The services that rules call a line of a system log by, after the program that wrote it. All
/// lines are of `syslog`; those about who comes in are of `auth` as well, since they share a file.
fn line_services(event: &Event<'_>, sources: &mut Vec<LogSource>) {
    let program = event.extra.get("program").map(|name| name.0);
    let program = program.unwrap_or_default();
    let name = program
        .rsplit(|&byte| byte == b'/')
        .next()
        .unwrap_or(program);
    let own = match name {
        b"sshd" | b"sshd-session" | b"sshd-auth" => Some(LogSource::LinuxSshd),
        b"sudo" => Some(LogSource::LinuxSudo),
        b"cron" | b"CRON" | b"crond" | b"crontab" | b"anacron" => Some(LogSource::LinuxCron),
        b"clamd" | b"freshclam" | b"clamscan" | b"clamav-daemon" => Some(LogSource::LinuxClamav),
        b"vsftpd" => Some(LogSource::LinuxVsftpd),
        b"guacd" | b"guacamole" => Some(LogSource::LinuxGuacamole),
        _ => None,
    };
    let is_auth = matches!(
        name,
        b"sshd"
            | b"sshd-session"
            | b"sshd-auth"
            | b"sudo"
            | b"su"
            | b"login"
            | b"passwd"
            | b"pkexec"
            | b"polkitd"
            | b"useradd"
            | b"usermod"
            | b"userdel"
            | b"groupadd"
            | b"groupmod"
            | b"groupdel"
            | b"chage"
            | b"chpasswd"
            | b"gpasswd"
            | b"systemd-logind"
            | b"CRON"
    );
    let services = [
        own,
        is_auth.then_some(LogSource::LinuxAuth),
        Some(LogSource::LinuxSyslog),
    ];
    for service in services.into_iter().flatten() {
        if !sources.contains(&service) {
            sources.push(service);
        }
    }
}

fn windows_kinds(event: &Event<'_>, sources: &mut Vec<LogSource>) {
    let own = match &event.kind {
        Kind::ProcessStart(_) => LogSource::WindowsProcessCreation,
        Kind::ProcessExit(_) => LogSource::WindowsProcessTermination,
        Kind::ProcessTraced(traced) => match traced.how {
            Some(Touch::ImageReplaced) => LogSource::WindowsProcessTampering,
            Some(Touch::RemoteThread) => LogSource::WindowsCreateRemoteThread,
            Some(Touch::Ptrace | Touch::MemoryWrite | Touch::MemoryRead) | None => {
                LogSource::WindowsProcessAccess
            }
        },
        Kind::ProcessOpened(_) => LogSource::WindowsProcessAccess,
        Kind::FileCreated(_) | Kind::FileWritten(_) | Kind::FileLinked(_) => {
            match event_id(event) {
                15 => LogSource::WindowsCreateStreamHash,
                29 => LogSource::WindowsFileExecutableDetected,
                _ => LogSource::WindowsFileEvent,
            }
        }
        Kind::FileRenamed(_) => LogSource::WindowsFileRename,
        Kind::FileDeleted(_) => {
            // Sysmon 26 is a deletion of which no copy was kept: rules ask for both by one name.
            if event_id(event) == 26 {
                sources.push(LogSource::WindowsFileDeleteDetected);
            }
            LogSource::WindowsFileDelete
        }
        Kind::FileAttributes(_) => LogSource::WindowsFileChange,
        Kind::FileRead(_) => match event_id(event) {
            9 => LogSource::WindowsRawAccessThread,
            _ => LogSource::WindowsFileAccess,
        },
        Kind::FileMapped(_) => LogSource::WindowsImageLoad,
        Kind::NetworkConnected(_) | Kind::NetworkAccepted(_) => LogSource::WindowsNetworkConnection,
        Kind::NetworkResolved(_) => LogSource::WindowsDnsQuery,
        Kind::ModuleLoaded(_) => LogSource::WindowsDriverLoad,
        Kind::Registry(registry) => {
            sources.push(LogSource::WindowsRegistryEvent);
            match registry.change {
                Some(Change::Created) => LogSource::WindowsRegistryAdd,
                Some(Change::Deleted) => LogSource::WindowsRegistryDelete,
                Some(Change::Renamed) => LogSource::WindowsRegistryRename,
                Some(Change::Set | Change::Started | Change::Stopped | Change::Ran) | None => {
                    LogSource::WindowsRegistrySet
                }
            }
        }
        Kind::WmiSubscription(_) => LogSource::WindowsWmiEvent,
        Kind::Pipe(_) => LogSource::WindowsPipeCreated,
        Kind::ScriptBlock(_) => match event_id(event) {
            4103 => LogSource::WindowsPsModule,
            800 => LogSource::WindowsPsClassicScript,
            _ => LogSource::WindowsPsScript,
        },
        Kind::RecordRaw(_)
        | Kind::RecordSource(_)
        | Kind::RecordConfiguration(_)
        | Kind::ProcessFork(_)
        | Kind::CredentialsChanged(_)
        | Kind::FileMemory(_)
        | Kind::NetworkListening(_)
        | Kind::NetworkClosed(_)
        | Kind::Logon(_)
        | Kind::Logoff(_)
        | Kind::FailedLogon(_)
        | Kind::PrivilegeSwitch(_)
        | Kind::BpfLoaded(_)
        | Kind::Mounted(_)
        | Kind::NamespaceEntered(_)
        | Kind::ServiceChange(_)
        | Kind::DriverChange(_)
        | Kind::ScheduledTask(_)
        | Kind::StateProcess(_)
        | Kind::StateSocket(_)
        | Kind::StateModule(_)
        | Kind::StateAccount(_)
        | Kind::StateAutostart(_)
        | Kind::RecordLoss(_)
        | Kind::ClockStep(_)
        | Kind::RecordBoot(_)
        | Kind::RecordSuspend(_)
        | Kind::RecordHeartbeat(_)
        | Kind::LogCleared(_)
        | Kind::RecordCompleteness(_) => return sources.extend(by_event_id(event)),
    };
    sources.push(own);
}

/// The category of a record that is of no kind of its own.
fn by_event_id(event: &Event<'_>) -> Option<LogSource> {
    match (windows_service(event), event_id(event)) {
        (LogSource::WindowsPowershellClassic, 400) => Some(LogSource::WindowsPsClassicStart),
        (LogSource::WindowsPowershellClassic, 600) => {
            Some(LogSource::WindowsPsClassicProviderStart)
        }
        (LogSource::WindowsPowershellClassic, 800) => Some(LogSource::WindowsPsClassicScript),
        (LogSource::WindowsPowershell, 4103) => Some(LogSource::WindowsPsModule),
        (LogSource::WindowsSysmon, 4 | 16) => Some(LogSource::WindowsSysmonStatus),
        (LogSource::WindowsSysmon, 24) => Some(LogSource::WindowsClipboardCapture),
        (LogSource::WindowsSysmon, 27) => Some(LogSource::WindowsFileBlockExecutable),
        (LogSource::WindowsSysmon, 28) => Some(LogSource::WindowsFileBlockShredding),
        (LogSource::WindowsSysmon, 255) => Some(LogSource::WindowsSysmonError),
        _ => None,
    }
}

/// The record's event id; 0 where it has none.
fn event_id(event: &Event<'_>) -> u64 {
    if let Kind::RecordRaw(raw) = &event.kind
        && let Some(id) = raw.event_id
    {
        return id;
    }
    let id = event
        .extra
        .get("EventID")
        .or_else(|| event.extra.get("event.code"));
    id.and_then(|text| std::str::from_utf8(text.0).ok()?.parse().ok())
        .unwrap_or(0)
}

fn channel<'a>(event: &Event<'a>) -> Option<Text<'a>> {
    if let Kind::RecordRaw(raw) = &event.kind
        && raw.channel.is_some()
    {
        return raw.channel;
    }
    event
        .extra
        .get("Channel")
        .or_else(|| event.extra.get("winlog.channel"))
}

fn provider<'a>(event: &Event<'a>) -> Option<Text<'a>> {
    if let Kind::RecordRaw(raw) = &event.kind
        && raw.provider.is_some()
    {
        return raw.provider;
    }
    event.extra.get("Provider_Name")
}

fn windows_service(event: &Event<'_>) -> LogSource {
    if event.source == Source::Sysmon {
        return LogSource::WindowsSysmon;
    }
    let fits = |list: &'static [(&str, &'static str)], name: Text<'_>| {
        list.iter()
            .find(|(own, _)| own.as_bytes().eq_ignore_ascii_case(name.0))
            .map(|(_, service)| LogSource::windows_service(service))
    };
    let by_channel = channel(event).map(|name| fits(CHANNELS, name));
    let found = match by_channel {
        Some(service) => service,
        None => provider(event).and_then(|name| fits(PROVIDERS, name)),
    };
    found.unwrap_or(LogSource::WindowsOther)
}
