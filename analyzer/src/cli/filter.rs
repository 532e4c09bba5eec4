//! Conditions on events: `kind=process.start`, `image~^/tmp/`, `time>=2026-05-04T10:00:00Z`.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::str::FromStr;

use regex::Regex;
use saigen_schemas::event::{Event, KindName, Value};
use saigen_schemas::report::{EvidenceRef, Moment};

use crate::cli::events::value_text;

/// One condition.
#[derive(Clone, Debug)]
pub struct Filter {
    field: Field,
    test: Test,
}

/// What a condition looks at.
#[derive(Clone, Debug)]
enum Field {
    Kind,
    Time,
    Host,
    Source,
    Reference,
    Pid,
    /// A field of the event's kind, or a foreign one.
    Own(String),
}

/// What it asks.
#[derive(Clone, Debug)]
enum Test {
    Is(Operand),
    IsNot(Operand),
    Matches(Regex),
    MatchesNot(Regex),
    /// The orderings that meet it.
    Ordered(&'static [Ordering], Operand),
}

/// What is compared with.
#[derive(Clone, Debug)]
struct Operand {
    text: String,
    number: Option<i128>,
}

/// The operators, longer ones first where one begins another.
const OPERATORS: [&str; 8] = ["!=", "!~", ">=", "<=", "=", "~", ">", "<"];

impl FromStr for Filter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name_len = text
            .find(|character: char| {
                !character.is_ascii_alphanumeric() && !matches!(character, '_' | '.' | '-')
            })
            .filter(|&len| len > 0)
            .ok_or_else(|| {
                format!("expected a condition like kind=process.start, found {text:?}")
            })?;
        let (name, rest) = text.split_at(name_len);
        let operator = OPERATORS
            .into_iter()
            .find(|operator| rest.starts_with(operator))
            .ok_or_else(|| format!("expected =, !=, ~, !~, <, <=, > or >= after {name}"))?;
        let value = rest.get(operator.len()..).unwrap_or_default();
        let field = Field::of(name)?;
        let operand = || field.operand(value);
        let regex = || {
            regex::RegexBuilder::new(value)
                .size_limit(1 << 20)
                .build()
                .map_err(|_| format!("{value:?} is no regular expression that can be used"))
        };
        let test = match operator {
            "=" => Test::Is(operand()?),
            "!=" => Test::IsNot(operand()?),
            "~" => Test::Matches(regex()?),
            "!~" => Test::MatchesNot(regex()?),
            ">" => Test::Ordered(&[Ordering::Greater], operand()?),
            ">=" => Test::Ordered(&[Ordering::Greater, Ordering::Equal], operand()?),
            "<" => Test::Ordered(&[Ordering::Less], operand()?),
            _ => Test::Ordered(&[Ordering::Less, Ordering::Equal], operand()?),
        };
        Ok(Self { field, test })
    }
}

impl Field {
    fn of(name: &str) -> Result<Self, String> {
        Ok(match name {
            "kind" => Self::Kind,
            "time" => Self::Time,
            "host" => Self::Host,
            "source" => Self::Source,
            "ref" => Self::Reference,
            "pid" => Self::Pid,
            own => {
                let known = KindName::ALL
                    .iter()
                    .any(|kind| kind.fields().contains(&own));
                // Foreign records bring fields of their own, which have upper case or dots.
                let foreign = own
                    .contains(|character: char| character.is_ascii_uppercase() || character == '.');
                if !known && !foreign {
                    return Err(format!(
                        "no event has a field {own}; fields are listed in docs/EVENTS.md"
                    ));
                }
                Self::Own(own.to_owned())
            }
        })
    }

    /// Reads what is compared with, so that a condition that can never be met is refused.
    fn operand(&self, text: &str) -> Result<Operand, String> {
        let number = match self {
            Self::Time => {
                let moment: Moment = text.parse().map_err(|_| {
                    format!("expected a time like 2026-05-04T10:00:00Z, found {text:?}")
                })?;
                Some(i128::from(moment.us()))
            }
            Self::Pid => Some(
                text.parse()
                    .map_err(|_| format!("expected a process id, found {text:?}"))?,
            ),
            Self::Kind => {
                let known = KindName::ALL
                    .iter()
                    .any(|kind| in_kind(kind.as_str(), text));
                if !known {
                    return Err(format!(
                        "no kind or group {text:?}; kinds are listed in docs/EVENTS.md"
                    ));
                }
                None
            }
            Self::Host | Self::Source | Self::Reference | Self::Own(_) => text.parse().ok(),
        };
        Ok(Operand {
            text: text.to_owned(),
            number,
        })
    }
}

/// Whether a kind is the named one, or of the named group.
fn in_kind(kind: &str, name: &str) -> bool {
    kind == name
        || kind
            .strip_prefix(name)
            .is_some_and(|rest| rest.starts_with('.'))
}

/// What an event has in a field.
struct Found<'a> {
    text: Cow<'a, str>,
    number: Option<i128>,
}

impl Filter {
    /// Whether an event meets it. What an event does not have meets only `!=` and `!~`.
    #[must_use]
    pub fn is_met(&self, reference: &EvidenceRef, event: &Event<'_>) -> bool {
        let found = self.found(reference, event);
        let same = |found: &Found<'_>, operand: &Operand| match self.field {
            Field::Kind => in_kind(&found.text, &operand.text),
            Field::Time
            | Field::Host
            | Field::Source
            | Field::Reference
            | Field::Pid
            | Field::Own(_) => found.compare(operand) == Ordering::Equal,
        };
        match (&self.test, &found) {
            (Test::Is(operand), Some(found)) => same(found, operand),
            (Test::IsNot(operand), Some(found)) => !same(found, operand),
            (Test::Matches(regex), Some(found)) => regex.is_match(&found.text),
            (Test::MatchesNot(regex), Some(found)) => !regex.is_match(&found.text),
            (Test::Ordered(met, operand), Some(found)) => met.contains(&found.compare(operand)),
            (Test::IsNot(_) | Test::MatchesNot(_), None) => true,
            (Test::Is(_) | Test::Matches(_) | Test::Ordered(..), None) => false,
        }
    }

    fn found<'a>(&self, reference: &EvidenceRef, event: &Event<'a>) -> Option<Found<'a>> {
        let text = |text: Cow<'a, str>| Some(Found { text, number: None });
        match &self.field {
            Field::Kind => text(event.kind.name().as_str().into()),
            Field::Time => Some(Found {
                text: Moment::from_us(event.time.wall_us).to_string().into(),
                number: Some(i128::from(event.time.wall_us)),
            }),
            Field::Host => text(event.host.lossy()),
            Field::Source => text(event.source.as_str().into()),
            Field::Reference => text(reference.to_string().into()),
            Field::Pid => event.actor.map(|actor| Found {
                text: actor.pid.to_string().into(),
                number: Some(i128::from(actor.pid)),
            }),
            Field::Own(name) => match event.kind.get(name) {
                Some(value) => Some(Found {
                    number: number_of(value),
                    text: value_text(value).into(),
                }),
                None => event.extra.get(name).and_then(|value| text(value.lossy())),
            },
        }
    }
}

impl Found<'_> {
    fn compare(&self, operand: &Operand) -> Ordering {
        match (self.number, operand.number) {
            (Some(found), Some(wanted)) => found.cmp(&wanted),
            (Some(_) | None, _) => self.text.as_ref().cmp(operand.text.as_str()),
        }
    }
}

fn number_of(value: Value<'_>) -> Option<i128> {
    match value {
        Value::Unsigned(number) => Some(i128::from(number)),
        Value::Signed(number) => Some(i128::from(number)),
        Value::Process(key) => Some(i128::from(key.pid)),
        Value::Text(_)
        | Value::Args(_)
        | Value::Ip(_)
        | Value::Hash(_)
        | Value::Guid(_)
        | Value::Word(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use saigen_schemas::event::{
        Args, BootId, Fields, FileWritten, Kind, Marks, ProcessKey, ProcessStart, Source, Time,
    };

    use super::*;
    use saigen_schemas::report::EvidenceId;

    fn event(kind: Kind<'_>) -> Event<'_> {
        Event {
            seq: 0,
            time: Time {
                wall_us: 60_000_000,
                boot_us: None,
            },
            recorded_us: None,
            host: "web-1".into(),
            boot: BootId::default(),
            source: Source::Audit,
            actor: Some(ProcessKey::new(42, 1)),
            marks: Marks(b""),
            extra: Fields(b""),
            kind,
        }
    }

    fn meets(event: &Event<'_>, condition: &str) -> bool {
        let reference = &EvidenceRef::frame(EvidenceId(1), 2, 3);
        condition
            .parse::<Filter>()
            .unwrap()
            .is_met(reference, event)
    }

    #[test]
    fn conditions_are_met_by_what_they_name() {
        let start = event(Kind::ProcessStart(ProcessStart {
            image: Some("/tmp/x".into()),
            args: Some(Args(b"x\0-v\0")),
            uid: Some(0),
            ..ProcessStart::default()
        }));
        let written = event(Kind::FileWritten(FileWritten {
            size: Some(900),
            ..FileWritten::default()
        }));
        for condition in [
            "kind=process.start",
            "kind=process",
            "kind!=file",
            "pid=42",
            "pid>=42",
            "image~^/tmp/",
            "args=x -v",
            "host=web-1",
            "time>=1970-01-01T00:01:00Z",
            "time<1970-01-01T00:01:01Z",
            "ref=e1:2:3",
            "uid=0",
            "size!=900",
            "source!~perf",
        ] {
            assert!(meets(&start, condition), "{condition}");
        }
        for condition in [
            "pid=43",
            "image=/tmp",
            "size=900",
            "time<1970-01-01T00:01:00Z",
        ] {
            assert!(!meets(&start, condition), "{condition}");
        }
        assert!(meets(&written, "size>=100") && !meets(&written, "size>1000"));
    }

    #[test]
    fn a_condition_that_cannot_be_met_is_refused() {
        for wrong in [
            "",
            "kind",
            "=x",
            "imag=/bin/sh",
            "kind=proces",
            "pid=x",
            "time>=yesterday",
            "image~(",
        ] {
            assert!(wrong.parse::<Filter>().is_err(), "{wrong}");
        }
    }
}
