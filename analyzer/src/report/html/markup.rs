//! The few pieces of markup that are written here and not by a template: shown text, and the
//! marks that lead to records and nodes. Each escapes all that it is given.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write};

use askama::FastWritable;
use askama::filters::{Escaper, Html, HtmlSafe};
use saigen_schemas::report::{EvidenceRef, Moment, Process, Report};

use super::RECORDS_MAX;

use crate::report::names::base_name;
use crate::report::visible::{Part, clip, parts, write_escape};

/// References printed behind one claim; the rest is one click away.
const REFERENCES_OPEN_MAX: usize = 4;
/// References printed for one claim at all; `report.json` has all of them.
const REFERENCES_MAX: usize = 64;

/// Text from evidence as HTML: escaped, and what acts or hides marked as an escape, so that
/// it cannot be mistaken for the same characters typed out.
pub(super) struct Shown(String);

impl Shown {
    /// All of it.
    pub(super) fn whole(text: &str) -> Self {
        let mut html = String::with_capacity(text.len());
        write_shown(&mut html, text).expect("writing to a String cannot fail");
        Self(html)
    }

    /// Its head and its tail, when it is longer than `most` characters.
    pub(super) fn cut(text: &str, most: usize) -> Self {
        Self::whole(&clip(text, most))
    }

    /// A sentence: as [`Self::cut`], and each full time in it marked as a time.
    pub(super) fn told(text: &str, most: usize) -> Self {
        let text = clip(text, most);
        let (mut html, mut rest) = (String::new(), &*text);
        while let Some((before, time, after)) = split_at_time(rest) {
            html.push_str(&Self::whole(before).0);
            html.push_str(&format!("<time>{time}</time>"));
            rest = after;
        }
        html.push_str(&Self::whole(rest).0);
        Self(html)
    }

    /// All of it, with its line ends as line ends.
    pub(super) fn lines(text: &str) -> Self {
        let lines: Vec<String> = text.split('\n').map(|line| Self::whole(line).0).collect();
        Self(lines.join("\n"))
    }
}

/// Cuts a text at the first time that it spells out, as the report spells times.
fn split_at_time(text: &str) -> Option<(&str, Moment, &str)> {
    const LENGTH: usize = "2026-01-31T00:00:00.000000Z".len();
    text.match_indices('T').find_map(|(at, _)| {
        let start = at.checked_sub("2026-01-31".len())?;
        let time = text.get(start..start + LENGTH)?.parse().ok()?;
        Some((&text[..start], time, &text[start + LENGTH..]))
    })
}

fn write_shown(html: &mut String, text: &str) -> fmt::Result {
    for part in parts(text) {
        match part {
            Part::Plain(text) => Html.write_escaped_str(&mut *html, text)?,
            Part::Hidden(c) => {
                html.push_str("<span class=x>");
                write_escape(html, c)?;
                html.push_str("</span>");
            }
        }
    }
    Ok(())
}

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl HtmlSafe for Shown {}

impl FastWritable for Shown {
    fn write_into(&self, out: &mut dyn Write, _env: &dyn askama::Values) -> askama::Result<()> {
        Ok(out.write_str(&self.0)?)
    }
}

/// Where each record and node stands on the page.
pub(super) struct Index<'a> {
    records: BTreeMap<&'a EvidenceRef, usize>,
    /// By incident, then node.
    nodes: Vec<BTreeMap<&'a str, Target<'a>>>,
}

/// What a node's mark leads to, and what it says.
struct Target<'a> {
    anchor: String,
    label: &'a str,
}

impl<'a> Index<'a> {
    pub(super) fn new<'g>(
        report: &'a Report,
        drawn: impl Iterator<Item = &'g BTreeSet<usize>>,
    ) -> Self {
        let nodes =
            report
                .incidents
                .iter()
                .zip(drawn)
                .enumerate()
                .map(|(number, (incident, drawn))| {
                    let mut nodes = BTreeMap::new();
                    let shown = |(at, _): &(usize, &Process)| drawn.contains(at);
                    for (at, process) in incident.processes.iter().enumerate().filter(shown) {
                        let label = base_name(process);
                        let anchor = format!("p{number}-{at}");
                        nodes
                            .entry(process.node.as_str())
                            .or_insert(Target { anchor, label });
                    }
                    for object in incident.files.iter().chain(&incident.registry) {
                        let target = Target {
                            anchor: format!("files{number}"),
                            label: &object.path,
                        };
                        nodes.entry(object.node.as_str()).or_insert(target);
                    }
                    for flow in &incident.network {
                        let label = flow
                            .remote
                            .as_deref()
                            .or(flow.local.as_deref())
                            .unwrap_or("?");
                        let target = Target {
                            anchor: format!("network{number}"),
                            label,
                        };
                        nodes.entry(flow.node.as_str()).or_insert(target);
                    }
                    nodes
                });
        Self {
            records: report
                .records
                .keys()
                .take(RECORDS_MAX)
                .enumerate()
                .map(|(at, key)| (key, at))
                .collect(),
            nodes: nodes.collect(),
        }
    }
}

/// The marks behind a claim, each leading to its record.
pub(super) struct RefMarks<'a> {
    index: &'a Index<'a>,
    evidence: &'a [EvidenceRef],
}

impl<'a> RefMarks<'a> {
    pub(super) fn new(index: &'a Index<'a>, evidence: &'a [EvidenceRef]) -> Self {
        Self { index, evidence }
    }

    fn write_one(&self, out: &mut impl Write, reference: &EvidenceRef) -> fmt::Result {
        let text = Shown::cut(&reference.to_string(), 80);
        match self.index.records.get(reference) {
            Some(at) => write!(out, " <a class=ev href=\"#r{at}\">{text}</a>"),
            None => write!(out, " <span class=ev>{text}</span>"),
        }
    }
}

impl fmt::Display for RefMarks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = &self.evidence[..self.evidence.len().min(REFERENCES_MAX)];
        let (open, folded) = shown.split_at(shown.len().min(REFERENCES_OPEN_MAX));
        for reference in open {
            self.write_one(f, reference)?;
        }
        if folded.is_empty() {
            return Ok(());
        }
        let more = self.evidence.len() - open.len();
        write!(f, " <details class=more><summary>+{more} records</summary>")?;
        for reference in folded {
            self.write_one(f, reference)?;
        }
        if self.evidence.len() > shown.len() {
            write!(f, " … all {} in report.json", self.evidence.len())?;
        }
        f.write_str("</details>")
    }
}

impl HtmlSafe for RefMarks<'_> {}

impl FastWritable for RefMarks<'_> {
    fn write_into(&self, out: &mut dyn Write, _env: &dyn askama::Values) -> askama::Result<()> {
        Ok(write!(out, "{self}")?)
    }
}

/// A mark that leads to a node of an incident: the last part of its name.
pub(super) struct NodeMark<'a> {
    target: Option<&'a Target<'a>>,
    node: &'a str,
}

impl<'a> NodeMark<'a> {
    pub(super) fn new(index: &'a Index<'a>, number: usize, node: &'a str) -> Self {
        Self {
            target: index.nodes.get(number).and_then(|nodes| nodes.get(node)),
            node,
        }
    }
}

impl fmt::Display for NodeMark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.target {
            Some(Target { anchor, label }) => {
                let label = Shown::cut(label, 60);
                write!(f, "<a class=node href=\"#{anchor}\">{label}</a>")
            }
            None => write!(f, "<span class=node>{}</span>", Shown::cut(self.node, 60)),
        }
    }
}

impl HtmlSafe for NodeMark<'_> {}

impl FastWritable for NodeMark<'_> {
    fn write_into(&self, out: &mut dyn Write, _env: &dyn askama::Values) -> askama::Result<()> {
        Ok(write!(out, "{self}")?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_and_marks_are_shown() {
        assert_eq!(
            Shown::whole("</script><img onerror=\"x\">\u{202e}").to_string(),
            "&#60;/script&#62;&#60;img onerror=&#34;x&#34;&#62;<span class=x>⟨U+202E⟩</span>"
        );
    }

    #[test]
    fn a_time_in_a_sentence_is_marked_as_it_stands() {
        assert_eq!(
            Shown::told(
                "é 2026-01-31T00:00:00.000001Z: <T>, not 2026-13-31T00:00:00.000001Z",
                99
            )
            .to_string(),
            "é <time>2026-01-31T00:00:00.000001Z</time>: &#60;T&#62;, not 2026-13-31T00:00:00.000001Z"
        );
    }
}
