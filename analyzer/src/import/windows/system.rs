//! The System log: services, drivers, cleared logs, the log service itself.
//!
//! | Provider | Id | Kind |
//! |---|---|---|
//! | Service Control Manager | 7045 | `configuration.service`, or `configuration.driver` by its type |
//! | | 7036 | `configuration.service`, started or stopped |
//! | | 7023, 7024, 7031, 7034 | `configuration.service`, stopped |
//! | | 7040 | `configuration.service`, set |
//! | Microsoft-Windows-Eventlog | 104, 1102 | `record.log_cleared` |
//! | | 1100 | `record.source`, down |
//! | EventLog | 6005, 6006 | `record.source`, up and down |

use saigen_schemas::event::{Change, DriverChange, Kind, RecordSource, ServiceChange, SourceState};

use crate::import::windows::security::cleared;
use crate::import::windows::take::Taker;
use crate::import::windows::{Mapped, Row};

/// Service Control Manager.
pub(super) const SERVICES: &[Row] = &[
    (&[7045], installed),
    (&[7036], changed_state),
    (&[7023, 7024, 7031, 7034], ended),
    (&[7040], start_changed),
];

/// The log service.
pub(super) const LOGS: &[Row] = &[
    (&[104, 1102], cleared),
    (&[1100, 6006], down),
    (&[6005], up),
];

fn installed<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let name = Some(fields.take("ServiceName")?);
    // The type is in the host's language; a driver's file is not.
    let is_driver = ["ServiceType", "ImagePath"].iter().any(|name| {
        let text = fields.read(name).unwrap_or_default().0;
        let ends = |end: &[u8]| {
            text.len()
                .checked_sub(end.len())
                .and_then(|from| text.get(from..))
                .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
        };
        ends(b"driver") || ends(b".sys")
    });
    let kind = if is_driver {
        Kind::DriverChange(DriverChange {
            change: Some(Change::Created),
            name,
            path: fields.take("ImagePath"),
            start: fields.take("StartType"),
        })
    } else {
        Kind::ServiceChange(ServiceChange {
            change: Some(Change::Created),
            name,
            command_line: fields.take("ImagePath"),
            start: fields.take("StartType"),
            account: fields.take("AccountName"),
        })
    };
    Some(Mapped::new(None, kind))
}

/// The state in words is in the host's language; behind the service's name, as UTF-16 in hex, stands its
/// number (`SERVICE_RUNNING`, `SERVICE_STOPPED`, `winsvc.h`).
fn changed_state<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let state = fields.read("param2").unwrap_or_default().0;
    let binary = fields.read("Binary").unwrap_or_default().0;
    let number = binary.strip_suffix(b"0000").unwrap_or(binary);
    let says = |word: &[u8], end: &[u8]| {
        state.eq_ignore_ascii_case(word)
            || number
                .last_chunk::<8>()
                .is_some_and(|tail| tail.eq_ignore_ascii_case(end))
    };
    let change = if says(b"running", b"2F003400") {
        Change::Started
    } else if says(b"stopped", b"2F003100") {
        Change::Stopped
    } else {
        return None;
    };
    service(fields, "param1", change)
}

fn ended<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    service(fields, "param1", Change::Stopped)
}

/// `param1` is the name for readers, `param4` the service's own.
fn start_changed<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let name = fields.read_any(&["param4", "param1"]);
    let kind = ServiceChange {
        change: Some(Change::Set),
        name: Some(name?),
        start: fields.read("param3"),
        ..ServiceChange::default()
    };
    Some(Mapped::new(None, Kind::ServiceChange(kind)))
}

fn service<'a>(fields: &Taker<'a>, name: &str, change: Change) -> Option<Mapped<'a>> {
    let kind = ServiceChange {
        change: Some(change),
        name: Some(fields.read(name)?),
        ..ServiceChange::default()
    };
    Some(Mapped::new(None, Kind::ServiceChange(kind)))
}

fn log_service<'a>(state: SourceState) -> Option<Mapped<'a>> {
    let kind = RecordSource {
        name: Some("EventLog".into()),
        state: Some(state),
        detail: None,
    };
    Some(Mapped::new(None, Kind::RecordSource(kind)))
}

fn up<'a>(_: &Taker<'a>) -> Option<Mapped<'a>> {
    log_service(SourceState::Up)
}

fn down<'a>(_: &Taker<'a>) -> Option<Mapped<'a>> {
    log_service(SourceState::Down)
}
