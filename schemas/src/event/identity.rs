//! Names for things that are reused: processes, boots, files by content.

use std::fmt;

/// One run of one process: a PID is reused, a `ProcessKey` is not.
///
/// Host and boot stand in the event ([`crate::event::Event`]); together with them the key is
/// unique. Where a foreign log names processes by GUID, that decides, and `pid` or `start_us` may
/// be 0 (not said).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProcessKey {
    /// The process id (thread group id) in the recorder's PID namespace.
    pub pid: u32,
    /// Start (fork) of the process on the boot clock, in microseconds.
    pub start_us: u64,
    /// The identity that the source itself gave the process (Sysmon's `ProcessGuid`).
    pub guid: Option<Guid>,
}

impl ProcessKey {
    /// A key by pid and start time, as the kernel tells processes apart.
    #[must_use]
    pub const fn new(pid: u32, start_us: u64) -> Self {
        Self {
            pid,
            start_us,
            guid: None,
        }
    }
}

/// The identity of one boot: `/proc/sys/kernel/random/boot_id`, `random(4)`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BootId(pub [u8; 16]);

/// A 16-byte identity in the order in which it is written in text.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Guid(pub [u8; 16]);

/// A SHA-256 of a file's content.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash32(pub [u8; 32]);

impl fmt::Display for BootId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_guid(&self.0, f)
    }
}

impl fmt::Display for Guid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_guid(&self.0, f)
    }
}

impl fmt::Display for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Hash32 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl BootId {
    /// Reads the text form (`8-4-4-4-12` hex digits); `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        parse_guid(text).map(Self)
    }
}

impl Guid {
    /// Reads the text form, with or without braces, either case; `None` if it is anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let bare = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'))
            .unwrap_or(text);
        parse_guid(bare).map(Self)
    }
}

fn write_guid(bytes: &[u8; 16], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for (index, byte) in bytes.iter().enumerate() {
        if matches!(index, 4 | 6 | 8 | 10) {
            f.write_str("-")?;
        }
        write!(f, "{byte:02x}")?;
    }
    Ok(())
}

fn parse_guid(text: &str) -> Option<[u8; 16]> {
    let bytes = text.as_bytes();
    if bytes.len() != 36 {
        return None;
    }
    let mut out = [0_u8; 16];
    let mut digits = 0;
    for (index, &byte) in bytes.iter().enumerate() {
        if matches!(index, 8 | 13 | 18 | 23) {
            if byte != b'-' {
                return None;
            }
            continue;
        }
        let digit = u8::try_from(char::from(byte).to_digit(16)?).ok()?;
        let slot = out.get_mut(digits / 2)?;
        *slot = (*slot << 4) | digit;
        digits += 1;
    }
    (digits == 32).then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guid_reads_what_it_writes() {
        let text = "01234567-89ab-cdef-0123-456789abcdef";
        assert_eq!(Guid::parse(text).unwrap().to_string(), text);
        assert_eq!(
            Guid::parse(&format!("{{{}}}", text.to_uppercase())),
            Guid::parse(text)
        );
        for wrong in [
            "",
            "01234567",
            "01234567-89ab-cdef-0123-456789abcdeg",
            "01234567089ab0cdef001230456789abcdef",
        ] {
            assert_eq!(Guid::parse(wrong), None, "{wrong}");
        }
    }
}
