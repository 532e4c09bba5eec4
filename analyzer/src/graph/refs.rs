//! References to events in eight bytes: a graph holds some for each edge and for each event.

use crate::reference::{EventRef, Place, SourceId};
use crate::replay::Table;

/// Bits of the number of a source.
const SOURCE_BITS: u32 = 12;
/// Bits of a place: an offset, or a frame's position and an index.
const PLACE_BITS: u32 = 50;
/// Bits of an index in a frame. A frame of 256 KiB holds fewer events.
const INDEX_BITS: u32 = 20;
/// In a place that is an offset: it is one in a file of an archive.
const IN_ARCHIVE: u64 = 1 << (PLACE_BITS - 1);
/// Bits of an offset in a file of an archive. The bits above are the file's number.
const INNER_BITS: u32 = 35;
/// Bits of the number of a file in an archive.
const MEMBER_BITS: u32 = PLACE_BITS - 1 - INNER_BITS;
/// The place is an offset, not a frame.
const OFFSET: u64 = 1 << (SOURCE_BITS + PLACE_BITS);
/// The reference did not fit; the other bits are its row in the table of those.
const WIDE: u64 = 1 << 63;

/// A reference in eight bytes. Two are equal when their references are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct PackedRef(u64);

/// References that do not fit in eight bytes: of more than 4,096 inputs, or far into one.
#[derive(Default)]
pub(super) struct Refs {
    wide: Vec<EventRef>,
    rows: Table<EventRef, u64>,
}

impl Refs {
    /// Packs a reference, and keeps it where it does not fit.
    pub(super) fn pack(&mut self, event: EventRef) -> PackedRef {
        if let Some(packed) = self.find(event) {
            return packed;
        }
        let row = self.wide.len() as u64;
        self.wide.push(event);
        self.rows.insert(event, row);
        PackedRef(WIDE | row)
    }

    /// The packed form of a reference that was packed before, or fits.
    pub(super) fn find(&self, event: EventRef) -> Option<PackedRef> {
        narrow(event).or_else(|| self.rows.get(&event).map(|row| PackedRef(WIDE | row)))
    }

    /// The reference again.
    pub(super) fn unpack(&self, packed: PackedRef) -> Option<EventRef> {
        let bits = packed.0;
        if bits & WIDE != 0 {
            return self.wide.get(usize::try_from(bits & !WIDE).ok()?).copied();
        }
        let source = SourceId(u32::try_from((bits >> PLACE_BITS) & mask(SOURCE_BITS)).ok()?);
        let place = bits & mask(PLACE_BITS);
        Some(if bits & OFFSET != 0 {
            let member = (place & IN_ARCHIVE != 0)
                .then(|| u32::try_from((place & !IN_ARCHIVE) >> INNER_BITS).ok());
            match member {
                None => EventRef::offset(source, None, place),
                Some(member) => EventRef::offset(source, member, place & mask(INNER_BITS)),
            }
        } else {
            let index = u32::try_from(place & mask(INDEX_BITS)).ok()?;
            EventRef::frame(source, place >> INDEX_BITS, index)
        })
    }
}

const fn mask(bits: u32) -> u64 {
    (1 << bits) - 1
}

fn narrow(event: EventRef) -> Option<PackedRef> {
    let source = u64::from(event.source().0);
    let fits = |number: u64, bits: u32| (number <= mask(bits)).then_some(number);
    let source = fits(source, SOURCE_BITS)? << PLACE_BITS;
    Some(PackedRef(match event.place() {
        Place::Frame { position, index } => {
            let position = fits(position, PLACE_BITS - INDEX_BITS)? << INDEX_BITS;
            source | position | fits(u64::from(index), INDEX_BITS)?
        }
        Place::Offset {
            member: None,
            offset,
        } => OFFSET | source | fits(offset, PLACE_BITS - 1)?,
        Place::Offset {
            member: Some(member),
            offset,
        } => {
            let member = fits(u64::from(member), MEMBER_BITS)? << INNER_BITS;
            OFFSET | source | IN_ARCHIVE | member | fits(offset, INNER_BITS)?
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reference_comes_back_whether_it_fits_or_not() {
        let mut refs = Refs::default();
        let source = |number| SourceId(number);
        let all = [
            EventRef::frame(source(1), 0, 0),
            EventRef::frame(source(4095), (1 << 30) - 1, (1 << 20) - 1),
            EventRef::frame(source(4096), 1, 1),
            EventRef::frame(source(1), 1 << 30, 0),
            EventRef::frame(source(1), u64::MAX, u32::MAX - 1),
            EventRef::frame(source(1), 0, 1 << 20),
            EventRef::offset(source(1), None, 0),
            EventRef::offset(source(2), None, (1 << 49) - 1),
            EventRef::offset(source(2), None, 1 << 49),
            EventRef::offset(source(3), Some(0), 0),
            EventRef::offset(source(3), Some((1 << 14) - 1), (1 << 35) - 1),
            EventRef::offset(source(3), Some(1 << 14), 0),
            EventRef::offset(source(3), Some(1), 1 << 35),
            EventRef::offset(source(u32::MAX), None, u64::MAX),
        ];
        let packed: Vec<_> = all.iter().map(|&event| refs.pack(event)).collect();
        for (event, packed) in all.iter().zip(&packed) {
            assert_eq!(refs.unpack(*packed), Some(*event));
            assert_eq!(refs.find(*event), Some(*packed));
            assert_eq!(refs.pack(*event), *packed);
        }
        let distinct: std::collections::BTreeSet<_> = packed.iter().collect();
        assert_eq!(distinct.len(), all.len());
        assert_eq!(refs.find(EventRef::offset(source(9), None, u64::MAX)), None);
    }
}
