//! Takes fields of a record to their places in an event.

use std::cell::Cell;
use std::net::IpAddr;

use saigen_schemas::event::{Guid, ProcessKey, Text};

use crate::import::windows::record::Record;
use crate::import::windows::value;

/// The fields of one record, and which of them have found their place. What has none stays under
/// its own name in `extra`.
///
/// A value that is empty or `-` says nothing: it is never taken, and so stays as it was written.
pub(super) struct Taker<'a> {
    record: &'a Record,
    made: &'a Made,
    /// One bit for each of the first fields; records with more keep the rest twice.
    taken: Cell<u128>,
    /// Behind the field that was found last.
    likely: Cell<usize>,
}

/// Texts that are put together from several fields; their buffers are kept from record to record.
#[derive(Debug, Default)]
pub(super) struct Made {
    /// `DOMAIN\name` of who acted.
    pub(super) subject: Vec<u8>,
    /// `DOMAIN\name` of whom it was done to or for.
    pub(super) target: Vec<u8>,
    /// Several values, each ended by NUL.
    pub(super) list: Vec<u8>,
    /// A path of several parts.
    pub(super) path: Vec<u8>,
}

impl Made {
    pub(super) fn clear(&mut self) {
        let Self {
            subject,
            target,
            list,
            path,
        } = self;
        for buffer in [subject, target, list, path] {
            buffer.clear();
        }
    }
}

impl<'a> Taker<'a> {
    pub(super) fn new(record: &'a Record, made: &'a Made) -> Self {
        Self {
            record,
            made,
            taken: Cell::new(0),
            likely: Cell::new(0),
        }
    }

    pub(super) const fn record(&self) -> &'a Record {
        self.record
    }

    pub(super) fn is_taken(&self, place: usize) -> bool {
        bit(place).is_some_and(|bit| self.taken.get() & bit != 0)
    }

    /// The value of a field whose place in the event says all of it.
    pub(super) fn take(&self, name: &str) -> Option<Text<'a>> {
        let (place, value) = self.find(name)?;
        self.mark(place);
        Some(value)
    }

    /// The value of a field that stays under its own name too: the place holds it in another form,
    /// or rules ask for it as it was written.
    pub(super) fn read(&self, name: &str) -> Option<Text<'a>> {
        self.find(name).map(|(_, value)| value)
    }

    /// The first of several spellings, taken.
    pub(super) fn take_any(&self, names: &[&str]) -> Option<Text<'a>> {
        names.iter().find_map(|name| self.take(name))
    }

    pub(super) fn read_any(&self, names: &[&str]) -> Option<Text<'a>> {
        names.iter().find_map(|name| self.read(name))
    }

    /// A number, taken if it is one in decimal: that is how the place shows it again.
    pub(super) fn take_number(&self, name: &str) -> Option<u64> {
        let (place, text) = self.find(name)?;
        let number = value::number(text.0)?;
        if text.0.first().is_some_and(|first| *first != b'0') {
            self.mark(place);
        }
        Some(number)
    }

    pub(super) fn number(&self, name: &str) -> Option<u64> {
        value::number(self.read(name)?.0)
    }

    pub(super) fn small(&self, name: &str) -> Option<u32> {
        u32::try_from(self.number(name)?).ok()
    }

    pub(super) fn take_port(&self, name: &str) -> Option<u16> {
        let port = self.read(name).and_then(|text| value::number(text.0))?;
        let port = u16::try_from(port).ok()?;
        self.take_number(name);
        Some(port)
    }

    pub(super) fn address(&self, name: &str) -> Option<IpAddr> {
        value::address(self.read(name)?.0)
    }

    /// An address that shows again as it was written.
    pub(super) fn take_address(&self, name: &str) -> Option<IpAddr> {
        let (place, text) = self.find(name)?;
        let address = value::address(text.0)?;
        if matches!(address, IpAddr::V4(_)) {
            self.mark(place);
        }
        Some(address)
    }

    pub(super) fn moment(&self, name: &str) -> Option<i64> {
        value::moment(self.read(name)?.0)
    }

    pub(super) fn guid(&self, names: &[&str]) -> Option<Guid> {
        let text = names.iter().find_map(|name| self.find(name))?;
        let guid = value::guid(text.1.0)?;
        self.mark(text.0);
        Some(guid)
    }

    /// A process by the fields that hold its GUID and its id; `None` where neither says a thing.
    pub(super) fn process(&self, guids: &[&str], pids: &[&str]) -> Option<ProcessKey> {
        let guid = self.guid(guids);
        let pid = pids
            .iter()
            .find_map(|name| self.take_number(name))
            .and_then(|pid| u32::try_from(pid).ok());
        (guid.is_some() || pid.is_some()).then_some(ProcessKey {
            pid: pid.unwrap_or(0),
            start_us: 0,
            guid,
        })
    }

    pub(super) fn subject(&self) -> Option<Text<'a>> {
        made(&self.made.subject)
    }

    pub(super) fn target(&self) -> Option<Text<'a>> {
        made(&self.made.target)
    }

    pub(super) fn list(&self) -> Option<&'a [u8]> {
        made(&self.made.list).map(|text| text.0)
    }

    pub(super) fn path(&self) -> Option<Text<'a>> {
        made(&self.made.path)
    }

    fn find(&self, name: &str) -> Option<(usize, Text<'a>)> {
        let (place, value) = self.record.find(name, self.likely.get())?;
        self.likely.set(place + 1);
        says_something(value).then_some((place, value))
    }

    fn mark(&self, place: usize) {
        if let Some(bit) = bit(place) {
            self.taken.set(self.taken.get() | bit);
        }
    }
}

/// Whether a value is more than the sign for none.
pub(super) fn says_something(value: Text<'_>) -> bool {
    !matches!(value.0, b"" | b"-")
}

fn made(buffer: &[u8]) -> Option<Text<'_>> {
    (!buffer.is_empty()).then_some(Text(buffer))
}

fn bit(place: usize) -> Option<u128> {
    1_u128.checked_shl(u32::try_from(place).ok()?)
}
