//! What a rule is held against: named values, however the evidence stores them.

use std::borrow::Cow;

use chrono::{DateTime, Datelike as _, NaiveDateTime, Timelike as _, Utc};
use rsigma_eval::{Event as Matchable, EventValue};
use serde_json::Value as Json;

use crate::detect::mend::time_asked;

/// A value of a field, as rules compare it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value<'a> {
    /// A text. Bytes that are no UTF-8 stand as U+FFFD here; the evidence keeps them as they were.
    Text(Cow<'a, str>),
    /// A number.
    Number(i64),
    /// A yes or no.
    Flag(bool),
    /// Several values, of which a rule needs any one to fit.
    Any(Vec<Value<'a>>),
}

impl<'a> Value<'a> {
    /// A text that is borrowed.
    #[must_use]
    pub fn text(text: &'a str) -> Self {
        Self::Text(Cow::Borrowed(text))
    }

    fn into_matchable(self) -> EventValue<'a> {
        match self {
            Self::Text(text) => EventValue::Str(text),
            Self::Number(number) => EventValue::Int(number),
            Self::Flag(flag) => EventValue::Bool(flag),
            Self::Any(values) => {
                EventValue::Array(values.into_iter().map(Self::into_matchable).collect())
            }
        }
    }
}

/// Something with named fields.
pub trait Subject {
    /// The value under a Sigma field name; names are compared with their case.
    fn field(&self, name: &str) -> Option<Value<'_>>;

    /// Visits every text that a keyword may stand in.
    fn texts(&self, visit: &mut dyn FnMut(&str));
}

/// A [`Subject`] as the matcher wants to see it.
pub(super) struct Held<'s, S>(pub(super) &'s S);

/// A part of a time in UTC: of a text with or without its zone, or of seconds or milliseconds since 1970.
fn time_part(part: &str, value: &Value<'_>) -> Option<Value<'static>> {
    let time = match value {
        Value::Text(text) => read_time(text)?,
        Value::Number(number) => {
            const MILLISECONDS_FROM: i64 = 100_000_000_000;
            let seconds = if *number >= MILLISECONDS_FROM {
                number / 1000
            } else {
                *number
            };
            DateTime::from_timestamp(seconds, 0)?
        }
        Value::Flag(_) => return None,
        Value::Any(values) => {
            let parts = values.iter().filter_map(|value| time_part(part, value));
            return Some(Value::Any(parts.collect()));
        }
    };
    let number = match part {
        "minute" => time.minute(),
        "hour" => time.hour(),
        "day" => time.day(),
        "week" => time.iso_week().week(),
        "month" => time.month(),
        _ => u32::try_from(time.year()).ok()?,
    };
    Some(Value::Number(i64::from(number)))
}

fn read_time(text: &str) -> Option<DateTime<Utc>> {
    if let Ok(time) = DateTime::parse_from_rfc3339(text) {
        return Some(time.to_utc());
    }
    let forms = ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"];
    forms
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(text, form).ok())
        .map(|time| time.and_utc())
}

impl<S: Subject> Matchable for Held<'_, S> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        let value = match time_asked(path) {
            None => self.0.field(path),
            Some((part, name)) => time_part(part, &self.0.field(name)?),
        };
        value.map(Value::into_matchable)
    }

    fn any_string_value(&self, fits: &dyn Fn(&str) -> bool) -> bool {
        let mut found = false;
        self.0.texts(&mut |text| found = found || fits(text));
        found
    }

    fn all_string_values(&self) -> Vec<Cow<'_, str>> {
        let mut texts = Vec::new();
        self.0
            .texts(&mut |text| texts.push(Cow::Owned(text.to_owned())));
        texts
    }

    fn visit_string_values(&self, visit: &mut dyn FnMut(&str)) {
        self.0.texts(visit);
    }

    fn field_keys(&self) -> Vec<Cow<'_, str>> {
        Vec::new()
    }

    /// Only asked for by rules that want the whole event in their result. Ours never do: a
    /// detection names its events, and the evidence has them.
    fn to_json(&self) -> Json {
        Json::Null
    }
}
