//! A verification in the words of the report's model.

use saigen_schemas::report::{
    self, Evidence, EvidenceFile, Finding, FindingKind, Format, Moment, SourceSeen,
};
use sha2::{Digest as _, Sha256};

use crate::evidence::verdict::{FaultKind, Verification};
use crate::evidence::window::hex;
use crate::stream::GapWhy;

impl Verification {
    /// What a report says of this input.
    #[must_use]
    pub fn to_report(&self) -> Evidence {
        Evidence {
            id: self.source.into(),
            path: self.path.clone(),
            sha256: self.sha256(),
            bytes: self.files.iter().map(|file| file.bytes).sum(),
            files: self.report_files(),
            format: Format::Journal,
            hosts: self.recorded.hosts.clone(),
            recorder: self.recorded.tool.clone(),
            events: self.events,
            lost: self.lost,
            damaged: self.damaged,
            frames: self.frames,
            first: self.span_us.map(|(first, _)| Moment::from_us(first)),
            last: self.span_us.map(|(_, last)| Moment::from_us(last)),
            verdict: self.verdict,
            cause: self.cause,
            explanation: self.explanation.clone(),
            signed_to: self.signed_to,
            key: self.key.clone(),
            sources: self.sources_seen(),
            completeness: self
                .completeness
                .as_ref()
                .map(|counts| report::Completeness {
                    started: counts.counted,
                    recorded: counts.whole,
                    lost: counts.counted.saturating_sub(counts.recorded),
                }),
            findings: self.findings(),
            records: None,
            members: Vec::new(),
        }
    }

    /// Lower-case hex SHA-256 of the input: of its one file, or of the text that `sha256sum` prints
    /// for its files in their order.
    #[must_use]
    pub fn sha256(&self) -> String {
        if let [only] = self.files.as_slice() {
            return only.sha256.clone();
        }
        let mut hasher = Sha256::new();
        for file in &self.files {
            hasher.update(format!("{}  {}\n", file.sha256, file.path));
        }
        hex(&hasher.finalize())
    }

    fn report_files(&self) -> Vec<EvidenceFile> {
        let files = self.files.iter().map(|file| EvidenceFile {
            path: file.path.clone(),
            sha256: file.sha256.clone(),
            bytes: file.bytes,
        });
        files.collect()
    }

    fn sources_seen(&self) -> Vec<SourceSeen> {
        let levels = self.recorded.sources.iter().map(|level| SourceSeen {
            name: level.source.clone(),
            events: self
                .sources
                .get(level.source.as_str())
                .copied()
                .unwrap_or(0),
            lost: self.lost_by_source.get(&level.source).copied().unwrap_or(0),
            limits: level.missed.clone(),
        });
        levels.collect()
    }

    fn findings(&self) -> Vec<Finding> {
        let finding = |kind, text: String, from_us: Option<i64>, to_us: Option<i64>| Finding {
            kind,
            text,
            from: from_us.map(Moment::from_us),
            to: to_us.map(Moment::from_us),
            evidence: Vec::new(),
        };
        let faults = self.faults.iter().map(|fault| {
            let kind = match fault.kind {
                FaultKind::Altered => FindingKind::Damage,
                FaultKind::Incomplete | FaultKind::Crash => FindingKind::Gap,
            };
            let text = format!("{} at {:#x}: {}", fault.file, fault.offset, fault.text);
            finding(kind, text, None, None)
        });
        let gaps = self.gaps.iter().filter(|gap| gap.frames > 0).map(|gap| {
            let why = match gap.why {
                GapWhy::Damaged => "damaged",
                GapWhy::Missing => "missing",
                GapWhy::Crash => "not written: the recorder crashed",
                GapWhy::Removed => "removed by the recorder to keep to its quota",
                GapWhy::Silent => "not there",
            };
            let text = format!("{} frames from {} on are {why}", gap.frames, gap.position);
            finding(FindingKind::Gap, text, gap.from_us, gap.to_us)
        });
        let losses = self.lost_by_source.iter().map(|(name, lost)| {
            let text = format!("{lost} events of {name} were lost while recording");
            finding(FindingKind::Loss, text, None, None)
        });
        let notices = self.notices.iter().map(|notice| {
            finding(
                notice.kind,
                notice.text.clone(),
                notice.from_us,
                notice.to_us,
            )
        });
        faults.chain(gaps).chain(losses).chain(notices).collect()
    }
}
