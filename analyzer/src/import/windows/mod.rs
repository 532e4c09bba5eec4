//! Windows event logs: a [`Record`] becomes an event, whatever it was carried in.
//!
//! For each provider there is one table: event id → kind, and in the function of that kind field →
//! place. What has no place stays in `extra` under its own name, and what has no kind is
//! `record.raw`, so that rules find every field of every log. `EventID`, `Channel`,
//! `Provider_Name` and `Computer` can be asked of all.

mod message;
mod powershell;
mod record;
mod security;
mod services;
mod sysmon;
mod sysmon_linux;
mod system;
mod take;
mod task;
#[cfg(test)]
mod tests;
pub(in crate::import) mod value;

pub use message::{read_message, read_message_too};
pub use record::{Part, Record};

use saigen_schemas::event::{
    BootId, Event, FieldsBuf, Kind, Marks, ProcessKey, RecordRaw, Source, Text, Time,
};

use crate::import::windows::take::{Made, Taker};
use crate::import::{At, ImportError, NO_TIME_US, Sink};

/// Buffers that are kept from record to record.
#[derive(Debug, Default)]
pub struct Scratch {
    extra: FieldsBuf,
    made: Made,
}

/// What a table says of a record.
struct Mapped<'a> {
    actor: Option<ProcessKey>,
    kind: Kind<'a>,
}

impl<'a> Mapped<'a> {
    const fn new(actor: Option<ProcessKey>, kind: Kind<'a>) -> Self {
        Self { actor, kind }
    }

    const fn by(actor: ProcessKey, kind: Kind<'a>) -> Self {
        Self::new(Some(actor), kind)
    }
}

/// From fields to places; `None` where a field is missing without which it is not of that kind.
type Mapper = for<'a> fn(&Taker<'a>) -> Option<Mapped<'a>>;

/// A row of a provider's table: event ids, and how their fields are read.
type Row = (&'static [u32], Mapper);

/// What a provider's records are.
struct Provider {
    /// Its name, and the log by which it is known where a carrier leaves the name out.
    names: &'static [&'static str],
    source: Source,
    rows: &'static [Row],
    /// Puts together the texts of several fields.
    make: fn(&Record, u32, &mut Made),
    /// The process that a record of no kind is about.
    actor: fn(&Taker<'_>) -> Option<ProcessKey>,
    /// The time of the event itself, where that is not the record's.
    time_field: Option<&'static str>,
    /// Adds what stands within a field under names of its own.
    more: fn(&Record, &mut FieldsBuf),
}

const OTHER: Provider = Provider {
    names: &[],
    source: Source::Evtx,
    rows: &[],
    make: |_, _, _| {},
    actor: |_| None,
    time_field: None,
    more: |_, _| {},
};

const SYSMON: Provider = Provider {
    names: &[
        "Microsoft-Windows-Sysmon",
        "Microsoft-Windows-Sysmon/Operational",
    ],
    source: Source::Sysmon,
    rows: sysmon::ROWS,
    make: sysmon::make,
    actor: sysmon::actor,
    time_field: Some("UtcTime"),
    ..OTHER
};

/// Every provider that has a table; those with most records first.
const PROVIDERS: &[Provider] = &[
    SYSMON,
    Provider {
        names: &["Microsoft-Windows-Security-Auditing", "Security"],
        rows: security::ROWS,
        make: security::make,
        actor: security::actor,
        ..OTHER
    },
    Provider {
        names: &[
            "Microsoft-Windows-PowerShell",
            "PowerShellCore",
            "Microsoft-Windows-PowerShell/Operational",
            "PowerShellCore/Operational",
        ],
        rows: powershell::ROWS,
        make: powershell::make,
        actor: powershell::actor,
        ..OTHER
    },
    Provider {
        names: &["PowerShell", "Windows PowerShell"],
        rows: powershell::CLASSIC,
        make: powershell::make_classic,
        actor: powershell::actor,
        more: powershell::more,
        ..OTHER
    },
    Provider {
        names: &["Linux-Sysmon", "Linux-Sysmon/Operational"],
        source: Source::SysmonLinux,
        rows: sysmon_linux::ROWS,
        actor: sysmon::actor,
        time_field: Some("UtcTime"),
        ..OTHER
    },
    Provider {
        names: &["Service Control Manager", "System"],
        rows: system::SERVICES,
        ..OTHER
    },
    Provider {
        names: &["Microsoft-Windows-Eventlog", "EventLog"],
        rows: system::LOGS,
        make: security::make,
        ..OTHER
    },
    Provider {
        names: &[
            "Microsoft-Windows-TaskScheduler",
            "Microsoft-Windows-TaskScheduler/Operational",
        ],
        rows: services::TASKS,
        ..OTHER
    },
    Provider {
        names: &[
            "Microsoft-Windows-WMI-Activity",
            "Microsoft-Windows-WMI-Activity/Operational",
        ],
        rows: services::WMI,
        actor: services::wmi_client,
        ..OTHER
    },
    Provider {
        names: &[
            "Microsoft-Windows-TerminalServices-LocalSessionManager",
            "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational",
        ],
        rows: services::SESSIONS,
        ..OTHER
    },
    Provider {
        names: &[
            "Microsoft-Windows-TerminalServices-RemoteConnectionManager",
            "Microsoft-Windows-TerminalServices-RemoteConnectionManager/Operational",
        ],
        rows: services::REMOTE_DESKTOP,
        ..OTHER
    },
];

/// Tells the event of a record.
///
/// # Errors
/// Where the sink cannot keep it.
pub fn map(
    record: &Record,
    scratch: &mut Scratch,
    at: At,
    sink: &mut dyn Sink,
) -> Result<(), ImportError> {
    let Scratch { extra, made } = scratch;
    let provider = provider(record);
    made.clear();
    let id = record.event_id.unwrap_or(0);
    (provider.make)(record, id, made);
    let row = provider.rows.iter().find(|(ids, _)| ids.contains(&id));
    let fields = Taker::new(record, made);
    let mapped = row.and_then(|(_, map)| map(&fields));
    // What was taken for a kind that it then is not belongs to the record again.
    let (fields, Mapped { actor, kind }) = match mapped {
        Some(mapped) => (fields, mapped),
        None => {
            let fields = Taker::new(record, made);
            let mapped = raw(provider, &fields);
            (fields, mapped)
        }
    };
    let time_us = provider.time_field.and_then(|name| fields.moment(name));
    fill_extra(&fields, &kind, provider, extra);
    sink.event(
        at,
        &Event {
            seq: 0,
            time: Time {
                wall_us: time_us.or(record.time_us).unwrap_or(NO_TIME_US),
                boot_us: None,
            },
            recorded_us: record.time_us.filter(|_| time_us.is_some()),
            host: record.computer(),
            boot: BootId::default(),
            source: provider.source,
            actor,
            marks: Marks::default(),
            extra: extra.as_fields(),
            kind,
        },
    )
}

/// Whose table a record is read by: its provider's, or where that is not said, its log's.
fn provider(record: &Record) -> &'static Provider {
    let name = match record.provider() {
        Text(b"") => record.channel(),
        name => name,
    };
    // An export of Sysmon alone may say neither; `UtcTime` is a field of no other provider.
    if name.is_empty() && record.get("UtcTime").is_some() {
        return &SYSMON;
    }
    PROVIDERS
        .iter()
        .find(|provider| provider.names.iter().any(|own| own.as_bytes() == name.0))
        .unwrap_or(&OTHER)
}

fn raw<'a>(provider: &Provider, fields: &Taker<'a>) -> Mapped<'a> {
    let record = fields.record();
    let some = |text: Text<'a>| (!text.is_empty()).then_some(text);
    let kind = RecordRaw {
        channel: some(record.channel()),
        provider: some(record.provider()),
        event_id: record.event_id.map(u64::from),
        record_id: record.record_id,
        message: some(record.message()),
    };
    Mapped::new((provider.actor)(fields), Kind::RecordRaw(kind))
}

/// All that the event's places do not say: fields first, then the head.
fn fill_extra(fields: &Taker<'_>, kind: &Kind<'_>, provider: &Provider, extra: &mut FieldsBuf) {
    extra.clear();
    let record = fields.record();
    if !matches!(kind, Kind::RecordRaw(_)) {
        let mut digits = [0; 10];
        if let Some(id) = record.event_id {
            extra.push(b"EventID", decimal(id, &mut digits));
        }
        // Sysmon's channel and provider follow from the source.
        if provider.source != Source::Sysmon {
            for (name, text) in [
                ("Channel", record.channel()),
                ("Provider_Name", record.provider()),
            ] {
                if !text.is_empty() {
                    extra.push(name.as_bytes(), text.0);
                }
            }
        }
    }
    for (place, (name, value)) in record.fields().enumerate() {
        if !fields.is_taken(place) {
            extra.push(name.0, value.0);
        }
    }
    (provider.more)(record, extra);
    for (name, value) in record.head() {
        extra.push(name.0, value.0);
    }
}

/// The digits of a number, written to the end of a buffer that holds the longest.
fn decimal(mut number: u32, buffer: &mut [u8; 10]) -> &[u8] {
    let mut from = buffer.len();
    for slot in buffer.iter_mut().rev() {
        *slot = b'0' + u8::try_from(number % 10).unwrap_or(0);
        from -= 1;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    buffer.get(from..).unwrap_or_default()
}
