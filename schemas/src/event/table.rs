//! What each kind of the table of kinds becomes: its struct, its name and code, and the ways in and
//! out of the journal's columns and canonical rows. The table itself stands in `kinds`.

macro_rules! kinds {
    ($life:lifetime $($(#[$meta:meta])* $code:literal $name:literal $variant:ident $(<$l:lifetime>)? {
        $($(#[$doc:meta])* $field:ident: $ty:ty,)*
    })*) => {
        $(
            $(#[$meta])*
            #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
            pub struct $variant $(<$l>)? { $($(#[$doc])* pub $field: Option<$ty>,)* }
        )*

        /// What happened: one variant for each kind of the table.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[expect(missing_docs, reason = "each variant is the struct of its name, documented there")]
        pub enum Kind<$life> { $($variant($variant $(<$l>)?),)* }

        /// The name of a kind without its content, for filters, counts and tables.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "each variant names the struct of its name, documented there")]
        pub enum KindName { $($variant,)* }

        impl KindName {
            /// Every kind, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$variant,)*];

            /// The code in the journal, below 64; it never changes its meaning.
            #[must_use]
            pub const fn code(self) -> u8 {
                match self { $(Self::$variant => $code,)* }
            }

            /// The kind of a code; `None` for one that this version does not know.
            #[must_use]
            pub const fn from_code(code: u8) -> Option<Self> {
                match code { $($code => Some(Self::$variant),)* _ => None }
            }

            /// The name in JSON and text: `group.kind`.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $name,)* }
            }

            /// The kind of a name in JSON and text.
            #[must_use]
            pub fn from_name(name: &str) -> Option<Self> {
                match name { $($name => Some(Self::$variant),)* _ => None }
            }

            /// The names of its fields, in the order of the table.
            #[must_use]
            pub const fn fields(self) -> &'static [&'static str] {
                match self { $(Self::$variant => &[$(stringify!($field),)*],)* }
            }
        }

        impl<$life> Kind<$life> {
            /// How the columns of a kind are stored, in the order of its fields.
            const fn classes_of(name: KindName) -> &'static [Class] {
                match name { $(KindName::$variant => const { &[$(<$ty as Cell<$life>>::CLASS,)*] },)* }
            }

            /// Its name without its content.
            #[must_use]
            pub const fn name(&self) -> KindName {
                match self { $(Self::$variant(_) => KindName::$variant,)* }
            }

            /// Shows each field that is known to a visitor, in the order of the table.
            pub fn visit(&self, mut visitor: impl FnMut(&'static str, Value<$life>)) {
                match self { $(Self::$variant(content) => {
                    $(if let Some(value) = content.$field { visitor(stringify!($field), value.value()); })*
                })* }
            }

            /// The field of a name, if this kind has it and it is known.
            #[must_use]
            pub fn get(&self, name: &str) -> Option<Value<$life>> {
                match self { $(Self::$variant(content) => match name {
                    $(stringify!($field) => content.$field.map(Cell::value),)*
                    _ => None,
                },)* }
            }

            /// Appends one cell to each of the kind's columns.
            pub(crate) fn put(&self, tables: &mut TableBuilder, columns: &mut [Vec<u64>]) {
                match self { $(Self::$variant(content) => {
                    let mut columns = columns.iter_mut();
                    $(if let Some(column) = columns.next() {
                        column.push(content.$field.map_or(0, |value| value.put(tables)));
                    })*
                })* }
            }

            /// Appends each known field, its place from 1 and its value, to a canonical row.
            pub(crate) fn write_row(&self, out: &mut Vec<u8>) {
                match self { $(Self::$variant(content) => {
                    let mut place = 0;
                    $(
                        place += 1;
                        if let Some(value) = content.$field {
                            varint::put(out, place);
                            value.write_row(out);
                        }
                    )*
                })* }
            }

            /// Takes a kind's fields from the front of the rest of a canonical row, up to the 0
            /// that ends them; `None` if anything else stands there.
            pub(crate) fn read_row(name: KindName, rest: &mut &$life [u8]) -> Option<Self> {
                match name { $(KindName::$variant => {
                    let mut content = $variant::default();
                    let mut next = varint::take(rest)?;
                    let mut place = 0;
                    $(
                        place += 1;
                        if next == place {
                            content.$field = Some(Cell::read_row(rest)?);
                            next = varint::take(rest)?;
                        }
                    )*
                    let _ = place;
                    (next == 0).then_some(Self::$variant(content))
                })* }
            }

            /// Reads a kind from its cells; `Err` names the field whose cell is nothing that
            /// its type can be.
            pub(crate) fn take(
                name: KindName,
                mut cell: impl FnMut(usize) -> u64,
                tables: &Tables<$life>,
            ) -> Result<Self, &'static str> {
                match name { $(KindName::$variant => {
                    let mut index = 0;
                    let content = $variant { $($field: {
                        let value = cell(index);
                        index += 1;
                        if value == 0 {
                            None
                        } else {
                            Some(Cell::take(value, tables).ok_or(stringify!($field))?)
                        }
                    },)* };
                    let _ = index;
                    Ok(Self::$variant(content))
                })* }
            }
        }
    };
}
