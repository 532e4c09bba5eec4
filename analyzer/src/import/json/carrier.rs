//! Lines of a Linux log carried in JSON: what a forwarder, a search engine or the journal's export puts
//! around them (`SyslogMessage`, `message`, `MESSAGE`, `_raw`, …).

use saigen_schemas::event::Text;

use crate::import::audit::Carrier;
use crate::import::json::Work;
use crate::import::json::pick::{any, find, number, text};
use crate::import::json::tree::Value;
use crate::import::json::unknown::any_time;
use crate::import::syslog::Entry;
use crate::import::{At, ImportError, Sink};

/// Names of the line itself, best first.
const LINES: [&str; 10] = [
    "SyslogMessage",
    "event.original",
    "MESSAGE",
    "message",
    "log",
    "_raw",
    "raw",
    "raw_msg",
    "Message",
    "msg",
];

/// Names of the host.
const HOSTS: [&str; 9] = [
    "HostName",
    "Computer",
    "_HOSTNAME",
    "host.hostname",
    "host.name",
    "hostname",
    "Hostname",
    "agent.hostname",
    "host",
];

/// Names of the carrier's time, best first.
const TIMES: [&str; 8] = [
    "EventTime",
    "TimeGenerated",
    "@timestamp",
    "timestamp",
    "time",
    "_SOURCE_REALTIME_TIMESTAMP",
    "__REALTIME_TIMESTAMP",
    "date",
];

/// Names of the program that wrote the line.
const PROGRAMS: [&str; 8] = [
    "SYSLOG_IDENTIFIER",
    "ProcessName",
    "process.name",
    "syslog.appname",
    "log.syslog.appname",
    "programname",
    "ident",
    "_COMM",
];

/// Tells what the line in an object says; whether there is one that a reader knows.
pub(super) fn tell(
    object: Value<'_>,
    at: At,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<bool, ImportError> {
    let Some(line) = any(object, &LINES) else {
        return Ok(false);
    };
    let host = any(object, &HOSTS);
    let moment = TIMES
        .into_iter()
        .find_map(|name| any_time(find(object, name)?));
    let carrier = Carrier {
        host: host.as_deref(),
        recorded_us: moment,
    };
    let lines = work.lines();
    if lines.take_marked(&line, at, carrier, sink)? {
        return Ok(true);
    }
    if let Some(record) = audit_line(object, &line) {
        return lines.take_marked(&record, at, carrier, sink);
    }
    // The host is in the carrier alone, or in the line's own head, too.
    if lines.take_line(&line, at, sink)? {
        return Ok(true);
    }
    let program = any(object, &PROGRAMS);
    let Some((program, wall_us)) = program.zip(moment) else {
        return Ok(false);
    };
    let entry = Entry {
        wall_us,
        recorded_us: None,
        host: host.as_deref().unwrap_or_default(),
        program: &program,
        pid: number(object, "_PID")
            .or_else(|| number(object, "SYSLOG_PID"))
            .or_else(|| number(object, "process.pid"))
            .or_else(|| number(object, "ProcessID")),
        text: &line,
    };
    lines.tell_entry(&entry, at, sink)?;
    Ok(true)
}

/// A record of audit as the journal keeps it: its type and number are fields of their own, its stamp
/// that of the journal.
fn audit_line(object: Value<'_>, line: &[u8]) -> Option<Vec<u8>> {
    let name = text(object, "_AUDIT_TYPE_NAME")?;
    let serial: u64 = number(object, "_AUDIT_ID")?;
    let stamp: u64 = number(object, "_SOURCE_REALTIME_TIMESTAMP")
        .or_else(|| number(object, "__REALTIME_TIMESTAMP"))?;
    let rest = line.strip_prefix(name.as_ref()).unwrap_or(line);
    let (seconds, millis) = (stamp / 1_000_000, stamp / 1000 % 1000);
    let mut record = format!(
        "type={} msg=audit({seconds}.{millis:03}:{serial}):",
        Text(&name).lossy()
    )
    .into_bytes();
    record.extend_from_slice(rest);
    Some(record)
}
