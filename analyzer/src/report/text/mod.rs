//! `report.txt`: the report in plain text, 80 columns wide, for a terminal and for an e-mail.

mod incident;
mod paper;

use std::io::{self, Write};

use saigen_schemas::report::{Evidence, KeyUsed, Report};

use crate::report::words::counted;
use paper::{Paper, moment, span};

/// Writes the report as text.
///
/// # Errors
///
/// Those of `out`.
pub fn write_text(report: &Report, out: &mut impl Write) -> io::Result<()> {
    let mut paper = Paper::new(out);
    head(report, &mut paper)?;
    verdicts(report, &mut paper)?;
    incident::write_all(report, &mut paper)?;
    appendix(report, &mut paper)
}

fn head(report: &Report, paper: &mut Paper<impl Write>) -> io::Result<()> {
    paper.title("SAIGEN REPORT")?;
    paper.field(
        "Made by",
        &format!("{} {}", report.tool.name, report.tool.version),
    )?;
    let rules = &report.rules;
    paper.field(
        "Rules",
        &format!("{} loaded, {} refused", rules.loaded, rules.refused.len()),
    )?;
    if !rules.sha256.is_empty() {
        paper.field("Rule set", &rules.sha256)?;
    }
    if let Some(head) = &report.custody_head {
        paper.field("Custody", head)?;
    }
    paper.field("Reproduce", &report.command)?;
    let found = match report.incidents.len() {
        0 => "no incident".to_owned(),
        count => counted(count, "incident", "incidents"),
    };
    let detections = counted(report.detections.len(), "detection", "detections");
    paper.field("Found", &format!("{found}, {detections}"))
}

fn verdicts(report: &Report, paper: &mut Paper<impl Write>) -> io::Result<()> {
    paper.heading("EVIDENCE AND VERDICT")?;
    if report.evidence.is_empty() {
        return paper.paragraph("No input was read.");
    }
    for evidence in &report.evidence {
        paper.box_top(&format!(
            "{}  {}  [{}]",
            evidence.id,
            evidence.path,
            evidence.verdict.word().to_uppercase()
        ))?;
        verdict_lines(evidence, paper)?;
        paper.box_end()?;
    }
    Ok(())
}

fn verdict_lines(evidence: &Evidence, paper: &mut Paper<impl Write>) -> io::Result<()> {
    let mut verdict = evidence.explanation.clone();
    if let Some(cause) = evidence.cause {
        verdict = format!("{verdict} (cause: {})", cause.word());
    }
    paper.field("Verdict", &verdict)?;
    paper.field("SHA-256", &evidence.sha256)?;
    paper.field(
        "Read",
        &format!(
            "{} events in {} frames, {} bytes, {}",
            evidence.events,
            evidence.frames,
            evidence.bytes,
            evidence.format.word()
        ),
    )?;
    paper.field(
        "Not read",
        &format!("{} lost, {} damaged", evidence.lost, evidence.damaged),
    )?;
    paper.field("Span", &span(evidence.first, evidence.last))?;
    paper.field("Hosts", &evidence.hosts.join(", "))?;
    if let Some(recorder) = &evidence.recorder {
        paper.field("Recorder", recorder)?;
    }
    paper.field("Key", &key(&evidence.key))?;
    if let Some(position) = evidence.signed_to {
        paper.field("Signed to", &format!("position {position}"))?;
    }
    if let Some(counts) = &evidence.completeness {
        paper.field(
            "Starts",
            &format!(
                "{} counted, {} recorded with their arguments, {} counted as lost",
                counts.started, counts.recorded, counts.lost
            ),
        )?;
    }
    for source in &evidence.sources {
        let mut text = format!(
            "{}: {} events, {} lost",
            source.name, source.events, source.lost
        );
        if !source.limits.is_empty() {
            text = format!("{text}; {}", source.limits);
        }
        paper.field("Source", &text)?;
    }
    for finding in &evidence.findings {
        let mut text = finding.text.clone();
        if finding.from.is_some() || finding.to.is_some() {
            text = format!("{text} ({})", span(finding.from, finding.to));
        }
        paper.cited(
            &format!("{}: {text}", finding.kind.word()),
            &finding.evidence,
        )?;
    }
    Ok(())
}

fn key(key: &KeyUsed) -> String {
    match key {
        KeyUsed::None => "none given".to_owned(),
        KeyUsed::Auditor { fingerprint } => format!("auditor's key {fingerprint}"),
        KeyUsed::Public { fingerprint } => format!("public key {fingerprint}"),
    }
}

fn appendix(report: &Report, paper: &mut Paper<impl Write>) -> io::Result<()> {
    if !report.scope.is_empty() {
        paper.heading("WHAT WAS LOOKED AT")?;
        for sentence in &report.scope {
            paper.sentence(sentence)?;
        }
    }
    paper.heading("DETECTIONS")?;
    if report.detections.is_empty() {
        paper.paragraph("No rule fired.")?;
    }
    for detection in &report.detections {
        let place = detection
            .incident
            .as_deref()
            .unwrap_or("below the threshold");
        paper.cited(
            &format!(
                "{}  {} {}, {} ({}; {}; {} events)",
                moment(detection.time),
                detection.level.word(),
                detection.host,
                detection.title,
                detection.rule,
                place,
                detection.events
            ),
            &detection.evidence,
        )?;
    }
    for suppressed in &report.suppressed {
        paper.cited(
            &format!(
                "allowed by {}: {} ({}), {} times",
                suppressed.entry, suppressed.title, suppressed.rule, suppressed.count
            ),
            &suppressed.evidence,
        )?;
    }
    if !report.gaps.is_empty() || !report.pruned.is_empty() {
        paper.heading("GAPS AND WHAT WAS LEFT OUT")?;
    }
    for gap in &report.gaps {
        paper.cited(&incident::gap(gap), &gap.evidence)?;
    }
    for pruned in &report.pruned {
        paper.cited(&incident::pruned(pruned), &pruned.evidence)?;
    }
    silent_rules(report, paper)?;
    paper.heading("COUNTS")?;
    for (name, count) in &report.counts {
        paper.field(name, &count.to_string())?;
    }
    Ok(())
}

fn silent_rules(report: &Report, paper: &mut Paper<impl Write>) -> io::Result<()> {
    let rules = &report.rules;
    if rules.refused.is_empty() && rules.never_applied.is_empty() {
        return Ok(());
    }
    paper.heading("RULES THAT COULD NOT SPEAK")?;
    for rule in &rules.refused {
        paper.item(&format!("refused: {}: {}", rule.rule, rule.reason))?;
    }
    for rule in &rules.never_applied {
        paper.item(&format!(
            "never applied: {} ({}): {}",
            rule.title, rule.rule, rule.reason
        ))?;
    }
    Ok(())
}
