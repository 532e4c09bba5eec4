//! Windows events as XML: a little reader of what `Event` elements look like, and no more of XML.
//!
//! What stands in logs is not always XML: Sysmon for Linux ends its entities with a space in place of
//! the semicolon, and shippers turn entities back so that a command line holds bare `<` and `&`. So
//! the reader takes what it can, and never fails: an element ends at its own closing tag, and what is no
//! entity is text.

use std::sync::LazyLock;

use memchr::memmem::Finder;

use crate::import::windows::{Part, Record, value};

/// Deepest nesting of elements that is followed.
const DEPTH_MAX: usize = 32;

/// Most fields that a record may have; the event log itself allows 128 per template.
const FIELDS_MAX: usize = 4096;

static EVENT: LazyLock<Finder<'static>> = LazyLock::new(|| Finder::new(b"<Event"));

/// The next `Event` element in a text: from where to where. An element that is not closed ends with
/// the text.
pub(super) fn find_event(text: &[u8]) -> Option<(usize, usize)> {
    let mut from = memchr::memchr(b'<', text)?;
    loop {
        let start = from + EVENT.find(text.get(from..)?)?;
        let after = text.get(start + b"<Event".len());
        if after.is_some_and(|byte| matches!(byte, b'>' | b' ' | b'\t' | b'\r' | b'\n')) {
            let close = b"</Event>";
            let rest = text.get(start..).unwrap_or_default();
            let end = memchr::memmem::find(rest, close)
                .map_or(text.len(), |end| start + end + close.len());
            return Some((start, end));
        }
        from = start + 1;
    }
}

/// Fills a record with what an `Event` element says; whether it says at least an id.
pub(super) fn fill(event: &[u8], record: &mut Record) -> bool {
    record.clear();
    let mut filler = Filler {
        record,
        path: Vec::new(),
        fields: 0,
    };
    let mut reader = Reader { text: event, at: 0 };
    while let Some(tag) = reader.next() {
        filler.take(&tag, &mut reader);
    }
    record.event_id.is_some()
}

/// A tag, with what stands between its name and its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Tag<'x> {
    /// Without a prefix.
    name: &'x [u8],
    attributes: &'x [u8],
    shape: Shape,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Shape {
    Open,
    Empty,
    Close,
}

struct Reader<'x> {
    text: &'x [u8],
    at: usize,
}

impl<'x> Reader<'x> {
    /// The next tag; texts, remarks and declarations are passed over.
    fn next(&mut self) -> Option<Tag<'x>> {
        loop {
            let rest = self.text.get(self.at..)?;
            let open = self.at + memchr::memchr(b'<', rest)?;
            let first = *self.text.get(open + 1)?;
            if matches!(first, b'!' | b'?') {
                let end = memchr::memchr(b'>', self.text.get(open..)?)?;
                self.at = open + end + 1;
                continue;
            }
            if first != b'/' && !first.is_ascii_alphabetic() && first != b'_' {
                self.at = open + 1;
                continue;
            }
            let end = open + tag_end(self.text.get(open..)?)?;
            self.at = end + 1;
            return Some(Tag::of(self.text.get(open + 1..end)?));
        }
    }

    /// The text up to the closing tag of an element that holds only text.
    fn text_of(&mut self, name: &[u8]) -> &'x [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let mut from = 0;
        while let Some(place) = memchr::memmem::find(rest.get(from..).unwrap_or_default(), b"</") {
            let close = from + place;
            let after = rest.get(close + 2..).unwrap_or_default();
            let end = memchr::memchr(b'>', after).unwrap_or(after.len());
            if local(after.get(..end).unwrap_or_default().trim_ascii()) == name {
                self.at += close + 2 + end + 1;
                return bare(rest.get(..close).unwrap_or_default());
            }
            from = close + 2;
        }
        self.at = self.text.len();
        bare(rest)
    }

    /// The text before the next tag.
    fn peek_text(&self) -> &'x [u8] {
        let rest = self.text.get(self.at..).unwrap_or_default();
        let end = memchr::memchr(b'<', rest).unwrap_or(rest.len());
        rest.get(..end).unwrap_or_default()
    }
}

/// Where a tag ends: at the first `>` outside quotes.
fn tag_end(tag: &[u8]) -> Option<usize> {
    let mut quote = None;
    for (place, &byte) in tag.iter().enumerate() {
        match (quote, byte) {
            (None, b'>') => return Some(place),
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), byte) if open == byte => quote = None,
            _ => {}
        }
    }
    None
}

impl<'x> Tag<'x> {
    fn of(inner: &'x [u8]) -> Self {
        let (inner, shape) = if let Some(inner) = inner.strip_prefix(b"/") {
            (inner, Shape::Close)
        } else if let Some(inner) = inner.strip_suffix(b"/") {
            (inner, Shape::Empty)
        } else {
            (inner, Shape::Open)
        };
        let end = inner
            .iter()
            .position(u8::is_ascii_whitespace)
            .unwrap_or(inner.len());
        let (name, attributes) = inner.split_at_checked(end).unwrap_or((inner, b""));
        Self {
            name: local(name),
            attributes,
            shape,
        }
    }

    /// The value of an attribute, as it is written.
    fn get(&self, name: &[u8]) -> Option<&'x [u8]> {
        self.pairs()
            .find(|(own, _)| *own == name)
            .map(|(_, value)| value)
    }

    fn pairs(&self) -> impl Iterator<Item = (&'x [u8], &'x [u8])> {
        let mut rest = self.attributes;
        std::iter::from_fn(move || {
            let equals = memchr::memchr(b'=', rest)?;
            let name = local(rest.get(..equals)?.trim_ascii());
            let after = rest.get(equals + 1..)?.trim_ascii_start();
            let (&quote, value) = after.split_first()?;
            if !matches!(quote, b'"' | b'\'') {
                return None;
            }
            let end = memchr::memchr(quote, value)?;
            rest = value.get(end + 1..)?;
            Some((name, value.get(..end)?))
        })
    }
}

fn local(name: &[u8]) -> &[u8] {
    name.rsplit(|&byte| byte == b':').next().unwrap_or(name)
}

/// A text without the marks of a CDATA section around it.
fn bare(text: &[u8]) -> &[u8] {
    let trimmed = text.trim_ascii();
    trimmed
        .strip_prefix(b"<![CDATA[")
        .and_then(|rest| rest.strip_suffix(b"]]>"))
        .unwrap_or(text)
}

struct Filler<'r, 'x> {
    record: &'r mut Record,
    /// Names of the elements around.
    path: Vec<&'x [u8]>,
    fields: usize,
}

impl<'x> Filler<'_, 'x> {
    fn take(&mut self, tag: &Tag<'x>, reader: &mut Reader<'x>) {
        if tag.shape == Shape::Close {
            // A tag that closes nothing is passed over.
            if let Some(place) = self.path.iter().rposition(|name| *name == tag.name) {
                self.path.truncate(place);
            }
            return;
        }
        let section = self.path.get(1).copied().unwrap_or_default();
        match section {
            b"System" => return self.system(tag, reader),
            b"EventData" | b"ProcessingErrorData" => return self.data(tag, reader),
            b"RenderingInfo" => return self.rendered(tag, reader),
            b"UserData" => self.user_data(tag, reader),
            _ => {}
        }
        if tag.shape == Shape::Open && self.path.len() < DEPTH_MAX {
            self.path.push(tag.name);
        }
    }

    fn system(&mut self, tag: &Tag<'x>, reader: &mut Reader<'x>) {
        let text: &[u8] = if tag.shape == Shape::Open {
            reader.text_of(tag.name).trim_ascii()
        } else {
            b""
        };
        let record = &mut *self.record;
        match tag.name {
            b"Provider" => {
                let name = tag.get(b"Name").or_else(|| tag.get(b"EventSourceName"));
                record.set_with(Part::Provider, |out| decode(name.unwrap_or_default(), out));
            }
            b"EventID" => record.event_id = small(text),
            b"EventRecordID" => record.record_id = value::number(text),
            b"TimeCreated" => record.time_us = tag.get(b"SystemTime").and_then(value::moment),
            b"Channel" => record.set_with(Part::Channel, |out| decode(text, out)),
            b"Computer" => record.set_with(Part::Computer, |out| decode(text, out)),
            b"Execution" => {
                record.process_id = tag.get(b"ProcessID").and_then(small);
                if let Some(thread) = tag.get(b"ThreadID") {
                    record.push_head(b"ThreadID", thread);
                }
            }
            b"Correlation" | b"Security" => {
                for (name, value) in tag.pairs() {
                    record.push_head_with(name, |out| decode(value, out));
                }
            }
            name => record.push_head_with(name, |out| decode(text, out)),
        }
    }

    fn data(&mut self, tag: &Tag<'x>, reader: &mut Reader<'x>) {
        let name = match tag.name {
            b"Data" => tag.get(b"Name").unwrap_or(b"Data"),
            name => name,
        };
        let text: &[u8] = if tag.shape == Shape::Open {
            reader.text_of(tag.name)
        } else {
            b""
        };
        self.push(name, text);
    }

    /// Of a provider's own elements the leaves are fields.
    fn user_data(&mut self, tag: &Tag<'x>, reader: &Reader<'x>) {
        let text = reader.peek_text();
        let after = reader
            .text
            .get(reader.at + text.len()..)
            .unwrap_or_default();
        let is_leaf = tag.shape == Shape::Empty || after.starts_with(b"</");
        if is_leaf && self.path.len() > 2 {
            self.push(tag.name, if tag.shape == Shape::Empty { b"" } else { text });
        }
    }

    fn rendered(&mut self, tag: &Tag<'x>, reader: &mut Reader<'x>) {
        if tag.name == b"Message" && tag.shape == Shape::Open {
            let text = reader.text_of(tag.name);
            self.record.set_with(Part::Message, |out| decode(text, out));
        }
    }

    fn push(&mut self, name: &[u8], text: &[u8]) {
        if self.fields < FIELDS_MAX {
            self.fields += 1;
            self.record.push_with(name, |out| decode(text, out));
        }
    }
}

fn small(text: &[u8]) -> Option<u32> {
    u32::try_from(value::number(text)?).ok()
}

/// Appends a text with its entities put back (XML 1.0 §4.6). One whose semicolon is a space is taken
/// as well; what is no entity stays.
fn decode(text: &[u8], out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(place) = memchr::memchr(b'&', rest) {
        let (before, from) = rest.split_at_checked(place).unwrap_or((rest, b""));
        out.extend_from_slice(before);
        match entity(from) {
            Some((character, len)) => {
                let mut buffer = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                rest = from.get(len..).unwrap_or_default();
            }
            None => {
                out.push(b'&');
                rest = from.get(1..).unwrap_or_default();
            }
        }
    }
    out.extend_from_slice(rest);
}

/// The character of an entity at the beginning of a text, and the entity's length.
fn entity(text: &[u8]) -> Option<(char, usize)> {
    /// `&#x10ffff;`
    const LEN_MAX: usize = 10;
    for (name, character) in [
        (&b"&lt"[..], '<'),
        (b"&gt", '>'),
        (b"&amp", '&'),
        (b"&quot", '"'),
        (b"&apos", '\''),
    ] {
        if text.starts_with(name) && matches!(text.get(name.len()), Some(b';' | b' ')) {
            return Some((character, name.len() + 1));
        }
    }
    let digits = text.strip_prefix(b"&#")?;
    let end = digits.iter().take(LEN_MAX).position(|&byte| byte == b';')?;
    let number = std::str::from_utf8(digits.get(..end)?).ok()?;
    let code = match number.strip_prefix(['x', 'X']) {
        Some(hex) => u32::from_str_radix(hex, 16).ok()?,
        None => number.parse().ok()?,
    };
    Some((char::from_u32(code)?, end + 3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(event: &str) -> Record {
        let mut record = Record::default();
        assert!(fill(event.as_bytes(), &mut record), "{event}");
        record
    }

    fn fields(record: &Record) -> Vec<(String, String)> {
        record
            .fields()
            .map(|(name, value)| (name.lossy().into_owned(), value.lossy().into_owned()))
            .collect()
    }

    #[test]
    fn an_event_is_its_head_and_its_data() {
        let record = record(
            "<?xml version='1.0'?><Event xmlns='x'><System><Provider Name=\"Linux-Sysmon\" Guid=\"{1}\"/>\
             <EventID Qualifiers='0'>1</EventID><Level>4</Level>\
             <TimeCreated SystemTime='2024-01-02T03:04:05.000001000Z'/><EventRecordID>77</EventRecordID>\
             <Execution ProcessID='5' ThreadID='6'/><Channel>C</Channel><Computer>h &amp; i</Computer>\
             <Security UserId=\"0\"/></System><EventData><Data Name=\"Image\">/bin/sh</Data>\
             <Data Name='Empty'/><Data>loose</Data></EventData></Event>",
        );
        assert_eq!(record.event_id, Some(1));
        assert_eq!(record.record_id, Some(77));
        assert_eq!(record.time_us, Some(1_704_164_645_000_001));
        assert_eq!(record.process_id, Some(5));
        assert_eq!(record.computer().0, b"h & i");
        assert_eq!(record.provider().0, b"Linux-Sysmon");
        let expected = [("Image", "/bin/sh"), ("Empty", ""), ("Data", "loose")];
        assert_eq!(
            fields(&record),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert!(
            record
                .head()
                .any(|(name, value)| (name.0, value.0) == (b"Level", b"4"))
        );
    }

    #[test]
    fn a_providers_own_elements_are_fields_by_their_leaves() {
        let record = record(
            "<Event><System><EventID>9</EventID></System><UserData><Outer xmlns='y'><A>1</A><B/>\
             <C><D>2 &lt; 3</D></C></Outer></UserData><RenderingInfo><Message>said</Message>\
             </RenderingInfo></Event>",
        );
        let expected = [("A", "1"), ("B", ""), ("D", "2 < 3")];
        assert_eq!(
            fields(&record),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
        assert_eq!(record.message().0, b"said");
    }

    #[test]
    fn broken_entities_and_bare_signs_are_text() {
        let record = record(
            "<Event><System><EventID>1</EventID></System><EventData>\
             <Data Name=\"A\">&lt unknown&gt </Data>\
             <Data Name=\"B\">a && b < c > d &x; &#65;&#x42; &#xffffffff;</Data>\
             <Data Name=\"C\"><![CDATA[x<y]]></Data>\
             <Data Name=\"D\">never closed",
        );
        let expected = [
            ("A", "<unknown>"),
            ("B", "a && b < c > d &x; AB &#xffffffff;"),
            ("C", "x<y"),
            ("D", "never closed"),
        ];
        assert_eq!(
            fields(&record),
            expected.map(|(name, value)| (name.to_owned(), value.to_owned()))
        );
    }

    #[test]
    fn events_are_found_within_lines() {
        let line = b"Jan 1 00:00:00 h sysmon: <Events><Event><System/></Event> tail";
        let (start, end) = find_event(line).unwrap();
        assert_eq!(&line[start..end], b"<Event><System/></Event>");
        assert_eq!(find_event(b"<Eventful>"), None);
        assert_eq!(find_event(b"<Event>open"), Some((0, 11)));
    }

    #[test]
    fn depth_is_bounded() {
        let deep = "<a>".repeat(100_000);
        let event = format!("<Event><System><EventID>1</EventID></System><UserData>{deep}");
        assert!(fill(event.as_bytes(), &mut Record::default()));
    }
}
