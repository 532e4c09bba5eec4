//! The incidents of the text report.

use std::collections::BTreeMap;
use std::io::{self, Write};

use saigen_schemas::report::{Gap, Incident, ObjectItem, Process, Pruned, Report, Role};

use super::paper::{Paper, moment, span};
use crate::report::marks::{self, Marks};
use crate::report::names::Names;
use crate::report::tree::{self, DEPTH_DRAWN_MAX, Row, What};
use crate::report::visible::clip;
use crate::report::words::counted;

/// Processes drawn in the tree; beyond, the least telling ones are counted.
const TREE_PROCESSES_MAX: usize = 500;
/// Characters of a path in a list.
const PATH_CHARACTERS_MAX: usize = 240;
/// Characters of a command line in the tree.
const TREE_COMMAND_CHARACTERS_MAX: usize = 160;

pub(super) fn write_all(report: &Report, paper: &mut Paper<impl Write>) -> io::Result<()> {
    if report.incidents.is_empty() {
        paper.heading("NO INCIDENT FOUND")?;
        let below = report
            .detections
            .iter()
            .filter(|d| d.incident.is_none())
            .count();
        return paper.paragraph(&match below {
            0 => "No rule fired on this evidence. What was looked at, and what this evidence \
                  cannot show, stands below."
                .to_owned(),
            count => format!(
                "Nothing in this evidence reached the threshold of an incident. {} stayed below \
                 it, listed below, with what was looked at and what this evidence cannot show.",
                counted(count, "detection", "detections")
            ),
        });
    }
    report
        .incidents
        .iter()
        .try_for_each(|incident| write(report, incident, paper))
}

fn write(report: &Report, incident: &Incident, paper: &mut Paper<impl Write>) -> io::Result<()> {
    paper.heading(&format!("{}  {}", incident.id, incident.title))?;
    let severity = incident.severity.word().to_uppercase();
    paper.field(
        "Severity",
        &format!("{severity}, score {:.1}", incident.score),
    )?;
    for part in &incident.score_parts {
        paper.field(
            "",
            &format!("{:+.1} {}: {}", part.value, part.name, part.why),
        )?;
    }
    paper.field("Span", &span(Some(incident.first), Some(incident.last)))?;
    paper.field("Hosts", &incident.hosts.join(", "))?;
    paper.field("Accounts", &incident.accounts.join(", "))?;
    paper.field("ATT&CK", &incident.techniques.join(", "))?;
    if !incident.entry.is_empty() {
        paper.subheading("Root cause and entry")?;
        incident
            .entry
            .iter()
            .try_for_each(|sentence| paper.sentence(sentence))?;
    }
    for (heading, sentences) in incident.story.sections() {
        if !sentences.is_empty() && sentences != incident.entry {
            paper.subheading(heading)?;
            sentences
                .iter()
                .try_for_each(|sentence| paper.sentence(sentence))?;
        }
    }
    if incident.story.timeline.is_empty() && !incident.steps.is_empty() {
        paper.subheading("Steps")?;
        for step in &incident.steps {
            paper.cited(
                &format!("{}  {}", moment(step.time), step.text),
                &step.evidence,
            )?;
        }
    }
    process_tree(report, incident, paper)?;
    let names = Names::new(incident);
    objects("Files", &incident.files, &names, paper)?;
    objects("Registry", &incident.registry, &names, paper)?;
    network_and_persistence(incident, paper)?;
    joins_and_gaps(incident, &names, paper)
}

fn process_tree(
    report: &Report,
    incident: &Incident,
    paper: &mut Paper<impl Write>,
) -> io::Result<()> {
    if incident.processes.is_empty() {
        return Ok(());
    }
    paper.subheading("Processes  (!! malicious, ! compromised, . carrier; times in UTC)")?;
    let marks = marks::by_process(report, incident);
    let telling = |at: usize| {
        let process = &incident.processes[at];
        process.role != Role::Carrier || marks.contains_key(process.node.as_str())
    };
    for row in tree::rows(&incident.processes, telling, TREE_PROCESSES_MAX) {
        paper.line(&tree_line(&incident.processes, &marks, row))?;
    }
    Ok(())
}

fn tree_line(processes: &[Process], marks: &BTreeMap<&str, Marks<'_>>, row: Row) -> String {
    let mut branch = String::new();
    let drawn = row.depth.min(DEPTH_DRAWN_MAX);
    for level in 1..drawn {
        branch.push_str(if row.rails & (1 << level) == 0 {
            "   "
        } else {
            "|  "
        });
    }
    if drawn > 0 {
        branch.push_str(if row.followed { "|- " } else { "`- " });
    }
    if row.depth > DEPTH_DRAWN_MAX {
        branch = format!("{branch}(level {}) ", row.depth);
    }
    let index = match row.what {
        What::Hidden(count) => return format!("{:15}{branch}... {count} hidden", ""),
        What::Process(index) => index,
    };
    let process = &processes[index];
    let time = process
        .start
        .map_or(String::new(), |start| start.to_string()[11..19].to_owned());
    let role = match process.role {
        Role::Malicious => "!!",
        Role::Compromised => "! ",
        Role::Carrier => ". ",
    };
    let what = process.command_line.as_deref().or(process.image.as_deref());
    let what = clip(
        what.unwrap_or("(image not recorded)"),
        TREE_COMMAND_CHARACTERS_MAX,
    );
    let user = process
        .user
        .as_deref()
        .map_or(String::new(), |user| format!(" ({user})"));
    format!(
        "{time:8}  {role}   {branch}[{}] {what}{user}{}",
        process.pid,
        did(process, marks)
    )
}

/// What a process did, in braces: `{net 1, file 2}`.
fn did(process: &Process, marks: &BTreeMap<&str, Marks<'_>>) -> String {
    let Some(marks) = marks
        .get(process.node.as_str())
        .filter(|marks| !marks.is_empty())
    else {
        return String::new();
    };
    let shown: Vec<String> = marks
        .counts()
        .iter()
        .filter(|(_, count)| *count > 0)
        .map(|(name, count)| format!("{name} {count}"))
        .collect();
    format!("  {{{}}}", shown.join(", "))
}

fn objects<'a>(
    heading: &str,
    items: &'a [ObjectItem],
    names: &Names<'a>,
    paper: &mut Paper<impl Write>,
) -> io::Result<()> {
    if items.is_empty() {
        return Ok(());
    }
    paper.subheading(heading)?;
    for item in items {
        let mut text = format!("{} on {}", clip(&item.path, PATH_CHARACTERS_MAX), item.host);
        if !item.other_paths.is_empty() {
            text = format!("{text}, also {}", item.other_paths.join(", "));
        }
        if let Some(sha256) = &item.sha256 {
            text = format!("{text}, sha256 {sha256}");
        }
        paper.item(&format!("{text}: {}", item.why))?;
        for act in &item.acts {
            let by = act.process.as_deref();
            let by = by.map_or("a process outside the incident", |node| names.of(node));
            let text = format!("{}  {} by {by}", moment(act.time), act.verb);
            paper.nested(&text, &act.evidence)?;
        }
    }
    Ok(())
}

fn network_and_persistence(incident: &Incident, paper: &mut Paper<impl Write>) -> io::Result<()> {
    if !incident.network.is_empty() {
        paper.subheading("Network")?;
    }
    for flow in &incident.network {
        let end = |end: &Option<String>| end.clone().unwrap_or("?".to_owned());
        let bytes = |bytes: Option<u64>| bytes.map_or("?".to_owned(), |bytes| bytes.to_string());
        let name = flow
            .remote_name
            .as_deref()
            .map_or(String::new(), |name| format!(" ({name})"));
        let text = format!(
            "{}  {} {} {} {}{name}, {} bytes out, {} bytes in: {}",
            moment(flow.first),
            flow.protocol,
            flow.direction.word(),
            end(&flow.local),
            end(&flow.remote),
            bytes(flow.sent),
            bytes(flow.received),
            flow.why
        );
        paper.cited(&text, &flow.evidence)?;
    }
    if !incident.persistence.is_empty() {
        paper.subheading("Left behind")?;
    }
    for item in &incident.persistence {
        let runs = item
            .runs
            .as_deref()
            .map_or(String::new(), |runs| format!(", runs {runs}"));
        let text = format!(
            "{}  {} {} on {}{runs} ({}): {}",
            moment(item.time),
            item.mechanism,
            item.place,
            item.host,
            item.grade.word(),
            item.why
        );
        paper.cited(&text, &item.evidence)?;
    }
    Ok(())
}

fn joins_and_gaps<'a>(
    incident: &'a Incident,
    names: &Names<'a>,
    paper: &mut Paper<impl Write>,
) -> io::Result<()> {
    if !incident.joined_by.is_empty() {
        paper.subheading("Why this is one incident")?;
    }
    for join in &incident.joined_by {
        let nodes: Vec<&str> = join.nodes.iter().map(|node| names.of(node)).collect();
        let text = format!(
            "{} ({}, {}, {}): {}",
            join.shared,
            join.ground,
            nodes.join(", "),
            join.grade.word(),
            join.text
        );
        paper.cited(&text, &join.evidence)?;
    }
    if !incident.gaps.is_empty() || !incident.pruned.is_empty() {
        paper.subheading("Gaps, and what was left out")?;
    }
    for item in &incident.gaps {
        paper.cited(&gap(item), &item.evidence)?;
    }
    for item in &incident.pruned {
        paper.cited(&pruned(item), &item.evidence)?;
    }
    Ok(())
}

pub(super) fn gap(gap: &Gap) -> String {
    let lost = gap
        .lost
        .map_or(String::new(), |lost| format!(", {lost} events lost"));
    let host = gap
        .host
        .as_deref()
        .map_or(String::new(), |host| format!(" on {host}"));
    format!("gap{host}, {}{lost}: {}", span(gap.from, gap.to), gap.text)
}

pub(super) fn pruned(pruned: &Pruned) -> String {
    format!(
        "left out ({}, {}): {}",
        pruned.ground, pruned.count, pruned.text
    )
}
