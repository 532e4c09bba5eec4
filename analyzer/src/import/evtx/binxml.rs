//! Binary XML (MS-EVEN6 §2.2.12): templates with places for values, and the values of a record.
//!
//! A template is read once for each chunk, into steps that are then taken for each record. Names,
//! texts and places are in the steps; nothing of a template is looked at again.

use std::collections::HashMap;
use std::ops::Range;

use crate::import::evtx::bytes::{Fault, Forward, u16_at};
use crate::import::evtx::fields::Fields;
use crate::import::evtx::value::{ARRAY, BINARY_XML, STRING, Value, fixed_len, utf16};
use crate::import::windows::Record;

/// How deep elements may stand in each other. Real ones are below ten.
const DEPTH_MAX: usize = 256;

/// How deep fragments may stand in values of other fragments.
const FRAGMENTS_MAX: usize = 16;

/// Most steps that one record may take: templates that place a fragment twice, which places
/// another twice, would go on for ever.
const STEPS_MAX: usize = 1 << 18;

/// Most values of a template. A record is below 64 KiB, a value's head has four bytes.
const VALUES_MAX: u32 = 1 << 14;

/// Written where an element does not depend on a value.
const NO_DEPENDENCY: u16 = 0xffff;

/// Bytes of a template's head: next template, GUID, length.
const TEMPLATE_HEAD_BYTES: usize = 24;

/// One step of a template.
#[derive(Clone, Debug)]
enum Step {
    /// An element begins. If it depends on a value that is null, it is not there: go on behind it.
    Open {
        name: Range<usize>,
        dependency: Option<u16>,
        behind: usize,
    },
    /// An attribute begins, and ends.
    Attribute {
        name: Range<usize>,
    },
    EndAttribute,
    /// Text as it stands.
    Text(Range<usize>),
    /// The value of a number.
    Place(u16),
    /// Another template with its values, at this place in the chunk.
    Instance(usize),
    /// An element ends.
    Close,
}

/// Decodes the records of one chunk after another.
#[derive(Debug, Default)]
pub(super) struct Decoder {
    /// Names and texts of the steps, in UTF-8.
    texts: Vec<u8>,
    names: HashMap<u32, Range<usize>>,
    steps: Vec<Step>,
    templates: HashMap<u32, Range<usize>>,
    open: Vec<usize>,
    values: Vec<(u8, Range<usize>)>,
    fields: Fields,
    taken: usize,
}

impl Decoder {
    /// Forgets what is known of the chunk before.
    pub(super) fn begin_chunk(&mut self) {
        self.texts.clear();
        self.names.clear();
        self.steps.clear();
        self.templates.clear();
    }

    /// Fills a record with what a stretch of binary XML in a chunk says.
    pub(super) fn decode(
        &mut self,
        chunk: &[u8],
        content: Range<usize>,
        record: &mut Record,
    ) -> Result<(), Fault> {
        self.fields.begin();
        self.values.clear();
        self.taken = 0;
        self.fragment(chunk, content, 0, record)
    }

    /// A fragment: of a record, or of a value.
    fn fragment(
        &mut self,
        chunk: &[u8],
        range: Range<usize>,
        deep: usize,
        record: &mut Record,
    ) -> Result<(), Fault> {
        let mut bytes = Forward::new(chunk, range);
        if deep > FRAGMENTS_MAX {
            return Err(bytes.fault("fragments that end"));
        }
        while let Some(&token) = chunk.get(bytes.at).filter(|_| !bytes.is_at_end()) {
            match token {
                0x00 => return Ok(()),
                0x0f => {
                    bytes.take(4, "a fragment's head")?;
                }
                0x0c => {
                    let end = self.instance(chunk, bytes.at..bytes.end, deep, record)?;
                    bytes.at = end;
                }
                // Elements that stand in the record itself.
                _ => {
                    let (steps, texts) = (self.steps.len(), self.texts.len());
                    let read = self.read_steps(&mut bytes, Dependencies::Absent);
                    let done = read.and_then(|range| self.take(chunk, range, 0..0, deep, record));
                    self.steps.truncate(steps);
                    self.names.retain(|_, name| name.end <= texts);
                    self.texts.truncate(texts);
                    done?;
                    // What stands behind a record's one element is left from earlier.
                    if deep == 0 {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// A template with its values; gives where they end.
    fn instance(
        &mut self,
        chunk: &[u8],
        range: Range<usize>,
        deep: usize,
        record: &mut Record,
    ) -> Result<usize, Fault> {
        let mut bytes = Forward::new(chunk, range);
        let at = read_instance_head(&mut bytes)?;
        let from = self.values.len();
        read_values(&mut bytes, &mut self.values)?;
        let values = from..self.values.len();
        let steps = self.template(chunk, at)?;
        self.take(chunk, steps, values, deep, record)?;
        self.values.truncate(from);
        Ok(bytes.at)
    }

    /// The steps of the template at a place in the chunk.
    fn template(&mut self, chunk: &[u8], at: u32) -> Result<Range<usize>, Fault> {
        if let Some(steps) = self.templates.get(&at) {
            return Ok(steps.clone());
        }
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let mut head = Forward::new(chunk, start..chunk.len());
        head.take(TEMPLATE_HEAD_BYTES - 4, "a template")?;
        let len = head.u32("a template's length")?;
        let end = usize::try_from(len)
            .ok()
            .and_then(|len| head.at.checked_add(len))
            .filter(|&end| end <= chunk.len())
            .ok_or(head.fault("a template in its chunk"))?;
        let mut body = Forward::new(chunk, head.at..end);
        let steps = self.read_steps(&mut body, Dependencies::Present)?;
        self.templates.insert(at, steps.clone());
        Ok(steps)
    }

    /// Reads elements into steps, up to the end of the fragment.
    fn read_steps(
        &mut self,
        bytes: &mut Forward<'_>,
        dependencies: Dependencies,
    ) -> Result<Range<usize>, Fault> {
        let from = self.steps.len();
        self.open.clear();
        let mut in_attribute = false;
        while !bytes.is_at_end() {
            let place = bytes.at;
            let token = bytes.u8("a token")?;
            let ends_attribute = matches!(token, 0x01..=0x04 | 0x06 | 0x41 | 0x46);
            if ends_attribute && in_attribute {
                self.steps.push(Step::EndAttribute);
                in_attribute = false;
            }
            match token {
                0x00 => break,
                0x0f => {
                    bytes.take(3, "a fragment's head")?;
                }
                0x01 | 0x41 => self.read_open(bytes, token, dependencies)?,
                0x02 => {}
                0x03 | 0x04 => {
                    self.read_close(bytes)?;
                    if self.open.is_empty() && dependencies == Dependencies::Absent {
                        break;
                    }
                }
                0x06 | 0x46 => {
                    let name = self.name(bytes)?;
                    self.steps.push(Step::Attribute { name });
                    in_attribute = true;
                }
                0x05 | 0x45 => self.read_text(bytes)?,
                0x07 | 0x47 => {
                    let units = bytes.u16("the length of a text")?;
                    self.text(bytes, units)?;
                }
                0x08 | 0x48 => {
                    let unit = bytes.u16("a character")?;
                    let letter = char::from_u32(u32::from(unit));
                    let letter = letter.unwrap_or(char::REPLACEMENT_CHARACTER);
                    self.keep_text(letter.encode_utf8(&mut [0; 4]).as_bytes());
                }
                0x09 | 0x49 => {
                    let name = self.name(bytes)?;
                    let letter: &[u8] = match self.texts.get(name) {
                        Some(b"lt") => b"<",
                        Some(b"gt") => b">",
                        Some(b"amp") => b"&",
                        Some(b"quot") => b"\"",
                        Some(b"apos") => b"'",
                        Some(_) | None => b"",
                    };
                    self.keep_text(letter);
                }
                // Instructions to a processor are no part of the event.
                0x0a => {
                    self.name(bytes)?;
                }
                0x0b => {
                    let units = bytes.u16("the length of an instruction")?;
                    bytes.take(2 * usize::from(units), "an instruction")?;
                }
                0x0c => {
                    self.steps.push(Step::Instance(place));
                    bytes.at = place;
                    read_instance_head(bytes)?;
                    let from = self.values.len();
                    let read = read_values(bytes, &mut self.values);
                    self.values.truncate(from);
                    read?;
                }
                0x0d | 0x0e => {
                    let number = bytes.u16("the number of a value")?;
                    bytes.u8("the type of a value")?;
                    self.steps.push(Step::Place(number));
                }
                _ => {
                    bytes.at = place;
                    return Err(bytes.fault("a token of binary XML"));
                }
            }
        }
        // What was not closed ends here.
        while !self.open.is_empty() {
            self.read_close(bytes)?;
        }
        Ok(from..self.steps.len())
    }

    fn read_open(
        &mut self,
        bytes: &mut Forward<'_>,
        token: u8,
        dependencies: Dependencies,
    ) -> Result<(), Fault> {
        if self.open.len() >= DEPTH_MAX {
            return Err(bytes.fault("elements that end"));
        }
        let dependency = match dependencies {
            Dependencies::Present => Some(bytes.u16("what an element depends on")?),
            Dependencies::Absent => None,
        };
        bytes.u32("an element's length")?;
        let name = self.name(bytes)?;
        if token & 0x40 != 0 {
            bytes.u32("the length of attributes")?;
        }
        self.open.push(self.steps.len());
        self.steps.push(Step::Open {
            name,
            dependency: dependency.filter(|&number| number != NO_DEPENDENCY),
            behind: 0,
        });
        Ok(())
    }

    fn read_close(&mut self, bytes: &Forward<'_>) -> Result<(), Fault> {
        let opened = self.open.pop().ok_or(bytes.fault("an element's begin"))?;
        self.steps.push(Step::Close);
        let here = self.steps.len();
        if let Some(Step::Open { behind, .. }) = self.steps.get_mut(opened) {
            *behind = here;
        }
        Ok(())
    }

    fn read_text(&mut self, bytes: &mut Forward<'_>) -> Result<(), Fault> {
        let kind = bytes.u8("the type of a text")?;
        if kind == STRING {
            let units = bytes.u16("the length of a text")?;
            return self.text(bytes, units);
        }
        let rest = bytes.bytes.get(bytes.at..bytes.end).unwrap_or_default();
        let at = bytes.at;
        let len = fixed_len(kind, rest).ok_or(bytes.fault("a value that says its length"))?;
        let value = Value {
            kind,
            bytes: bytes.take(len, "a value")?,
            at,
        };
        let start = self.texts.len();
        value.write(&mut self.texts)?;
        self.steps.push(Step::Text(start..self.texts.len()));
        Ok(())
    }

    fn text(&mut self, bytes: &mut Forward<'_>, units: u16) -> Result<(), Fault> {
        let text = bytes.take(2 * usize::from(units), "a text")?;
        let start = self.texts.len();
        utf16(text, &mut self.texts);
        self.steps.push(Step::Text(start..self.texts.len()));
        Ok(())
    }

    fn keep_text(&mut self, text: &[u8]) {
        let start = self.texts.len();
        self.texts.extend_from_slice(text);
        self.steps.push(Step::Text(start..self.texts.len()));
    }

    /// A name: its place in the chunk, and the name itself where that is here.
    fn name(&mut self, bytes: &mut Forward<'_>) -> Result<Range<usize>, Fault> {
        let at = bytes.u32("the place of a name")?;
        let start = usize::try_from(at).unwrap_or(usize::MAX);
        let fault = Fault {
            at: start,
            expected: "a name in its chunk",
        };
        // Next name (4), hash (2), length (2), text, NUL (2).
        let units = start
            .checked_add(6)
            .and_then(|at| u16_at(bytes.bytes, at))
            .ok_or(fault)?;
        let len = 2 * usize::from(units);
        if start == bytes.at {
            bytes.take(8 + len + 2, "a name")?;
        }
        if let Some(name) = self.names.get(&at) {
            return Ok(name.clone());
        }
        let text = bytes.bytes.get(start + 8..start + 8 + len).ok_or(fault)?;
        let from = self.texts.len();
        utf16(text, &mut self.texts);
        let name = from..self.texts.len();
        self.names.insert(at, name.clone());
        Ok(name)
    }

    /// Takes steps with values, and tells the fields.
    fn take(
        &mut self,
        chunk: &[u8],
        steps: Range<usize>,
        values: Range<usize>,
        deep: usize,
        record: &mut Record,
    ) -> Result<(), Fault> {
        let mut at = steps.start;
        while at < steps.end {
            self.taken += 1;
            let fault = Fault {
                at: 0,
                expected: "a record that ends",
            };
            if self.taken > STEPS_MAX || self.fields.depth() > DEPTH_MAX {
                return Err(fault);
            }
            let Some(step) = self.steps.get(at) else {
                break;
            };
            at += 1;
            match step {
                Step::Open {
                    name,
                    dependency,
                    behind,
                } => {
                    let depends = dependency.and_then(|number| self.value(chunk, &values, number));
                    if depends.is_some_and(|value| value.is_null()) {
                        at = *behind;
                    } else {
                        let name = self.texts.get(name.clone()).unwrap_or_default();
                        self.fields.open(name);
                    }
                }
                Step::Attribute { name } => {
                    let name = self.texts.get(name.clone()).unwrap_or_default();
                    self.fields.begin_attribute(name);
                }
                Step::EndAttribute => self.fields.end_attribute(record),
                Step::Text(text) => {
                    let text = self.texts.get(text.clone()).unwrap_or_default();
                    self.fields.text(text);
                }
                Step::Place(number) => {
                    let number = *number;
                    self.place(chunk, &values, number, deep, record)?;
                }
                Step::Instance(place) => {
                    let place = *place;
                    self.instance(chunk, place..chunk.len(), deep + 1, record)?;
                }
                Step::Close => self.fields.close(record),
            }
        }
        Ok(())
    }

    fn value<'c>(&self, chunk: &'c [u8], values: &Range<usize>, number: u16) -> Option<Value<'c>> {
        let place = values.start.checked_add(usize::from(number))?;
        let (kind, range) = self.values.get(place).filter(|_| place < values.end)?;
        Some(Value {
            kind: *kind,
            bytes: chunk.get(range.clone())?,
            at: range.start,
        })
    }

    fn place(
        &mut self,
        chunk: &[u8],
        values: &Range<usize>,
        number: u16,
        deep: usize,
        record: &mut Record,
    ) -> Result<(), Fault> {
        let Some(value) = self.value(chunk, values, number) else {
            return Ok(());
        };
        if value.kind & !ARRAY == BINARY_XML && !value.bytes.is_empty() {
            let range = value.at..value.at + value.bytes.len();
            return self.fragment(chunk, range, deep + 1, record);
        }
        self.fields.value(&value, record)
    }
}

/// Whether elements say what they depend on: those of templates do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Dependencies {
    Present,
    Absent,
}

/// Reads the head of an instance, and steps over the template where it stands here; gives where
/// the template is.
fn read_instance_head(bytes: &mut Forward<'_>) -> Result<u32, Fault> {
    bytes.take(2, "a template's instance")?;
    bytes.u32("a template's number")?;
    let at = bytes.u32("the place of a template")?;
    if usize::try_from(at) == Ok(bytes.at) {
        bytes.take(TEMPLATE_HEAD_BYTES - 4, "a template")?;
        let len = bytes.u32("a template's length")?;
        let len = usize::try_from(len).unwrap_or(usize::MAX);
        bytes.take(len, "a template")?;
    }
    Ok(at)
}

/// Reads the values of an instance: their number, a type and length for each, and their bytes.
fn read_values(bytes: &mut Forward<'_>, values: &mut Vec<(u8, Range<usize>)>) -> Result<(), Fault> {
    let count = bytes.u32("the number of values")?;
    if count > VALUES_MAX {
        return Err(bytes.fault("a number of values that fits a record"));
    }
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    let heads = bytes.take(count.saturating_mul(4), "the types of values")?;
    let (heads, _) = heads.as_chunks::<4>();
    for &[low, high, kind, _] in heads {
        let len = usize::from(u16::from_le_bytes([low, high]));
        let start = bytes.at;
        bytes.take(len, "a value")?;
        values.push((kind, start..bytes.at));
    }
    Ok(())
}
