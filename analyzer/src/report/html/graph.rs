//! The picture of the attack graph: the process tree, laid out in rows.
//!
//! A row is a process: its start, its place in the tree, its name and command line, and
//! below them labels for what it did. Rows stand in order of time under their parent, so the
//! layout takes linear time and two readers see the same picture. The picture is cut into
//! sheets, so that a browser can break pages between them.

use std::collections::BTreeSet;

use saigen_schemas::report::{Incident, Process, Report, Role};

use crate::report::marks::{self, Marks};
use crate::report::names::base_name;
use crate::report::tree::{self, DEPTH_DRAWN_MAX, Row, What};
use crate::report::visible::{Visible, clip};

/// Processes drawn; beyond, the least telling ones are counted.
const PROCESSES_DRAWN_MAX: usize = 2_000;

/// Width of the picture in its own units, of which 1,000 to 1,100 fit a wide page.
const WIDTH: usize = 1_080;
/// Where the tree begins, right of the times.
const LEFT: usize = 78;
const INDENT: usize = 18;
const LINE_HEIGHT: usize = 24;
const LABELS_HEIGHT: usize = 22;
/// Units of one character, which the page fixes by `textLength`.
const NAME_CHARACTER: usize = 8;
const SMALL_CHARACTER: usize = 7;
const NAME_CHARACTERS_MAX: usize = 32;
const LABEL_CHARACTERS_MAX: usize = 40;
/// A sheet is closed when it is higher than this: about half a page of paper.
const SHEET_HEIGHT: usize = 420;

/// The picture.
pub(super) struct Graph<'a> {
    pub width: usize,
    pub sheets: Vec<Sheet<'a>>,
    /// Processes left out.
    pub hidden: usize,
    /// The processes drawn, by their place in the incident.
    pub drawn: BTreeSet<usize>,
}

/// A part of the picture that is not cut by a page's end.
pub(super) struct Sheet<'a> {
    pub height: usize,
    pub rows: Vec<GraphRow<'a>>,
}

/// One row, with all its places computed.
pub(super) struct GraphRow<'a> {
    /// The lines of the tree, as an SVG path.
    pub lines: String,
    /// The top of the row.
    pub top: usize,
    /// The base line of its text.
    pub base: usize,
    pub height: usize,
    pub kind: RowKind<'a>,
}

/// What a row shows.
pub(super) enum RowKind<'a> {
    /// A process.
    Process(Box<ProcessRow<'a>>),
    /// So many processes left out.
    Hidden {
        /// Where the words begin.
        x: usize,
        /// How many.
        count: usize,
    },
}

/// A process in the picture.
pub(super) struct ProcessRow<'a> {
    /// The anchor of its pane.
    pub anchor: String,
    /// Its start, a time of day.
    pub time: String,
    pub process: &'a Process,
    pub role: &'static str,
    /// The middle of its glyph.
    pub x: usize,
    pub name: Text,
    /// Its process id and command line.
    pub command: Text,
    pub labels: Vec<Label>,
}

/// A text with its place and width.
pub(super) struct Text {
    pub x: usize,
    pub width: usize,
    pub text: String,
}

/// A label for something that a process did.
pub(super) struct Label {
    pub class: &'static str,
    pub x: usize,
    pub y: usize,
    pub width: usize,
    pub text: Text,
}

impl<'a> Graph<'a> {
    pub(super) fn new(report: &'a Report, incident: &'a Incident, number: usize) -> Self {
        let marks = marks::by_process(report, incident);
        let telling = |at: usize| {
            let process = &incident.processes[at];
            process.role != Role::Carrier || marks.contains_key(process.node.as_str())
        };
        let nothing = Marks::default();
        let mut sheets = vec![Sheet {
            height: 0,
            rows: Vec::new(),
        }];
        let mut hidden = 0;
        let mut all_drawn = BTreeSet::new();
        for row in tree::rows(&incident.processes, telling, PROCESSES_DRAWN_MAX) {
            if sheets
                .last()
                .is_some_and(|sheet| sheet.height > SHEET_HEIGHT)
            {
                sheets.push(Sheet {
                    height: 0,
                    rows: Vec::new(),
                });
            }
            let sheet = sheets.last_mut().expect("there is always a sheet");
            let drawn = match row.what {
                What::Process(index) => {
                    all_drawn.insert(index);
                    let process = &incident.processes[index];
                    let marks = marks.get(process.node.as_str()).unwrap_or(&nothing);
                    let anchor = format!("p{number}-{index}");
                    process_row(&row, process, marks, anchor, sheet.height)
                }
                What::Hidden(count) => {
                    hidden += count;
                    hidden_row(&row, count, sheet.height)
                }
            };
            sheet.height += drawn.height;
            sheet.rows.push(drawn);
        }
        sheets.retain(|sheet| !sheet.rows.is_empty());
        Self {
            width: WIDTH,
            sheets,
            hidden,
            drawn: all_drawn,
        }
    }
}

/// The middle of the glyph of a row.
fn glyph_x(row: &Row) -> usize {
    LEFT + 8 + row.depth.min(DEPTH_DRAWN_MAX) * INDENT
}

fn hidden_row<'a>(row: &Row, count: usize, top: usize) -> GraphRow<'a> {
    GraphRow {
        lines: lines(row, top, LINE_HEIGHT),
        top,
        base: top + 16,
        height: LINE_HEIGHT,
        kind: RowKind::Hidden {
            x: glyph_x(row),
            count,
        },
    }
}

fn process_row<'a>(
    row: &Row,
    process: &'a Process,
    marks: &Marks<'a>,
    anchor: String,
    top: usize,
) -> GraphRow<'a> {
    let x = glyph_x(row);
    let name = clip_middle(base_name(process), NAME_CHARACTERS_MAX);
    let name = text(x + 12, &name, usize::MAX, NAME_CHARACTER);
    let command = process
        .command_line
        .as_deref()
        .unwrap_or("(arguments not recorded)");
    let level = if row.depth > DEPTH_DRAWN_MAX {
        format!("level {}  ", row.depth)
    } else {
        String::new()
    };
    let command = format!("{level}{}  {command}", process.pid);
    let command_x = name.x + name.width + 10;
    let room = WIDTH.saturating_sub(command_x) / SMALL_CHARACTER;
    let command = text(command_x, &command, room, SMALL_CHARACTER);
    let labels = labels(marks, x + 12, top + LINE_HEIGHT);
    let height = LINE_HEIGHT + if labels.is_empty() { 0 } else { LABELS_HEIGHT };
    GraphRow {
        lines: lines(row, top, height),
        top,
        base: top + 16,
        height,
        kind: RowKind::Process(Box::new(ProcessRow {
            anchor,
            time: process
                .start
                .map_or(String::new(), |t| t.to_string()[11..19].to_owned()),
            process,
            role: process.role.word(),
            x,
            name,
            command,
            labels,
        })),
    }
}

/// A text cut to `most` characters, with the width that they take.
fn text(x: usize, text: &str, most: usize, character: usize) -> Text {
    // The sign of a cut takes some 20 characters beside the ones that are kept.
    let kept = if text.len() > most {
        most.saturating_sub(22)
    } else {
        most
    };
    let text = Visible(&clip(text, kept)).to_string();
    // What was made visible has grown: an escape is eight characters.
    let text = if text.chars().count() > most {
        text.chars()
            .take(most.saturating_sub(1))
            .chain(['…'])
            .collect()
    } else {
        text
    };
    Text {
        x,
        width: text.chars().count() * character,
        text,
    }
}

/// The rails of the levels above, the elbow to this row, and the stem to its children.
fn lines(row: &Row, top: usize, height: usize) -> String {
    use std::fmt::Write;
    let mut path = String::new();
    let bottom = top + height;
    let middle = top + 12;
    let rail = |level: usize| LEFT + 8 + (level - 1) * INDENT;
    let drawn = row.depth.min(DEPTH_DRAWN_MAX);
    let mut push = |line: std::fmt::Arguments<'_>| {
        path.write_fmt(line)
            .expect("writing to a String cannot fail");
    };
    for level in (1..drawn).filter(|level| row.rails & (1 << level) != 0) {
        push(format_args!("M{} {top}V{bottom}", rail(level)));
    }
    if drawn > 0 {
        let x = rail(drawn);
        let end = if row.followed { bottom } else { middle };
        push(format_args!(
            "M{x} {top}V{end}M{x} {middle}H{}",
            x + INDENT - 6
        ));
    }
    if row.has_children && row.depth < DEPTH_DRAWN_MAX {
        push(format_args!("M{} {}V{bottom}", glyph_x(row), middle + 6));
    }
    path
}

/// One label for each sort of thing that a process did: the first one, and how many more.
fn labels(marks: &Marks<'_>, left: usize, top: usize) -> Vec<Label> {
    let mut texts: Vec<(&'static str, String, usize)> = Vec::new();
    if let Some(detection) = marks.detections.first() {
        texts.push(("rule", detection.title.clone(), marks.detections.len()));
    }
    if let Some(flow) = marks.network.first() {
        let end = flow
            .remote
            .as_deref()
            .or(flow.local.as_deref())
            .unwrap_or("?");
        texts.push((
            "net",
            format!("{} {end}", flow.direction.word()),
            marks.network.len(),
        ));
    }
    for (class, acts) in [("file", &marks.files), ("reg", &marks.registry)] {
        if let Some((object, act)) = acts.first() {
            texts.push((class, format!("{} {}", act.verb, object.path), acts.len()));
        }
    }
    if let Some(item) = marks.persistence.first() {
        let text = format!("{} {}", item.mechanism, item.place);
        texts.push(("persist", text, marks.persistence.len()));
    }
    let mut x = left;
    texts
        .into_iter()
        .map_while(|(class, what, count)| {
            let more = if count > 1 {
                format!("  +{}", count - 1)
            } else {
                String::new()
            };
            let what = clip_middle(&what, LABEL_CHARACTERS_MAX);
            let text = text(x + 8, &format!("{class}: {what}{more}"), usize::MAX, 6);
            let width = text.width + 16;
            let label = Label {
                class,
                x,
                y: top,
                width,
                text,
            };
            x += width + 6;
            (x < WIDTH).then_some(label)
        })
        .collect()
}

/// A name or a path is told by its beginning and its end.
fn clip_middle(text: &str, most: usize) -> String {
    let count = text.chars().count();
    if count <= most {
        return text.to_owned();
    }
    let half = most / 2;
    let head: String = text.chars().take(half).collect();
    let tail: String = text.chars().skip(count - half).collect();
    format!("{head}…{tail}")
}
