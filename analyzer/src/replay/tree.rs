//! The tree of processes: who created whom, as lines for a reader or objects for a machine.

use std::io::{self, Write};

use saigen_schemas::event::{Args, Text, format_utc};

use crate::replay::show::{Dress, JsonLine};
use crate::replay::{MachineId, Processes, Program, Recorded, UnitId};

/// What of the tree is shown.
#[derive(Clone, Copy, Debug)]
pub struct TreeOptions {
    /// Only processes of this pid and what descends from them.
    pub pid: Option<u32>,
    /// Only processes that lived at this moment (wall clock, microseconds), and those that lead
    /// to them.
    pub at_us: Option<i64>,
    /// Most children of one process that are shown; the others are counted.
    pub children_max: usize,
}

impl Default for TreeOptions {
    fn default() -> Self {
        Self {
            pid: None,
            at_us: None,
            children_max: 1000,
        }
    }
}

/// Deeper than this a line is not indented further; its depth is written instead.
const INDENT_MAX: usize = 24;

/// A tree of processes, ready to be written. Order and text depend on the evidence alone.
///
/// A line is a unit: a process between two execs. A further unit stands below the one before it,
/// at the same depth, with what it started.
pub struct Tree<'r> {
    processes: &'r Processes,
    options: TreeOptions,
    /// Units by the unit that they hang on, then by start; those that hang on none first.
    hung: Vec<Hung>,
    /// Whether each unit is shown; all are where nothing was asked.
    shown: Option<Vec<bool>>,
}

/// A unit, and the row (plus one) of the unit that it hangs on; 0 for none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Hung {
    on: usize,
    start_us: i64,
    unit: UnitId,
}

/// What is still to be written.
enum Due {
    Unit { unit: UnitId, depth: usize },
    More { count: usize, depth: usize },
}

impl<'r> Tree<'r> {
    /// The tree of everything that is known of processes.
    #[must_use]
    pub fn new(processes: &'r Processes, options: TreeOptions) -> Self {
        let hang = |unit: UnitId| {
            let on = processes.previous(unit).or_else(|| processes.parent(unit));
            Some(Hung {
                on: on.map_or(0, |on| on.index() + 1),
                start_us: processes.start_us(unit)?,
                unit,
            })
        };
        let mut hung: Vec<Hung> = processes.unit_ids().filter_map(hang).collect();
        hung.sort_unstable();
        let mut tree = Self {
            processes,
            options,
            hung,
            shown: None,
        };
        tree.shown = options.at_us.map(|at_us| tree.alive(at_us));
        tree
    }

    /// Units that ran at a moment, and all that lead to them.
    fn alive(&self, at_us: i64) -> Vec<bool> {
        let mut shown = vec![false; self.hung.len()];
        for unit in self.processes.unit_ids() {
            let mut next = self.processes.runs_at(unit, at_us).then_some(unit);
            while let Some(unit) = next {
                match shown.get_mut(unit.index()) {
                    Some(slot) if !*slot => *slot = true,
                    Some(_) | None => break,
                }
                let previous = self.processes.previous(unit);
                next = previous.or_else(|| self.processes.parent(unit));
            }
        }
        shown
    }

    fn is_shown(&self, unit: UnitId) -> bool {
        self.shown
            .as_ref()
            .is_none_or(|shown| shown.get(unit.index()).copied().unwrap_or(false))
    }

    /// What hangs on a unit; `None` for the roots.
    fn children(&self, of: Option<UnitId>) -> &[Hung] {
        let on = of.map_or(0, |of| of.index() + 1);
        let from = self.hung.partition_point(|hung| hung.on < on);
        let to = self.hung.partition_point(|hung| hung.on <= on);
        self.hung.get(from..to).unwrap_or_default()
    }

    /// The lines to begin with: roots by host, boot and start, or the processes of the pid.
    fn roots(&self) -> Vec<UnitId> {
        let mut roots: Vec<UnitId> = match self.options.pid {
            None => self.children(None).iter().map(|hung| hung.unit).collect(),
            Some(pid) => {
                let wanted = |unit: &UnitId| {
                    self.processes.previous(*unit).is_none()
                        && self.processes.pid(*unit) == Some(pid)
                };
                self.processes.unit_ids().filter(wanted).collect()
            }
        };
        roots.retain(|&root| self.is_shown(root));
        roots.sort_by_key(|&root| {
            let machine = self.processes.machine_of(root);
            let host = machine.and_then(|machine| self.processes.host_of(machine));
            let name = host.map(|host| self.processes.host_name(host));
            (name, machine, self.processes.start_us(root), root)
        });
        roots
    }

    /// Visits every line from top to bottom, without recursion: evidence may be deep.
    fn walk(&self, mut line: impl FnMut(&Self, &Due) -> io::Result<()>) -> io::Result<()> {
        let roots = self.roots().into_iter().rev();
        let mut due: Vec<Due> = roots.map(|unit| Due::Unit { unit, depth: 0 }).collect();
        while let Some(next) = due.pop() {
            line(self, &next)?;
            if let Due::Unit { unit, depth } = next {
                self.push_children(unit, depth, &mut due);
            }
        }
        Ok(())
    }

    /// What comes after a unit's line: its children, then the next unit of the same process.
    fn push_children(&self, unit: UnitId, depth: usize, due: &mut Vec<Due>) {
        let (next, children): (Vec<UnitId>, Vec<UnitId>) = self
            .children(Some(unit))
            .iter()
            .map(|hung| hung.unit)
            .filter(|&child| self.is_shown(child))
            .partition(|&child| self.processes.previous(child) == Some(unit));
        due.extend(next.into_iter().map(|unit| Due::Unit { unit, depth }));
        let depth = depth + 1;
        let more = children.len().saturating_sub(self.options.children_max);
        if more > 0 {
            due.push(Due::More { count: more, depth });
        }
        let first = children.into_iter().take(self.options.children_max).rev();
        due.extend(first.map(|unit| Due::Unit { unit, depth }));
    }

    /// Writes the tree for a reader: one line a unit, indented by who created it.
    ///
    /// # Errors
    /// Where the output cannot be written.
    pub fn write_text(&self, out: &mut impl Write, dress: &Dress<'_>) -> io::Result<()> {
        let mut machine: Option<MachineId> = None;
        self.walk(|tree, due| match due {
            Due::More { count, depth } => {
                writeln!(out, "{}… {count} more", indent(*depth))
            }
            Due::Unit { unit, depth } => {
                let own = tree.processes.machine_of(*unit);
                if own != machine {
                    machine = own;
                    tree.write_machine(out, own, dress)?;
                }
                tree.write_unit(out, *unit, *depth, dress)
            }
        })
    }

    fn write_machine(
        &self,
        out: &mut impl Write,
        machine: Option<MachineId>,
        dress: &Dress<'_>,
    ) -> io::Result<()> {
        let host = machine.and_then(|machine| self.processes.host_of(machine));
        let name = host
            .map(|host| self.processes.host_name(host))
            .unwrap_or_default();
        write!(out, "{}", (dress.text)(&name.lossy()))?;
        match machine.and_then(|machine| self.processes.boot(machine)) {
            Some(boot) => writeln!(out, ", boot {boot}"),
            None => writeln!(out),
        }
    }

    fn write_unit(
        &self,
        out: &mut impl Write,
        id: UnitId,
        depth: usize,
        dress: &Dress<'_>,
    ) -> io::Result<()> {
        let Some((unit, process)) = self.processes.row(id) else {
            return Ok(());
        };
        let sign = if unit.previous.is_some() { "⇒ " } else { "" };
        write!(out, "{}{sign}{} ", indent(depth), process.key.pid)?;
        write!(out, "{}", (dress.text)(&self.command(id)))?;
        let user = self.processes.account_of(id);
        match (user, unit.euid) {
            (Some(user), _) => write!(out, "  [{}", (dress.text)(&user.lossy()))?,
            (None, Some(uid)) => write!(out, "  [uid {uid}")?,
            (None, None) => write!(out, "  [")?,
        }
        let last = process.last_unit == id;
        write!(out, " {}", (dress.time)(unit.start_us))?;
        if last && let Some(end_us) = process.end_us {
            write!(out, " – {}", (dress.time)(end_us))?;
        }
        if last && let Some(signal) = process.exit_signal.filter(|&signal| signal != 0) {
            write!(out, ", signal {signal}")?;
        } else if last && let Some(code) = process.exit_code {
            write!(out, ", exit {code}")?;
        }
        if unit.files > 0 {
            write!(out, ", files {}", unit.files)?;
        }
        if unit.flows > 0 {
            write!(out, ", flows {}", unit.flows)?;
        }
        match process.recorded {
            Recorded::Started => writeln!(out, "]"),
            Recorded::Forked | Recorded::Snapshot | Recorded::Implied => {
                writeln!(out, ", {}]", process.recorded.as_str())
            }
        }
    }

    /// The command line as a person types it, or what there is in place of one.
    fn command(&self, id: UnitId) -> String {
        let Some((unit, _)) = self.processes.row(id) else {
            return String::new();
        };
        let text = |id| self.processes.texts.get(id);
        let image = unit.image.map(text).unwrap_or(Text(b"?")).lossy();
        let line = unit.args.map(|args| Args(text(args).0).command_line());
        let line = line.or_else(|| unit.command_line.map(|line| text(line).0.to_vec()));
        match (line, unit.program) {
            (Some(line), Program::Own | Program::Unknown) => {
                format!("{image} | {}", String::from_utf8_lossy(&line))
            }
            (None, Program::Own | Program::Unknown) => image.into_owned(),
            (Some(_) | None, Program::Copied) => format!("({image})"),
        }
    }

    /// Writes the tree for machines: one JSON object a line, parents before their children.
    ///
    /// `what` is `process`, or `more` for children that were only counted. `id` and `parent` name lines; `depth` is the indentation of the text form; a unit that was
    /// opened by an exec has `previous` instead of `parent`.
    ///
    /// # Errors
    /// Where the output cannot be written.
    pub fn write_json(&self, out: &mut impl Write) -> io::Result<()> {
        self.walk(|tree, due| match due {
            Due::More { count, depth } => {
                let mut line = JsonLine::of("more");
                line.number("depth", *depth as u64);
                line.number("count", *count as u64);
                line.write(out)
            }
            Due::Unit { unit, depth } => tree.unit_json(*unit, *depth).write(out),
        })
    }

    fn unit_json(&self, id: UnitId, depth: usize) -> JsonLine {
        let mut line = JsonLine::of("process");
        let Some((unit, process)) = self.processes.row(id) else {
            return line;
        };
        let text = |id| self.processes.texts.get(id);
        line.number("id", id.index() as u64);
        let parent = if unit.previous.is_some() {
            None
        } else {
            process.parent
        };
        line.maybe("parent", parent.map(|parent| parent.index() as u64));
        line.maybe(
            "previous",
            unit.previous.map(|previous| previous.index() as u64),
        );
        line.number("depth", depth as u64);
        let host = self.processes.host_of(process.machine);
        line.text("host", host.map(|host| self.processes.host_name(host)));
        line.number("pid", u64::from(process.key.pid));
        line.word("recorded", process.recorded.as_str());
        line.word("start", &format_utc(unit.start_us));
        let last = process.last_unit == id;
        if last && let Some(end_us) = process.end_us {
            line.word("end", &format_utc(end_us));
        }
        line.maybe(
            "exit_code",
            process.exit_code.filter(|_| last).map(u64::from),
        );
        line.maybe(
            "exit_signal",
            process.exit_signal.filter(|_| last).map(u64::from),
        );
        line.text("image", unit.image.map(text));
        line.args("args", unit.args.map(|args| Args(text(args).0)));
        line.text("command_line", unit.command_line.map(text));
        line.text("cwd", unit.cwd.map(text));
        line.text("account", self.processes.account_of(id));
        line.maybe("uid", unit.uid.map(u64::from));
        line.maybe("euid", unit.euid.map(u64::from));
        line.maybe("session", unit.session);
        line.number("files", u64::from(unit.files));
        line.number("flows", u64::from(unit.flows));
        if let Some(seen) = unit.start_ref {
            line.word("ref", &seen.to_string());
        }
        line
    }
}

/// What stands before a line of a depth.
fn indent(depth: usize) -> String {
    if depth > INDENT_MAX {
        format!("{}[depth {depth}] ", "  ".repeat(INDENT_MAX))
    } else {
        "  ".repeat(depth + 1)
    }
}
