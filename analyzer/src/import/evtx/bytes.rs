//! Numbers from bytes that may not be there.

/// The little-endian number at a place.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(*chunk_at(bytes, at)?))
}

/// The little-endian number at a place.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(*chunk_at(bytes, at)?))
}

/// The little-endian number at a place.
pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*chunk_at(bytes, at)?))
}

fn chunk_at<const N: usize>(bytes: &[u8], at: usize) -> Option<&[u8; N]> {
    bytes.get(at..)?.first_chunk::<N>()
}

/// Reads forward. What cannot be read is a [`Fault`] with its place.
#[derive(Clone, Copy, Debug)]
pub(super) struct Forward<'b> {
    /// What is read.
    pub(super) bytes: &'b [u8],
    /// Where the next byte is.
    pub(super) at: usize,
    /// Where reading ends.
    pub(super) end: usize,
}

/// Bytes that are not what they must be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Fault {
    /// Where, in the chunk.
    pub(super) at: usize,
    /// What should be there.
    pub(super) expected: &'static str,
}

impl<'b> Forward<'b> {
    pub(super) fn new(bytes: &'b [u8], range: std::ops::Range<usize>) -> Self {
        Self {
            bytes,
            at: range.start,
            end: range.end.min(bytes.len()),
        }
    }

    pub(super) const fn fault(&self, expected: &'static str) -> Fault {
        Fault {
            at: self.at,
            expected,
        }
    }

    pub(super) fn take(&mut self, len: usize, expected: &'static str) -> Result<&'b [u8], Fault> {
        let end = self.at.checked_add(len).filter(|&end| end <= self.end);
        let taken = end.and_then(|end| Some((end, self.bytes.get(self.at..end)?)));
        let (end, taken) = taken.ok_or(self.fault(expected))?;
        self.at = end;
        Ok(taken)
    }

    pub(super) fn u8(&mut self, expected: &'static str) -> Result<u8, Fault> {
        let byte = self.take(1, expected)?;
        byte.first().copied().ok_or(self.fault(expected))
    }

    pub(super) fn u16(&mut self, expected: &'static str) -> Result<u16, Fault> {
        let fault = self.fault(expected);
        u16_at(self.take(2, expected)?, 0).ok_or(fault)
    }

    pub(super) fn u32(&mut self, expected: &'static str) -> Result<u32, Fault> {
        let fault = self.fault(expected);
        u32_at(self.take(4, expected)?, 0).ok_or(fault)
    }

    pub(super) const fn is_at_end(&self) -> bool {
        self.at >= self.end
    }
}
