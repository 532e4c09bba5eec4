//! Logs of single services of Windows that tell of persistence and of remote access.
//!
//! | Log | Id | Kind |
//! |---|---|---|
//! | TaskScheduler | 106; 140, 142; 141 | `configuration.scheduled_task`: created; set; deleted |
//! | | 100, 102 | the same, started and stopped |
//! | | 129, 200 | the same, ran |
//! | WMI-Activity | 5860, 5861 | `configuration.wmi_subscription`: until the process ends; for ever |
//! | TerminalServices-LocalSessionManager | 21, 25 | `session.logon` |
//! | | 23, 24 | `session.logoff` |
//! | TerminalServices-RemoteConnectionManager | 1149 | `network.accepted` |
//!
//! WMI-Activity 5857 to 5859, BITS 3, 59, 60 and 16403, Defender, the firewall's rules and all other logs
//! are `record.raw` with all their fields.

use saigen_schemas::event::{
    Change, Kind, Logoff, Logon, NetworkAccepted, ProcessKey, Protocol, ScheduledTask,
    WmiSubscription,
};

use crate::import::windows::take::Taker;
use crate::import::windows::{Mapped, Row};

pub(super) const TASKS: &[Row] = &[
    (&[106], task_created),
    (&[140, 142], task_set),
    (&[141], task_deleted),
    (&[100], task_started),
    (&[102], task_stopped),
    (&[129, 200], task_ran),
];

pub(super) const WMI: &[Row] = &[(&[5860, 5861], subscribed)];

pub(super) const SESSIONS: &[Row] = &[(&[21, 25], session_began), (&[23, 24], session_ended)];

pub(super) const REMOTE_DESKTOP: &[Row] = &[(&[1149], reached)];

fn task<'a>(fields: &Taker<'a>, change: Change) -> Option<Mapped<'a>> {
    let process = fields
        .small("ProcessID")
        .filter(|_| change == Change::Ran)
        .map(|pid| ProcessKey::new(pid, 0));
    let kind = ScheduledTask {
        change: Some(change),
        name: Some(fields.take("TaskName")?),
        account: fields.read_any(&["UserContext", "UserName"]),
        command_line: fields.read_any(&["Path", "ActionName"]),
        process,
        ..ScheduledTask::default()
    };
    Some(Mapped::new(None, Kind::ScheduledTask(kind)))
}

fn task_created<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    task(fields, Change::Created)
}

fn task_set<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    task(fields, Change::Set)
}

fn task_deleted<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    task(fields, Change::Deleted)
}

fn task_started<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    task(fields, Change::Started)
}

fn task_stopped<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    task(fields, Change::Stopped)
}

fn task_ran<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    task(fields, Change::Ran)
}

/// The process that asks WMI, where a record says so; the records are written by the service.
pub(super) fn wmi_client(fields: &Taker<'_>) -> Option<ProcessKey> {
    let pid = [
        "ClientProcessId",
        "ClientProcessID",
        "processid",
        "ProcessID",
    ]
    .iter()
    .find_map(|name| fields.small(name))
    .or(fields.record().process_id)?;
    (pid != 0).then_some(ProcessKey::new(pid, 0))
}

fn subscribed<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let for_ever = fields.record().event_id == Some(5861);
    let kind = WmiSubscription {
        change: Some(Change::Created),
        item: Some(if for_ever { "binding" } else { "temporary" }.into()),
        name: fields.read_any(&["ESS", "CONSUMER", "Consumer"]),
        content: fields.read_any(&["PossibleCause", "Query", "CONSUMER"]),
        account: fields.read_any(&["User", "ClientMachine"]),
    };
    (kind.name.is_some() || kind.content.is_some())
        .then(|| Mapped::new(wmi_client(fields), Kind::WmiSubscription(kind)))
}

fn session_began<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = Logon {
        account: Some(fields.read("User")?),
        terminal: fields.read("SessionID"),
        remote_ip: fields.address("Address"),
        program: Some("TerminalServices".into()),
        ..Logon::default()
    };
    Some(Mapped::new(None, Kind::Logon(kind)))
}

fn session_ended<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = Logoff {
        account: Some(fields.read("User")?),
        terminal: fields.read("SessionID"),
        program: Some("TerminalServices".into()),
        ..Logoff::default()
    };
    Some(Mapped::new(None, Kind::Logoff(kind)))
}

/// Someone reached the remote desktop; whether he got in, the session's own log says.
fn reached<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = NetworkAccepted {
        protocol: Some(Protocol::Tcp),
        remote_ip: Some(fields.address("Param3")?),
        ..NetworkAccepted::default()
    };
    Some(Mapped::new(None, Kind::NetworkAccepted(kind)))
}
