//! A foreign file in the words of the report's model.

use std::collections::{BTreeMap, BTreeSet};

use saigen_schemas::report::{
    self, Cause, Evidence, EvidenceMember, FindingKind, Format, KeyUsed, Moment, RecordCounts,
    SourceSeen, Verdict,
};

use crate::import::foreign::{Findings, ForeignFile, Member};
use crate::import::sink::{Finding, Skipped};

impl ForeignFile {
    /// What it is: its own format, or an archive.
    #[must_use]
    pub fn format(&self) -> Format {
        match self.members.as_slice() {
            [only] if !self.is_archive => only.format,
            _ => Format::Archive,
        }
    }

    /// How far it can be trusted.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        verdict_of(self.is_damaged())
    }

    /// The hosts that speak in it.
    #[must_use]
    pub fn hosts(&self) -> BTreeSet<String> {
        let members = self.members.iter();
        members.flat_map(|member| member.hosts.clone()).collect()
    }

    /// From when to when its events go, µs.
    #[must_use]
    pub fn span_us(&self) -> Option<(i64, i64)> {
        let spans = self.members.iter().filter_map(|member| member.span_us);
        spans.reduce(|a, b| (a.0.min(b.0), a.1.max(b.1)))
    }

    /// Events read.
    #[must_use]
    pub fn events(&self) -> u64 {
        self.sum(|member| member.counts.events())
    }

    /// Records that are damaged.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.sum(|member| member.counts.damaged())
    }

    fn sum(&self, of: impl Fn(&Member) -> u64) -> u64 {
        self.members.iter().map(of).sum()
    }

    /// Records that gave no event, by reason.
    #[must_use]
    pub fn skipped(&self) -> BTreeMap<Skipped, u64> {
        let mut skipped = BTreeMap::new();
        for (&why, &count) in self
            .members
            .iter()
            .flat_map(|member| &member.counts.skipped)
        {
            *skipped.entry(why).or_default() += count;
        }
        skipped
    }

    /// Everything that was noticed, with the file in an archive that it is about, in order.
    pub fn all_findings(&self) -> impl Iterator<Item = (Option<&str>, &Finding)> {
        let own = self.findings.listed.iter().map(|finding| (None, finding));
        let members = self.members.iter().flat_map(|member| {
            let path = member.path.as_deref();
            let listed = member.findings.listed.iter();
            listed.map(move |finding| (path, finding))
        });
        own.chain(members)
    }

    /// Findings that are not listed: there were too many.
    #[must_use]
    pub fn unlisted(&self) -> u64 {
        self.findings.unlisted + self.sum(|member| member.findings.unlisted)
    }

    /// The verdict in one sentence.
    #[must_use]
    pub fn explanation(&self) -> String {
        let grave = self
            .all_findings()
            .find(|(_, finding)| is_grave(finding.kind));
        let all = self.findings.damage + self.sum(|member| member.findings.damage);
        match grave {
            None if self.members.is_empty() => "no file in it holds records".to_owned(),
            None => {
                "every record could be read, and its checksums hold where it has any".to_owned()
            }
            Some((path, finding)) => {
                let more = match all {
                    0 | 1 => String::new(),
                    all => format!("; {} more findings", all - 1),
                };
                format!("{}{more}", sentence(path, finding))
            }
        }
    }

    /// What a report says of this file.
    #[must_use]
    pub fn to_report(&self) -> Evidence {
        let span = self.span_us();
        Evidence {
            id: self.source.into(),
            path: self.path.clone(),
            sha256: self.sha256.clone(),
            bytes: self.bytes,
            files: Vec::new(),
            format: self.format(),
            hosts: self.hosts().into_iter().collect(),
            recorder: None,
            events: self.events(),
            lost: self.lost(),
            damaged: self.damaged(),
            frames: 0,
            first: span.map(|(first, _)| Moment::from_us(first)),
            last: span.map(|(_, last)| Moment::from_us(last)),
            verdict: self.verdict(),
            cause: self.is_damaged().then(|| self.cause()),
            explanation: self.explanation(),
            signed_to: None,
            key: KeyUsed::None,
            sources: self.sources(),
            completeness: None,
            findings: self.report_findings(),
            records: Some(self.record_counts()),
            members: self.report_members(),
        }
    }

    /// Events that are known to be missing.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.all_findings().map(|(_, finding)| finding.lost).sum()
    }

    /// The gravest ground: changed bytes before missing ones.
    fn cause(&self) -> Cause {
        let changed = self
            .all_findings()
            .any(|(_, finding)| finding.kind == FindingKind::Damage);
        if changed {
            Cause::Checksum
        } else {
            Cause::Missing
        }
    }

    fn sources(&self) -> Vec<SourceSeen> {
        let mut events: BTreeMap<&'static str, u64> = BTreeMap::new();
        for (source, &count) in self
            .members
            .iter()
            .flat_map(|member| &member.counts.sources)
        {
            *events.entry(source.as_str()).or_default() += count;
        }
        let seen = events.into_iter().map(|(name, events)| SourceSeen {
            name: name.to_owned(),
            events,
            lost: 0,
            limits: String::new(),
        });
        seen.collect()
    }

    fn report_findings(&self) -> Vec<report::Finding> {
        let listed = self.all_findings().map(|(path, finding)| report::Finding {
            kind: finding.kind,
            text: sentence(path, finding),
            from: finding.from_us.map(Moment::from_us),
            to: finding.to_us.map(Moment::from_us),
            evidence: Vec::new(),
        });
        let unlisted = (self.unlisted() > 0).then(|| report::Finding {
            kind: FindingKind::Note,
            text: format!("{} more findings are not listed", self.unlisted()),
            from: None,
            to: None,
            evidence: Vec::new(),
        });
        listed.chain(unlisted).collect()
    }

    fn record_counts(&self) -> RecordCounts {
        let raw = self.sum(|member| member.counts.raw());
        let skipped = self.skipped().into_iter();
        RecordCounts {
            mapped: self.events() - raw,
            raw,
            skipped: skipped
                .map(|(why, count)| (why.as_str().to_owned(), count))
                .collect(),
        }
    }

    fn report_members(&self) -> Vec<EvidenceMember> {
        let members = self.members.iter().filter(|_| self.is_archive);
        let told = members.map(|member| EvidenceMember {
            path: member.path.clone().unwrap_or_default(),
            sha256: member.sha256.clone(),
            bytes: member.bytes,
            format: member.format,
            events: member.counts.events(),
            damaged: member.counts.damaged(),
            verdict: verdict_of(member.is_damaged()),
        });
        told.collect()
    }
}

/// A finding as a sentence, with its place.
#[must_use]
pub fn sentence(path: Option<&str>, finding: &Finding) -> String {
    let mut text = String::new();
    if let Some(path) = path {
        text.push_str(path);
        text.push_str(if finding.at.is_some() { " " } else { ": " });
    }
    if let Some(at) = finding.at {
        text.push_str(&format!("at {at}: "));
    }
    text.push_str(&finding.text);
    text
}

const fn is_grave(kind: FindingKind) -> bool {
    match kind {
        FindingKind::Damage | FindingKind::Gap => true,
        FindingKind::Clock | FindingKind::Loss | FindingKind::Note => false,
    }
}

const fn verdict_of(damaged: bool) -> Verdict {
    if damaged {
        Verdict::Damaged
    } else {
        Verdict::Whole
    }
}

impl Findings {
    /// Whether nothing was noticed.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.listed.is_empty()
    }
}
