//! A search by hand as text, DOT or SVG: rows in the order of the search, each hanging below the one that led to it.

use std::io::{self, Write};

use super::visible::{Visible, clip};

/// The most characters of a label in a picture.
const LABEL_CHARACTERS_MAX: usize = 110;
/// Height of a row of a picture, pixels.
const ROW: usize = 22;
/// Width of one step to the right, pixels.
const INDENT: usize = 18;

/// A row of a search.
#[derive(Clone, Debug)]
pub struct TrailRow {
    /// The row that led here, by its place; `None` for the start.
    pub above: Option<usize>,
    /// What led here (`started`, `wrote`), empty for the start.
    pub verb: String,
    /// What kind of thing.
    pub kind: &'static str,
    /// When, as it is shown.
    pub time: String,
    /// Where.
    pub host: String,
    /// What.
    pub label: String,
    /// Records, as they are cited.
    pub evidence: String,
    /// Why the search went no further, empty where it did.
    pub end: &'static str,
}

impl TrailRow {
    fn line(&self) -> String {
        let verb = if self.verb.is_empty() {
            String::new()
        } else {
            format!("{}: ", self.verb)
        };
        let host = if self.host.is_empty() {
            String::new()
        } else {
            format!(" on {}", self.host)
        };
        let end = if self.end.is_empty() {
            String::new()
        } else {
            format!(" [stops: {}]", self.end)
        };
        format!(
            "{} {verb}{} {}{host}{end}",
            self.time, self.kind, self.label
        )
    }
}

/// Places of rows as a tree: each behind the row that led to it, in the order of the search.
fn ordered(rows: &[TrailRow]) -> Vec<(usize, usize)> {
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); rows.len()];
    let mut open: Vec<(usize, usize)> = Vec::new();
    for (at, row) in rows.iter().enumerate() {
        match row.above.filter(|&above| above < at) {
            Some(above) => {
                if let Some(list) = children.get_mut(above) {
                    list.push(at);
                }
            }
            None => open.push((at, 0)),
        }
    }
    open.reverse();
    let mut order = Vec::with_capacity(rows.len());
    while let Some((at, depth)) = open.pop() {
        order.push((at, depth));
        let below = children.get(at).into_iter().flatten().rev();
        open.extend(below.map(|&child| (child, depth + 1)));
    }
    order
}

/// Writes rows as an indented text.
///
/// # Errors
/// Those of `out`.
pub fn write_trail_text(rows: &[TrailRow], out: &mut impl Write) -> io::Result<()> {
    for (at, depth) in ordered(rows) {
        if let Some(row) = rows.get(at) {
            writeln!(
                out,
                "{}{} ({})",
                "  ".repeat(depth),
                Visible(&row.line()),
                row.evidence
            )?;
        }
    }
    Ok(())
}

/// Writes rows as a graph in the DOT language.
///
/// # Errors
/// Those of `out`.
pub fn write_trail_dot(rows: &[TrailRow], out: &mut impl Write) -> io::Result<()> {
    let quoted = |text: &str| {
        let shown = Visible(&clip(text, LABEL_CHARACTERS_MAX)).to_string();
        shown.replace('\\', "\\\\").replace('"', "\\\"")
    };
    writeln!(out, "digraph trace {{\n  rankdir=LR;\n  node [shape=box];")?;
    for (at, row) in rows.iter().enumerate() {
        let label = quoted(&format!("{} {}", row.kind, row.label));
        writeln!(out, "  n{at} [label=\"{label}\"];")?;
        if let Some(above) = row.above {
            writeln!(
                out,
                "  n{above} -> n{at} [label=\"{}\"];",
                quoted(&row.verb)
            )?;
        }
    }
    writeln!(out, "}}")
}

/// Writes rows as an indented picture.
///
/// # Errors
/// Those of `out`.
pub fn write_trail_svg(rows: &[TrailRow], out: &mut impl Write) -> io::Result<()> {
    let order = ordered(rows);
    let deepest = order.iter().map(|(_, depth)| *depth).max().unwrap_or(0);
    let (width, height) = (deepest * INDENT + 1_400, order.len() * ROW + ROW);
    writeln!(
        out,
        r##"<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" font-family="monospace" font-size="12">"##
    )?;
    let mut places: Vec<(usize, usize)> = vec![(0, 0); rows.len()];
    for (line, (at, depth)) in order.iter().enumerate() {
        let (x, y) = (8 + depth * INDENT, ROW + line * ROW);
        if let Some(place) = places.get_mut(*at) {
            *place = (x, y);
        }
        let Some(row) = rows.get(*at) else { continue };
        let above = row.above.and_then(|above| places.get(above)).copied();
        if let Some((from_x, from_y)) = above {
            writeln!(
                out,
                r##"<path d="M{} {}V{}H{}" fill="none" stroke="#888"/>"##,
                from_x + 4,
                from_y + 4,
                y - 4,
                x - 2
            )?;
        }
        let text = Visible(&clip(&row.line(), LABEL_CHARACTERS_MAX + 60)).to_string();
        let text = text
            .replace('&', "&amp;")
            .replace('<', "&lt;")
            .replace('>', "&gt;");
        writeln!(out, r##"<text x="{x}" y="{y}">{text}</text>"##)?;
    }
    writeln!(out, "</svg>")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(above: Option<usize>, label: &str) -> TrailRow {
        TrailRow {
            above,
            verb: "started".to_owned(),
            kind: "process",
            time: "T".to_owned(),
            host: String::new(),
            label: label.to_owned(),
            evidence: "e1:1:1".to_owned(),
            end: "",
        }
    }

    #[test]
    fn rows_hang_below_what_led_to_them() {
        let rows = [
            row(None, "a"),
            row(Some(0), "b"),
            row(Some(0), "c"),
            row(Some(1), "d"),
        ];
        assert_eq!(ordered(&rows), [(0, 0), (1, 1), (3, 2), (2, 1)]);
        let mut text = Vec::new();
        write_trail_text(&rows, &mut text).unwrap();
        assert!(
            String::from_utf8(text)
                .unwrap()
                .contains("    T started: process d")
        );
    }

    #[test]
    fn what_evidence_says_is_no_markup() {
        let rows = [row(None, "<b>\"x\"\\")];
        let (mut svg, mut dot) = (Vec::new(), Vec::new());
        write_trail_svg(&rows, &mut svg).unwrap();
        write_trail_dot(&rows, &mut dot).unwrap();
        assert!(String::from_utf8(svg).unwrap().contains("&lt;b&gt;"));
        assert!(String::from_utf8(dot).unwrap().contains("\\\"x\\\"\\\\"));
    }
}
