//! The tables of a frame: texts and processes that its columns refer to, each stored once.
//!
//! An entry's number is the order of its first use, column by column, so that a column of texts
//! that are all new refers to each as "the next one", and texts of one column stand together,
//! each sharing its beginning with the one before.

use crate::event::{Guid, ProcessKey};
use crate::journal::columns::{self, CutError};
use crate::journal::limits::{FRAME_RAW_BYTES_MAX, FRAME_TEXTS_MAX};
use crate::journal::varint;

/// Gathers texts and processes while events are added. Numbers are those of first sight.
#[derive(Debug, Default)]
pub(crate) struct TableBuilder {
    bytes: Vec<u8>,
    ends: Vec<u32>,
    text_slots: Slots,
    processes: Vec<ProcessKey>,
    process_slots: Slots,
}

impl TableBuilder {
    /// The number of a text, which is added if it is new.
    pub(crate) fn text(&mut self, text: &[u8]) -> u32 {
        let hash = hash_bytes(text);
        let (bytes, ends) = (&self.bytes, &self.ends);
        match self
            .text_slots
            .find(hash, |id| text_of(bytes, ends, id) == Some(text))
        {
            Ok(id) => id,
            Err(slot) => {
                let id = index32(self.ends.len());
                self.bytes.extend_from_slice(text);
                self.ends.push(index32(self.bytes.len()));
                self.text_slots.fill(slot, hash, id);
                id
            }
        }
    }

    /// The number of a process, which is added if it is new.
    pub(crate) fn process(&mut self, key: ProcessKey) -> u32 {
        let hash = mix(u64::from(key.pid) ^ key.start_us.rotate_left(24));
        let processes = &self.processes;
        match self
            .process_slots
            .find(hash, |id| processes.get(id as usize) == Some(&key))
        {
            Ok(id) => id,
            Err(slot) => {
                let id = index32(self.processes.len());
                self.processes.push(key);
                self.process_slots.fill(slot, hash, id);
                id
            }
        }
    }

    /// Bytes of all texts so far.
    pub(crate) fn text_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Texts so far.
    pub(crate) fn texts(&self) -> usize {
        self.ends.len()
    }

    /// Processes so far.
    pub(crate) fn processes(&self) -> usize {
        self.processes.len()
    }

    /// Writes the table of texts in a given order (numbers of first sight).
    pub(crate) fn write_texts(&self, order: &[u32], out: &mut Vec<u8>) {
        varint::put(out, order.len() as u64);
        let mut shared = Vec::with_capacity(order.len());
        let mut suffixes = Vec::with_capacity(order.len());
        let mut tail = Vec::new();
        let mut before: &[u8] = b"";
        for &id in order {
            let text = text_of(&self.bytes, &self.ends, id).unwrap_or_default();
            let common = before.iter().zip(text).take_while(|(a, b)| a == b).count();
            shared.push(common as u64);
            suffixes.push((text.len() - common) as u64);
            tail.extend_from_slice(text.get(common..).unwrap_or_default());
            before = text;
        }
        columns::write_numbers(&shared, out);
        columns::write_numbers(&suffixes, out);
        out.extend_from_slice(&tail);
    }

    /// Writes the table of processes in a given order (numbers of first sight).
    pub(crate) fn write_processes(&self, order: &[u32], out: &mut Vec<u8>) {
        let keys: Vec<ProcessKey> = order
            .iter()
            .filter_map(|&id| self.processes.get(id as usize).copied())
            .collect();
        varint::put(out, keys.len() as u64);
        columns::write_near(
            &keys
                .iter()
                .map(|key| u64::from(key.pid))
                .collect::<Vec<_>>(),
            out,
        );
        columns::write_near(
            &keys.iter().map(|key| key.start_us).collect::<Vec<_>>(),
            out,
        );
        let with_guid: Vec<u64> = keys
            .iter()
            .map(|key| u64::from(key.guid.is_some()))
            .collect();
        columns::write_numbers(&with_guid, out);
        for guid in keys.iter().filter_map(|key| key.guid) {
            out.extend_from_slice(&guid.0);
        }
    }

    /// Forgets everything and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.text_slots.clear();
        self.processes.clear();
        self.process_slots.clear();
    }
}

fn text_of<'a>(bytes: &'a [u8], ends: &[u32], id: u32) -> Option<&'a [u8]> {
    let id = id as usize;
    let start = if id == 0 {
        0
    } else {
        *ends.get(id - 1)? as usize
    };
    bytes.get(start..*ends.get(id)? as usize)
}

/// Numbers of table entries: a frame's raw bytes are bounded far below 2^32.
fn index32(index: usize) -> u32 {
    u32::try_from(index).expect("a frame is closed long before 2^32 bytes or entries")
}

/// Open addressing over hashes: which number stands for what was seen before.
#[derive(Debug, Default)]
struct Slots {
    /// Hash and number + 1; 0 is an empty slot.
    slots: Vec<(u64, u32)>,
    used: usize,
}

impl Slots {
    /// The number of an equal entry, or the slot where a new one belongs.
    fn find(&mut self, hash: u64, same: impl Fn(u32) -> bool) -> Result<u32, usize> {
        if (self.used + 1) * 2 > self.slots.len() {
            self.grow();
        }
        let mask = self.slots.len() - 1;
        let mut at = low_bits(hash) & mask;
        loop {
            match self.slots.get(at) {
                Some(&(seen, id)) if id != 0 => {
                    if seen == hash && same(id - 1) {
                        return Ok(id - 1);
                    }
                    at = (at + 1) & mask;
                }
                _ => return Err(at),
            }
        }
    }

    fn fill(&mut self, slot: usize, hash: u64, id: u32) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = (hash, id + 1);
            self.used += 1;
        }
    }

    fn grow(&mut self) {
        let old = std::mem::take(&mut self.slots);
        self.slots = vec![(0, 0); (old.len() * 2).max(1024)];
        let mask = self.slots.len() - 1;
        for entry in old.into_iter().filter(|&(_, id)| id != 0) {
            let mut at = low_bits(entry.0) & mask;
            while self.slots.get(at).is_some_and(|&(_, id)| id != 0) {
                at = (at + 1) & mask;
            }
            if let Some(place) = self.slots.get_mut(at) {
                *place = entry;
            }
        }
    }

    fn clear(&mut self) {
        self.slots.fill((0, 0));
        self.used = 0;
    }
}

/// The bits of a hash that choose a slot: a machine word of them, whatever its width.
#[expect(
    clippy::cast_possible_truncation,
    reason = "any bits of the hash will do"
)]
const fn low_bits(hash: u64) -> usize {
    hash as usize
}

/// A hash for tables in memory only: it never reaches a file.
fn hash_bytes(bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = mix(bytes.len() as u64);
    for word in words {
        hash = mix(hash ^ u64::from_le_bytes(*word));
    }
    let mut last = [0_u8; 8];
    for (slot, byte) in last.iter_mut().zip(rest) {
        *slot = *byte;
    }
    mix(hash ^ u64::from_le_bytes(last))
}

/// Spreads the bits of a number: a multiplication whose halves are folded together.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the halves are taken on purpose"
)]
const fn mix(value: u64) -> u64 {
    let wide = (value ^ 0x9e37_79b9_7f4a_7c15) as u128 * 0xd6e8_feb8_6659_fd93;
    ((wide >> 64) ^ wide) as u64
}

/// The tables of a decoded frame. Texts are whole here: the shared beginnings are put back.
#[derive(Debug)]
pub(crate) struct Tables<'a> {
    texts: &'a TextArena,
    processes: &'a [ProcessKey],
}

/// Texts of one decoded frame, in one buffer.
#[derive(Debug, Default)]
pub(crate) struct TextArena {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl<'a> Tables<'a> {
    pub(crate) fn new(texts: &'a TextArena, processes: &'a [ProcessKey]) -> Self {
        Self { texts, processes }
    }

    /// The text of a number.
    #[inline]
    pub(crate) fn text(&self, id: u64) -> Option<&'a [u8]> {
        let id = usize::try_from(id).ok()?;
        let start = if id == 0 {
            0
        } else {
            *self.texts.ends.get(id - 1)?
        };
        self.texts.bytes.get(start..*self.texts.ends.get(id)?)
    }

    /// The process of a number.
    #[inline]
    pub(crate) fn process(&self, id: u64) -> Option<ProcessKey> {
        self.processes.get(usize::try_from(id).ok()?).copied()
    }
}

/// Reads a table of texts from the front of a payload.
pub(crate) fn read_texts(
    rest: &mut &[u8],
    arena: &mut TextArena,
    scratch: &mut Vec<u64>,
) -> Result<(), CutError> {
    arena.bytes.clear();
    arena.ends.clear();
    let count = read_count(rest)?;
    let mut shared = Vec::new();
    columns::read_numbers(rest, count, &mut shared)?;
    columns::read_numbers(rest, count, scratch)?;
    let mut before = 0_usize;
    for (&common, &suffix) in shared.iter().zip(scratch.iter()) {
        let start = arena.bytes.len();
        let common = usize::try_from(common).map_err(|_| CutError)?;
        let suffix = usize::try_from(suffix).map_err(|_| CutError)?;
        let shared_end = before
            .checked_add(common)
            .filter(|&end| end <= start)
            .ok_or(CutError)?;
        let (bytes, after) = rest.split_at_checked(suffix).ok_or(CutError)?;
        *rest = after;
        // Shared beginnings let a small payload stand for much: bound what is put back.
        if start + common + suffix > FRAME_TEXT_BYTES_MAX {
            return Err(CutError);
        }
        arena.bytes.extend_from_within(before..shared_end);
        arena.bytes.extend_from_slice(bytes);
        arena.ends.push(arena.bytes.len());
        before = start;
    }
    Ok(())
}

/// Most bytes that the texts of one frame may have when shared beginnings are put back.
const FRAME_TEXT_BYTES_MAX: usize = 16 * FRAME_RAW_BYTES_MAX;

/// Reads a table of processes from the front of a payload.
pub(crate) fn read_processes(
    rest: &mut &[u8],
    processes: &mut Vec<ProcessKey>,
    scratch: &mut Vec<u64>,
) -> Result<(), CutError> {
    processes.clear();
    let count = read_count(rest)?;
    columns::read_near(rest, count, scratch)?;
    for &pid in scratch.iter() {
        processes.push(ProcessKey::new(
            u32::try_from(pid).map_err(|_| CutError)?,
            0,
        ));
    }
    columns::read_near(rest, count, scratch)?;
    for (process, &start_us) in processes.iter_mut().zip(scratch.iter()) {
        process.start_us = start_us;
    }
    columns::read_numbers(rest, count, scratch)?;
    for (process, _) in processes
        .iter_mut()
        .zip(scratch.iter())
        .filter(|&(_, &with_guid)| with_guid == 1)
    {
        let (guid, after) = rest.split_first_chunk::<16>().ok_or(CutError)?;
        process.guid = Some(Guid(*guid));
        *rest = after;
    }
    Ok(())
}

fn read_count(rest: &mut &[u8]) -> Result<usize, CutError> {
    let count = varint::take(rest)
        .and_then(|count| usize::try_from(count).ok())
        .ok_or(CutError)?;
    if count > FRAME_TEXTS_MAX {
        Err(CutError)
    } else {
        Ok(count)
    }
}
