//! Lines of a text file with their places, through a window of bounded size.

use std::io::SeekFrom;

use crate::import::{ImportError, Input};

/// Longest line that is taken whole. The kernel cuts an audit record at 8,970 bytes and a syslog
/// relay at 64 KiB; a rendered event of Sysmon with a long command line stays below 1 MiB.
pub(super) const LINE_BYTES_MAX: usize = 1 << 20;

/// Bytes that are asked of the file at once.
const READ_BYTES: usize = 1 << 18;

/// One line, without its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct Line<'b> {
    /// Where it begins, bytes from the beginning of the file.
    pub(super) offset: u64,
    /// Its number, from 1.
    pub(super) number: u64,
    /// What stands in it; of a line that is too long the beginning.
    pub(super) text: &'b [u8],
    /// Whether it is longer than [`LINE_BYTES_MAX`].
    pub(super) is_cut: bool,
}

/// Reads a file line by line. It holds one window of it in memory, whatever the length of a line.
pub(super) struct Lines<'i> {
    input: &'i mut dyn Input,
    window: Vec<u8>,
    /// First byte of the window that is not given out yet.
    next: usize,
    /// Bytes of the window that are filled.
    filled: usize,
    /// Place in the file of the window's first byte.
    base: u64,
    number: u64,
    at_end: bool,
}

impl<'i> Lines<'i> {
    /// Lines from a place of the file on.
    pub(super) fn new(input: &'i mut dyn Input, from: u64) -> Result<Self, ImportError> {
        input
            .seek(SeekFrom::Start(from))
            .map_err(ImportError::read(from))?;
        Ok(Self {
            input,
            window: Vec::new(),
            next: 0,
            filled: 0,
            base: from,
            number: 0,
            at_end: false,
        })
    }

    /// The next line; `None` at the end of the file. A last line without its end counts.
    pub(super) fn next(&mut self) -> Result<Option<Line<'_>>, ImportError> {
        let mut searched = 0;
        let (len, is_cut) = loop {
            let rest = self.window.get(self.next..self.filled).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', rest.get(searched..).unwrap_or_default()) {
                break (searched + end, false);
            }
            searched = rest.len();
            if searched > LINE_BYTES_MAX {
                break (LINE_BYTES_MAX, true);
            }
            if self.at_end {
                if searched == 0 {
                    return Ok(None);
                }
                break (searched, false);
            }
            self.fill()?;
        };
        let (start, offset) = (self.next, self.base + self.next as u64);
        self.number += 1;
        if is_cut {
            self.skip_line(len)?;
            // What was skipped is gone; the beginning was moved to the front of the window.
            let text = self.window.get(..len).unwrap_or_default();
            return Ok(Some(Line {
                offset,
                number: self.number,
                text,
                is_cut,
            }));
        }
        self.next = (start + len + 1).min(self.filled);
        let text = self.window.get(start..start + len).unwrap_or_default();
        Ok(Some(Line {
            offset,
            number: self.number,
            text: text.strip_suffix(b"\r").unwrap_or(text),
            is_cut,
        }))
    }

    /// Reads more behind what the window holds.
    fn fill(&mut self) -> Result<(), ImportError> {
        if self.next > 0 {
            self.window.copy_within(self.next..self.filled, 0);
            self.base += self.next as u64;
            self.filled -= self.next;
            self.next = 0;
        }
        if self.window.len() < self.filled + READ_BYTES {
            self.window.resize(self.filled + READ_BYTES, 0);
        }
        let read = self.read_at(self.filled)?;
        self.at_end = read == 0;
        self.filled += read;
        Ok(())
    }

    fn read_at(&mut self, place: usize) -> Result<usize, ImportError> {
        let offset = self.base + place as u64;
        loop {
            let room = self.window.get_mut(place..).unwrap_or_default();
            match self.input.read(room) {
                Ok(read) => return Ok(read),
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => return Err(ImportError::read(offset)(error)),
            }
        }
    }

    /// Moves the first bytes of a line that is too long to the front, and goes past its end.
    fn skip_line(&mut self, keep: usize) -> Result<(), ImportError> {
        if self.next > 0 {
            self.window.copy_within(self.next..self.filled, 0);
            self.base += self.next as u64;
            self.filled -= self.next;
            self.next = 0;
        }
        if self.window.len() < keep + READ_BYTES {
            self.window.resize(keep + READ_BYTES, 0);
        }
        loop {
            let rest = self.window.get(keep..self.filled).unwrap_or_default();
            if let Some(end) = memchr::memchr(b'\n', rest) {
                self.next = keep + end + 1;
                return Ok(());
            }
            let dropped = rest.len();
            self.base += dropped as u64;
            self.filled = keep;
            let read = self.read_at(keep)?;
            self.filled = keep + read;
            if read == 0 {
                self.next = self.filled;
                self.at_end = true;
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn all(bytes: &[u8]) -> Vec<(u64, u64, Vec<u8>, bool)> {
        let mut input = Cursor::new(bytes.to_vec());
        let mut lines = Lines::new(&mut input, 0).unwrap();
        let mut out = Vec::new();
        while let Some(line) = lines.next().unwrap() {
            out.push((line.offset, line.number, line.text.to_vec(), line.is_cut));
        }
        out
    }

    #[test]
    fn lines_have_their_places() {
        assert_eq!(all(b""), []);
        assert_eq!(
            all(b"one\r\n\ntwo"),
            [
                (0, 1, b"one".to_vec(), false),
                (5, 2, Vec::new(), false),
                (6, 3, b"two".to_vec(), false),
            ]
        );
    }

    #[test]
    fn a_line_beyond_the_window_is_found_whole() {
        let long = vec![b'x'; READ_BYTES * 2 + 7];
        let mut bytes = b"a\n".to_vec();
        bytes.extend_from_slice(&long);
        bytes.extend_from_slice(b"\nb\n");
        let lines = all(&bytes);
        assert_eq!(lines.len(), 3);
        assert_eq!(lines[1].2, long);
        assert_eq!(lines[2], (bytes.len() as u64 - 2, 3, b"b".to_vec(), false));
    }

    #[test]
    fn an_endless_line_is_cut_and_the_rest_is_read() {
        for tail in [&b"\nlast\n"[..], b"\nlast", b""] {
            let mut bytes = b"first\n".to_vec();
            bytes.extend(std::iter::repeat_n(b'y', LINE_BYTES_MAX * 3));
            bytes.extend_from_slice(tail);
            let lines = all(&bytes);
            assert!(lines[1].3);
            assert_eq!(lines[1].0, 6);
            assert_eq!(lines[1].2, vec![b'y'; LINE_BYTES_MAX]);
            if tail.is_empty() {
                assert_eq!(lines.len(), 2);
            } else {
                let place = (6 + LINE_BYTES_MAX * 3 + 1) as u64;
                assert_eq!(lines[2], (place, 3, b"last".to_vec(), false));
            }
        }
    }
}
