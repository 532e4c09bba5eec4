//! osquery's results: rows of its event tables as they are logged, one object a row.

use saigen_schemas::event::{
    Kind, NetworkAccepted, NetworkConnected, NetworkListening, Outcome, ProcessStart, RecordRaw,
    Source,
};

use crate::import::json::Work;
use crate::import::json::pick::{self, Out, any, as_text, ip, number, text};
use crate::import::json::tree::{Sort, Value};
use crate::import::json::unknown::any_time;
use crate::import::{At, ImportError, Sink};

/// Whether an object is a row of a result.
pub(super) fn is_row(object: Value<'_>) -> bool {
    let columns = object.get("columns");
    columns.is_some_and(|columns| columns.sort() == Sort::Object)
        && object.get("hostIdentifier").is_some()
}

/// Tells a row.
pub(super) fn tell(
    object: Value<'_>,
    at: At,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    let Work {
        fields,
        path,
        text: buffer,
        ..
    } = work;
    pick::all(object, path, buffer, fields);
    let host = any(object, &["decorations.hostname", "hostIdentifier"]).unwrap_or_default();
    let logged = object.get("unixTime").and_then(any_time);
    let columns = object.get("columns").unwrap_or(object);
    let happened = columns.get("time").and_then(any_time);
    let mut out = Out {
        sink,
        at,
        source: Source::Json,
        host: &host,
        wall_us: happened.or(logged),
        recorded_us: logged.filter(|_| happened.is_some() && happened != logged),
        extra: fields.as_fields(),
    };
    let name = text(object, "name");
    let actor = pick::process(number(columns, "pid"), None);
    let image = text(columns, "path");
    let line = text(columns, "cmdline");
    let remote = ip(columns, "remote_address");
    let action = text(columns, "action").unwrap_or_default();
    // Tables of events have a time of their own; others show what stands.
    if happened.is_some() && actor.is_some() && line.is_some() && image.is_some() {
        let cwd = text(columns, "cwd").map(unquoted);
        let start = ProcessStart {
            parent: pick::process(number(columns, "parent"), None),
            image: as_text(&image),
            command_line: as_text(&line),
            cwd: cwd.as_deref().map(saigen_schemas::event::Text),
            uid: number(columns, "uid"),
            gid: number(columns, "gid"),
            euid: number(columns, "euid"),
            egid: number(columns, "egid"),
            login_uid: number(columns, "auid"),
            ..ProcessStart::default()
        };
        return out.tell(actor, Kind::ProcessStart(start));
    }
    let local = (ip(columns, "local_address"), number(columns, "local_port"));
    let port = number(columns, "remote_port");
    let kind = match action.as_ref() {
        b"connect" if remote.is_some() => Kind::NetworkConnected(NetworkConnected {
            local_ip: local.0,
            local_port: local.1,
            remote_ip: remote,
            remote_port: port,
            outcome: Some(if pick::holds(columns, "success", "0") {
                Outcome::Failure
            } else {
                Outcome::Success
            }),
            ..NetworkConnected::default()
        }),
        b"accept" if remote.is_some() => Kind::NetworkAccepted(NetworkAccepted {
            local_ip: local.0,
            local_port: local.1,
            remote_ip: remote,
            remote_port: port,
            ..NetworkAccepted::default()
        }),
        b"bind" if local.0.is_some() => Kind::NetworkListening(NetworkListening {
            protocol: None,
            local_ip: local.0,
            local_port: local.1,
            path: None,
        }),
        _ => Kind::RecordRaw(RecordRaw {
            channel: Some("osquery".into()),
            provider: as_text(&name),
            ..RecordRaw::default()
        }),
    };
    out.tell(actor, kind)
}

/// A path without the quotes that the audit tables keep around it.
fn unquoted(text: std::borrow::Cow<'_, [u8]>) -> Vec<u8> {
    let bare = text
        .strip_prefix(b"\"")
        .and_then(|rest| rest.strip_suffix(b"\""));
    bare.unwrap_or(&text).to_vec()
}
