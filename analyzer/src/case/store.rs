//! `case.sqlite`: the report as tables, `schemas/case.sql`.

use std::path::Path;

use rusqlite::{Connection, ToSql, params};
use saigen_schemas::report::{
    CASE_SQL, Detection, Evidence, EvidenceRef, Gap, Incident, KeyUsed, Moment, ObjectItem, Pruned,
    Report, Sentence,
};

use super::CaseError;

/// "Saig": tells a case's database from any other by its header.
const APPLICATION_ID: i32 = 0x5361_6967;
/// The version of the tables.
const TABLES_VERSION: i32 = 1;

/// Writes the database of a case. The file must not exist.
pub(super) fn write(path: &Path, report: &Report) -> Result<(), CaseError> {
    let write = || -> rusqlite::Result<()> {
        let mut connection = Connection::open(path)?;
        // The folder as a whole is made durable before it gets its name, so that a journal
        // of the database's own would protect nothing.
        connection.pragma_update(None, "journal_mode", "OFF")?;
        connection.pragma_update(None, "synchronous", "OFF")?;
        connection.pragma_update(None, "application_id", APPLICATION_ID)?;
        connection.pragma_update(None, "user_version", TABLES_VERSION)?;
        let transaction = connection.transaction()?;
        transaction.execute_batch(CASE_SQL)?;
        Store(&transaction).fill(report)?;
        transaction.commit()
    };
    write().map_err(CaseError::database(path))
}

struct Store<'c>(&'c Connection);

type Filled = rusqlite::Result<()>;

impl Store<'_> {
    fn fill(&self, report: &Report) -> Filled {
        self.insert(
            "report",
            params![
                report.schema,
                report.tool.name,
                report.tool.version,
                report.command,
                report.rules.sha256,
                number(report.rules.loaded),
                report.custody_head
            ],
        )?;
        report
            .evidence
            .iter()
            .try_for_each(|evidence| self.evidence(evidence))?;
        for (incident, rank) in report.incidents.iter().zip(1i64..) {
            self.incident(incident, rank)?;
        }
        self.sentences(None, "Scope", &report.scope)?;
        report.gaps.iter().try_for_each(|gap| self.gap(None, gap))?;
        report
            .pruned
            .iter()
            .try_for_each(|pruned| self.pruned(None, pruned))?;
        report
            .detections
            .iter()
            .try_for_each(|detection| self.detection(detection))?;
        self.rules(report)?;
        for (reference, record) in &report.records {
            self.insert(
                "records",
                params![
                    reference.to_string(),
                    time(record.time),
                    record.host,
                    record.kind,
                    record.json,
                    record.sha256,
                    record.verdict.word()
                ],
            )?;
        }
        for (name, count) in &report.counts {
            self.insert("counts", params![name, number(*count)])?;
        }
        Ok(())
    }

    /// Puts a row into a table, its values in the order of the columns.
    fn insert(&self, table: &str, values: &[&dyn ToSql]) -> rusqlite::Result<i64> {
        let places = vec!["?"; values.len()].join(",");
        let sql = format!("INSERT INTO {table} VALUES ({places})");
        self.0.prepare_cached(&sql)?.execute(values)?;
        Ok(self.0.last_insert_rowid())
    }

    fn cite(&self, table: &str, item: i64, evidence: &[EvidenceRef]) -> Filled {
        for (reference, place) in evidence.iter().zip(0i64..) {
            self.insert(
                "citations",
                params![table, item, place, reference.to_string()],
            )?;
        }
        Ok(())
    }

    /// Puts a row into a table whose first column is its id, and notes what it cites.
    fn insert_cited(
        &self,
        table: &str,
        values: &[&dyn ToSql],
        evidence: &[EvidenceRef],
    ) -> rusqlite::Result<i64> {
        let no_id: Option<i64> = None;
        let mut with_id: Vec<&dyn ToSql> = vec![&no_id];
        with_id.extend(values);
        let id = self.insert(table, &with_id)?;
        self.cite(table, id, evidence)?;
        Ok(id)
    }

    fn evidence(&self, evidence: &Evidence) -> Filled {
        let id = evidence.id.to_string();
        let (key, fingerprint) = match &evidence.key {
            KeyUsed::None => ("none", None),
            KeyUsed::Auditor { fingerprint } => ("auditor", Some(fingerprint)),
            KeyUsed::Public { fingerprint } => ("public", Some(fingerprint)),
        };
        self.insert(
            "evidence",
            params![
                id,
                evidence.path,
                evidence.sha256,
                number(evidence.bytes),
                evidence.format.word(),
                evidence.recorder,
                number(evidence.events),
                number(evidence.lost),
                number(evidence.damaged),
                number(evidence.frames),
                time(evidence.first),
                time(evidence.last),
                evidence.verdict.word(),
                evidence.cause.map(|cause| cause.word()),
                evidence.explanation,
                evidence.signed_to.map(number),
                key,
                fingerprint
            ],
        )?;
        for file in &evidence.files {
            self.insert(
                "evidence_files",
                params![id, file.path, file.sha256, number(file.bytes)],
            )?;
        }
        for finding in &evidence.findings {
            let (from, to) = (time(finding.from), time(finding.to));
            let values = params![id, finding.kind.word(), finding.text, from, to];
            self.insert_cited("findings", values, &finding.evidence)?;
        }
        let mut hosts: Vec<&String> = evidence.hosts.iter().collect();
        hosts.sort();
        hosts.dedup();
        for host in hosts {
            self.insert("hosts", params![host, id])?;
        }
        Ok(())
    }

    fn incident(&self, incident: &Incident, rank: i64) -> Filled {
        let id = &incident.id;
        self.insert(
            "incidents",
            params![
                id,
                rank,
                incident.title,
                incident.severity.word(),
                incident.score,
                incident.first.to_string(),
                incident.last.to_string(),
                list(&incident.hosts),
                list(&incident.accounts),
                list(&incident.techniques)
            ],
        )?;
        for part in &incident.score_parts {
            self.insert("score_parts", params![id, part.name, part.value, part.why])?;
        }
        self.sentences(Some(id), "Entry", &incident.entry)?;
        for (section, sentences) in incident.story.sections() {
            self.sentences(Some(id), section, sentences)?;
        }
        self.steps(incident)?;
        self.processes(incident)?;
        incident
            .files
            .iter()
            .try_for_each(|file| self.object(id, "file", file))?;
        incident
            .registry
            .iter()
            .try_for_each(|key| self.object(id, "registry", key))?;
        self.flows(incident)?;
        self.persistence(incident)?;
        self.edges_and_joins(incident)?;
        incident
            .gaps
            .iter()
            .try_for_each(|gap| self.gap(Some(id), gap))?;
        incident
            .pruned
            .iter()
            .try_for_each(|pruned| self.pruned(Some(id), pruned))
    }

    fn sentences(&self, incident: Option<&str>, section: &str, list: &[Sentence]) -> Filled {
        for sentence in list {
            let values = params![incident, section, sentence.text, sentence.grade.word()];
            self.insert_cited("sentences", values, &sentence.evidence)?;
        }
        Ok(())
    }

    fn steps(&self, incident: &Incident) -> Filled {
        for step in &incident.steps {
            let values = params![
                incident.id,
                step.time.to_string(),
                step.host,
                list(&step.tactics),
                list(&step.techniques),
                step.actor,
                step.verb,
                step.object,
                step.grade.word(),
                step.text,
                list(&step.rules)
            ];
            self.insert_cited("steps", values, &step.evidence)?;
        }
        Ok(())
    }

    fn processes(&self, incident: &Incident) -> Filled {
        for process in &incident.processes {
            let values = params![
                incident.id,
                process.node,
                process.host,
                process.pid,
                process.guid,
                time(process.start),
                time(process.end),
                process.exit_code,
                process.image,
                process.sha256,
                process.command_line,
                process.command_line_had,
                process.cwd,
                process.parent,
                process.user,
                process.role.word(),
                process.why
            ];
            self.insert_cited("processes", values, &process.evidence)?;
        }
        Ok(())
    }

    fn object(&self, incident: &str, kind: &str, object: &ObjectItem) -> Filled {
        let bytes = object.bytes.map(number);
        let values = params![
            incident,
            object.node,
            kind,
            object.host,
            object.path,
            object.sha256,
            bytes,
            object.why
        ];
        let id = self.insert_cited("files", values, &[])?;
        for path in &object.other_paths {
            self.insert("file_paths", params![id, path])?;
        }
        for act in &object.acts {
            let values = params![
                id,
                act.time.to_string(),
                act.verb,
                act.process,
                number(act.count)
            ];
            self.insert_cited("acts", values, &act.evidence)?;
        }
        Ok(())
    }

    fn flows(&self, incident: &Incident) -> Filled {
        for flow in &incident.network {
            let values = params![
                incident.id,
                flow.node,
                flow.host,
                flow.direction.word(),
                flow.protocol,
                flow.local,
                flow.remote,
                flow.remote_name,
                flow.sent.map(number),
                flow.received.map(number),
                flow.first.to_string(),
                flow.last.to_string(),
                number(flow.count),
                flow.process,
                flow.why
            ];
            self.insert_cited("flows", values, &flow.evidence)?;
        }
        Ok(())
    }

    fn persistence(&self, incident: &Incident) -> Filled {
        for item in &incident.persistence {
            let values = params![
                incident.id,
                item.node,
                item.host,
                item.mechanism,
                item.place,
                item.runs,
                item.time.to_string(),
                item.process,
                list(&item.techniques),
                list(&item.started),
                item.grade.word(),
                item.why
            ];
            self.insert_cited("persistence", values, &item.evidence)?;
        }
        Ok(())
    }

    fn edges_and_joins(&self, incident: &Incident) -> Filled {
        for link in &incident.links {
            let values = params![
                incident.id,
                link.from,
                link.to,
                link.verb,
                link.ground.word(),
                link.first.to_string(),
                link.last.to_string(),
                number(link.count),
                link.why
            ];
            self.insert_cited("edges", values, &link.evidence)?;
        }
        for join in &incident.joined_by {
            let values = params![
                incident.id,
                join.ground,
                join.shared,
                list(&join.nodes),
                join.text,
                join.grade.word()
            ];
            self.insert_cited("joins", values, &join.evidence)?;
        }
        Ok(())
    }

    fn gap(&self, incident: Option<&str>, gap: &Gap) -> Filled {
        let (from, to, lost) = (time(gap.from), time(gap.to), gap.lost.map(number));
        let values = params![incident, gap.host, from, to, lost, gap.text];
        self.insert_cited("gaps", values, &gap.evidence).map(drop)
    }

    fn pruned(&self, incident: Option<&str>, pruned: &Pruned) -> Filled {
        let values = params![incident, pruned.ground, pruned.text, number(pruned.count)];
        self.insert_cited("pruned", values, &pruned.evidence)
            .map(drop)
    }

    fn detection(&self, detection: &Detection) -> Filled {
        let values = params![
            detection.rule,
            detection.title,
            detection.level.word(),
            detection.time.to_string(),
            detection.host,
            detection.process,
            detection.incident,
            list(&detection.tactics),
            list(&detection.techniques),
            number(detection.events)
        ];
        let id = self.insert_cited("detections", values, &detection.evidence)?;
        for matched in &detection.matched {
            self.insert(
                "detection_fields",
                params![id, matched.field, matched.value],
            )?;
        }
        Ok(())
    }

    fn rules(&self, report: &Report) -> Filled {
        for one in &report.suppressed {
            let values = params![one.rule, one.title, one.entry, number(one.count)];
            self.insert_cited("suppressed", values, &one.evidence)?;
        }
        for rule in &report.rules.refused {
            let no_title: Option<String> = None;
            self.insert(
                "silent_rules",
                params![rule.rule, no_title, "refused", rule.reason],
            )?;
        }
        for rule in &report.rules.never_applied {
            let values = params![rule.rule, rule.title, "never_applied", rule.reason];
            self.insert("silent_rules", values)?;
        }
        Ok(())
    }
}

fn time(moment: Option<Moment>) -> Option<String> {
    moment.map(|moment| moment.to_string())
}

/// A count as the database has it, which ends at 2^63 - 1.
fn number(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn list(texts: &[String]) -> String {
    texts.join(" ")
}
