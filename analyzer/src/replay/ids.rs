//! Small numbers that name rows of tables: four bytes, also where one may be absent.

/// Defines a row number. Row 0 is stored as 1, so that an absent one needs no room.
macro_rules! ids {
    ($($(#[$doc:meta])* $name:ident)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(std::num::NonZeroU32);

        impl $name {
            /// The number of a row; `None` beyond what 32 bits can number.
            #[must_use]
            pub fn from_index(index: usize) -> Option<Self> {
                let number = u32::try_from(index).ok()?.checked_add(1)?;
                std::num::NonZeroU32::new(number).map(Self)
            }

            /// The row.
            #[must_use]
            pub const fn index(self) -> usize {
                (self.0.get() - 1) as usize
            }
        }
    )*};
}
pub(crate) use ids;

ids! {
    /// A text of a [`crate::replay::Texts`].
    TextId
    /// A host that events came from, in the order in which hosts were first seen.
    HostId
    /// One boot of one host.
    MachineId
    /// One process: one run under one pid.
    ProcessId
    /// One unit of a process: what it did between two execs.
    UnitId
}
