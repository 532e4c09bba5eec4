//! `timeline.csv`: what happened, in Timesketch's columns.
//!
//! `message`, `datetime` and `timestamp_desc` are the three that Timesketch asks for; the
//! rest become attributes of the event there. Opened in a spreadsheet, no cell is a formula.

use std::io::{self, Write};

use saigen_schemas::report::{EvidenceRef, Incident, Moment, Report};

use super::names::Names;
use super::visible::{Visible, clip};

const COLUMNS: [&str; 14] = [
    "message",
    "datetime",
    "timestamp_desc",
    "timestamp",
    "host",
    "incident",
    "severity",
    "grade",
    "tactics",
    "techniques",
    "rules",
    "actor",
    "object",
    "evidence",
];

/// The most characters of one cell. Excel cuts a cell at 32,767; a timeline is read by eye.
const CELL_CHARACTERS_MAX: usize = 4_000;

/// Writes every dated claim of the report as a row, in order of time, host and evidence.
///
/// # Errors
///
/// Those of `out`.
pub fn write_timeline(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut rows: Vec<TimelineRow<'_>> = Vec::new();
    let names: Vec<Names<'_>> = report.incidents.iter().map(Names::new).collect();
    for (incident, names) in report.incidents.iter().zip(&names) {
        push_incident(incident, names, &mut rows);
    }
    let names_of = |id: &Option<String>| {
        let at = report
            .incidents
            .iter()
            .position(|incident| id.as_ref() == Some(&incident.id));
        at.map(|at| &names[at])
    };
    for detection in &report.detections {
        rows.push(TimelineRow {
            message: detection.title.clone(),
            time: detection.time,
            description: "Detection",
            host: &detection.host,
            incident: detection.incident.as_deref().unwrap_or_default(),
            severity: detection.level.word(),
            tactics: detection.tactics.join(" "),
            techniques: detection.techniques.join(" "),
            rules: detection.rule.clone(),
            actor: names_of(&detection.incident)
                .map_or("", |names| names.of_some(detection.process.as_deref())),
            evidence: &detection.evidence,
            ..TimelineRow::at(detection.time)
        });
    }
    rows.sort_by(|a, b| a.key().cmp(&b.key()));
    writeln!(out, "{}", COLUMNS.join(","))?;
    rows.iter().try_for_each(|row| row.write(out))
}

struct TimelineRow<'a> {
    message: String,
    time: Moment,
    description: &'static str,
    host: &'a str,
    incident: &'a str,
    severity: &'static str,
    grade: &'static str,
    tactics: String,
    techniques: String,
    rules: String,
    actor: &'a str,
    object: &'a str,
    evidence: &'a [EvidenceRef],
}

impl<'a> TimelineRow<'a> {
    fn at(time: Moment) -> Self {
        Self {
            message: String::new(),
            time,
            description: "",
            host: "",
            incident: "",
            severity: "",
            grade: "",
            tactics: String::new(),
            techniques: String::new(),
            rules: String::new(),
            actor: "",
            object: "",
            evidence: &[],
        }
    }

    /// A total order: two rows with the same key are the same row.
    fn key(&self) -> impl Ord {
        (
            (self.time, self.host, self.evidence),
            (
                self.incident,
                self.description,
                self.message.as_str(),
                self.rules.as_str(),
            ),
            (self.actor, self.object, self.severity, self.grade),
            (self.tactics.as_str(), self.techniques.as_str()),
        )
    }

    fn write(&self, out: &mut impl Write) -> io::Result<()> {
        let evidence: Vec<String> = self.evidence.iter().map(EvidenceRef::to_string).collect();
        let datetime = self.time.to_string();
        let timestamp = self.time.us().to_string();
        let evidence = evidence.join(" ");
        let cells: [&str; COLUMNS.len()] = [
            &self.message,
            &datetime,
            self.description,
            &timestamp,
            self.host,
            self.incident,
            self.severity,
            self.grade,
            &self.tactics,
            &self.techniques,
            &self.rules,
            self.actor,
            self.object,
            &evidence,
        ];
        for (at, text) in cells.iter().enumerate() {
            if at > 0 {
                out.write_all(b",")?;
            }
            out.write_all(cell(text).as_bytes())?;
        }
        out.write_all(b"\n")
    }
}

fn push_incident<'a>(
    incident: &'a Incident,
    names: &'a Names<'a>,
    rows: &mut Vec<TimelineRow<'a>>,
) {
    let base = |time| TimelineRow {
        incident: &incident.id,
        severity: incident.severity.word(),
        ..TimelineRow::at(time)
    };
    for step in &incident.steps {
        rows.push(TimelineRow {
            message: step.text.clone(),
            description: "Incident Step",
            host: &step.host,
            grade: step.grade.word(),
            tactics: step.tactics.join(" "),
            techniques: step.techniques.join(" "),
            rules: step.rules.join(" "),
            actor: names.of(&step.actor),
            object: names.of_some(step.object.as_deref()),
            evidence: &step.evidence,
            ..base(step.time)
        });
    }
    for process in &incident.processes {
        let what = process.command_line.as_deref().or(process.image.as_deref());
        let what = what.unwrap_or("(image not recorded)");
        let marks = [
            (process.start, "Process Started"),
            (process.end, "Process Ended"),
        ];
        for (time, description) in marks {
            let Some(time) = time else { continue };
            rows.push(TimelineRow {
                message: format!("{} [{}]: {what}", description, process.pid),
                description,
                host: &process.host,
                actor: names.of(&process.node),
                evidence: &process.evidence,
                ..base(time)
            });
        }
    }
    for object in incident.files.iter().chain(&incident.registry) {
        for act in &object.acts {
            rows.push(TimelineRow {
                message: format!("{}: {}", act.verb, object.path),
                description: "Object Changed or Read",
                host: &object.host,
                actor: names.of_some(act.process.as_deref()),
                object: names.of(&object.node),
                evidence: &act.evidence,
                ..base(act.time)
            });
        }
    }
    for flow in &incident.network {
        let remote = flow
            .remote
            .as_deref()
            .or(flow.local.as_deref())
            .unwrap_or("?");
        rows.push(TimelineRow {
            message: format!("{} {}: {remote}", flow.protocol, flow.direction.word()),
            description: "Connection",
            host: &flow.host,
            actor: names.of_some(flow.process.as_deref()),
            object: names.of(&flow.node),
            evidence: &flow.evidence,
            ..base(flow.first)
        });
    }
    for item in &incident.persistence {
        rows.push(TimelineRow {
            message: format!("{}: {}", item.mechanism, item.place),
            description: "Persistence Set",
            host: &item.host,
            grade: item.grade.word(),
            techniques: item.techniques.join(" "),
            actor: names.of_some(item.process.as_deref()),
            object: names.of_some(item.node.as_deref()),
            evidence: &item.evidence,
            ..base(item.time)
        });
    }
}

/// One cell: always quoted, never a formula, one line.
///
/// A spreadsheet takes a cell for a formula when it begins with `=`, `+`, `-` or `@`, also
/// in their full-width forms; an apostrophe before it makes it text. Where the list
/// separator is a semicolon the program cuts at those instead of at our commas, so the same
/// holds for what follows a semicolon.
pub fn cell(text: &str) -> String {
    let shown = Visible(&clip(text, CELL_CHARACTERS_MAX)).to_string();
    let mut cell = String::with_capacity(shown.len() + 2);
    cell.push('"');
    let mut opening = true;
    for c in shown.chars() {
        if opening && matches!(c, '=' | '+' | '-' | '@' | '＝' | '＋' | '－' | '＠') {
            cell.push('\'');
        }
        opening = c == ';' || (opening && matches!(c, ' ' | '"'));
        if c == '"' {
            cell.push('"');
        }
        cell.push(c);
    }
    cell.push('"');
    cell
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_cell_is_a_formula() {
        for (text, expected) in [
            ("=cmd|' /C calc'!A0", "\"'=cmd|' /C calc'!A0\""),
            ("+1", "\"'+1\""),
            ("-1", "\"'-1\""),
            ("@SUM(A1)", "\"'@SUM(A1)\""),
            ("  =1", "\"  '=1\""),
            ("\t=1", "\"⟨U+0009⟩=1\""),
            ("\r=1", "\"⟨U+000D⟩=1\""),
            ("\"=1", "\"\"\"'=1\""),
            ("＝1", "\"'＝1\""),
            ("a;=1", "\"a;'=1\""),
            ("a; \"=1", "\"a; \"\"'=1\""),
            ("ls -la; id", "\"ls -la; id\""),
            ("two\nlines", "\"two⟨U+000A⟩lines\""),
        ] {
            assert_eq!(cell(text), expected);
        }
    }
}
