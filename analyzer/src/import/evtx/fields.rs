//! From the elements of an event's XML to the fields of a record.

use crate::import::evtx::bytes::Fault;
use crate::import::evtx::value::{Value, filetime_us};
use crate::import::windows::{Part, Record};

/// The parts of an event, by the element below its root.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Section {
    /// `System`: the head.
    System,
    /// `EventData`: `Data` with or without a name.
    EventData,
    /// What a provider puts in its own elements, in `UserData` or anywhere else.
    UserData,
    /// `RenderingInfo`: texts for readers, in logs that were forwarded.
    Rendering,
    /// Nothing yet.
    #[default]
    Root,
}

/// Most text of one field. A record is below 64 KiB; what repeats a value over and over is not.
const FIELD_BYTES_MAX: usize = 1 << 20;

/// Most bytes of all fields of a record, for the same reason.
const RECORD_BYTES_MAX: usize = 8 << 20;

/// Follows elements, and fills a record with what their leaves say.
#[derive(Debug, Default)]
pub(super) struct Fields {
    depth: usize,
    section: Section,
    /// Name of the element that is open, and the name that it gives its value.
    element: Vec<u8>,
    named: Vec<u8>,
    text: Vec<u8>,
    attribute: Vec<u8>,
    in_attribute: bool,
    /// The element that is open has had another in it.
    had_child: bool,
    /// A value of it was already given: an item of an array.
    gave: bool,
    bytes: usize,
}

impl Fields {
    pub(super) fn begin(&mut self) {
        self.depth = 0;
        self.section = Section::Root;
        self.text.clear();
        self.in_attribute = false;
        self.had_child = false;
        self.bytes = 0;
    }

    /// How many elements are open.
    pub(super) const fn depth(&self) -> usize {
        self.depth
    }

    pub(super) fn open(&mut self, name: &[u8]) {
        if self.depth == 1 {
            self.section = match name {
                b"System" => Section::System,
                b"EventData" => Section::EventData,
                b"RenderingInfo" => Section::Rendering,
                _ => Section::UserData,
            };
        }
        self.depth += 1;
        self.element.clear();
        self.element.extend_from_slice(name);
        self.named.clear();
        self.text.clear();
        self.had_child = false;
        self.gave = false;
    }

    pub(super) fn begin_attribute(&mut self, name: &[u8]) {
        self.attribute.clear();
        self.attribute.extend_from_slice(name);
        self.text.clear();
        self.in_attribute = true;
    }

    pub(super) fn end_attribute(&mut self, record: &mut Record) {
        self.in_attribute = false;
        let value = self.text.as_slice();
        match (self.section, self.attribute.as_slice()) {
            (Section::System, name) => head_attribute(record, &self.element, name, value),
            (Section::EventData | Section::UserData, b"Name") => {
                if self.depth > 2 {
                    self.named.extend_from_slice(value);
                }
            }
            // Namespaces and types say nothing about the event.
            (Section::EventData | Section::UserData | Section::Rendering | Section::Root, _) => {}
        }
        self.text.clear();
    }

    pub(super) fn text(&mut self, text: &[u8]) {
        let room = FIELD_BYTES_MAX.saturating_sub(self.text.len());
        self.text
            .extend_from_slice(text.get(..room).unwrap_or(text));
    }

    /// A value: its text, or the texts of its items, each a value of the element.
    pub(super) fn value(&mut self, value: &Value<'_>, record: &mut Record) -> Result<(), Fault> {
        if self.section == Section::System && self.depth == 3 && !self.in_attribute {
            return self.text_of(value);
        }
        let mut first = true;
        for item in value.items() {
            if !first {
                if self.in_attribute {
                    self.text(b",");
                } else {
                    self.give(record);
                    self.text.clear();
                }
            }
            first = false;
            self.text_of(&item)?;
        }
        Ok(())
    }

    fn text_of(&mut self, value: &Value<'_>) -> Result<(), Fault> {
        if self.text.len() > FIELD_BYTES_MAX {
            return Ok(());
        }
        value.write(&mut self.text)
    }

    pub(super) fn close(&mut self, record: &mut Record) {
        if !self.had_child && self.depth > 1 {
            self.give(record);
        }
        self.text.clear();
        self.named.clear();
        self.had_child = true;
        self.depth = self.depth.saturating_sub(1);
        if self.depth <= 1 {
            self.section = Section::Root;
        }
    }

    /// Puts what the open element says into the record.
    fn give(&mut self, record: &mut Record) {
        self.bytes += self.text.len();
        if self.bytes > RECORD_BYTES_MAX {
            return;
        }
        self.gave = true;
        let value = self.text.as_slice();
        match self.section {
            Section::System => head_element(record, &self.element, value),
            Section::Rendering => {
                if self.element == b"Message" {
                    record.set(Part::Message, value);
                }
            }
            Section::EventData | Section::UserData => {
                if self.depth == 2 && value.is_empty() {
                    return;
                }
                let name = if self.named.is_empty() {
                    &self.element
                } else {
                    &self.named
                };
                record.push(name, value);
            }
            Section::Root => {}
        }
    }
}

fn head_element(record: &mut Record, element: &[u8], value: &[u8]) {
    match element {
        b"EventID" => record.event_id = number(value),
        b"EventRecordID" => record.record_id = number(value),
        b"Channel" => record.set(Part::Channel, value),
        b"Computer" => record.set(Part::Computer, value),
        _ if value.is_empty() => {}
        name => record.push_head(name, value),
    }
}

fn head_attribute(record: &mut Record, element: &[u8], name: &[u8], value: &[u8]) {
    if value.is_empty() {
        return;
    }
    match (element, name) {
        (b"Provider", b"Name") => record.set(Part::Provider, value),
        (b"Provider", b"Guid") => record.push_head(b"Provider_Guid", value),
        (b"TimeCreated", b"SystemTime") => record.time_us = time_us(value),
        (b"Execution", b"ProcessID") => record.process_id = number(value),
        (b"Provider" | b"EventID" | b"Execution" | b"Correlation" | b"Security", name) => {
            record.push_head(name, value);
        }
        _ => {}
    }
}

fn number<N: std::str::FromStr>(text: &[u8]) -> Option<N> {
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// Reads the time that [`Value::write`] wrote, or one in an attribute's own text.
fn time_us(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text).ok()?;
    let moment = chrono::DateTime::parse_from_rfc3339(text).ok()?;
    Some(moment.timestamp_micros())
}

/// Sets the record's time from its header, where its content says none.
pub(super) fn time_of_header(record: &mut Record, written: u64) {
    if record.time_us.is_none() {
        record.time_us = filetime_us(written);
    }
}
