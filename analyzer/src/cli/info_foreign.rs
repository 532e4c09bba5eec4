//! What `saigen info` says of a file that others recorded.

use std::collections::BTreeMap;
use std::io::Write as _;

use saigen_schemas::event::format_utc;
use saigen_schemas::report::FindingKind;
use serde_json::{Map, Value, json};

use crate::cli::screen::Colour;
use crate::cli::{Failure, Screen};
use crate::import::{ForeignFile, Member, sentence};
use crate::text::safe_text;

/// Findings of one file that are shown; JSON has all that are listed.
const SHOWN_FINDINGS: usize = 20;

/// Files of an archive that are shown; JSON has all.
const SHOWN_MEMBERS: usize = 40;

/// Shows what a file is.
pub(super) fn show(file: &ForeignFile, screen: &mut Screen) -> Result<(), Failure> {
    writeln!(screen.out(), "{}  {}", file.source, safe_text(&file.path))?;
    let hosts: Vec<String> = file.hosts().into_iter().collect();
    let mut lines = vec![
        ("format", format(file)),
        ("size", format!("{} bytes", file.bytes)),
        ("sha256", file.sha256.clone()),
        ("host", hosts.join(", ")),
    ];
    if let Some((first, last)) = file.span_us() {
        lines.push(("from", screen.time(first)));
        lines.push(("to", screen.time(last)));
    }
    lines.push(("verdict", file.verdict().word().to_owned()));
    lines.push(("because", file.explanation()));
    lines.push(("records", records(file).to_string()));
    lines.push(("events", events(file)));
    let skipped = file.skipped();
    if !skipped.is_empty() {
        let told = skipped.iter().map(|(why, count)| format!("{count} {why}"));
        lines.push(("skipped", told.collect::<Vec<_>>().join(", ")));
    }
    for (label, text) in lines {
        let label = screen.paint(Colour::Faint, &format!("{label:<12}"));
        writeln!(screen.out(), "    {label} {}", safe_text(&text))?;
    }
    for (kind, count) in kinds(file) {
        writeln!(screen.out(), "        {kind:<32} {count:>12}")?;
    }
    show_findings(file, screen)?;
    if file.is_archive {
        show_members(file, screen)?;
    }
    Ok(())
}

fn show_findings(file: &ForeignFile, screen: &mut Screen) -> Result<(), Failure> {
    let mut shown = 0;
    for (path, finding) in file.all_findings().take(SHOWN_FINDINGS) {
        let colour = match finding.kind {
            FindingKind::Damage | FindingKind::Gap => Colour::Bad,
            FindingKind::Clock | FindingKind::Loss => Colour::Careful,
            FindingKind::Note => Colour::Faint,
        };
        let label = screen.paint(colour, &format!("{:<12}", finding.kind.word()));
        let text = safe_text(&sentence(path, finding));
        writeln!(screen.out(), "    {label} {text}")?;
        shown += 1;
    }
    let all = file.all_findings().count() as u64 + file.unlisted();
    if all > shown {
        writeln!(screen.out(), "    … {} findings more", all - shown)?;
    }
    Ok(())
}

fn show_members(file: &ForeignFile, screen: &mut Screen) -> Result<(), Failure> {
    for member in file.members.iter().take(SHOWN_MEMBERS) {
        let label = screen.paint(Colour::Faint, &format!("{:<12}", member.format.word()));
        let damaged = if member.is_damaged() { ", damaged" } else { "" };
        writeln!(
            screen.out(),
            "    {label} {}: {} events{damaged}",
            safe_text(member.path.as_deref().unwrap_or_default()),
            member.counts.events()
        )?;
    }
    let more = file.members.len().saturating_sub(SHOWN_MEMBERS);
    if more > 0 {
        writeln!(screen.out(), "    … {more} files more")?;
    }
    if !file.strangers.is_empty() {
        writeln!(
            screen.out(),
            "    … and {} files that hold no records",
            file.strangers.len()
        )?;
    }
    Ok(())
}

fn format(file: &ForeignFile) -> String {
    if !file.is_archive {
        return file.format().word().to_owned();
    }
    let mut formats: BTreeMap<&str, u64> = BTreeMap::new();
    for member in &file.members {
        *formats.entry(member.format.word()).or_default() += 1;
    }
    let formats = formats
        .iter()
        .map(|(word, count)| format!("{count} {word}"));
    format!("archive: {}", formats.collect::<Vec<_>>().join(", "))
}

fn records(file: &ForeignFile) -> u64 {
    let counts = file.members.iter().map(|member| member.counts.records);
    counts.sum()
}

fn events(file: &ForeignFile) -> String {
    let raw: u64 = file.members.iter().map(|member| member.counts.raw()).sum();
    let (all, damaged, lost) = (file.events(), file.damaged(), file.lost());
    format!(
        "{all} read: {} of known kinds, {raw} kept with their own fields; {damaged} records damaged, {lost} missing",
        all - raw
    )
}

fn kinds(file: &ForeignFile) -> BTreeMap<&'static str, u64> {
    let mut kinds = BTreeMap::new();
    for (kind, count) in file.members.iter().flat_map(|member| &member.counts.kinds) {
        *kinds.entry(kind.as_str()).or_default() += count;
    }
    kinds
}

/// What a file is, for machines.
pub(super) fn as_json(file: &ForeignFile) -> Value {
    let span = file.span_us();
    let findings = file.all_findings().map(|(path, finding)| {
        json!({
            "kind": finding.kind,
            "path": path,
            "offset": finding.at.map(|at| at.offset),
            "number": finding.at.and_then(|at| at.number),
            "lost": finding.lost,
            "text": finding.text,
        })
    });
    let findings: Vec<Value> = findings.collect();
    let members: Vec<Value> = file.members.iter().map(member_json).collect();
    let raw: u64 = file.members.iter().map(|member| member.counts.raw()).sum();
    json!({
        "id": file.source.to_string(),
        "path": file.path,
        "format": file.format(),
        "sha256": file.sha256,
        "bytes": file.bytes,
        "hosts": file.hosts(),
        "first": span.map(|(first, _)| format_utc(first)),
        "last": span.map(|(_, last)| format_utc(last)),
        "verdict": file.verdict(),
        "cause": file.to_report().cause,
        "explanation": file.explanation(),
        "records": records(file),
        "events": file.events(),
        "mapped": file.events() - raw,
        "raw": raw,
        "skipped": counted(file.skipped().iter().map(|(why, count)| (why.as_str(), *count))),
        "damaged": file.damaged(),
        "lost": file.lost(),
        "kinds": counted(kinds(file)),
        "findings": findings,
        "findings_unlisted": file.unlisted(),
        "members": members,
        "strangers": file.strangers.iter().map(|(path, found)| json!({"path": path, "found": found})).collect::<Vec<_>>(),
    })
}

fn member_json(member: &Member) -> Value {
    json!({
        "path": member.path,
        "format": member.format,
        "sha256": member.sha256,
        "bytes": member.bytes,
        "hosts": member.hosts,
        "first": member.span_us.map(|(first, _)| format_utc(first)),
        "last": member.span_us.map(|(_, last)| format_utc(last)),
        "records": member.counts.records,
        "events": member.counts.events(),
        "raw": member.counts.raw(),
        "skipped": counted(member.counts.skipped.iter().map(|(why, count)| (why.as_str(), *count))),
        "damaged": member.counts.damaged(),
    })
}

fn counted(counts: impl IntoIterator<Item = (&'static str, u64)>) -> Map<String, Value> {
    let counts = counts.into_iter();
    counts
        .map(|(name, count)| (name.to_owned(), json!(count)))
        .collect()
}
