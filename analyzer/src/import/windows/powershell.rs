//! PowerShell: script blocks, pipelines, engines.
//!
//! | Log | Id | Kind |
//! |---|---|---|
//! | Microsoft-Windows-PowerShell/Operational | 4104 | `script.block` |
//! | | 4103 | `script.block`: the pipeline as it was bound |
//! | Windows PowerShell | 800 | `script.block`: the same, of older engines |
//! | | 400, 403, 600 | `record.raw`: rules look into `Data` |
//!
//! The process that wrote the record is PowerShell, and so the actor. The classic log has no names and no
//! process; what its text says (`HostApplication=…`) is put beside it under these names.

use saigen_schemas::event::{FieldsBuf, Kind, ProcessKey, ScriptBlock, Text};

use crate::import::windows::record::Record;
use crate::import::windows::take::{Made, Taker};
use crate::import::windows::{Mapped, Row};

/// The log of version 5 and later.
pub(super) const ROWS: &[Row] = &[(&[4104], script_block), (&[4103], pipeline)];

/// The classic log.
pub(super) const CLASSIC: &[Row] = &[(&[800], classic_pipeline)];

/// Who wrote the record.
pub(super) fn actor(fields: &Taker<'_>) -> Option<ProcessKey> {
    let pid = fields.record().process_id.filter(|pid| *pid != 0)?;
    Some(ProcessKey::new(pid, 0))
}

fn script_block<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let part = fields.take_number("MessageNumber");
    let parts = fields.take_number("MessageTotal");
    let small = |number: Option<u64>| number.and_then(|number| u32::try_from(number).ok());
    let kind = ScriptBlock {
        part: small(part),
        parts: small(parts),
        text: Some(fields.take("ScriptBlockText")?),
        id: fields.take("ScriptBlockId"),
        path: fields.take("Path"),
        account: None,
    };
    Some(Mapped::new(actor(fields), Kind::ScriptBlock(kind)))
}

fn pipeline<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = ScriptBlock {
        text: Some(fields.take("Payload")?),
        account: fields.target(),
        ..ScriptBlock::default()
    };
    Some(Mapped::new(actor(fields), Kind::ScriptBlock(kind)))
}

/// The first of the three texts is the command line, the second where it ran, the third what was bound.
fn classic_pipeline<'a>(fields: &Taker<'a>) -> Option<Mapped<'a>> {
    let kind = ScriptBlock {
        text: Some(fields.read("Data")?),
        account: fields.target(),
        ..ScriptBlock::default()
    };
    Some(Mapped::new(actor(fields), Kind::ScriptBlock(kind)))
}

/// The account of a pipeline, which stands among its context.
pub(super) fn make(record: &Record, id: u32, made: &mut Made) {
    if id == 4103
        && let Some(context) = record.get("ContextInfo")
    {
        let user = context.0.split(|&byte| byte == b'\n').find_map(|line| {
            let (name, value) = pair(line, b" = ")?;
            (name == b"User").then_some(value)
        });
        made.target.extend_from_slice(user.unwrap_or_default());
    }
}

/// [`make`] for the classic log.
pub(super) fn make_classic(record: &Record, _: u32, made: &mut Made) {
    let user = settings(record).find(|(name, _)| *name == b"UserId");
    made.target
        .extend_from_slice(user.map_or(&[][..], |(_, value)| value));
}

/// Adds what the text of a classic record says, under its names.
pub(super) fn more(record: &Record, extra: &mut FieldsBuf) {
    for (name, value) in settings(record) {
        extra.push(name, value);
    }
}

/// `Name=value` of a classic record, a line each.
fn settings(record: &Record) -> impl Iterator<Item = (&[u8], &[u8])> {
    record
        .fields()
        .filter(|(name, _)| *name == Text(b"Data"))
        .flat_map(|(_, text)| text.0.split(|&byte| byte == b'\n'))
        .filter_map(|line| pair(line, b"="))
        .filter(|(name, value)| {
            !value.is_empty() && name.len() > 1 && name.iter().all(u8::is_ascii_alphabetic)
        })
}

fn pair<'x>(line: &'x [u8], between: &[u8]) -> Option<(&'x [u8], &'x [u8])> {
    let line = line.trim_ascii();
    let at = line
        .windows(between.len())
        .position(|window| window == between)?;
    let (name, value) = line.split_at_checked(at)?;
    Some((name.trim_ascii(), value.get(between.len()..)?.trim_ascii()))
}
