//! Exceptions: detections that the examiner declares ordinary, each with a reason, each use
//! counted.
//!
//! A file of exceptions holds blocks, apart by empty lines. A block names a rule, or `*` for
//! every rule, and what must hold of the event beside it: field names as in rules (`host` is
//! `Computer`, `process` is `Image`), with `*` for any text; and why. Lines that begin with `#`
//! are left out.
//!
//! ```text
//! rule: systemd_unit_written
//! Computer: build-*
//! Image: /opt/deploy/bin/deploy
//! from: 2026-01-01T00:00:00Z
//! to: 2026-02-01T00:00:00Z
//! why: deployments of the web team
//! ```

use std::sync::Arc;

use chrono::DateTime;
use saigen_schemas::event::format_utc;

use crate::detect::RuleInfo;

/// The word for every rule.
pub(super) const EVERY_RULE: &str = "*";

/// One exception.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exception {
    /// The rule that it is from: its id, its title, or its file's name without ending; `*` is
    /// every rule.
    pub rule: String,
    /// Field names and the patterns that their values must fit, all of them.
    pub fields: Vec<(String, String)>,
    /// From when on, wall clock, UTC microseconds.
    pub from_us: Option<i64>,
    /// Until when.
    pub to_us: Option<i64>,
    /// Why; reports show it.
    pub why: String,
    /// The line of its file that it begins at.
    pub line: usize,
}

/// Reads a file of exceptions.
///
/// # Errors
///
/// Says which line is wrong: no exception is applied by half.
pub fn read_exceptions(text: &str) -> Result<Vec<Exception>, String> {
    let mut exceptions = Vec::new();
    let mut block: Vec<(usize, &str, &str)> = Vec::new();
    let lines = text
        .lines()
        .enumerate()
        .map(|(index, line)| (index + 1, line.trim()));
    for (number, line) in lines.chain([(0, "")]) {
        if line.is_empty() {
            if !block.is_empty() {
                exceptions.push(read_block(&std::mem::take(&mut block))?);
            }
        } else if !line.starts_with('#') {
            let (name, value) = line
                .split_once(':')
                .ok_or_else(|| format!("line {number}: expected `name: value`"))?;
            block.push((number, name.trim(), value.trim()));
        }
    }
    Ok(exceptions)
}

fn read_block(block: &[(usize, &str, &str)]) -> Result<Exception, String> {
    let line = block.first().map_or(0, |(number, _, _)| *number);
    let mut exception = Exception {
        rule: String::new(),
        fields: Vec::new(),
        from_us: None,
        to_us: None,
        why: String::new(),
        line,
    };
    for &(number, name, value) in block {
        if value.is_empty() {
            return Err(format!("line {number}: {name} has no value"));
        }
        match name {
            "rule" => value.clone_into(&mut exception.rule),
            "why" => value.clone_into(&mut exception.why),
            "from" => exception.from_us = Some(moment(number, value)?),
            "to" => exception.to_us = Some(moment(number, value)?),
            "host" => exception
                .fields
                .push(("Computer".to_owned(), value.to_owned())),
            "process" => exception
                .fields
                .push(("Image".to_owned(), value.to_owned())),
            field => exception.fields.push((field.to_owned(), value.to_owned())),
        }
    }
    if exception.rule.is_empty() || exception.why.is_empty() {
        return Err(format!("line {line}: an exception needs `rule` and `why`"));
    }
    if exception.rule == EVERY_RULE && exception.fields.is_empty() {
        return Err(format!(
            "line {line}: an exception from every rule needs a field that it holds for"
        ));
    }
    Ok(exception)
}

fn moment(number: usize, text: &str) -> Result<i64, String> {
    let time = DateTime::parse_from_rfc3339(text);
    time.map(|time| time.timestamp_micros()).map_err(|_| {
        format!("line {number}: expected a time like 2026-01-01T00:00:00Z, found {text}")
    })
}

impl Exception {
    /// The entry on one line, as reports show it.
    #[must_use]
    pub fn entry(&self) -> String {
        let fields = self
            .fields
            .iter()
            .map(|(name, pattern)| format!("{name}: {pattern}"));
        let moments = [("from", self.from_us), ("to", self.to_us)];
        let moments = moments
            .into_iter()
            .filter_map(|(name, us)| us.map(|us| format!("{name}: {}", format_utc(us))));
        std::iter::once(format!("rule: {}", self.rule))
            .chain(fields)
            .chain(moments)
            .chain([format!("why: {}", self.why)])
            .collect::<Vec<_>>()
            .join("; ")
    }

    /// Whether it covers a finding at a moment with these fields, whatever the rule.
    fn covers(&self, wall_us: Option<i64>, value: &dyn Fn(&str) -> Option<String>) -> bool {
        let in_time = match (self.from_us, self.to_us, wall_us) {
            (None, None, _) => true,
            (_, _, None) => false,
            (from, to, Some(now)) => {
                from.is_none_or(|from| from <= now) && to.is_none_or(|to| now < to)
            }
        };
        in_time
            && self
                .fields
                .iter()
                .all(|(name, pattern)| value(name).is_some_and(|text| glob(pattern, &text)))
    }
}

/// An exception in use.
#[derive(Debug)]
pub(super) struct Allowed {
    pub(super) exception: Exception,
    /// The engine's rules that it is from, in order.
    pub(super) rules: Vec<usize>,
}

impl Allowed {
    /// Whether a finding of a rule is excepted. `value` gives the texts of fields.
    pub(super) fn takes(
        &self,
        rule: usize,
        wall_us: Option<i64>,
        value: &dyn Fn(&str) -> Option<String>,
    ) -> bool {
        self.rules.binary_search(&rule).is_ok() && self.exception.covers(wall_us, value)
    }
}

/// Why a match is no detection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Quiet {
    /// The exception at this place covers it.
    Excepted(usize),
    /// It rests only on a file whose hash stands in the known-good list at this place.
    KnownGood(usize),
}

/// How often findings of one rule were quietened by one exception or list of good files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Suppression<R> {
    /// The rule that would have been reported.
    pub rule: Arc<RuleInfo>,
    /// What quietened it, as it stands in its file.
    pub entry: String,
    /// How often.
    pub count: u64,
    /// The first event.
    pub first: R,
}

/// Whether a text fits a pattern in which `*` stands for any text, without regard to case.
fn glob(pattern: &str, text: &str) -> bool {
    let (pattern, text) = (pattern.to_lowercase(), text.to_lowercase());
    let mut parts = pattern.split('*');
    let first = parts.next().unwrap_or_default();
    let Some(mut rest) = text.strip_prefix(first) else {
        return false;
    };
    let Some(last) = parts.next_back() else {
        return rest.is_empty();
    };
    for part in parts {
        let Some((_, after)) = rest.split_once(part) else {
            return false;
        };
        rest = after;
    }
    rest.ends_with(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_exceptions_is_read_by_blocks() {
        let text = "# ours\nrule: r1\nImage: /opt/*\nwhy: deployments\n\n\nrule: r2\nfrom: 2026-01-01T00:00:00Z\nwhy: x\n";
        let read = read_exceptions(text).unwrap();
        assert_eq!(read.len(), 2);
        assert_eq!(read[0].fields, [("Image".to_owned(), "/opt/*".to_owned())]);
        assert_eq!(read[1].from_us, Some(1_767_225_600_000_000));
        assert_eq!(
            read[1].entry(),
            "rule: r2; from: 2026-01-01T00:00:00.000000Z; why: x"
        );
        for (wrong, said) in [
            ("rule: x\n", "line 1: an exception needs `rule` and `why`"),
            ("\nrule x\n", "line 2: expected `name: value`"),
            ("rule: x\nwhy:\n", "line 2: why has no value"),
            (
                "rule: x\nwhy: y\nto: tomorrow\n",
                "line 3: expected a time like 2026-01-01T00:00:00Z, found tomorrow",
            ),
            (
                "rule: *\nwhy: y\n",
                "line 1: an exception from every rule needs a field that it holds for",
            ),
        ] {
            assert_eq!(read_exceptions(wrong).unwrap_err(), said);
        }
    }

    #[test]
    fn a_star_stands_for_any_text() {
        for (pattern, text, fits) in [
            ("/opt/*", "/OPT/x", true),
            ("*", "", true),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "acb", false),
            ("abc", "abc", true),
            ("abc", "abcd", false),
            ("*aa", "aa", true),
            ("a*a", "a", false),
        ] {
            assert_eq!(glob(pattern, text), fits, "{pattern} on {text}");
        }
    }
}
