//! Columns: the values of one field over the events of a frame.
//!
//! A column is one byte for its form and then, by form:
//!
//! | Form | Name     | Content                                                               |
//! |-----:|----------|-----------------------------------------------------------------------|
//! |    0 | zero     | nothing: every cell is 0                                              |
//! |    1 | constant | one varint: every cell is that                                        |
//! |    2 | numbers  | a varint a cell                                                       |
//! |    3 | near     | a varint a cell: the difference to the cell before, zigzag            |
//! |    4 | planes   | the low, middle and high byte of every cell, plane by plane; a cell ≥ `0xffffff` stands as that and follows as a varint |
//!
//! The number of cells is known from the frame. A writer may choose any form that fits; a
//! reader takes each wherever it stands.

use crate::journal::varint;

const ZERO: u8 = 0;
const CONSTANT: u8 = 1;
const NUMBERS: u8 = 2;
const NEAR: u8 = 3;
const PLANES: u8 = 4;

/// A cell of three planes that follows as a varint.
const PLANE_ESCAPE: u64 = 0xff_ffff;

/// The bytes end too early, or hold what cannot stand there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CutError;

/// Writes a column whose cells are unrelated numbers or references.
pub(crate) fn write_numbers(cells: &[u64], out: &mut Vec<u8>) {
    if write_short(cells, out) {
        return;
    }
    out.push(NUMBERS);
    for &cell in cells {
        varint::put(out, cell);
    }
}

/// Writes a column whose cells are near the ones before them.
pub(crate) fn write_near(cells: &[u64], out: &mut Vec<u8>) {
    if write_short(cells, out) {
        return;
    }
    out.push(NEAR);
    let mut before = 0_u64;
    for &cell in cells {
        varint::put(out, varint::zigzag(cell.wrapping_sub(before).cast_signed()));
        before = cell;
    }
}

/// Writes a column of small differences whose bytes compress best apart: times.
pub(crate) fn write_planes(cells: &[u64], out: &mut Vec<u8>) {
    if write_short(cells, out) {
        return;
    }
    out.push(PLANES);
    for plane in 0..3 {
        out.extend(
            cells
                .iter()
                .map(|&cell| cell.min(PLANE_ESCAPE).to_le_bytes()[plane]),
        );
    }
    for &cell in cells.iter().filter(|&&cell| cell >= PLANE_ESCAPE) {
        varint::put(out, cell);
    }
}

fn write_short(cells: &[u64], out: &mut Vec<u8>) -> bool {
    let first = cells.first().copied().unwrap_or(0);
    if cells.iter().any(|&cell| cell != first) {
        return false;
    }
    if first == 0 {
        out.push(ZERO);
    } else {
        out.push(CONSTANT);
        varint::put(out, first);
    }
    true
}

/// Reads a column of `count` cells from the front of `rest` into `cells`, whatever its form.
pub(crate) fn read_numbers(
    rest: &mut &[u8],
    count: usize,
    cells: &mut Vec<u64>,
) -> Result<(), CutError> {
    cells.clear();
    let (&form, after) = rest.split_first().ok_or(CutError)?;
    *rest = after;
    match form {
        ZERO => cells.resize(count, 0),
        CONSTANT => {
            let value = varint::take(rest).ok_or(CutError)?;
            cells.resize(count, value);
        }
        NUMBERS => {
            cells.reserve(count.min(rest.len()));
            for _ in 0..count {
                cells.push(varint::take(rest).ok_or(CutError)?);
            }
        }
        NEAR => {
            cells.reserve(count.min(rest.len()));
            let mut before = 0_u64;
            for _ in 0..count {
                let difference = varint::unzigzag(varint::take(rest).ok_or(CutError)?);
                before = before.wrapping_add(difference.cast_unsigned());
                cells.push(before);
            }
        }
        PLANES => read_planes(rest, count, cells)?,
        _ => return Err(CutError),
    }
    Ok(())
}

/// The same as [`read_numbers`]: the form stands in the column. The name says what a caller expects.
pub(crate) fn read_near(
    rest: &mut &[u8],
    count: usize,
    cells: &mut Vec<u64>,
) -> Result<(), CutError> {
    read_numbers(rest, count, cells)
}

fn read_planes(rest: &mut &[u8], count: usize, cells: &mut Vec<u64>) -> Result<(), CutError> {
    let (planes, after) = rest
        .split_at_checked(count.checked_mul(3).ok_or(CutError)?)
        .ok_or(CutError)?;
    *rest = after;
    let (low, upper) = planes.split_at(count);
    let (middle, high) = upper.split_at(count);
    cells.extend(
        low.iter()
            .zip(middle)
            .zip(high)
            .map(|((&low, &middle), &high)| {
                u64::from(low) | u64::from(middle) << 8 | u64::from(high) << 16
            }),
    );
    for cell in cells.iter_mut().filter(|cell| **cell == PLANE_ESCAPE) {
        *cell = varint::take(rest).ok_or(CutError)?;
    }
    Ok(())
}

/// Turns table numbers into references: 0 none, 1 the next entry not used before, else number + 2.
///
/// `cells` hold 0 or number + 1 of first sight; `renumbered` maps those to the order of first use,
/// which `order` collects.
pub(crate) fn to_references(cells: &mut [u64], renumbered: &mut [u32], order: &mut Vec<u32>) {
    for cell in cells.iter_mut().filter(|cell| **cell != 0) {
        let Some(seen) = usize::try_from(*cell - 1)
            .ok()
            .and_then(|id| renumbered.get_mut(id))
        else {
            continue;
        };
        if *seen == u32::MAX {
            *seen = u32::try_from(order.len()).unwrap_or(u32::MAX);
            order.push(u32::try_from(*cell - 1).unwrap_or(u32::MAX));
            *cell = 1;
        } else {
            *cell = u64::from(*seen) + 2;
        }
    }
}

/// Undoes [`to_references`]: cells become 0 or number + 1 in the order of first use. `next` is the
/// first number not used before, over all columns of one table.
pub(crate) fn from_references(cells: &mut [u64], next: &mut u64) {
    for cell in cells {
        match *cell {
            0 => {}
            1 => {
                *next += 1;
                *cell = *next;
            }
            reference => *cell = reference - 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_reads_back() {
        let lists: [&[u64]; 6] = [
            &[],
            &[0, 0, 0],
            &[9, 9, 9],
            &[1, 2, u64::MAX, 0],
            &[0xff_fffe, 0xff_ffff, 0x100_0000, 3],
            &[5],
        ];
        for cells in lists {
            for write in [write_numbers, write_near, write_planes] {
                let mut bytes = Vec::new();
                write(cells, &mut bytes);
                let mut rest = bytes.as_slice();
                let mut got = Vec::new();
                read_numbers(&mut rest, cells.len(), &mut got).unwrap();
                assert_eq!(got, cells);
                assert!(rest.is_empty());
                for cut in 0..bytes.len() {
                    let read = read_numbers(&mut &bytes[..cut], cells.len(), &mut got);
                    assert!(read.is_err(), "{cells:?} cut at {cut}");
                }
            }
        }
    }

    #[test]
    fn references_read_back() {
        let mut cells = [3, 0, 1, 3, 1, 2];
        let mut renumbered = [u32::MAX; 3];
        let mut order = Vec::new();
        to_references(&mut cells, &mut renumbered, &mut order);
        assert_eq!(cells, [1, 0, 1, 2, 3, 1]);
        assert_eq!(order, [2, 0, 1]);
        from_references(&mut cells, &mut 0);
        assert_eq!(cells, [1, 0, 2, 1, 2, 3]);
    }
}
