//! Values of fields: what a visitor sees, and what a column of the journal holds.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::event::row::{put_process, put_text, take_process, take_text};
use crate::event::{
    Args, AutostartKind, Change, Guid, Hash32, Namespace, Outcome, ProcessKey, Protocol,
    SourceState, Text, Touch,
};
use crate::journal::{TableBuilder, Tables, varint};

/// The value of a field, as a reader of any kind of event sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Value<'a> {
    /// A count, an id, a size.
    Unsigned(u64),
    /// A number that may be below zero.
    Signed(i64),
    /// A text, as the system had it.
    Text(Text<'a>),
    /// A list of arguments.
    Args(Args<'a>),
    /// A process.
    Process(ProcessKey),
    /// A network address.
    Ip(IpAddr),
    /// A SHA-256.
    Hash(Hash32),
    /// A GUID.
    Guid(Guid),
    /// A word of a closed vocabulary.
    Word(&'static str),
}

/// How a column's cells are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Class {
    /// The cell is the number.
    Number,
    /// The cell is a number near the one before it in its column (an inode, a counter).
    Near,
    /// The cell refers to the frame's table of texts.
    Text,
    /// The cell refers to the frame's table of processes.
    Process,
}

/// A type that a field may have. Its cell in a column is one number: 0 is "unknown", anything
/// else is the value and one.
pub(crate) trait Cell<'a>: Copy {
    /// How cells of this type are stored.
    const CLASS: Class;
    /// The cell of a value, never 0. Texts and processes go to the frame's tables.
    fn put(self, tables: &mut TableBuilder) -> u64;
    /// The value of a cell that is not 0; `None` where it holds nothing that this type can be.
    fn take(cell: u64, tables: &Tables<'a>) -> Option<Self>;
    /// The value for a visitor.
    fn value(self) -> Value<'a>;
    /// Appends the value to a canonical row.
    fn write_row(self, out: &mut Vec<u8>);
    /// Takes a value from the front of the rest of a canonical row; `None` if none stands there.
    fn read_row(rest: &mut &'a [u8]) -> Option<Self>;
}

impl<'a> Cell<'a> for u64 {
    const CLASS: Class = Class::Number;
    fn put(self, _: &mut TableBuilder) -> u64 {
        // The largest number shares its cell with the one below it: no field reaches it.
        self.saturating_add(1)
    }
    fn take(cell: u64, _: &Tables<'a>) -> Option<Self> {
        cell.checked_sub(1)
    }
    fn value(self) -> Value<'a> {
        Value::Unsigned(self)
    }
    fn write_row(self, out: &mut Vec<u8>) {
        varint::put(out, self);
    }
    fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
        varint::take(rest)
    }
}

macro_rules! narrow_cells {
    ($($narrow:ty)*) => {$(
        impl<'a> Cell<'a> for $narrow {
            const CLASS: Class = Class::Number;
            fn put(self, _: &mut TableBuilder) -> u64 {
                u64::from(self) + 1
            }
            fn take(cell: u64, _: &Tables<'a>) -> Option<Self> {
                Self::try_from(cell.checked_sub(1)?).ok()
            }
            fn value(self) -> Value<'a> {
                Value::Unsigned(u64::from(self))
            }
            fn write_row(self, out: &mut Vec<u8>) {
                varint::put(out, u64::from(self));
            }
            fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
                Self::try_from(varint::take(rest)?).ok()
            }
        }
    )*};
}
narrow_cells!(u16 u32);

/// A number that is usually near the one before it in its column: an inode, a cookie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Near(pub u64);

impl<'a> Cell<'a> for Near {
    const CLASS: Class = Class::Near;
    fn put(self, _: &mut TableBuilder) -> u64 {
        self.0.saturating_add(1)
    }
    fn take(cell: u64, _: &Tables<'a>) -> Option<Self> {
        cell.checked_sub(1).map(Self)
    }
    fn value(self) -> Value<'a> {
        Value::Unsigned(self.0)
    }
    fn write_row(self, out: &mut Vec<u8>) {
        varint::put(out, self.0);
    }
    fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
        varint::take(rest).map(Self)
    }
}

impl<'a> Cell<'a> for i64 {
    const CLASS: Class = Class::Number;
    fn put(self, _: &mut TableBuilder) -> u64 {
        varint::zigzag(self).saturating_add(1)
    }
    fn take(cell: u64, _: &Tables<'a>) -> Option<Self> {
        cell.checked_sub(1).map(varint::unzigzag)
    }
    fn value(self) -> Value<'a> {
        Value::Signed(self)
    }
    fn write_row(self, out: &mut Vec<u8>) {
        varint::put(out, varint::zigzag(self));
    }
    fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
        varint::take(rest).map(varint::unzigzag)
    }
}

impl<'a> Cell<'a> for Text<'a> {
    const CLASS: Class = Class::Text;
    fn put(self, tables: &mut TableBuilder) -> u64 {
        u64::from(tables.text(self.0)) + 1
    }
    fn take(cell: u64, tables: &Tables<'a>) -> Option<Self> {
        tables.text(cell.checked_sub(1)?).map(Text)
    }
    fn value(self) -> Value<'a> {
        Value::Text(self)
    }
    fn write_row(self, out: &mut Vec<u8>) {
        put_text(self.0, out);
    }
    fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
        take_text(rest).map(Text)
    }
}

impl<'a> Cell<'a> for Args<'a> {
    const CLASS: Class = Class::Text;
    fn put(self, tables: &mut TableBuilder) -> u64 {
        Text(self.0).put(tables)
    }
    fn take(cell: u64, tables: &Tables<'a>) -> Option<Self> {
        Text::take(cell, tables).map(|text| Args(text.0))
    }
    fn value(self) -> Value<'a> {
        Value::Args(self)
    }
    fn write_row(self, out: &mut Vec<u8>) {
        put_text(self.0, out);
    }
    fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
        take_text(rest).map(Args)
    }
}

impl<'a> Cell<'a> for ProcessKey {
    const CLASS: Class = Class::Process;
    fn put(self, tables: &mut TableBuilder) -> u64 {
        u64::from(tables.process(self)) + 1
    }
    fn take(cell: u64, tables: &Tables<'a>) -> Option<Self> {
        tables.process(cell.checked_sub(1)?)
    }
    fn value(self) -> Value<'a> {
        Value::Process(self)
    }
    fn write_row(self, out: &mut Vec<u8>) {
        put_process(self, out);
    }
    fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
        take_process(rest)
    }
}

impl<'a> Cell<'a> for IpAddr {
    const CLASS: Class = Class::Text;
    fn put(self, tables: &mut TableBuilder) -> u64 {
        match self {
            Self::V4(ip) => Text(&ip.octets()).put(tables),
            Self::V6(ip) => Text(&ip.octets()).put(tables),
        }
    }
    fn take(cell: u64, tables: &Tables<'a>) -> Option<Self> {
        take_address(Text::take(cell, tables)?.0)
    }
    fn value(self) -> Value<'a> {
        Value::Ip(self)
    }
    fn write_row(self, out: &mut Vec<u8>) {
        match self {
            Self::V4(ip) => put_text(&ip.octets(), out),
            Self::V6(ip) => put_text(&ip.octets(), out),
        }
    }
    fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
        take_address(take_text(rest)?)
    }
}

/// An address by its four or sixteen octets.
fn take_address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(|octets| IpAddr::V4(Ipv4Addr::from(octets)));
    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(|octets| IpAddr::V6(Ipv6Addr::from(octets))))
        .ok()
}

impl<'a> Cell<'a> for Hash32 {
    const CLASS: Class = Class::Text;
    fn put(self, tables: &mut TableBuilder) -> u64 {
        Text(&self.0).put(tables)
    }
    fn take(cell: u64, tables: &Tables<'a>) -> Option<Self> {
        Text::take(cell, tables)?.0.try_into().ok().map(Self)
    }
    fn value(self) -> Value<'a> {
        Value::Hash(self)
    }
    fn write_row(self, out: &mut Vec<u8>) {
        put_text(&self.0, out);
    }
    fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
        take_text(rest)?.try_into().ok().map(Self)
    }
}

impl<'a> Cell<'a> for Guid {
    const CLASS: Class = Class::Text;
    fn put(self, tables: &mut TableBuilder) -> u64 {
        Text(&self.0).put(tables)
    }
    fn take(cell: u64, tables: &Tables<'a>) -> Option<Self> {
        Text::take(cell, tables)?.0.try_into().ok().map(Self)
    }
    fn value(self) -> Value<'a> {
        Value::Guid(self)
    }
    fn write_row(self, out: &mut Vec<u8>) {
        put_text(&self.0, out);
    }
    fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
        take_text(rest)?.try_into().ok().map(Self)
    }
}

macro_rules! word_cells {
    ($($word:ty)*) => {$(
        impl<'a> Cell<'a> for $word {
            const CLASS: Class = Class::Number;
            fn put(self, _: &mut TableBuilder) -> u64 {
                self.code() + 1
            }
            fn take(cell: u64, _: &Tables<'a>) -> Option<Self> {
                Self::from_code(cell.checked_sub(1)?)
            }
            fn value(self) -> Value<'a> {
                Value::Word(self.as_str())
            }
            fn write_row(self, out: &mut Vec<u8>) {
                varint::put(out, self.code());
            }
            fn read_row(rest: &mut &'a [u8]) -> Option<Self> {
                Self::from_code(varint::take(rest)?)
            }
        }
    )*};
}
word_cells!(Touch Protocol Change Namespace Outcome SourceState AutostartKind);
