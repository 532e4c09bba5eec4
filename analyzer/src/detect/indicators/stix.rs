//! Bundles of STIX 2.1: the patterns of their indicators, one object after the other.

use std::fmt;
use std::io::Read;

use serde::Deserialize;
use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::detect::Level;

/// What is read of an object; all else is passed over.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Object {
    #[serde(rename = "type", default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) id: String,
    #[serde(default)]
    pub(super) name: Option<String>,
    #[serde(default)]
    pub(super) pattern: Option<String>,
    #[serde(default)]
    pub(super) pattern_type: Option<String>,
    #[serde(default)]
    pub(super) revoked: bool,
    #[serde(default)]
    pub(super) confidence: Option<u8>,
}

impl Object {
    /// The level that the confidence stands for (STIX 2.1, appendix A).
    pub(super) fn level(&self) -> Option<Level> {
        match self.confidence? {
            0..=29 => Some(Level::Low),
            30..=69 => Some(Level::Medium),
            70.. => None,
        }
    }
}

/// Reads a bundle, an array of objects or one object; calls `take` with each object and its number, from 1.
pub(super) fn read_bundle(
    input: impl Read,
    take: &mut dyn FnMut(u32, &Object),
) -> Result<(), String> {
    let mut reader = serde_json::Deserializer::from_reader(input);
    let mut number = 0;
    let bundle = Bundle {
        number: &mut number,
        take,
    };
    serde::Deserializer::deserialize_any(&mut reader, bundle)
        .and_then(|()| reader.end())
        .map_err(|error| error.to_string())
}

/// The outer value. Objects are handed on as they are read, so that a bundle is never held whole.
struct Bundle<'t> {
    number: &'t mut u32,
    take: &'t mut dyn FnMut(u32, &Object),
}

impl<'de> Visitor<'de> for Bundle<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a STIX bundle")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            if key == "objects" {
                map.next_value_seed(Objects {
                    number: self.number,
                    take: self.take,
                })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        while let Some(object) = seq.next_element::<Object>()? {
            *self.number = self.number.saturating_add(1);
            (self.take)(*self.number, &object);
        }
        Ok(())
    }
}

/// The list of objects in a bundle.
struct Objects<'t> {
    number: &'t mut u32,
    take: &'t mut dyn FnMut(u32, &Object),
}

impl<'de> DeserializeSeed<'de> for Objects<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(Bundle {
            number: self.number,
            take: self.take,
        })
    }
}
