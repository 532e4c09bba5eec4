//! The side panes: what a process did, and the records behind the claims.

use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::{Incident, Link, Process, Report};

use crate::report::marks::{self, Marks};

/// Links shown for one process; `report.json` has all of them.
const LINKS_SHOWN_MAX: usize = 40;

/// A process with all that the incident says about it.
pub(super) struct ProcessPane<'a> {
    /// Its place in the incident.
    pub place: usize,
    pub process: &'a Process,
    pub marks: Marks<'a>,
    pub links: Vec<&'a Link>,
}

/// A pane for each process that is drawn, in the order of the incident.
pub(super) fn processes<'a>(
    report: &'a Report,
    incident: &'a Incident,
    drawn: &BTreeSet<usize>,
) -> Vec<ProcessPane<'a>> {
    let mut marks = marks::by_process(report, incident);
    let mut links: BTreeMap<&str, Vec<&Link>> = BTreeMap::new();
    for link in &incident.links {
        let other = (link.to != link.from).then_some(&link.to);
        for node in std::iter::once(&link.from).chain(other) {
            let list = links.entry(node).or_default();
            if list.len() < LINKS_SHOWN_MAX {
                list.push(link);
            }
        }
    }
    incident
        .processes
        .iter()
        .enumerate()
        .filter(|(place, _)| drawn.contains(place))
        .map(|(place, process)| ProcessPane {
            place,
            process,
            marks: marks.remove(process.node.as_str()).unwrap_or_default(),
            links: links.remove(process.node.as_str()).unwrap_or_default(),
        })
        .collect()
}

/// A record's JSON with a line for each member of an object; a list of plain values stays on
/// one line. Works on the text, so that the fields keep their order, and never fails: what is
/// not JSON comes out much as it was.
pub(super) fn indented(json: &str) -> String {
    let mut lines = Lines::default();
    let (mut in_text, mut escaped) = (false, false);
    let mut characters = json.chars().peekable();
    while let Some(c) = characters.next() {
        if in_text {
            lines.out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '{' | '[' => {
                while characters.next_if(|next| next.is_whitespace()).is_some() {}
                let next = characters.peek();
                let spread = match c {
                    '{' => next != Some(&'}'),
                    _ => matches!(next, Some('{' | '[')),
                };
                lines.open(c, spread);
            }
            '}' | ']' => lines.close(c),
            ',' => lines.comma(),
            ':' => lines.out.push_str(": "),
            c if c.is_whitespace() => {}
            c => {
                in_text = c == '"';
                lines.out.push(c);
            }
        }
    }
    lines.out
}

/// JSON being laid out.
#[derive(Default)]
struct Lines {
    out: String,
    /// For each open bracket, whether its members have lines of their own.
    spread: Vec<bool>,
}

impl Lines {
    /// Deeper members are not indented further.
    const DEPTH_MAX: usize = 20;

    fn open(&mut self, bracket: char, spread: bool) {
        self.out.push(bracket);
        self.spread.push(spread);
        if spread {
            self.new_line();
        }
    }

    fn close(&mut self, bracket: char) {
        if self.spread.pop() == Some(true) {
            self.new_line();
        }
        self.out.push(bracket);
    }

    fn comma(&mut self) {
        self.out.push(',');
        match self.spread.last() {
            Some(true) => self.new_line(),
            Some(false) | None => self.out.push(' '),
        }
    }

    fn new_line(&mut self) {
        let depth = self.spread.len().min(Self::DEPTH_MAX);
        self.out.push('\n');
        self.out.extend(std::iter::repeat_n("  ", depth));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_record_gets_a_line_for_each_field() {
        assert_eq!(
            indented(r#"{"a":1,"b":["x, {y}", "\"\\"],"c":{},"d":{"e":null},"f":[{"g":[]}]}"#),
            "{\n  \"a\": 1,\n  \"b\": [\"x, {y}\", \"\\\"\\\\\"],\n  \"c\": {},\n  \"d\": {\n    \"e\": null\n  },\n  \
             \"f\": [\n    {\n      \"g\": []\n    }\n  ]\n}"
        );
        assert_eq!(indented("not json }"), "notjson}");
    }

    proptest! {
        #[test]
        fn laying_out_changes_nothing_but_white_space(text in r#"[\[\]{}":,\\ a-c\n]{0,60}"#) {
            let bare = |text: &str| text.split_whitespace().collect::<String>();
            prop_assert_eq!(bare(&indented(&text)), bare(&text));
        }
    }
}
