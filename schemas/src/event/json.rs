//! An event as one JSON object.
//!
//! `{"ref":…,"seq":…,"time":"…Z","kind":"process.start","host":…,"source":…,"actor":{"pid":…,
//! "start_us":…},…}`: the common fields first, then the kind's own under the names of its table.
//! A text that is no UTF-8 is given for reading under its name, and exactly, in hex, under
//! `NAME_hex`. A field that is unknown is absent.

use std::fmt::Write as _;

use crate::event::{Event, ProcessKey, Text, Value, format_utc};

/// Appends an event as one JSON object, without a line end. `reference` is its place in the
/// evidence (`SOURCE:POSITION:INDEX`), which the event itself does not know.
pub fn write_json(event: &Event<'_>, reference: &str, out: &mut String) {
    out.push('{');
    text_member(out, "ref", Text::from(reference));
    out.push(',');
    number_member(out, "seq", event.seq);
    let _ = write!(out, ",\"time\":\"{}\"", format_utc(event.time.wall_us));
    if let Some(boot_us) = event.time.boot_us {
        out.push(',');
        number_member(out, "boot_us", boot_us);
    }
    if let Some(recorded_us) = event.recorded_us {
        let _ = write!(out, ",\"record_time\":\"{}\"", format_utc(recorded_us));
    }
    let _ = write!(out, ",\"kind\":\"{}\",", event.kind.name().as_str());
    text_member(out, "host", event.host);
    if event.boot.0 != [0; 16] {
        let _ = write!(out, ",\"boot\":\"{}\"", event.boot);
    }
    let _ = write!(out, ",\"source\":\"{}\"", event.source);
    if let Some(actor) = event.actor {
        out.push_str(",\"actor\":");
        process(out, actor);
    }
    event.kind.visit(|name, value| {
        out.push(',');
        member(out, name, value);
    });
    marks(event, out);
    if !event.extra.is_empty() {
        foreign_fields(event, out);
    }
    out.push('}');
}

/// Foreign fields, each name once: one that a record has several times is a list, in its order.
fn foreign_fields(event: &Event<'_>, out: &mut String) {
    let pairs: Vec<(Text<'_>, Text<'_>)> = event.extra.iter().collect();
    out.push_str(",\"fields\":{");
    let mut comma = "";
    for (index, (name, value)) in pairs.iter().enumerate() {
        let (before, from) = pairs.split_at(index);
        if before.iter().any(|(other, _)| other == name) {
            continue;
        }
        out.push_str(comma);
        comma = ",";
        let mut same = from
            .iter()
            .filter(|(other, _)| other == name)
            .skip(1)
            .peekable();
        if same.peek().is_none() {
            text_member(out, &name.lossy(), *value);
            continue;
        }
        string(out, &name.lossy());
        out.push_str(":[");
        string(out, &value.lossy());
        for (_, value) in same {
            out.push(',');
            string(out, &value.lossy());
        }
        out.push(']');
    }
    out.push('}');
}

fn marks(event: &Event<'_>, out: &mut String) {
    let names = event.kind.name().fields();
    let mut marks = event
        .marks
        .iter()
        .filter_map(|mark| Some((*names.get(usize::from(mark.field))?, mark.had)))
        .peekable();
    if marks.peek().is_none() {
        return;
    }
    out.push_str(",\"had\":{");
    for (index, (name, had)) in marks.enumerate() {
        let _ = write!(
            out,
            "{}\"{name}\":\"{had}\"",
            if index > 0 { "," } else { "" }
        );
    }
    out.push('}');
}

fn member(out: &mut String, name: &str, value: Value<'_>) {
    match value {
        Value::Unsigned(number) => number_member(out, name, number),
        Value::Signed(number) => {
            let _ = write!(out, "\"{name}\":{number}");
        }
        Value::Text(text) => text_member(out, name, text),
        Value::Args(args) => {
            let _ = write!(out, "\"{name}\":[");
            for (index, arg) in args.iter().enumerate() {
                if index > 0 {
                    out.push(',');
                }
                string(out, &arg.lossy());
            }
            out.push(']');
            if std::str::from_utf8(args.0).is_err() {
                hex_member(out, name, args.0);
            }
        }
        Value::Process(key) => {
            let _ = write!(out, "\"{name}\":");
            process(out, key);
        }
        Value::Ip(ip) => {
            let _ = write!(out, "\"{name}\":\"{ip}\"");
        }
        Value::Hash(hash) => {
            let _ = write!(out, "\"{name}\":\"{hash}\"");
        }
        Value::Guid(guid) => {
            let _ = write!(out, "\"{name}\":\"{guid}\"");
        }
        Value::Word(word) => {
            let _ = write!(out, "\"{name}\":\"{word}\"");
        }
    }
}

fn process(out: &mut String, key: ProcessKey) {
    let _ = write!(out, "{{\"pid\":{},\"start_us\":{}", key.pid, key.start_us);
    if let Some(guid) = key.guid {
        let _ = write!(out, ",\"guid\":\"{guid}\"");
    }
    out.push('}');
}

fn number_member(out: &mut String, name: &str, number: u64) {
    let _ = write!(out, "\"{name}\":{number}");
}

fn text_member(out: &mut String, name: &str, text: Text<'_>) {
    string(out, name);
    out.push(':');
    string(out, &text.lossy());
    if std::str::from_utf8(text.0).is_err() {
        hex_member(out, name, text.0);
    }
}

fn hex_member(out: &mut String, name: &str, bytes: &[u8]) {
    out.push(',');
    string(out, &format!("{name}_hex"));
    out.push_str(":\"");
    for byte in bytes {
        let _ = write!(out, "{byte:02x}");
    }
    out.push('"');
}

/// Appends a JSON string, RFC 8259 §7. Control characters, DEL and the marks that turn the
/// direction of text are escaped, so that a terminal shows them and does not obey them.
fn string(out: &mut String, text: &str) {
    out.push('"');
    for character in text.chars() {
        match character {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\0'..='\x1f'
            | '\x7f'..='\u{9f}'
            | '\u{61c}'
            | '\u{200b}'..='\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}'
            | '\u{feff}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(character));
            }
            _ => out.push(character),
        }
    }
    out.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Args, BootId, FieldsBuf, Had, Kind, Marks, ProcessStart, Source, Time};

    fn start<'a>(image: &'a [u8], args: &'a [u8], marks: &'a [u8]) -> Event<'a> {
        Event {
            seq: 7,
            time: Time {
                wall_us: 1_700_000_000_000_001,
                boot_us: Some(5),
            },
            recorded_us: None,
            host: "web-1".into(),
            boot: BootId([1; 16]),
            source: Source::Joined,
            actor: Some(ProcessKey::new(42, 4)),
            marks: Marks(marks),
            extra: crate::event::Fields(b""),
            kind: Kind::ProcessStart(ProcessStart {
                image: Some(image.into()),
                args: Some(Args(args)),
                uid: Some(0),
                ..ProcessStart::default()
            }),
        }
    }

    #[test]
    fn an_event_is_one_json_object() {
        let mut out = String::new();
        let marks = [2, u8::try_from(Had::Raced.code()).unwrap()];
        write_json(
            &start(b"/bin/sh", b"sh\0-c\0a \"b\"\0", &marks),
            "e1:3:4",
            &mut out,
        );
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["ref"], "e1:3:4");
        assert_eq!(value["kind"], "process.start");
        assert_eq!(value["time"], "2023-11-14T22:13:20.000001Z");
        assert_eq!(value["args"][2], "a \"b\"");
        assert_eq!(value["actor"]["pid"], 42);
        assert_eq!(value["had"]["args"], "raced");
        assert_eq!(value["uid"], 0);
        assert!(value.get("gid").is_none());
    }

    #[test]
    fn a_foreign_field_that_stands_twice_is_a_list() {
        let mut fields = FieldsBuf::default();
        for (name, value) in [("type", "CWD"), ("cwd", "/"), ("type", "EXECVE")] {
            fields.push(name.as_bytes(), value.as_bytes());
        }
        let mut out = String::new();
        let event = Event {
            extra: fields.as_fields(),
            ..start(b"/bin/sh", b"", b"")
        };
        write_json(&event, "e1:3:4", &mut out);
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        let expected = serde_json::json!({"type": ["CWD", "EXECVE"], "cwd": "/"});
        assert_eq!(value["fields"], expected);
    }

    #[test]
    fn bytes_that_are_no_text_are_kept_and_escapes_are_not_obeyed() {
        let mut out = String::new();
        write_json(
            &start(b"/tmp/\xff\x1b[2J\xe2\x80\xae", b"", b""),
            "e1:0:0",
            &mut out,
        );
        let value: serde_json::Value = serde_json::from_str(&out).unwrap();
        assert_eq!(value["image_hex"], "2f746d702fff1b5b324ae280ae");
        assert!(!out.contains('\x1b') && !out.contains('\u{202e}'));
    }
}
