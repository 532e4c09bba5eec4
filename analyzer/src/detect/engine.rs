//! Rules held against events: which rule fits which event, whatever the thread.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use rsigma_eval::{Engine as Matcher, EvaluationResult, FieldMatch, MatchDetailLevel, ResultBody};
use saigen_schemas::event::{Event, Kind};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use crate::detect::allow::{Allowed, EVERY_RULE, Exception, Quiet};
use crate::detect::audit::{self, AuditRecord, AuditWords};
use crate::detect::detection::{INDICATOR, MatchedField, cut};
use crate::detect::facts::Context;
use crate::detect::fields::View;
use crate::detect::indicators::Indicators;
use crate::detect::link::{Links, link};
use crate::detect::load::{Loaded, read_rules};
use crate::detect::mend::{Placeholders, time_asked};
use crate::detect::route::sources_of;
use crate::detect::source::LogSource;
use crate::detect::subject::{Held, Subject, Value};
use crate::detect::{Refusal, RuleInfo, RuleText};

/// Rules that are ready, and what was refused on the way.
///
/// It holds no state between events: [`Engine::evaluate`] may be called from many threads, and what
/// it returns depends on the event and the rules alone. What several events say together is
/// found by a [`crate::detect::Correlator`], which sees matches in the order of the evidence.
pub struct Engine {
    rules: Vec<Loaded>,
    links: Links,
    refused: Vec<Refusal>,
    remarks: Vec<Refusal>,
    filters: usize,
    /// One matcher a log source, built when the first event of it comes: evidence of Linux alone
    /// never pays for rules of Windows.
    matchers: Vec<OnceLock<Matcher>>,
    /// Whether an event of each log source was seen.
    seen: Vec<AtomicBool>,
    allowed: Vec<Allowed>,
    indicators: Indicators,
    hasher: Sha256,
}

/// One rule that fitted one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Match {
    /// Place of the rule among the engine's rules.
    pub(super) rule: usize,
    /// What fitted, in the rule's order.
    pub(super) fields: Vec<MatchedField>,
    /// The values that correlations of this rule ask for, in the order of [`Links::captures`].
    pub(super) captured: Vec<Option<String>>,
    /// Why it is no detection, if so.
    pub(super) quiet: Option<Quiet>,
}

/// How many rules there are, and what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RuleCounts {
    /// Rules in use, those over several events included.
    pub loaded: usize,
    /// Of these, rules over several events.
    pub correlations: usize,
    /// Filters that were joined to rules.
    pub filters: usize,
    /// Documents and files that cannot be used, with the reason.
    pub refused: Vec<Refusal>,
    /// What was odd in rules that are used all the same.
    pub remarks: Vec<Refusal>,
}

impl Engine {
    /// Reads rules, in the order of the texts. Nothing is left out in silence: see
    /// [`Engine::counts`].
    #[must_use]
    pub fn new(texts: impl IntoIterator<Item = RuleText>, placeholders: &Placeholders) -> Self {
        let mut hasher = Sha256::new();
        let texts = texts.into_iter().inspect(|text| {
            for part in [text.name.as_bytes(), text.text.as_bytes()] {
                hasher.update((part.len() as u64).to_le_bytes());
                hasher.update(part);
            }
        });
        let mut set = read_rules(texts, placeholders);
        let links = link(&set.rules, set.correlations, &mut set.refused);
        for (index, rule) in set.rules.iter_mut().enumerate() {
            // The matcher hands this text back with a match.
            rule.compiled.id = Some(index.to_string());
        }
        Self {
            rules: set.rules,
            links,
            refused: set.refused,
            remarks: set.remarks,
            filters: set.filters,
            matchers: LogSource::ALL.iter().map(|_| OnceLock::new()).collect(),
            seen: LogSource::ALL
                .iter()
                .map(|_| AtomicBool::new(false))
                .collect(),
            allowed: Vec::new(),
            indicators: Indicators::default(),
            hasher,
        }
    }

    /// SHA-256 over all rules in their order, and over the lists of indicators and the exceptions where
    /// there are any.
    #[must_use]
    pub fn sha256(&self) -> [u8; 32] {
        self.hasher.clone().finalize().into()
    }

    /// Takes lists of indicators into use: what stands in them is found in every event. It comes
    /// before [`Engine::allow`], so that exceptions may name them.
    pub fn watch_for(&mut self, mut indicators: Indicators) {
        indicators.close();
        for list in indicators.lists() {
            self.hasher.update(list.sha256);
        }
        self.indicators = indicators;
    }

    /// The lists of indicators in use.
    #[must_use]
    pub const fn indicators(&self) -> &Indicators {
        &self.indicators
    }

    /// Takes exceptions into use: what they cover is no detection, and counted.
    ///
    /// # Errors
    ///
    /// Names the exception whose rule is not loaded; then none is taken.
    pub fn allow(&mut self, exceptions: Vec<Exception>) -> Result<(), String> {
        let mut allowed = Vec::new();
        for exception in exceptions {
            let rules: Vec<usize> = if exception.rule == EVERY_RULE {
                (0..self.all().count()).collect()
            } else {
                let named: Vec<&str> = self
                    .find(&exception.rule)
                    .map(|rule| rule.id.as_str())
                    .collect();
                let places = self.all().enumerate();
                places
                    .filter(|(_, rule)| named.contains(&rule.id.as_str()))
                    .map(|(place, _)| place)
                    .collect()
            };
            if rules.is_empty() {
                return Err(format!(
                    "line {}: no rule {} is loaded",
                    exception.line, exception.rule
                ));
            }
            allowed.push(Allowed { exception, rules });
        }
        for Allowed { exception, rules } in &allowed {
            self.hasher.update(exception.entry());
            let correlations = rules
                .iter()
                .filter_map(|rule| rule.checked_sub(self.rules.len()));
            for correlation in correlations {
                self.links.capture_for(correlation, &exception.fields);
            }
        }
        self.allowed.append(&mut allowed);
        Ok(())
    }

    /// The exceptions in use.
    pub fn exceptions(&self) -> impl Iterator<Item = &Exception> {
        self.allowed.iter().map(|allowed| &allowed.exception)
    }

    /// The exception that a finding of the rule at a place falls under; the first that fits.
    pub(super) fn excepted(
        &self,
        rule: usize,
        wall_us: Option<i64>,
        value: &dyn Fn(&str) -> Option<String>,
    ) -> Option<Quiet> {
        self.allowed
            .iter()
            .position(|allowed| allowed.takes(rule, wall_us, value))
            .map(Quiet::Excepted)
    }

    /// What quietened, as it stands in its file.
    pub(super) fn quiet_entry(&self, quiet: Quiet) -> String {
        match quiet {
            Quiet::Excepted(place) => self
                .allowed
                .get(place)
                .map(|allowed| allowed.exception.entry())
                .unwrap_or_default(),
            Quiet::KnownGood(list) => self.indicators.good_entry(list),
        }
    }

    /// The place of a correlation among all rules.
    pub(super) fn place_of_correlation(&self, index: usize) -> usize {
        self.rules.len() + index
    }

    /// How many rules are loaded, and which were refused.
    #[must_use]
    pub fn counts(&self) -> RuleCounts {
        RuleCounts {
            loaded: self.rules.len() + self.links.correlations.len(),
            correlations: self.links.correlations.len(),
            filters: self.filters,
            refused: self.refused.clone(),
            remarks: self.remarks.clone(),
        }
    }

    /// All rules in use: those over single events in the order of their texts, then those over
    /// several.
    pub fn rules(&self) -> impl Iterator<Item = &Arc<RuleInfo>> {
        self.rules
            .iter()
            .map(|rule| &rule.info)
            .chain(self.links.correlations.iter().map(|rule| &rule.info))
    }

    /// Rules, correlations and the rules that stand for indicators, in the order of their places.
    fn all(&self) -> impl Iterator<Item = &Arc<RuleInfo>> {
        self.rules().chain(self.indicators.rules())
    }

    /// The rule at a place.
    pub(super) fn info_at(&self, place: usize) -> Option<&Arc<RuleInfo>> {
        let correlations = &self.links.correlations;
        if let Some(rule) = self.rules.get(place) {
            return Some(&rule.info);
        }
        let place = place.checked_sub(self.rules.len())?;
        if let Some(rule) = correlations.get(place) {
            return Some(&rule.info);
        }
        self.indicators
            .rules()
            .get(place.checked_sub(correlations.len())?)
    }

    /// Adds files that could not even be read.
    pub(super) fn add_refusals(&mut self, refused: Vec<Refusal>) {
        self.refused.extend(refused);
        self.refused.sort();
    }

    /// The rules of an id, a title or a file name without its folder and ending.
    pub fn find<'e>(&'e self, name: &'e str) -> impl Iterator<Item = &'e Arc<RuleInfo>> {
        let stem = |file: &'e str| {
            let last = file.rsplit('/').next().unwrap_or(file);
            last.strip_suffix(".yml")
                .or_else(|| last.strip_suffix(".yaml"))
                .unwrap_or(last)
        };
        self.all()
            .filter(move |rule| rule.id == name || rule.title == name || stem(&rule.file) == name)
    }

    /// Rules whose log source no evidence that this version reads can carry.
    pub fn without_source(&self) -> impl Iterator<Item = &Arc<RuleInfo>> {
        self.rules
            .iter()
            .filter(|rule| rule.sources.is_empty())
            .map(|rule| &rule.info)
    }

    /// Rules that no event so far could have fired: nothing of their log source was seen. A rule
    /// over several events is among them when one of its parts can never fire.
    pub fn never_applicable(&self) -> impl Iterator<Item = &Arc<RuleInfo>> {
        let dead: Vec<bool> = self.rules.iter().map(|rule| !self.was_seen(rule)).collect();
        let single = self
            .rules
            .iter()
            .zip(dead.clone())
            .filter(|(_, dead)| *dead)
            .map(|(rule, _)| &rule.info);
        let several = self
            .links
            .correlations
            .iter()
            .filter(move |rule| rule.is_dead(&dead))
            .map(|rule| &rule.info);
        single.chain(several)
    }

    fn was_seen(&self, rule: &Loaded) -> bool {
        rule.sources.iter().any(|source| {
            self.seen
                .get(source.index())
                .is_some_and(|seen| seen.load(Ordering::Relaxed))
        })
    }

    /// Holds an event against the rules of its log sources. The matches come in the order of the
    /// rules, each rule once.
    ///
    /// `context` says what is known of the processes behind the event; rules ask for them
    /// (`ParentImage`, or the `Image` of whoever wrote a file).
    #[must_use]
    pub fn evaluate(&self, event: &Event<'_>, context: &Context<'_>) -> Vec<Match> {
        let view = View::new(event, context);
        let mut matches = Vec::new();
        for source in sources_of(event) {
            if source != LogSource::LinuxAuditd {
                self.hold(source, &view, &mut matches);
                continue;
            }
            let records = audit::records(event);
            if records.is_empty() {
                self.hold(source, &AuditWords(&view), &mut matches);
            }
            for fields in &records {
                let record = AuditRecord {
                    view: &view,
                    fields,
                };
                self.hold(source, &record, &mut matches);
            }
        }
        let mut matches = in_order(matches);
        let first = self.rules.len() + self.links.correlations.len();
        let held = self.indicators.hold(event).into_iter();
        matches.extend(held.map(|(place, fields)| Match {
            rule: first + place,
            fields,
            captured: Vec::new(),
            quiet: None,
        }));
        self.quieten(&mut matches, Some(event.time.wall_us), &view);
        self.know_good(&mut matches, &event.kind, &view);
        matches
    }

    /// Takes note of the log sources of an event without holding it against their rules.
    pub fn survey(&self, event: &Event<'_>) {
        for source in sources_of(event) {
            self.see(source);
        }
    }

    fn see(&self, source: LogSource) {
        // Written once, so that threads do not take the line from each other.
        if let Some(seen) = self.seen.get(source.index())
            && !seen.load(Ordering::Relaxed)
        {
            seen.store(true, Ordering::Relaxed);
        }
    }

    /// Holds anything with named fields against the rules of one log source.
    pub fn evaluate_as<S: Subject>(&self, source: LogSource, subject: &S) -> Vec<Match> {
        let mut matches = Vec::new();
        self.hold(source, subject, &mut matches);
        let mut matches = in_order(matches);
        self.quieten(&mut matches, None, subject);
        matches
    }

    /// Marks the matches that an exception covers.
    fn quieten<S: Subject>(&self, matches: &mut [Match], wall_us: Option<i64>, subject: &S) {
        if self.allowed.is_empty() {
            return;
        }
        let value = |name: &str| subject.field(name).and_then(value_text);
        for found in matches {
            found.quiet = self.excepted(found.rule, wall_us, &value);
        }
    }

    /// Marks the matches that rest only on what a file is called, where it lies or what it says of itself, where
    /// the file is known to be good. What a program does is never quietened by what it is.
    fn know_good(&self, matches: &mut [Match], kind: &Kind<'_>, view: &View<'_, '_>) {
        if matches.is_empty() || !self.indicators.knows_good() {
            return;
        }
        let of_file = identity_fields(kind);
        let hashes = view.field("Hashes").and_then(value_text);
        let Some(list) = hashes.and_then(|hashes| self.indicators.good_file(&hashes)) else {
            return;
        };
        for found in matches.iter_mut().filter(|found| found.quiet.is_none()) {
            let of_hash = |field: &MatchedField| {
                field.selection == INDICATOR && self.indicators.good_file(&field.value).is_some()
            };
            let of_identity = |field: &MatchedField| of_file.contains(&field.field.as_str());
            let fields = &found.fields;
            if !fields.is_empty() && fields.iter().all(of_identity) && !fields.iter().any(of_hash) {
                found.quiet = Some(Quiet::KnownGood(list));
            }
        }
    }

    fn hold<S: Subject>(&self, source: LogSource, subject: &S, matches: &mut Vec<Match>) {
        self.see(source);
        let Some(slot) = self.matchers.get(source.index()) else {
            return;
        };
        let matcher = slot.get_or_init(|| self.build_matcher(source));
        if matcher.rule_count() == 0 {
            return;
        }
        let results = matcher.evaluate(&Held(subject)).into_iter();
        matches.extend(results.filter_map(|result| self.read_result(result, subject)));
    }

    fn build_matcher(&self, source: LogSource) -> Matcher {
        let rules = self
            .rules
            .iter()
            .filter(|rule| rule.sources.contains(&source));
        let mut matcher = Matcher::new();
        matcher.set_match_detail(MatchDetailLevel::Full);
        matcher.extend_compiled_rules(rules.map(|rule| rule.compiled.clone()));
        matcher
    }

    fn read_result<S: Subject>(&self, result: EvaluationResult, subject: &S) -> Option<Match> {
        let rule: usize = result.header.rule_id?.parse().ok()?;
        let ResultBody::Detection(body) = result.body else {
            return None;
        };
        let mut fields: Vec<MatchedField> =
            body.matched_fields.into_iter().map(matched_field).collect();
        // The matcher walks named parts in no fixed order; within one part its order is the rule's.
        fields.sort_by(|a, b| a.selection.cmp(&b.selection));
        fields.dedup();
        let wanted = self.links.captures.get(rule)?;
        let captured = wanted
            .iter()
            .map(|name| subject.field(name).and_then(value_text))
            .collect();
        Some(Match {
            rule,
            fields,
            captured,
            quiet: None,
        })
    }

    pub(super) const fn links(&self) -> &Links {
        &self.links
    }
}

/// The fields that say what the file is whose hashes an event of this kind carries, by the names of rules and of
/// the event model.
fn identity_fields(kind: &Kind<'_>) -> &'static [&'static str] {
    if matches!(kind, Kind::ProcessStart(_)) {
        &[
            "Image",
            "NewProcessName",
            "OriginalFileName",
            "Product",
            "Description",
            "Company",
            "Hashes",
            "sha256",
            "image",
        ]
    } else if matches!(kind, Kind::FileMapped(_) | Kind::ModuleLoaded(_)) {
        &[
            "ImageLoaded",
            "OriginalFileName",
            "Product",
            "Description",
            "Company",
            "Hashes",
            "Signed",
            "Signature",
            "SignatureStatus",
            "path",
        ]
    } else {
        &["TargetFilename", "Hashes", "Hash", "sha256", "path"]
    }
}

fn in_order(mut matches: Vec<Match>) -> Vec<Match> {
    matches.sort_by_key(|found| found.rule);
    matches.dedup_by_key(|found| found.rule);
    matches
}

fn matched_field(matched: FieldMatch) -> MatchedField {
    let value = match &matched.value {
        Json::String(text) => cut(text),
        Json::Null => "(none)".to_owned(),
        Json::Bool(_) | Json::Number(_) | Json::Array(_) | Json::Object(_) => {
            cut(&matched.value.to_string())
        }
    };
    MatchedField {
        selection: matched.selection.unwrap_or_default(),
        field: match time_asked(&matched.field) {
            Some((_, name)) => name.to_owned(),
            None => matched.field,
        },
        value,
        pattern: matched.pattern,
    }
}

/// The text by which correlations compare a value; of several the first.
fn value_text(value: Value<'_>) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.into_owned()),
        Value::Number(number) => Some(number.to_string()),
        Value::Flag(flag) => Some(flag.to_string()),
        Value::Any(values) => values.into_iter().next().and_then(value_text),
    }
}
