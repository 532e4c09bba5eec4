//! An event's records, split into fields.

use saigen_schemas::event::FieldsBuf;

use crate::import::audit::fields::{self, Field, name_of};
use crate::import::audit::kinds::RecordType;
use crate::import::audit::syscalls::Syscalls;
use crate::import::audit::window::{Gathered, Piece};

/// One record with its fields.
#[derive(Clone, Copy, Debug)]
pub(super) struct Record<'p> {
    text: &'p [u8],
    piece: Piece,
    fields: &'p [Field],
}

impl<'p> Record<'p> {
    pub(super) const fn record_type(self) -> RecordType {
        self.piece.record_type
    }

    /// The type as it is written, or by its number.
    pub(super) fn type_name(self) -> &'p [u8] {
        let (start, end) = self.piece.type_name;
        let written = self.text.get(start..end).unwrap_or_default();
        let is_word = written.first().is_some_and(u8::is_ascii_alphabetic);
        match self.piece.record_type.name() {
            Some(name) if !is_word || written.starts_with(b"UNKNOWN[") => name.as_bytes(),
            Some(_) | None => written,
        }
    }

    /// Names and values in the record's order.
    pub(super) fn pairs(self) -> impl Iterator<Item = (&'p [u8], &'p [u8])> {
        let text = self.text;
        self.fields
            .iter()
            .map(move |field| (name_of(*field, text), field.value.of(text)))
    }

    /// The first value of a name.
    pub(super) fn get(self, name: &[u8]) -> Option<&'p [u8]> {
        self.pairs()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    /// A value that says something: not `?`, `(null)`, `(none)` or nothing.
    pub(super) fn known(self, name: &[u8]) -> Option<&'p [u8]> {
        self.get(name).filter(|value| says_something(value))
    }

    pub(super) fn number<T: TryFrom<u64>>(self, name: &[u8]) -> Option<T> {
        T::try_from(decimal(self.get(name)?)?).ok()
    }
}

/// Whether a value is more than audit's ways of saying that there is none.
pub(super) fn says_something(value: &[u8]) -> bool {
    !matches!(value, b"" | b"?" | b"(null)" | b"(none)")
}

/// An event, split. It is filled again for each event.
#[derive(Debug, Default)]
pub(super) struct Parsed {
    text: Vec<u8>,
    fields: Vec<Field>,
    records: Vec<(Piece, usize, usize)>,
}

impl Parsed {
    /// Takes over an event's text, and splits it.
    pub(super) fn fill(&mut self, event: &mut Gathered) {
        std::mem::swap(&mut self.text, &mut event.text);
        self.fields.clear();
        self.records.clear();
        for piece in &event.pieces {
            let first = self.fields.len();
            fields::split(
                &mut self.text,
                piece.body,
                piece.record_type,
                &mut self.fields,
            );
            self.records.push((*piece, first, self.fields.len()));
        }
    }

    /// Gives the text's memory back to the event.
    pub(super) fn empty_into(&mut self, event: &mut Gathered) {
        std::mem::swap(&mut self.text, &mut event.text);
    }

    pub(super) fn records(&self) -> impl Iterator<Item = Record<'_>> {
        self.records.iter().map(|&(piece, first, last)| Record {
            text: &self.text,
            piece,
            fields: self.fields.get(first..last).unwrap_or_default(),
        })
    }

    /// The first record of a type.
    pub(super) fn find(&self, record_type: RecordType) -> Option<Record<'_>> {
        self.records()
            .find(|record| record.record_type() == record_type)
    }

    pub(super) fn all(&self, record_type: RecordType) -> impl Iterator<Item = Record<'_>> {
        self.records()
            .filter(move |record| record.record_type() == record_type)
    }

    /// All fields of all records under their own names, each record led by its `type`. Beside a
    /// system call's number its name stands as the enriched format has it (`SYSCALL`, `ARCH`).
    pub(super) fn extra(&self, syscalls: &Syscalls, out: &mut FieldsBuf) {
        out.clear();
        for record in self.records() {
            if record.record_type() == RecordType::EOE {
                continue;
            }
            out.push(b"type", record.type_name());
            let mut interpreted = false;
            for (name, value) in record.pairs() {
                interpreted |= name == b"SYSCALL";
                put(name, value, out);
            }
            let has_call = matches!(
                record.record_type(),
                RecordType::SYSCALL | RecordType::SECCOMP
            );
            if has_call && !interpreted {
                name_call(record, syscalls, out);
            }
        }
    }
}

fn put(name: &[u8], value: &[u8], out: &mut FieldsBuf) {
    match name {
        // Several keys of one rule stand in one value, 0x01 between them.
        b"key" => {
            for key in value.split(|&byte| byte == 1) {
                out.push(name, key);
            }
        }
        // Arguments end with NUL; people and rules write spaces.
        b"proctitle" if value.contains(&0) => {
            let title: Vec<u8> = value
                .iter()
                .map(|&byte| if byte == 0 { b' ' } else { byte })
                .collect();
            out.push(name, title.trim_ascii_end());
        }
        b"old-auid" | b"new-auid" => {
            out.push(name, value);
        }
        _ => out.push(name, value),
    }
}

fn name_call(record: Record<'_>, syscalls: &Syscalls, out: &mut FieldsBuf) {
    let Some(arch) = record
        .get(b"arch")
        .and_then(hex)
        .and_then(|arch| u32::try_from(arch).ok())
    else {
        return;
    };
    if let Some(name) = syscalls.arch(arch) {
        out.push(b"ARCH", name.as_bytes());
    }
    let number = record.number(b"syscall");
    if let Some(name) = number.and_then(|number| syscalls.name(arch, number)) {
        out.push(b"SYSCALL", name.as_bytes());
    }
}

/// A number in decimal digits.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 20 {
        return None;
    }
    text.iter().try_fold(0_u64, |number, &byte| {
        let digit = byte.checked_sub(b'0').filter(|digit| *digit < 10)?;
        number.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// A number in decimal digits that may be below zero.
pub(super) fn signed(text: &[u8]) -> Option<i64> {
    match text.strip_prefix(b"-") {
        Some(digits) => Some(-i64::try_from(decimal(digits)?).ok()?),
        None => i64::try_from(decimal(text)?).ok(),
    }
}

/// A number in hex digits, with or without `0x`.
pub(super) fn hex(text: &[u8]) -> Option<u64> {
    let digits = text.strip_prefix(b"0x").unwrap_or(text);
    if digits.is_empty() || digits.len() > 16 {
        return None;
    }
    digits.iter().try_fold(0_u64, |number, &byte| {
        let digit = char::from(byte).to_digit(16)?;
        Some(number << 4 | u64::from(digit))
    })
}

/// A number in octal digits.
pub(super) fn octal(text: &[u8]) -> Option<u32> {
    if text.is_empty() || text.len() > 11 {
        return None;
    }
    let number = text.iter().try_fold(0_u64, |number, &byte| {
        let digit = char::from(byte).to_digit(8)?;
        Some(number << 3 | u64::from(digit))
    })?;
    u32::try_from(number).ok()
}
