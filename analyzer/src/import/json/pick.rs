//! Values of an object by their dotted paths, and the parts that events of Linux tools share.

use std::borrow::Cow;
use std::net::IpAddr;

use saigen_schemas::event::{
    BootId, Event, Fields, FieldsBuf, Guid, Kind, Marks, ProcessKey, Source, Text, Time,
};
use sha2::{Digest as _, Sha256};

use crate::import::json::leaves;
use crate::import::json::tree::{Sort, Value};
use crate::import::windows::value::{address, moment};
use crate::import::{At, ImportError, NO_TIME_US, Sink};

/// The value at a path; keys may be nested, or hold the dots themselves (`process.pid`).
pub(super) fn find<'t>(object: Value<'t>, path: &str) -> Option<Value<'t>> {
    if let Some(value) = object.get(path) {
        return Some(value);
    }
    path.match_indices('.').find_map(|(dot, _)| {
        let inner = object.get(path.get(..dot)?)?;
        find(inner, path.get(dot + 1..)?)
    })
}

/// The text of a scalar at a path, if it says something.
pub(super) fn text<'t>(object: Value<'t>, path: &str) -> Option<Cow<'t, [u8]>> {
    scalar(find(object, path)?)
}

/// The text of the first path that says something.
pub(super) fn any<'t>(object: Value<'t>, paths: &[&str]) -> Option<Cow<'t, [u8]>> {
    paths.iter().find_map(|path| text(object, path))
}

/// The text of a scalar, if it says something.
pub(super) fn scalar(value: Value<'_>) -> Option<Cow<'_, [u8]>> {
    let text = match value.sort() {
        Sort::Text | Sort::Number | Sort::Flag => Cow::Borrowed(value.raw()),
        Sort::Escaped => {
            let mut out = Vec::new();
            value.write(&mut out);
            Cow::Owned(out)
        }
        Sort::Object | Sort::Array | Sort::Null => return None,
    };
    (!text.is_empty()).then_some(text)
}

/// A number at a path, written as one or as a text.
pub(super) fn number<T: TryFrom<u64>>(object: Value<'_>, path: &str) -> Option<T> {
    let value = find(object, path)?;
    let digits = std::str::from_utf8(value.raw()).ok()?;
    let digits = digits.strip_suffix(".0").unwrap_or(digits);
    let number = match digits.strip_prefix("0x") {
        Some(hex) => u64::from_str_radix(hex, 16).ok()?,
        None => digits.parse().ok()?,
    };
    T::try_from(number).ok()
}

/// An address at a path.
pub(super) fn ip(object: Value<'_>, path: &str) -> Option<IpAddr> {
    address(find(object, path)?.raw())
}

/// A moment at a path, UTC microseconds.
pub(super) fn time(object: Value<'_>, path: &str) -> Option<i64> {
    moment(find(object, path)?.raw())
}

/// Whether a flag at a path says yes.
pub(super) fn is_true(object: Value<'_>, path: &str) -> bool {
    find(object, path).is_some_and(|value| value.raw() == b"true")
}

/// Whether a text, or one of a list of texts, is this word.
pub(super) fn holds(object: Value<'_>, path: &str, word: &str) -> bool {
    let fits = |value: Value<'_>| value.raw() == word.as_bytes();
    find(object, path).is_some_and(|value| fits(value) || value.items().any(fits))
}

/// The texts of a list at a path, each ended by NUL; `None` where there is no list.
pub(super) fn list(object: Value<'_>, path: &str) -> Option<Vec<u8>> {
    let value = find(object, path)?;
    let mut out = Vec::new();
    for item in value.items() {
        if !item.is_scalar() {
            return None;
        }
        item.write(&mut out);
        out.push(0);
    }
    (!out.is_empty()).then_some(out)
}

/// An identity that a tool gave a process: a GUID, or any other text, of which the first half of its
/// SHA-256 stands for it.
pub(super) fn identity(text: &[u8]) -> Option<Guid> {
    if text.is_empty() {
        return None;
    }
    let guid = std::str::from_utf8(text).ok().and_then(Guid::parse);
    guid.or_else(|| Sha256::digest(text).first_chunk::<16>().copied().map(Guid))
}

/// A process by its pid and its identity; `None` where neither is said.
pub(super) fn process(pid: Option<u32>, identity: Option<Guid>) -> Option<ProcessKey> {
    (pid.is_some() || identity.is_some()).then_some(ProcessKey {
        pid: pid.unwrap_or(0),
        start_us: 0,
        guid: identity,
    })
}

/// As [`Text`].
pub(super) fn as_text<'c>(text: &'c Option<Cow<'_, [u8]>>) -> Option<Text<'c>> {
    text.as_deref().map(Text)
}

/// Everything in an object under dotted names.
pub(super) fn all(object: Value<'_>, path: &mut Vec<u8>, text: &mut Vec<u8>, out: &mut FieldsBuf) {
    out.clear();
    path.clear();
    leaves(object, path, &mut |path, value| {
        out.push(path, value.text(text).0)
    });
}

/// Where events of an object go, with what they share.
pub(super) struct Out<'o> {
    pub(super) sink: &'o mut dyn Sink,
    pub(super) at: At,
    pub(super) source: Source,
    pub(super) host: &'o [u8],
    /// When it happened.
    pub(super) wall_us: Option<i64>,
    /// When it was recorded, where that is another moment.
    pub(super) recorded_us: Option<i64>,
    pub(super) extra: Fields<'o>,
}

impl Out<'_> {
    pub(super) fn tell(
        &mut self,
        actor: Option<ProcessKey>,
        kind: Kind<'_>,
    ) -> Result<(), ImportError> {
        let event = Event {
            seq: 0,
            time: Time {
                wall_us: self.wall_us.unwrap_or(NO_TIME_US),
                boot_us: None,
            },
            recorded_us: self.recorded_us,
            host: Text(self.host),
            boot: BootId::default(),
            source: self.source,
            actor,
            marks: Marks::default(),
            extra: self.extra,
            kind,
        };
        self.sink.event(self.at, &event)
    }
}
