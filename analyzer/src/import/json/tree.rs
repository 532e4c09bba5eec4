//! JSON values, read where they lie: a flat list of nodes over the bytes, used again and again
//! (RFC 8259). Nothing is copied until a mapper asks for a text.

use memchr::memchr2;
use saigen_schemas::event::Text;

/// Deepest nesting that is read. Event logs need a dozen levels; more is an attack on a reader.
pub const DEPTH_MAX: usize = 128;

/// What a node is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sort {
    /// `{…}`
    Object,
    /// `[…]`
    Array,
    /// A text whose bytes stand for themselves.
    Text,
    /// A text with escapes.
    Escaped,
    /// A number, as it is written.
    Number,
    /// `true` or `false`.
    Flag,
    /// `null`.
    Null,
}

/// One value or key: its bytes without quotes, and where the node behind all that is in it stands.
#[derive(Clone, Copy, Debug)]
struct Node {
    sort: Sort,
    start: u32,
    end: u32,
    next: u32,
}

/// Why a value cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The bytes end within it.
    Ended,
    /// A byte stands where another thing should.
    Wrong {
        /// Place of the byte.
        at: usize,
        /// What was expected there.
        expected: &'static str,
    },
    /// It is nested deeper than [`DEPTH_MAX`].
    TooDeep {
        /// Place of the bracket that is one too many.
        at: usize,
    },
}

/// The nodes of one value, in the order of the text. An object's are its keys and values by turns.
#[derive(Debug, Default)]
pub struct Tree {
    nodes: Vec<Node>,
    open: Vec<usize>,
}

impl Tree {
    /// Reads the value that begins at a place; gives the place behind it.
    ///
    /// # Errors
    /// Where the bytes are no JSON value. Control characters within texts are let through: many
    /// exporters write them.
    pub fn read(&mut self, bytes: &[u8], from: usize) -> Result<usize, Fault> {
        self.nodes.clear();
        self.open.clear();
        let mut at = skip_space(bytes, from);
        loop {
            at = self.value(bytes, at)?;
            // A value is complete: what may follow depends on what it stands in.
            loop {
                let Some(&index) = self.open.last() else {
                    return Ok(at);
                };
                let within = self.sort_of(index);
                at = skip_space(bytes, at);
                // An opened one is empty so far, or a value stands before.
                let empty = index + 1 == self.nodes.len();
                match (bytes.get(at), within) {
                    (None, _) => return Err(Fault::Ended),
                    (Some(b'}'), Sort::Object) | (Some(b']'), Sort::Array) => {
                        at += 1;
                        self.close(index, at);
                    }
                    (Some(b','), _) if !empty => {
                        at = skip_space(bytes, at + 1);
                        if within == Sort::Object {
                            at = self.key(bytes, at)?;
                        }
                        break;
                    }
                    (Some(_), Sort::Object) if empty => {
                        at = self.key(bytes, at)?;
                        break;
                    }
                    (Some(_), Sort::Array) if empty => break,
                    (Some(_), _) => {
                        return Err(Fault::Wrong {
                            at,
                            expected: "a comma or the end of the value",
                        });
                    }
                }
            }
        }
    }

    /// The value that was read.
    #[must_use]
    pub const fn root<'t>(&'t self, bytes: &'t [u8]) -> Value<'t> {
        Value {
            tree: self,
            bytes,
            index: 0,
        }
    }

    fn sort_of(&self, index: usize) -> Sort {
        self.nodes.get(index).map_or(Sort::Null, |node| node.sort)
    }

    fn close(&mut self, index: usize, at: usize) {
        self.open.pop();
        let next = narrow(self.nodes.len());
        if let Some(node) = self.nodes.get_mut(index) {
            node.end = narrow(at);
            node.next = next;
        }
    }

    fn push(&mut self, sort: Sort, start: usize, end: usize) {
        let next = narrow(self.nodes.len() + 1);
        self.nodes.push(Node {
            sort,
            start: narrow(start),
            end: narrow(end),
            next,
        });
    }

    /// Reads one scalar, or the opening of an object or array.
    fn value(&mut self, bytes: &[u8], at: usize) -> Result<usize, Fault> {
        let wrong = |expected| Err(Fault::Wrong { at, expected });
        match bytes.get(at) {
            None => Err(Fault::Ended),
            Some(b'"') => self.text(bytes, at),
            Some(byte @ (b'{' | b'[')) => {
                if self.open.len() == DEPTH_MAX {
                    return Err(Fault::TooDeep { at });
                }
                self.open.push(self.nodes.len());
                let sort = if *byte == b'{' {
                    Sort::Object
                } else {
                    Sort::Array
                };
                self.push(sort, at, at);
                Ok(at + 1)
            }
            Some(b'-' | b'0'..=b'9') => {
                let is_part = |byte: &u8| byte.is_ascii_digit() || b"+-.eE".contains(byte);
                let rest = bytes.get(at..).unwrap_or_default();
                let Some(len) = rest.iter().position(|byte| !is_part(byte)) else {
                    return Err(Fault::Ended);
                };
                self.push(Sort::Number, at, at + len);
                Ok(at + len)
            }
            Some(b't') => self.word(bytes, at, b"true", Sort::Flag),
            Some(b'f') => self.word(bytes, at, b"false", Sort::Flag),
            Some(b'n') => self.word(bytes, at, b"null", Sort::Null),
            Some(_) => wrong("a value"),
        }
    }

    fn word(
        &mut self,
        bytes: &[u8],
        at: usize,
        word: &'static [u8],
        sort: Sort,
    ) -> Result<usize, Fault> {
        let rest = bytes.get(at..).unwrap_or_default();
        if rest.starts_with(word) {
            self.push(sort, at, at + word.len());
            Ok(at + word.len())
        } else if word.starts_with(rest) {
            Err(Fault::Ended)
        } else {
            Err(Fault::Wrong {
                at,
                expected: "a value",
            })
        }
    }

    /// Reads a key, its colon, and the space before its value.
    fn key(&mut self, bytes: &[u8], at: usize) -> Result<usize, Fault> {
        match bytes.get(at) {
            None => return Err(Fault::Ended),
            Some(b'"') => {}
            Some(_) => {
                return Err(Fault::Wrong {
                    at,
                    expected: "a key in quotes",
                });
            }
        }
        let at = skip_space(bytes, self.text(bytes, at)?);
        match bytes.get(at) {
            None => Err(Fault::Ended),
            Some(b':') => Ok(skip_space(bytes, at + 1)),
            Some(_) => Err(Fault::Wrong {
                at,
                expected: "a colon",
            }),
        }
    }

    fn text(&mut self, bytes: &[u8], quote: usize) -> Result<usize, Fault> {
        let start = quote + 1;
        let mut at = start;
        let mut sort = Sort::Text;
        loop {
            let rest = bytes.get(at..).unwrap_or_default();
            let Some(len) = memchr2(b'"', b'\\', rest) else {
                return Err(Fault::Ended);
            };
            at += len;
            if rest.get(len) == Some(&b'"') {
                self.push(sort, start, at);
                return Ok(at + 1);
            }
            sort = Sort::Escaped;
            // The escaped character cannot end the text; one that is cut off is not there.
            at += 2;
        }
    }
}

/// A value within a [`Tree`].
#[derive(Clone, Copy, Debug)]
pub struct Value<'t> {
    tree: &'t Tree,
    bytes: &'t [u8],
    index: usize,
}

impl<'t> Value<'t> {
    /// What it is.
    #[must_use]
    pub fn sort(self) -> Sort {
        self.tree.sort_of(self.index)
    }

    /// Where it begins among the bytes that were read: at its bracket, behind its quote.
    #[must_use]
    pub fn start(self) -> usize {
        self.node().map_or(0, |node| widen(node.start))
    }

    /// Its bytes as they are written, without quotes.
    #[must_use]
    pub fn raw(self) -> &'t [u8] {
        self.node()
            .and_then(|node| self.bytes.get(widen(node.start)..widen(node.end)))
            .unwrap_or_default()
    }

    /// Appends the text that it stands for: of a text its characters, of anything else its bytes.
    pub fn write(self, out: &mut Vec<u8>) {
        if self.sort() == Sort::Escaped {
            unescape(self.raw(), out);
        } else {
            out.extend_from_slice(self.raw());
        }
    }

    /// The text that it stands for, where that needs no copy; else by way of the buffer.
    #[must_use]
    pub fn text<'b>(self, buffer: &'b mut Vec<u8>) -> Text<'b>
    where
        't: 'b,
    {
        if self.sort() == Sort::Escaped {
            buffer.clear();
            unescape(self.raw(), buffer);
            Text(buffer)
        } else {
            Text(self.raw())
        }
    }

    /// Whether it is a text.
    #[must_use]
    pub fn is_text(self) -> bool {
        matches!(self.sort(), Sort::Text | Sort::Escaped)
    }

    /// Whether it is neither object nor array.
    #[must_use]
    pub fn is_scalar(self) -> bool {
        !matches!(self.sort(), Sort::Object | Sort::Array)
    }

    /// Keys and values of an object, in their order; of anything else none.
    pub fn entries(self) -> impl Iterator<Item = (Value<'t>, Value<'t>)> + use<'t> {
        let mut at = self.index + 1;
        let end = self.end_of(Sort::Object);
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let key = self.at(at);
            let value = self.at(at + 1);
            at = value.behind();
            Some((key, value))
        })
    }

    /// The items of an array, in their order; of anything else none.
    pub fn items(self) -> impl Iterator<Item = Value<'t>> + use<'t> {
        let mut at = self.index + 1;
        let end = self.end_of(Sort::Array);
        std::iter::from_fn(move || {
            if at >= end {
                return None;
            }
            let value = self.at(at);
            at = value.behind();
            Some(value)
        })
    }

    /// The first value of an object under a key.
    #[must_use]
    pub fn get(self, key: &str) -> Option<Value<'t>> {
        self.entries()
            .find(|(own, _)| own.raw() == key.as_bytes())
            .map(|(_, value)| value)
    }

    /// The value at the end of a path of keys.
    #[must_use]
    pub fn at_path(self, path: &[&str]) -> Option<Value<'t>> {
        path.iter().try_fold(self, |value, key| value.get(key))
    }

    fn node(self) -> Option<Node> {
        self.tree.nodes.get(self.index).copied()
    }

    const fn at(self, index: usize) -> Self {
        Self { index, ..self }
    }

    /// The node behind it. At least one further, so that walks end.
    fn behind(self) -> usize {
        let next = self.node().map_or(usize::MAX, |node| widen(node.next));
        next.max(self.index + 1)
    }

    fn end_of(self, sort: Sort) -> usize {
        if self.sort() == sort {
            self.behind()
        } else {
            0
        }
    }
}

/// Appends a text without its escapes (RFC 8259 §7). One that is none of the known is kept as it
/// stands; half of a surrogate pair becomes U+FFFD.
fn unescape(mut raw: &[u8], out: &mut Vec<u8>) {
    while let Some(place) = memchr::memchr(b'\\', raw) {
        let (plain, rest) = raw.split_at(place);
        out.extend_from_slice(plain);
        let (byte, used) = match rest.get(1) {
            Some(b'n') => (b'\n', 2),
            Some(b'r') => (b'\r', 2),
            Some(b't') => (b'\t', 2),
            Some(b'b') => (0x08, 2),
            Some(b'f') => (0x0c, 2),
            Some(byte @ (b'"' | b'\\' | b'/')) => (*byte, 2),
            Some(b'u') => {
                let (character, used) = code_point(rest);
                let mut buffer = [0; 4];
                out.extend_from_slice(character.encode_utf8(&mut buffer).as_bytes());
                raw = rest.get(used..).unwrap_or_default();
                continue;
            }
            Some(_) | None => (b'\\', 1),
        };
        out.push(byte);
        raw = rest.get(used..).unwrap_or_default();
    }
    out.extend_from_slice(raw);
}

/// The character of `\uXXXX`, or of two of them, and how many bytes they take.
fn code_point(escape: &[u8]) -> (char, usize) {
    let unit = |at: usize| {
        let digits = escape.get(at + 2..at + 6)?;
        let plain = escape.get(at..at + 2)? == b"\\u" && digits.iter().all(u8::is_ascii_hexdigit);
        let digits = std::str::from_utf8(digits).ok()?;
        plain.then(|| u32::from_str_radix(digits, 16).ok())?
    };
    let lost = char::REPLACEMENT_CHARACTER;
    match (unit(0), unit(6)) {
        (Some(high @ 0xd800..=0xdbff), Some(low @ 0xdc00..=0xdfff)) => {
            let point = 0x1_0000 + ((high - 0xd800) << 10) + (low - 0xdc00);
            (char::from_u32(point).unwrap_or(lost), 12)
        }
        (Some(unit), _) => (char::from_u32(unit).unwrap_or(lost), 6),
        (None, _) => (lost, 2),
    }
}

fn skip_space(bytes: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\n' | b'\r' | b'\t') = bytes.get(at) {
        at += 1;
    }
    at
}

/// Places fit 32 bits: what is read at once is bounded far below.
fn narrow(number: usize) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

fn widen(number: u32) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::Value as Other;

    use super::*;

    /// The same value as an independent reader has it.
    fn same(value: Value<'_>, other: &Other) -> bool {
        let text = |value: Value<'_>| {
            let mut out = Vec::new();
            value.write(&mut out);
            String::from_utf8(out).unwrap()
        };
        match other {
            Other::Null => value.sort() == Sort::Null,
            Other::Bool(flag) => value.sort() == Sort::Flag && text(value) == flag.to_string(),
            Other::Number(number) => {
                value.sort() == Sort::Number
                    && text(value).parse::<f64>().ok() == number.to_string().parse().ok()
            }
            Other::String(other) => value.is_text() && text(value) == *other,
            Other::Array(items) => {
                value.sort() == Sort::Array
                    && value.items().count() == items.len()
                    && value
                        .items()
                        .zip(items)
                        .all(|(own, other)| same(own, other))
            }
            Other::Object(map) => {
                value.sort() == Sort::Object
                    && value.entries().count() == map.len()
                    && value
                        .entries()
                        .all(|(key, own)| map.get(&text(key)).is_some_and(|other| same(own, other)))
            }
        }
    }

    fn any_json() -> impl Strategy<Value = Other> {
        let leaf = prop_oneof![
            Just(Other::Null),
            any::<bool>().prop_map(Other::from),
            any::<i32>().prop_map(Other::from),
            ".*".prop_map(Other::from),
        ];
        leaf.prop_recursive(5, 40, 6, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Other::from),
                prop::collection::hash_map(".*", inner, 0..6)
                    .prop_map(|map| Other::Object(map.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_reads_what_another_reader_reads(json in any_json(), pretty in any::<bool>()) {
            let text = if pretty {
                serde_json::to_string_pretty(&json)
            } else {
                serde_json::to_string(&json)
            };
            let mut text = text.unwrap().into_bytes();
            // A number's end shows only by what follows it.
            text.push(b'\n');
            let mut tree = Tree::default();
            let end = tree.read(&text, 0).unwrap();
            prop_assert_eq!(end + 1, text.len());
            prop_assert!(same(tree.root(&text), &json));
            for cut in (0..end).step_by(7) {
                prop_assert_eq!(tree.read(&text[..cut], 0), Err(Fault::Ended), "{}", cut);
            }
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut tree = Tree::default();
            if tree.read(&bytes, 0).is_ok() {
                let root = tree.root(&bytes);
                let mut out = Vec::new();
                root.entries().for_each(|(key, value)| {
                    key.write(&mut out);
                    value.write(&mut out);
                });
            }
        }
    }

    #[test]
    fn escapes_become_characters() {
        for (raw, expected) in [
            (r#"a\\b\/\"\n\t"#, "a\\b/\"\n\t"),
            (r"\u0041\u00e9\ud83d\ude00", "Aé😀"),
            (r"\ud83dx\u12", "\u{fffd}x\u{fffd}12"),
            (r"\q\", r"\q\"),
        ] {
            let mut out = Vec::new();
            unescape(raw.as_bytes(), &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        }
    }

    #[test]
    fn faults_say_where() {
        let mut tree = Tree::default();
        for (bytes, at) in [
            (&b"{\"a\" 1}"[..], 5),
            (b"{\"a\":1 \"b\":2}", 7),
            (b"{a:1}", 1),
            (b"[1,]", 3),
            (b"{,}", 1),
            (b"[}", 1),
            (b"nope ", 0),
        ] {
            let fault = tree.read(bytes, 0);
            assert!(
                matches!(fault, Err(Fault::Wrong { at: place, .. }) if place == at),
                "{fault:?}"
            );
        }
        let deep = [b'['; DEPTH_MAX + 1];
        assert_eq!(tree.read(&deep, 0), Err(Fault::TooDeep { at: DEPTH_MAX }));
    }
}
