//! What a rule is held against: named values, however the evidence stores them.

use std::borrow::Cow;

use rsigma_eval::{Event as Matchable, EventValue};
use serde_json::Value as Json;

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

impl<S: Subject> Matchable for Held<'_, S> {
    fn get_field(&self, path: &str) -> Option<EventValue<'_>> {
        self.0.field(path).map(Value::into_matchable)
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
