//! How state is written: dressed for a reader, or as JSON.

use std::io::{self, Write};

use saigen_schemas::event::{Args, Text};
use serde_json::{Map, Value};

/// How texts and times are dressed for a reader. The caller knows the zone, and how to show what
/// would act on a terminal.
#[derive(Clone, Copy)]
pub struct Dress<'a> {
    /// Writes a moment, wall clock, microseconds.
    pub time: &'a dyn Fn(i64) -> String,
    /// Makes a text of the evidence safe to be shown.
    pub text: &'a dyn Fn(&str) -> String,
}

/// One JSON object on one line. Members stand in the order of their names.
#[derive(Default)]
pub(super) struct JsonLine(Map<String, Value>);

impl JsonLine {
    /// A line that says what it is about.
    pub(super) fn of(what: &str) -> Self {
        let mut line = Self::default();
        line.word("what", what);
        line
    }

    pub(super) fn number(&mut self, name: &str, number: u64) {
        self.0.insert(name.to_owned(), number.into());
    }

    pub(super) fn maybe(&mut self, name: &str, number: Option<u64>) {
        if let Some(number) = number {
            self.number(name, number);
        }
    }

    pub(super) fn word(&mut self, name: &str, word: &str) {
        self.0.insert(name.to_owned(), word.into());
    }

    /// A text of the evidence. One that is no UTF-8 also stands exactly, in hex, under
    /// `NAME_hex`, as in the JSON of events.
    pub(super) fn text(&mut self, name: &str, text: Option<Text<'_>>) {
        let Some(text) = text else {
            return;
        };
        if std::str::from_utf8(text.0).is_err() {
            let hex: String = text.0.iter().map(|byte| format!("{byte:02x}")).collect();
            self.word(&format!("{name}_hex"), &hex);
        }
        self.word(name, &text.lossy());
    }

    pub(super) fn args(&mut self, name: &str, args: Option<Args<'_>>) {
        if let Some(args) = args {
            let list: Vec<Value> = args.iter().map(|arg| arg.lossy().into()).collect();
            self.0.insert(name.to_owned(), list.into());
        }
    }

    pub(super) fn write(self, out: &mut impl Write) -> io::Result<()> {
        serde_json::to_writer(&mut *out, &Value::Object(self.0))?;
        out.write_all(b"\n")
    }
}
