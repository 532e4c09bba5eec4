//! The side panes: what a process did, and the records behind the claims.

use saigen_schemas::report::{Incident, Link, Process, Report};

use crate::report::marks::{self, Marks};

/// Links shown for one process; `report.json` has all of them.
const LINKS_SHOWN_MAX: usize = 40;

/// A process with all that the incident says about it.
pub(super) struct ProcessPane<'a> {
    pub process: &'a Process,
    pub marks: Marks<'a>,
    pub links: Vec<&'a Link>,
}

/// A pane for each process of an incident, in its order.
pub(super) fn processes<'a>(report: &'a Report, incident: &'a Incident) -> Vec<ProcessPane<'a>> {
    let mut marks = marks::by_process(report, incident);
    let mut links: std::collections::BTreeMap<&str, Vec<&Link>> = std::collections::BTreeMap::new();
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
        .map(|process| ProcessPane {
            process,
            marks: marks.remove(process.node.as_str()).unwrap_or_default(),
            links: links.remove(process.node.as_str()).unwrap_or_default(),
        })
        .collect()
}

/// A record's JSON with a line for each field. Works on the text, so that the fields keep
/// their order, and never fails: what is not JSON comes out as it was.
pub(super) fn indented(json: &str) -> String {
    let mut out = String::with_capacity(json.len() + json.len() / 8);
    let (mut depth, mut in_text, mut escaped) = (0usize, false, false);
    let mut previous = ' ';
    for c in json.chars() {
        if in_text {
            out.push(c);
            in_text = escaped || c != '"';
            escaped = !escaped && c == '\\';
            continue;
        }
        match c {
            '"' => {
                break_after(&mut out, previous, depth);
                in_text = true;
                out.push(c);
            }
            '{' | '[' => {
                break_after(&mut out, previous, depth);
                out.push(c);
                depth += 1;
            }
            '}' | ']' => {
                depth = depth.saturating_sub(1);
                if !matches!(previous, '{' | '[') {
                    new_line(&mut out, depth);
                }
                out.push(c);
            }
            ':' => out.push_str(": "),
            c if c.is_whitespace() => continue,
            c => {
                break_after(&mut out, previous, depth);
                out.push(c);
            }
        }
        previous = c;
    }
    out
}

/// Begins a line where a value or a name follows a bracket or a comma.
fn break_after(out: &mut String, previous: char, depth: usize) {
    if matches!(previous, '{' | '[' | ',') {
        new_line(out, depth);
    }
}

fn new_line(out: &mut String, depth: usize) {
    /// Deeper records are not indented further.
    const DEPTH_MAX: usize = 20;
    out.push('\n');
    out.extend(std::iter::repeat_n("  ", depth.min(DEPTH_MAX)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_gets_a_line_for_each_field() {
        assert_eq!(
            indented(r#"{"a":1,"b":["x, {y}","\"\\"],"c":{},"d":{"e":null}}"#),
            "{\n  \"a\": 1,\n  \"b\": [\n    \"x, {y}\",\n    \"\\\"\\\\\"\n  ],\n  \"c\": {},\n  \"d\": {\n    \"e\": null\n  }\n}"
        );
        assert_eq!(indented("not json }"), "notjson\n}");
    }
}
