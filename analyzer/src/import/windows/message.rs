//! Fields from the text that Windows renders for readers, where a shipper left nothing else.
//!
//! English texts alone: others would need each language's templates.

use crate::import::windows::record::Record;

/// Adds the fields that a record's message tells, if it has no others.
pub fn read_message(record: &mut Record) {
    if !record.is_empty() || record.message().is_empty() {
        return;
    }
    let message = record.message().0.to_vec();
    if record.provider().0 == b"Microsoft-Windows-Sysmon" {
        sysmon(&message, record);
    }
}

/// Sysmon writes `Name: value`, a line a field, under a title. A value may have lines of its own.
fn sysmon(message: &[u8], record: &mut Record) {
    let mut field: Option<(&[u8], Vec<u8>)> = None;
    let mut lines = message.split(|&byte| byte == b'\n');
    // The title.
    lines.next();
    for line in lines {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        match named(line) {
            Some((name, value)) => {
                if let Some((name, value)) = field.replace((name, value.to_vec())) {
                    record.push(name, &value);
                }
            }
            None => {
                if let Some((_, value)) = &mut field {
                    value.extend_from_slice(b"\r\n");
                    value.extend_from_slice(line);
                }
            }
        }
    }
    if let Some((name, value)) = field {
        record.push(name, &value);
    }
}

/// A line that begins with one word of letters and a colon. Paths have a backslash behind theirs.
fn named(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let colon = line.iter().position(|&byte| byte == b':')?;
    let (name, rest) = line.split_at_checked(colon)?;
    let word = name.len() > 1 && name.iter().all(u8::is_ascii_alphanumeric);
    let value = match rest.get(1..)? {
        [] => &[][..],
        [b' ', value @ ..] => value,
        _ => return None,
    };
    word.then_some((name, value))
}
