//! Nodes and edges of all incidents as tables, GraphML or JSON lines.
//!
//! A node's name is the incident's id and the node's (`I1/n3`): the same process in two incidents
//! is two nodes, each with its part in its incident. Order is the report's.

use std::io::{self, Write};

use saigen_schemas::report::{EvidenceRef, Incident, Moment, Report};
use serde::Serialize;

use super::json::write_quietly;
use super::timeline::cell;
use super::visible::Visible;

/// Which of the two tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExportTable {
    /// One row a node.
    Nodes,
    /// One row an edge.
    Edges,
}

impl ExportTable {
    /// The name of its file.
    #[must_use]
    pub const fn file_name(self) -> &'static str {
        match self {
            Self::Nodes => "nodes.csv",
            Self::Edges => "edges.csv",
        }
    }
}

/// A node, with all fields of every kind of node.
#[derive(Default, Serialize)]
struct NodeRow<'r> {
    r#type: &'static str,
    id: String,
    incident: &'r str,
    kind: &'static str,
    host: &'r str,
    label: &'r str,
    role: &'static str,
    pid: Option<u32>,
    guid: Option<&'r str>,
    start: Option<Moment>,
    end: Option<Moment>,
    command_line: Option<&'r str>,
    user: Option<&'r str>,
    sha256: Option<&'r str>,
    why: &'r str,
    evidence: String,
}

#[derive(Serialize)]
struct EdgeRow<'r> {
    r#type: &'static str,
    from: String,
    to: String,
    incident: &'r str,
    verb: &'r str,
    ground: &'static str,
    first: Moment,
    last: Moment,
    count: u64,
    why: &'r str,
    evidence: String,
}

impl NodeRow<'_> {
    /// Its fields behind the name, as texts in a fixed order.
    fn fields(&self) -> [(&'static str, String); 15] {
        let text = |text: Option<&str>| text.unwrap_or_default().to_owned();
        let time = |time: Option<Moment>| time.map_or_else(String::new, |time| time.to_string());
        [
            ("id", self.id.clone()),
            ("incident", self.incident.to_owned()),
            ("kind", self.kind.to_owned()),
            ("host", self.host.to_owned()),
            ("label", self.label.to_owned()),
            ("role", self.role.to_owned()),
            (
                "pid",
                self.pid.map_or_else(String::new, |pid| pid.to_string()),
            ),
            ("guid", text(self.guid)),
            ("start", time(self.start)),
            ("end", time(self.end)),
            ("command_line", text(self.command_line)),
            ("user", text(self.user)),
            ("sha256", text(self.sha256)),
            ("why", self.why.to_owned()),
            ("evidence", self.evidence.clone()),
        ]
    }
}

impl EdgeRow<'_> {
    fn fields(&self) -> [(&'static str, String); 10] {
        [
            ("from", self.from.clone()),
            ("to", self.to.clone()),
            ("incident", self.incident.to_owned()),
            ("verb", self.verb.to_owned()),
            ("ground", self.ground.to_owned()),
            ("first", self.first.to_string()),
            ("last", self.last.to_string()),
            ("count", self.count.to_string()),
            ("why", self.why.to_owned()),
            ("evidence", self.evidence.clone()),
        ]
    }
}

/// Writes one of the two tables, with a head.
///
/// # Errors
/// Those of `out`.
pub fn write_csv(report: &Report, table: ExportTable, out: &mut impl Write) -> io::Result<()> {
    let rows: Vec<Vec<(&'static str, String)>> = match table {
        ExportTable::Nodes => nodes(report)
            .iter()
            .map(|row| row.fields().to_vec())
            .collect(),
        ExportTable::Edges => edges(report)
            .iter()
            .map(|row| row.fields().to_vec())
            .collect(),
    };
    let head = match table {
        ExportTable::Nodes => NodeRow::default().fields().map(|(name, _)| name).join(","),
        ExportTable::Edges => {
            "from,to,incident,verb,ground,first,last,count,why,evidence".to_owned()
        }
    };
    writeln!(out, "{head}")?;
    for row in rows {
        let cells: Vec<String> = row.iter().map(|(_, value)| cell(value)).collect();
        writeln!(out, "{}", cells.join(","))?;
    }
    Ok(())
}

/// Writes one JSON object a line: nodes, then edges.
///
/// # Errors
/// Those of `out`.
pub fn write_jsonl(report: &Report, out: &mut impl Write) -> io::Result<()> {
    for node in nodes(report) {
        write_quietly(&node, out)?;
        writeln!(out)?;
    }
    for edge in edges(report) {
        write_quietly(&edge, out)?;
        writeln!(out)?;
    }
    Ok(())
}

/// Writes a GraphML document.
///
/// # Errors
/// Those of `out`.
pub fn write_graphml(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let (nodes, edges) = (nodes(report), edges(report));
    writeln!(out, r#"<?xml version="1.0" encoding="UTF-8"?>"#)?;
    writeln!(
        out,
        r#"<graphml xmlns="http://graphml.graphdrawing.org/xmlns">"#
    )?;
    let names = NodeRow::default().fields().map(|(name, _)| name);
    for name in names.iter().skip(1) {
        writeln!(
            out,
            r#"<key id="n_{name}" for="node" attr.name="{name}" attr.type="string"/>"#
        )?;
    }
    for name in [
        "incident", "verb", "ground", "first", "last", "count", "why", "evidence",
    ] {
        writeln!(
            out,
            r#"<key id="e_{name}" for="edge" attr.name="{name}" attr.type="string"/>"#
        )?;
    }
    writeln!(out, r#"<graph id="case" edgedefault="directed">"#)?;
    for node in &nodes {
        writeln!(out, r#"<node id="{}">"#, markup(&node.id))?;
        for (name, value) in node
            .fields()
            .iter()
            .skip(1)
            .filter(|(_, value)| !value.is_empty())
        {
            writeln!(out, r#"<data key="n_{name}">{}</data>"#, markup(value))?;
        }
        writeln!(out, "</node>")?;
    }
    for edge in &edges {
        let (from, to) = (markup(&edge.from), markup(&edge.to));
        writeln!(out, r#"<edge source="{from}" target="{to}">"#)?;
        for (name, value) in edge.fields().iter().skip(2) {
            writeln!(out, r#"<data key="e_{name}">{}</data>"#, markup(value))?;
        }
        writeln!(out, "</edge>")?;
    }
    writeln!(out, "</graph>\n</graphml>")
}

fn nodes(report: &Report) -> Vec<NodeRow<'_>> {
    let mut rows = Vec::new();
    for incident in &report.incidents {
        push_nodes(incident, &mut rows);
    }
    rows
}

fn push_nodes<'r>(incident: &'r Incident, rows: &mut Vec<NodeRow<'r>>) {
    let row = |node: &str, kind: &'static str| NodeRow {
        r#type: "node",
        id: format!("{}/{node}", incident.id),
        incident: &incident.id,
        kind,
        ..NodeRow::default()
    };
    for process in &incident.processes {
        rows.push(NodeRow {
            host: &process.host,
            label: process.image.as_deref().unwrap_or_default(),
            role: process.role.word(),
            pid: Some(process.pid),
            guid: process.guid.as_deref(),
            start: process.start,
            end: process.end,
            command_line: process.command_line.as_deref(),
            user: process.user.as_deref(),
            sha256: process.sha256.as_deref(),
            why: &process.why,
            evidence: cited(&process.evidence),
            ..row(&process.node, "process")
        });
    }
    for (items, kind) in [(&incident.files, "file"), (&incident.registry, "registry")] {
        for item in items {
            let acts: Vec<EvidenceRef> = item
                .acts
                .iter()
                .flat_map(|act| act.evidence.clone())
                .collect();
            rows.push(NodeRow {
                host: &item.host,
                label: &item.path,
                start: item.acts.first().map(|act| act.time),
                sha256: item.sha256.as_deref(),
                why: &item.why,
                evidence: cited(&acts),
                ..row(&item.node, kind)
            });
        }
    }
    for item in &incident.network {
        rows.push(NodeRow {
            host: &item.host,
            label: item
                .remote
                .as_deref()
                .or(item.local.as_deref())
                .unwrap_or_default(),
            start: Some(item.first),
            end: Some(item.last),
            why: &item.why,
            evidence: cited(&item.evidence),
            ..row(&item.node, "connection")
        });
    }
}

fn edges(report: &Report) -> Vec<EdgeRow<'_>> {
    let links = report
        .incidents
        .iter()
        .flat_map(|incident| incident.links.iter().map(move |link| (incident, link)));
    let rows = links.map(|(incident, link)| EdgeRow {
        r#type: "edge",
        from: format!("{}/{}", incident.id, link.from),
        to: format!("{}/{}", incident.id, link.to),
        incident: &incident.id,
        verb: &link.verb,
        ground: link.ground.word(),
        first: link.first,
        last: link.last,
        count: link.count,
        why: &link.why,
        evidence: cited(&link.evidence),
    });
    rows.collect()
}

fn cited(evidence: &[EvidenceRef]) -> String {
    let texts: Vec<String> = evidence.iter().map(ToString::to_string).collect();
    texts.join(" ")
}

/// Text between tags or in an attribute: what acts is shown, what marks up is written out.
fn markup(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in Visible(text).to_string().chars() {
        match c {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            _ => safe.push(c),
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markup_of_evidence_is_written_out() {
        assert_eq!(markup("<a b=\"1\">&"), "&lt;a b=&quot;1&quot;&gt;&amp;");
        assert!(!markup("a\u{0}b\u{1b}[31m").contains('\u{1b}'));
    }
}
