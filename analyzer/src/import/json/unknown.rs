//! JSON of no known shape: kept as it is, each scalar under its dotted name, so that rules can ask for
//! it; its time and host from the usual names.

use saigen_schemas::event::{BootId, Event, Kind, Marks, RecordRaw, Source, Text, Time};

use crate::import::json::tree::Value;
use crate::import::json::{Work, leaves};
use crate::import::windows::value::moment;
use crate::import::{At, ImportError, NO_TIME_US, Sink};

/// Where a time is looked for, best first.
const TIMES: [&str; 16] = [
    "@timestamp",
    "timestamp",
    "time",
    "ts",
    "_time",
    "eventTime",
    "EventTime",
    "TimeCreated",
    "TimeGenerated",
    "UtcTime",
    "utc_time",
    "datetime",
    "date",
    "event_time",
    "created",
    "start_time",
];

/// Where a host is looked for, best first.
const HOSTS: [&str; 11] = [
    "host.name",
    "host.hostname",
    "hostname",
    "Hostname",
    "Computer",
    "ComputerName",
    "computer_name",
    "computer",
    "host",
    "device.hostname",
    "agent.hostname",
];

/// Tells an object as a raw record.
pub(super) fn tell(
    object: Value<'_>,
    at: At,
    work: &mut Work,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    let Work {
        fields, path, text, ..
    } = work;
    fields.clear();
    path.clear();
    let mut time: Option<(usize, i64)> = None;
    let mut host: Option<(usize, Value<'_>)> = None;
    let mut message = None;
    let rank = |names: &[&str], path: &[u8]| names.iter().position(|name| name.as_bytes() == path);
    leaves(object, path, &mut |path, value| {
        fields.push(path, value.text(text).0);
        if let Some(rank) = rank(&TIMES, path)
            && time.is_none_or(|(best, _)| rank < best)
            && let Some(us) = any_time(value)
        {
            time = Some((rank, us));
        }
        if let Some(rank) = rank(&HOSTS, path)
            && host.is_none_or(|(best, _)| rank < best)
        {
            host = Some((rank, value));
        }
        if matches!(path, b"message" | b"Message" | b"msg") {
            message.get_or_insert(value);
        }
    });
    let mut host_text = Vec::new();
    let host = host.map(|(_, value)| value.text(&mut host_text));
    let mut message_text = Vec::new();
    sink.event(
        at,
        &Event {
            seq: 0,
            time: Time {
                wall_us: time.map_or(NO_TIME_US, |(_, us)| us),
                boot_us: None,
            },
            recorded_us: None,
            host: host.unwrap_or_default(),
            boot: BootId::default(),
            source: Source::Json,
            actor: None,
            marks: Marks::default(),
            extra: fields.as_fields(),
            kind: Kind::RecordRaw(RecordRaw {
                channel: None,
                provider: None,
                event_id: None,
                record_id: None,
                message: message.map(|value| -> Text<'_> { value.text(&mut message_text) }),
            }),
        },
    )
}

/// A moment in words, or a number of seconds, milli-, micro- or nanoseconds since 1970, or of the 100 ns
/// that Windows counts since 1601: which of them shows by its size.
pub(super) fn any_time(value: Value<'_>) -> Option<i64> {
    let raw = value.raw();
    if let Some(us) = moment(raw) {
        return Some(us);
    }
    let (whole, fraction) = match raw.iter().position(|&byte| byte == b'.') {
        Some(point) => (raw.get(..point)?, raw.get(point + 1..)?),
        None => (raw, &b""[..]),
    };
    let number: i64 = std::str::from_utf8(whole).ok()?.parse().ok()?;
    // Seconds and days between the two epochs: 369 years with 89 leap days.
    const FROM_1601_S: i64 = 11_644_473_600;
    match number {
        100_000_000..100_000_000_000 => {
            let micros = (0..6).fold(0, |sum, place| {
                let digit = fraction.get(place).filter(|byte| byte.is_ascii_digit());
                sum * 10 + digit.map_or(0, |byte| i64::from(byte - b'0'))
            });
            Some(number * 1_000_000 + micros)
        }
        100_000_000_000..100_000_000_000_000 => Some(number * 1000),
        100_000_000_000_000..100_000_000_000_000_000 => Some(number),
        100_000_000_000_000_000..200_000_000_000_000_000 => {
            Some(number / 10 - FROM_1601_S * 1_000_000)
        }
        1_000_000_000_000_000_000.. => Some(number / 1000),
        _ => None,
    }
}
