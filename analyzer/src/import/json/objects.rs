//! Finds the objects of a file of JSON, each with its place: one a line, one behind another,
//! pretty-printed, in one array, or in an array within one great object; in UTF-8 or, with its mark,
//! UTF-16. What is no JSON between them is damage, and the next object is looked for behind it.

use std::io::SeekFrom;

use memchr::{memchr, memchr_iter};
use saigen_schemas::report::FindingKind;

use crate::import::json::tree::{Fault, Tree};
use crate::import::{At, Finding, ImportError, Input, Sink, Skipped};

/// Bytes that are read at once.
const BLOCK_BYTES: usize = 256 << 10;

/// Longest object that is read. A record of an event log is below 64 KiB; exporters add its text.
pub(super) const OBJECT_BYTES_MAX: usize = 16 << 20;

/// Longest value between objects that is told from garbage.
const SCALAR_BYTES_MAX: usize = 64 << 10;

/// How far in the first object may stand behind garbage.
const INDENT_MAX: usize = 64;

/// Findings that one file may cause by single broken places. Further ones are counted.
const FINDINGS_MAX: u64 = 50;

/// How the file spells characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Spelling {
    Utf8,
    Utf16Little,
    Utf16Big,
}

/// The objects of one file, in order.
pub(super) struct Objects<'i> {
    input: &'i mut dyn Input,
    spelling: Spelling,
    /// Bytes as UTF-8; what was given away stands before `from`.
    buffer: Vec<u8>,
    from: usize,
    /// Where `buffer[from]` stands in the file.
    offset: u64,
    /// Its line, from 1, and how far in on it that is.
    line: u64,
    indent: usize,
    /// How far in the last object stood.
    found_indent: usize,
    /// Where the file was read to.
    read_to: u64,
    ended: bool,
    raw: Vec<u8>,
    damaged: u64,
    /// Longest object that is read.
    bytes_max: usize,
}

/// An object: where it stands, and its bytes in [`Objects::bytes`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) at: At,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// What stands at the front.
enum Front {
    Object,
    Nothing,
    Garbage,
}

impl<'i> Objects<'i> {
    /// Begins at a byte of the file; at 0 its mark is read, elsewhere the spelling is that of
    /// the mark at 0.
    pub(super) fn open(input: &'i mut dyn Input, offset: u64) -> Result<Self, ImportError> {
        let mut objects = Self {
            input,
            spelling: Spelling::Utf8,
            buffer: Vec::new(),
            from: 0,
            offset,
            line: 1,
            indent: 0,
            found_indent: INDENT_MAX,
            read_to: 0,
            ended: false,
            raw: Vec::new(),
            damaged: 0,
            bytes_max: OBJECT_BYTES_MAX,
        };
        let mark = objects.read_mark()?;
        objects.read_to = offset.max(mark);
        objects.offset = objects.read_to;
        objects
            .input
            .seek(SeekFrom::Start(objects.read_to))
            .map_err(ImportError::read(offset))?;
        Ok(objects)
    }

    /// The bytes among which a found object lies, until the next one is asked for.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.buffer
    }

    /// Whether bytes that lie apart here lie as far apart in the file.
    pub(super) fn keeps_distances(&self) -> bool {
        self.spelling == Spelling::Utf8
    }

    /// The next object, read into the tree; `None` at the end of the file. What is broken on the
    /// way is told.
    pub(super) fn next(
        &mut self,
        tree: &mut Tree,
        sink: &mut dyn Sink,
    ) -> Result<Option<Found>, ImportError> {
        loop {
            match self.skip_between()? {
                Front::Nothing => {
                    self.tell_the_rest(sink);
                    return Ok(None);
                }
                Front::Garbage => {
                    if let Some(end) = self.scalar(tree)? {
                        // A list may hold `null` where its writer could not read a record.
                        sink.skip(self.at(), Skipped::Empty);
                        self.advance(end);
                    } else {
                        self.damage(sink, Skipped::Malformed, "bytes that are no JSON");
                        self.resume(self.found_indent)?;
                    }
                    continue;
                }
                Front::Object => {}
            }
            match tree.read(&self.buffer, self.from) {
                Ok(end) => {
                    let found = Found {
                        at: self.at(),
                        start: self.from,
                        end,
                    };
                    self.found_indent = self.indent;
                    self.advance(end);
                    return Ok(Some(found));
                }
                Err(Fault::Ended) if !self.ended => {
                    if self.buffer.len() - self.from < self.bytes_max {
                        self.fill()?;
                    } else if !self.enter() {
                        self.damage(
                            sink,
                            Skipped::TooLarge,
                            "an object that is longer than a reader takes",
                        );
                        self.resume(self.indent)?;
                    }
                }
                Err(fault) => self.broken(fault, sink)?,
            }
        }
    }

    /// Where a value ends that is no object and no list, if one begins here.
    fn scalar(&mut self, tree: &mut Tree) -> Result<Option<usize>, ImportError> {
        loop {
            let rest = self.buffer.get(self.from..).unwrap_or_default();
            let end = match tree.read(&self.buffer, self.from) {
                Ok(end) => end,
                Err(Fault::Ended) if !self.ended && rest.len() < SCALAR_BYTES_MAX => {
                    self.fill()?;
                    continue;
                }
                Err(Fault::Ended | Fault::TooDeep { .. } | Fault::Wrong { .. }) => return Ok(None),
            };
            return match self.buffer.get(end) {
                Some(b' ' | b'\t' | b'\r' | b'\n' | b',' | b']') => Ok(Some(end)),
                Some(_) => Ok(None),
                None if self.ended => Ok(Some(end)),
                None => {
                    self.fill()?;
                    continue;
                }
            };
        }
    }

    fn broken(&mut self, fault: Fault, sink: &mut dyn Sink) -> Result<(), ImportError> {
        let (why, text) = match fault {
            Fault::Ended => (
                Skipped::Malformed,
                "the file ends within an object".to_owned(),
            ),
            Fault::TooDeep { .. } => (
                Skipped::TooLarge,
                "an object that is nested more than 128 deep".to_owned(),
            ),
            Fault::Wrong { at, expected } => {
                let found = self.buffer.get(at).copied().unwrap_or_default();
                let place = self.offset + self.file_bytes(self.from, at);
                let found = char::from(found).escape_default();
                (
                    Skipped::Malformed,
                    format!("broken JSON at {place:#x}: expected {expected}, found `{found}`"),
                )
            }
        };
        self.damage(sink, why, &text);
        self.resume(self.indent)
    }

    fn at(&self) -> At {
        At {
            offset: self.offset,
            number: Some(self.line),
        }
    }

    fn damage(&mut self, sink: &mut dyn Sink, why: Skipped, text: &str) {
        self.damaged += 1;
        let at = self.at();
        sink.skip(at, why);
        if self.damaged <= FINDINGS_MAX {
            sink.find(Finding::new(FindingKind::Damage, at, text));
        }
    }

    fn tell_the_rest(&mut self, sink: &mut dyn Sink) {
        let more = self.damaged.saturating_sub(FINDINGS_MAX);
        if more > 0 {
            let text = format!("{more} more places that are no JSON");
            sink.find(Finding::new(FindingKind::Damage, self.at(), text));
            self.damaged = 0;
        }
    }

    /// Steps over spaces, commas and the brackets of arrays.
    fn skip_between(&mut self) -> Result<Front, ImportError> {
        loop {
            let rest = self.buffer.get(self.from..).unwrap_or_default();
            let between = |byte: &u8| b" \t\r\n,[]".contains(byte);
            match rest.iter().position(|byte| !between(byte)) {
                Some(len) => {
                    self.advance(self.from + len);
                    return Ok(match self.buffer.get(self.from) {
                        Some(b'{') => Front::Object,
                        Some(_) | None => Front::Garbage,
                    });
                }
                None => {
                    self.advance(self.buffer.len());
                    if self.ended {
                        return Ok(Front::Nothing);
                    }
                    self.fill()?;
                }
            }
        }
    }

    /// Steps to the next line that begins with an object, not further in than `indent`.
    fn resume(&mut self, indent: usize) -> Result<(), ImportError> {
        loop {
            let rest = self.buffer.get(self.from..).unwrap_or_default();
            let Some(len) = memchr(b'\n', rest) else {
                self.advance(self.buffer.len());
                if self.ended {
                    return Ok(());
                }
                self.fill()?;
                continue;
            };
            self.advance(self.from + len + 1);
            // Enough of the line to see how it begins.
            while !self.ended && self.buffer.len() - self.from <= indent + 2 {
                self.fill()?;
            }
            let line = self.buffer.get(self.from..).unwrap_or_default();
            let blanks = line
                .iter()
                .take_while(|byte| b" \t,[".contains(byte))
                .count();
            if blanks <= indent && line.get(blanks) == Some(&b'{') {
                return Ok(());
            }
        }
    }

    /// Steps into an object that is too long to be read at once, if it begins as one around an array
    /// of objects does (`{"hits":[{`, `{"Events":[{`).
    fn enter(&mut self) -> bool {
        const WRAPPER_BYTES_MAX: usize = 4 << 10;
        let rest = self.buffer.get(self.from..).unwrap_or_default();
        let head = rest.get(..WRAPPER_BYTES_MAX).unwrap_or(rest);
        for place in memchr_iter(b'[', head) {
            let inner = head.get(place + 1..).unwrap_or_default();
            if inner.trim_ascii_start().first() == Some(&b'{') {
                self.advance(self.from + place);
                return true;
            }
        }
        false
    }

    /// Gives away bytes up to a place of the buffer.
    fn advance(&mut self, to: usize) {
        let gone = self.buffer.get(self.from..to).unwrap_or_default();
        self.indent += gone.len();
        for place in memchr_iter(b'\n', gone) {
            self.line += 1;
            self.indent = gone.len() - place - 1;
        }
        self.offset += self.file_bytes(self.from, to);
        self.from = to;
    }

    /// How many bytes of the file a part of the buffer is.
    fn file_bytes(&self, from: usize, to: usize) -> u64 {
        let part = self.buffer.get(from..to).unwrap_or_default();
        match self.spelling {
            Spelling::Utf8 => part.len() as u64,
            Spelling::Utf16Little | Spelling::Utf16Big => {
                let units = |byte: &u8| match byte {
                    0x80..=0xbf => 0,
                    0xf0.. => 2,
                    _ => 1,
                };
                part.iter().map(units).sum::<u64>() * 2
            }
        }
    }

    fn read_mark(&mut self) -> Result<u64, ImportError> {
        self.input
            .seek(SeekFrom::Start(0))
            .map_err(ImportError::read(0))?;
        let mut mark = [0; 3];
        let len = self.read_some(0, &mut mark)?;
        let (spelling, bytes) = match mark.get(..len) {
            Some([0xef, 0xbb, 0xbf]) => (Spelling::Utf8, 3),
            Some([0xff, 0xfe, ..]) => (Spelling::Utf16Little, 2),
            Some([0xfe, 0xff, ..]) => (Spelling::Utf16Big, 2),
            Some(_) | None => (Spelling::Utf8, 0),
        };
        self.spelling = spelling;
        Ok(bytes)
    }

    fn read_some(&mut self, at: u64, into: &mut [u8]) -> Result<usize, ImportError> {
        let mut len = 0;
        while let Some(rest) = into.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match self.input.read(rest) {
                Ok(0) => break,
                Ok(count) => len += count,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ImportError::read(at)(error)),
            }
        }
        Ok(len)
    }

    /// Reads on: what was given away makes room, and the part of an object that is there stays.
    fn fill(&mut self) -> Result<(), ImportError> {
        self.buffer.drain(..self.from);
        self.from = 0;
        // A long object is read in steps that double, so that it is gone through twice at most.
        let wanted = BLOCK_BYTES.max(self.buffer.len());
        let before = self.buffer.len();
        match self.spelling {
            Spelling::Utf8 => {
                let mut buffer = std::mem::take(&mut self.buffer);
                buffer.resize(before + wanted, 0);
                let room = buffer.get_mut(before..).unwrap_or_default();
                let len = self.read_some(self.read_to, room);
                buffer.truncate(before + len.as_ref().copied().unwrap_or(0));
                self.buffer = buffer;
                let len = len?;
                self.read_to += len as u64;
                self.ended = len < wanted;
            }
            Spelling::Utf16Little | Spelling::Utf16Big => self.fill_from_utf16(wanted & !1)?,
        }
        Ok(())
    }

    fn fill_from_utf16(&mut self, wanted: usize) -> Result<(), ImportError> {
        let mut raw = std::mem::take(&mut self.raw);
        raw.resize(wanted, 0);
        let mut len = self.read_some(self.read_to, &mut raw)?;
        self.ended = len < wanted;
        let (pairs, _) = raw.get(..len).unwrap_or_default().as_chunks::<2>();
        let units = pairs.iter().map(|pair| match self.spelling {
            Spelling::Utf16Big => u16::from_be_bytes(*pair),
            Spelling::Utf16Little | Spelling::Utf8 => u16::from_le_bytes(*pair),
        });
        let mut units: Vec<u16> = units.collect();
        // The half of a pair waits for its other half.
        if !self.ended
            && units
                .last()
                .is_some_and(|unit| (0xd800..0xdc00).contains(unit))
        {
            units.pop();
            len -= 2;
            self.input
                .seek(SeekFrom::Current(-2))
                .map_err(ImportError::read(self.read_to))?;
        }
        self.read_to += len as u64;
        for character in char::decode_utf16(units) {
            let character = character.unwrap_or(char::REPLACEMENT_CHARACTER);
            let mut buffer = [0; 4];
            self.buffer
                .extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
        }
        self.raw = raw;
        Ok(())
    }
}

/// The bytes of the object that begins at a place, as they stand in the file.
pub(super) fn object_at(input: &mut dyn Input, offset: u64) -> Result<Vec<u8>, ImportError> {
    let mut objects = Objects::open(input, offset)?;
    let mut tree = Tree::default();
    let none = |found: String| ImportError::NoRecord {
        offset,
        expected: "a JSON object",
        found,
    };
    if objects.offset != offset {
        return Err(none("the mark of the file's encoding".to_owned()));
    }
    let end = loop {
        match tree.read(&objects.buffer, 0) {
            Ok(end) if objects.buffer.first() == Some(&b'{') => break end,
            Ok(_) => return Err(none("another value".to_owned())),
            Err(Fault::Ended) if !objects.ended && objects.buffer.len() < objects.bytes_max => {
                objects.fill()?;
            }
            Err(Fault::Ended) => return Err(none("the end of the file".to_owned())),
            Err(Fault::Wrong { at, .. } | Fault::TooDeep { at }) => {
                return Err(none(format!(
                    "a fault at {:#x}",
                    offset + objects.file_bytes(0, at)
                )));
            }
        }
    };
    let len = objects.file_bytes(0, end);
    let mut bytes = vec![0; usize::try_from(len).unwrap_or(0)];
    objects
        .input
        .seek(SeekFrom::Start(offset))
        .map_err(ImportError::read(offset))?;
    let read = objects.read_some(offset, &mut bytes)?;
    bytes.truncate(read);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use saigen_schemas::event::Event;

    use super::*;

    /// The bound in these tests: a real one takes long to reach.
    const BYTES_MAX: usize = 512 << 10;

    #[derive(Default)]
    struct Damages(Vec<(u64, Skipped)>, Vec<String>);

    impl Sink for Damages {
        fn event(&mut self, _: At, _: &Event<'_>) -> Result<(), ImportError> {
            Ok(())
        }
        fn skip(&mut self, at: At, why: Skipped) {
            self.0.push((at.offset, why));
        }
        fn find(&mut self, finding: Finding) {
            self.1.push(finding.text);
        }
    }

    /// Texts and lines of the objects in a file, and what was broken. Each is read again by its place.
    fn objects(file: &[u8]) -> (Vec<(String, u64)>, Damages) {
        let mut damages = Damages::default();
        let mut input = Cursor::new(file);
        let mut found = Vec::new();
        let mut objects = Objects::open(&mut input, 0).unwrap();
        objects.bytes_max = BYTES_MAX;
        let mut tree = Tree::default();
        while let Some(object) = objects.next(&mut tree, &mut damages).unwrap() {
            let text = &objects.bytes()[object.start..object.end];
            found.push((String::from_utf8(text.to_vec()).unwrap(), object.at));
        }
        let is_utf8 = !matches!(file, [0xff, 0xfe, ..] | [0xfe, 0xff, ..]);
        for (text, at) in &found {
            let again = object_at(&mut Cursor::new(file), at.offset).unwrap();
            if is_utf8 {
                assert_eq!(again, text.as_bytes());
            } else {
                let units = text.encode_utf16().count();
                assert_eq!(again.len(), units * 2);
            }
        }
        let lines = |(text, at): (String, At)| (text, at.number.unwrap());
        (found.into_iter().map(lines).collect(), damages)
    }

    fn texts(file: &[u8]) -> Vec<String> {
        objects(file).0.into_iter().map(|(text, _)| text).collect()
    }

    #[test]
    fn every_layout_gives_the_same_objects() {
        for file in [
            "{\"a\":1}\n{\"a\":2}\n",
            "{\"a\":1}\r\n\r\n{\"a\":2}",
            "[{\"a\":1},{\"a\":2}]",
            " [\n  {\"a\":1},\n  {\"a\":2}\n]\n",
            "{\"a\":1}{\"a\":2}",
            "\u{feff}{\"a\":1}\n{\"a\":2}\n",
        ] {
            let (found, damages) = objects(file.as_bytes());
            let found: Vec<_> = found.iter().map(|(text, _)| text.as_str()).collect();
            assert_eq!(found, ["{\"a\":1}", "{\"a\":2}"], "{file}");
            assert!(damages.0.is_empty(), "{file}");
        }
    }

    #[test]
    fn utf_16_is_read_with_its_places() {
        let text = "\u{feff}{\"a\":\"é😀\"}\r\n{\"b\":2}\r\n";
        let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for file in [little, big] {
            assert_eq!(texts(&file), ["{\"a\":\"é😀\"}", "{\"b\":2}"]);
        }
    }

    #[test]
    fn lines_are_counted() {
        let (found, _) = objects(b"{\"a\":\n1}\n\n{\"b\":2}");
        assert_eq!(found[0].1, 1);
        assert_eq!(found[1].1, 4);
    }

    #[test]
    fn what_is_broken_is_told_and_the_rest_is_read() {
        for (file, expected, place) in [
            ("{\"a\":1}\n{\"b\" 2}\n{\"c\":3}\n", 2, 8),
            ("{\"a\":1}\ngarbage\n{\"c\":3}\n", 2, 8),
            ("{\"a\":1}\n{\"b\":\"cut\n{\"c\":3}", 2, 8),
            ("{\"a\":1}\n{\"b\":\"cut", 1, 8),
            ("{\"a\":1}\n\0\0\0\0", 1, 8),
            (
                "[\n  {\n    \"a\": {\n      \"x\": 1 1\n    }\n  },\n  {\n    \"a\": 1\n  }\n]",
                1,
                4,
            ),
        ] {
            let (found, damages) = objects(file.as_bytes());
            assert_eq!(found.len(), expected, "{file}");
            assert_eq!(damages.0, [(place, Skipped::Malformed)], "{file}");
            assert_eq!(damages.1.len(), 1, "{file}");
        }
    }

    #[test]
    fn what_stands_between_objects_hides_none() {
        let file =
            "[\n  {\"a\":1},\n  null,\n  7,\n  \"text\",\n  {\"b\":2},\n  %%\n  {\"c\":3}\n]";
        let (found, damages) = objects(file.as_bytes());
        assert_eq!(found.len(), 3);
        let reasons: Vec<Skipped> = damages.0.iter().map(|(_, why)| *why).collect();
        let empty = Skipped::Empty;
        assert_eq!(reasons, [empty, empty, empty, Skipped::Malformed]);
    }

    #[test]
    fn a_file_of_garbage_has_few_findings_and_ends() {
        let mut file = "nothing\n".repeat(10_000).into_bytes();
        file.extend_from_slice(&vec![b'x'; 1 << 20]);
        let (found, damages) = objects(&file);
        // Lines that begin no object are passed over together.
        assert!(found.is_empty());
        assert_eq!((damages.0.len(), damages.1.len()), (1, 1));
        let file = "{broken}\n".repeat(1000);
        let (_, damages) = objects(file.as_bytes());
        assert_eq!(damages.0.len(), 1000);
        assert_eq!(damages.1.len(), 51);
    }

    #[test]
    fn an_object_that_never_ends_is_left_out() {
        let mut file = b"{\"a\":\"".to_vec();
        file.resize(3 * BYTES_MAX, b'x');
        file.extend_from_slice(b"\n{\"b\":2}\n");
        let (found, damages) = objects(&file);
        assert_eq!(found, [("{\"b\":2}".to_owned(), 2)]);
        assert_eq!(damages.0, [(0, Skipped::TooLarge)]);
    }

    #[test]
    fn a_great_object_around_records_is_entered() {
        let mut file = b"{\"hits\":[".to_vec();
        let record = format!("{{\"a\":\"{}\"}},\n", "x".repeat(1000));
        while file.len() < 2 * BYTES_MAX {
            file.extend_from_slice(record.as_bytes());
        }
        file.extend_from_slice(b"{\"last\":1}]");
        let (found, damages) = objects(&file);
        assert!(found.len() > 1000 && damages.0.is_empty());
        assert_eq!(
            found.last().map(|(text, _)| text.as_str()),
            Some("{\"last\":1}")
        );
    }
}
