//! The sheet that the text report is written on: headings, fields, wrapped paragraphs.
//!
//! Everything that goes onto it passes through [`Visible`] here, so that no other place
//! needs to think of it.

use std::io::{self, Write};

use saigen_schemas::report::{EvidenceRef, Grade, Moment, Sentence};

use crate::report::visible::{Visible, clip};

/// Columns of the sheet: fits a terminal and a quoted e-mail.
const WIDTH: usize = 80;
/// The most characters of one claim; the record has all of them.
const CLAIM_CHARACTERS_MAX: usize = 1_200;
/// References printed behind one claim; `report.json` has all of them.
const REFERENCES_SHOWN_MAX: usize = 6;
/// The column at which the value of a field begins.
const FIELD_COLUMN: usize = 12;

pub(super) struct Paper<'a, W: Write> {
    out: &'a mut W,
    /// What each line begins with: the edge of a box, or nothing.
    edge: &'static str,
}

impl<'a, W: Write> Paper<'a, W> {
    pub(super) fn new(out: &'a mut W) -> Self {
        Self { out, edge: "" }
    }

    pub(super) fn title(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "{text}\n{}", "=".repeat(text.len()))
    }

    pub(super) fn heading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n")?;
        self.wrapped("", &shown(text), 4)?;
        writeln!(self.out, "{}", "-".repeat(text.chars().count().min(WIDTH)))
    }

    pub(super) fn subheading(&mut self, text: &str) -> io::Result<()> {
        writeln!(self.out, "\n{}", shown(text))
    }

    pub(super) fn box_top(&mut self, text: &str) -> io::Result<()> {
        let text = shown(text);
        let room = WIDTH.saturating_sub(text.chars().count() + 5);
        writeln!(self.out, "\n+- {text} {}", "-".repeat(room))?;
        self.edge = "| ";
        Ok(())
    }

    pub(super) fn box_end(&mut self) -> io::Result<()> {
        self.edge = "";
        writeln!(self.out, "+{}", "-".repeat(WIDTH - 1))
    }

    /// A name and its value, wrapped below itself.
    pub(super) fn field(&mut self, name: &str, value: &str) -> io::Result<()> {
        let name = shown(name);
        let pad = FIELD_COLUMN.saturating_sub(name.chars().count()).max(1);
        self.wrapped(
            &format!("{name}{}", " ".repeat(pad)),
            &shown(value),
            FIELD_COLUMN,
        )
    }

    pub(super) fn paragraph(&mut self, text: &str) -> io::Result<()> {
        self.wrapped("", &shown(text), 0)
    }

    pub(super) fn item(&mut self, text: &str) -> io::Result<()> {
        self.wrapped("- ", &shown(text), 2)
    }

    /// An item with its evidence in brackets.
    pub(super) fn cited(&mut self, text: &str, evidence: &[EvidenceRef]) -> io::Result<()> {
        let text = format!("{}{}", shown(text), references(evidence));
        self.wrapped("- ", &text, 2)
    }

    /// An item below an item, with its evidence in brackets.
    pub(super) fn nested(&mut self, text: &str, evidence: &[EvidenceRef]) -> io::Result<()> {
        let text = format!("{}{}", shown(text), references(evidence));
        self.wrapped("    ", &text, 6)
    }

    /// A sentence with its grade, unless that is proven, and its evidence.
    pub(super) fn sentence(&mut self, sentence: &Sentence) -> io::Result<()> {
        match sentence.grade {
            Grade::Proven => self.cited(&sentence.text, &sentence.evidence),
            grade @ (Grade::Inferred | Grade::Gap) => self.cited(
                &format!("{} ({})", sentence.text, grade.word()),
                &sentence.evidence,
            ),
        }
    }

    /// One line that is not wrapped: its parts carry their own layout.
    pub(super) fn line(&mut self, text: &str) -> io::Result<()> {
        writeln!(
            self.out,
            "{}",
            format!("{}{}", self.edge, Visible(text)).trim_end()
        )
    }

    /// Writes words into lines of the sheet's width. A word that is longer than a line gets
    /// lines of its own, cut where they end.
    fn wrapped(&mut self, lead: &str, text: &str, indent: usize) -> io::Result<()> {
        let room = WIDTH - self.edge.len();
        let mut line = lead.to_owned();
        let mut used = lead.chars().count();
        let mut fresh = true;
        for word in text.split(' ') {
            let length = word.chars().count();
            if !fresh && used + 1 + length > room {
                self.end_line(&mut line, &mut used, indent)?;
                fresh = true;
            }
            if !fresh {
                line.push(' ');
                used += 1;
            }
            for c in word.chars() {
                if used >= room {
                    self.end_line(&mut line, &mut used, indent)?;
                }
                line.push(c);
                used += 1;
            }
            fresh = false;
        }
        writeln!(self.out, "{}{}", self.edge, line.trim_end())
    }

    fn end_line(&mut self, line: &mut String, used: &mut usize, indent: usize) -> io::Result<()> {
        writeln!(self.out, "{}{}", self.edge, line.trim_end())?;
        *line = " ".repeat(indent);
        *used = indent;
        Ok(())
    }
}

fn shown(text: &str) -> String {
    Visible(&clip(text, CLAIM_CHARACTERS_MAX)).to_string()
}

/// References in brackets, with the space before them; empty when there are none.
fn references(evidence: &[EvidenceRef]) -> String {
    if evidence.is_empty() {
        return String::new();
    }
    let some: Vec<String> = evidence
        .iter()
        .take(REFERENCES_SHOWN_MAX)
        .map(|reference| Visible(&reference.to_string()).to_string())
        .collect();
    let more = match evidence.len().saturating_sub(REFERENCES_SHOWN_MAX) {
        0 => String::new(),
        more => format!(", +{more}"),
    };
    format!(" [{}{more}]", some.join(", "))
}

/// A moment to the millisecond, which is what an eye can use.
pub(super) fn moment(time: Moment) -> String {
    let text = time.to_string();
    format!("{}Z", &text[..23])
}

/// From when to when, as far as it is known.
pub(super) fn span(from: Option<Moment>, to: Option<Moment>) -> String {
    let side = |time: Option<Moment>| time.map_or("?".to_owned(), moment);
    match (from, to) {
        (None, None) => "unknown".to_owned(),
        (Some(from), None) => format!("from {} on", moment(from)),
        (None, Some(to)) => format!("until {}", moment(to)),
        _ if from == to => side(from),
        _ => format!("{} to {}", side(from), side(to)),
    }
}
