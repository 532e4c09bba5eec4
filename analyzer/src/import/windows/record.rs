//! A record of a Windows event log, whatever carried it: EVTX, rendered XML, a shipper's JSON.
//!
//! A reader fills one [`Record`] again and again; all its texts lie in one buffer, so that no
//! field costs an allocation.

use saigen_schemas::event::Text;

/// A text in a record's buffer: from where, and how long. Records are far below 4 GiB.
#[derive(Clone, Copy, Debug, Default)]
struct Span {
    start: u32,
    len: u32,
}

/// A named text.
#[derive(Clone, Copy, Debug)]
struct Pair {
    name: Span,
    value: Span,
}

/// What the head of a record says in one text each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The log: `Security`, `Microsoft-Windows-Sysmon/Operational`.
    Channel,
    /// Who wrote the record: `Microsoft-Windows-Sysmon`.
    Provider,
    /// The host, as the record names it.
    Computer,
    /// The record's text for readers, where its carrier has one.
    Message,
}

/// One record: its head, and its fields in their order under their own names.
///
/// Fields are those of `EventData` or `UserData`, nested ones by the name of their leaf, unnamed
/// ones as `Data`, once for each. Values are what Windows would render: numbers in decimal or, where the
/// provider says so, in hex (`0x3e7`), GUIDs with or without braces.
#[derive(Clone, Debug, Default)]
pub struct Record {
    bytes: Vec<u8>,
    fields: Vec<Pair>,
    head: Vec<Pair>,
    channel: Span,
    provider: Span,
    computer: Span,
    message: Span,
    /// The event id, in its provider's numbering.
    pub event_id: Option<u32>,
    /// The number of the record in its log.
    pub record_id: Option<u64>,
    /// When the record was written (`TimeCreated`), UTC microseconds.
    pub time_us: Option<i64>,
    /// The process that wrote it (`Execution/@ProcessID`). For Sysmon and Security that is the
    /// watcher, not the watched.
    pub process_id: Option<u32>,
}

impl Record {
    /// Forgets the record and keeps the memory.
    pub fn clear(&mut self) {
        let Self {
            bytes,
            fields,
            head,
            ..
        } = self;
        bytes.clear();
        fields.clear();
        head.clear();
        *self = Self {
            bytes: std::mem::take(bytes),
            fields: std::mem::take(fields),
            head: std::mem::take(head),
            ..Self::default()
        };
    }

    /// Sets one text of the head.
    pub fn set(&mut self, part: Part, value: &[u8]) {
        self.set_with(part, |out| out.extend_from_slice(value));
    }

    /// Sets one text of the head to what is appended to the buffer.
    pub fn set_with(&mut self, part: Part, write: impl FnOnce(&mut Vec<u8>)) {
        let span = self.keep(write);
        *match part {
            Part::Channel => &mut self.channel,
            Part::Provider => &mut self.provider,
            Part::Computer => &mut self.computer,
            Part::Message => &mut self.message,
        } = span;
    }

    /// Adds a field.
    pub fn push(&mut self, name: &[u8], value: &[u8]) {
        self.push_with(name, |out| out.extend_from_slice(value));
    }

    /// Adds a field whose value is what is appended to the buffer.
    pub fn push_with(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let name = self.keep(|out| out.extend_from_slice(name));
        let value = self.keep(write);
        self.fields.push(Pair { name, value });
    }

    /// Adds what the head says beside its [`Part`]s: `Level`, `Task`, `Opcode`, `Keywords`, `Version`,
    /// `UserID`, `ThreadID`, `ActivityID`, and what a shipper added. A field of the same name wins.
    pub fn push_head(&mut self, name: &[u8], value: &[u8]) {
        self.push_head_with(name, |out| out.extend_from_slice(value));
    }

    /// [`Record::push_head`] with what is appended to the buffer.
    pub fn push_head_with(&mut self, name: &[u8], write: impl FnOnce(&mut Vec<u8>)) {
        let name = self.keep(|out| out.extend_from_slice(name));
        let value = self.keep(write);
        self.head.push(Pair { name, value });
    }

    /// The log.
    #[must_use]
    pub fn channel(&self) -> Text<'_> {
        self.text(self.channel)
    }

    /// Who wrote it.
    #[must_use]
    pub fn provider(&self) -> Text<'_> {
        self.text(self.provider)
    }

    /// The host, as the record names it.
    #[must_use]
    pub fn computer(&self) -> Text<'_> {
        self.text(self.computer)
    }

    /// Its text for readers.
    #[must_use]
    pub fn message(&self) -> Text<'_> {
        self.text(self.message)
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.fields.len()
    }

    /// Whether there is no field.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    /// The fields in their order.
    pub fn fields(&self) -> impl Iterator<Item = (Text<'_>, Text<'_>)> {
        self.fields.iter().map(|pair| self.pair(*pair))
    }

    /// What the head says beside its parts.
    pub fn head(&self) -> impl Iterator<Item = (Text<'_>, Text<'_>)> {
        self.head.iter().map(|pair| self.pair(*pair))
    }

    /// The first value under a name, with its place among the fields. The search begins at a
    /// place where it may well stand, since those who ask mostly follow the record's order.
    #[must_use]
    pub fn find(&self, name: &str, likely: usize) -> Option<(usize, Text<'_>)> {
        let fits = |place: &usize| {
            self.fields
                .get(*place)
                .is_some_and(|pair| self.text(pair.name).0 == name.as_bytes())
        };
        let place = Some(likely)
            .filter(fits)
            .or_else(|| (0..self.fields.len()).find(fits))?;
        Some((place, self.text(self.fields.get(place)?.value)))
    }

    /// The first value under a name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Text<'_>> {
        self.find(name, 0).map(|(_, value)| value)
    }

    fn pair(&self, pair: Pair) -> (Text<'_>, Text<'_>) {
        (self.text(pair.name), self.text(pair.value))
    }

    fn text(&self, span: Span) -> Text<'_> {
        let range = || {
            let start = usize::try_from(span.start).ok()?;
            let end = start.checked_add(usize::try_from(span.len).ok()?)?;
            self.bytes.get(start..end)
        };
        Text(range().unwrap_or_default())
    }

    /// Appends to the buffer; what would not fit into a span is cut off.
    fn keep(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Span {
        let from = self.bytes.len();
        write(&mut self.bytes);
        let (Ok(start), Ok(len)) = (
            u32::try_from(from),
            u32::try_from(self.bytes.len().saturating_sub(from)),
        ) else {
            self.bytes.truncate(from);
            return Span::default();
        };
        Span { start, len }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gives_back_what_was_put_into_it() {
        let mut record = Record::default();
        for _ in 0..2 {
            record.clear();
            record.set(Part::Channel, b"Security");
            record.event_id = Some(4688);
            record.push(b"NewProcessName", b"C:\\x.exe");
            record.push_with(b"ProcessId", |out| out.extend_from_slice(b"0x4d2"));
            record.push(b"Data", b"one");
            record.push(b"Data", b"two");
            record.push_head(b"Level", b"4");
            assert_eq!(record.channel(), "Security".into());
            assert_eq!(record.get("ProcessId"), Some("0x4d2".into()));
            assert_eq!(record.find("ProcessId", 3), Some((1, "0x4d2".into())));
            assert_eq!(record.get("Data"), Some("one".into()));
            assert_eq!(record.get("processid"), None);
            assert_eq!(record.len(), 4);
            assert_eq!(record.head().count(), 1);
            assert_eq!(record.fields().last(), Some(("Data".into(), "two".into())));
        }
    }

    #[test]
    fn nothing_is_left_of_the_record_before() {
        let mut record = Record {
            event_id: Some(1),
            time_us: Some(1),
            ..Record::default()
        };
        record.set(Part::Computer, b"host");
        record.push(b"Image", b"x");
        record.clear();
        assert!(record.is_empty() && record.computer().is_empty());
        assert_eq!((record.event_id, record.time_us), (None, None));
    }
}
