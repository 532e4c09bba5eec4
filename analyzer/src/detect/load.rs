//! Rule texts to rules: parsed, filled, mended, compiled; what cannot be used is refused aloud.

use std::collections::BTreeMap;
use std::sync::Arc;

use rsigma_eval::{CompiledRule, compile_to_compiled};
use rsigma_ir::{LowerOptions, lower_rule};
use rsigma_parser::{
    CorrelationRule, FilterRule, FilterRuleTarget, SigmaCollection, SigmaRule, parse_sigma_yaml,
};

use crate::detect::attack::read_tags;
use crate::detect::bounds::{FAULTS_MAX, PLACED_MAX, fault, placed};
use crate::detect::mend::{Placeholders, fill_placeholders, join_filter, mark, mend, one_line};
use crate::detect::source::{LogSource, describe};
use crate::detect::{Level, Refusal, RuleInfo, RuleText};

/// The largest rule file that is read. The largest of SigmaHQ has 30 KiB.
const RULE_BYTES_MAX: usize = 1 << 20;

/// A rule over single events, ready to be matched.
pub(super) struct Loaded {
    pub(super) info: Arc<RuleInfo>,
    /// The name that correlations may use beside the id.
    pub(super) name: Option<String>,
    pub(super) compiled: CompiledRule,
    /// The log sources whose events it is held against.
    pub(super) sources: Vec<LogSource>,
}

/// A rule over several events.
pub(super) struct LoadedCorrelation {
    pub(super) info: Arc<RuleInfo>,
    pub(super) rule: CorrelationRule,
}

/// All that was read from rule texts, in the order of the texts.
#[derive(Default)]
pub(super) struct RuleSet {
    pub(super) rules: Vec<Loaded>,
    pub(super) correlations: Vec<LoadedCorrelation>,
    pub(super) refused: Vec<Refusal>,
    /// What was odd in rules that are used all the same.
    pub(super) remarks: Vec<Refusal>,
    /// Filters that were joined to rules.
    pub(super) filters: usize,
}

/// Rule documents before filters are joined.
#[derive(Default)]
struct Parsed {
    rules: Vec<(String, SigmaRule)>,
    correlations: Vec<(String, CorrelationRule)>,
    filters: Vec<(String, FilterRule)>,
    refused: Vec<Refusal>,
    remarks: Vec<Refusal>,
}

/// Reads rule texts. Nothing here fails as a whole: a broken rule is one refusal.
pub(super) fn read_rules(
    texts: impl IntoIterator<Item = RuleText>,
    given: &Placeholders,
) -> RuleSet {
    let mut parsed = Parsed::default();
    let texts: Vec<RuleText> = texts.into_iter().collect();
    for text in &texts {
        parse(text, &mut parsed);
    }
    let filters = join_filters(&mut parsed);
    let mut set = RuleSet {
        refused: parsed.refused,
        remarks: parsed.remarks,
        filters,
        ..RuleSet::default()
    };
    let mut ids: BTreeMap<String, String> = BTreeMap::new();
    for (file, rule) in parsed.rules {
        let title = rule.title.clone();
        let read = claim_id(&mut ids, rule.id.as_deref(), &file)
            .and_then(|()| compile(&file, rule, given));
        match read {
            Ok(loaded) => set.rules.push(loaded),
            Err(reason) => set.refused.push(Refusal {
                file,
                title: Some(title),
                reason,
            }),
        }
    }
    for (file, rule) in parsed.correlations {
        match claim_id(&mut ids, rule.id.as_deref(), &file) {
            Ok(()) => set.correlations.push(LoadedCorrelation {
                info: Arc::new(correlation_info(&file, &rule)),
                rule,
            }),
            Err(reason) => set.refused.push(Refusal {
                file,
                title: Some(rule.title),
                reason,
            }),
        }
    }
    let texts: BTreeMap<&str, &str> = texts
        .iter()
        .map(|text| (text.name.as_str(), text.text.as_str()))
        .collect();
    let mut told: BTreeMap<String, usize> = BTreeMap::new();
    for refusal in &mut set.refused {
        let count = told.entry(refusal.file.clone()).or_default();
        *count += 1;
        if *count <= PLACED_MAX
            && let Some(text) = texts.get(refusal.file.as_str())
        {
            refusal.reason = placed(text, refusal.title.as_deref(), &refusal.reason);
        }
    }
    set.refused.sort();
    set.remarks.sort();
    set
}

fn parse(text: &RuleText, parsed: &mut Parsed) {
    let file = || text.name.clone();
    let refuse = |reason: String| Refusal {
        file: text.name.clone(),
        title: None,
        reason,
    };
    if text.text.len() > RULE_BYTES_MAX {
        let reason = format!(
            "file has {} bytes, at most {RULE_BYTES_MAX} are read",
            text.text.len()
        );
        return parsed.refused.push(refuse(reason));
    }
    if let Some(reason) = fault(&text.text) {
        return parsed.refused.push(refuse(reason));
    }
    let collection = match parse_sigma_yaml(&text.text) {
        Ok(collection) => collection,
        Err(error) => return parsed.refused.push(refuse(one_line(&error.to_string()))),
    };
    let SigmaCollection {
        rules,
        correlations,
        filters,
        errors,
    } = collection;
    let documents = rules.len() + correlations.len() + filters.len();
    if errors.len() > FAULTS_MAX {
        let more = errors.len() - FAULTS_MAX;
        parsed
            .refused
            .push(refuse(format!("{more} further documents are broken")));
    }
    for error in errors.iter().take(FAULTS_MAX) {
        let list = if is_remark(error) {
            &mut parsed.remarks
        } else {
            &mut parsed.refused
        };
        list.push(refuse(one_line(error)));
    }
    if documents == 0 && errors.is_empty() {
        parsed
            .refused
            .push(refuse("no rule in this file".to_owned()));
    }
    parsed
        .rules
        .extend(rules.into_iter().map(|rule| (file(), rule)));
    parsed
        .correlations
        .extend(correlations.into_iter().map(|rule| (file(), rule)));
    parsed
        .filters
        .extend(filters.into_iter().map(|filter| (file(), filter)));
}

/// Whether the parser's message is about a part without which the rule is still read.
fn is_remark(error: &str) -> bool {
    [
        "invalid status: ",
        "invalid level: ",
        "invalid sigma-version: ",
        "related[",
        "'related' must",
    ]
    .iter()
    .any(|start| error.starts_with(start))
}

/// Joins each filter to the rules that it names; one that finds none is refused.
fn join_filters(parsed: &mut Parsed) -> usize {
    let mut joined = 0;
    for (number, (file, filter)) in parsed.filters.iter().enumerate() {
        let mut rules = 0;
        for (_, rule) in &mut parsed.rules {
            let named = match &filter.rules {
                FilterRuleTarget::Any => true,
                FilterRuleTarget::Specific(names) => names.iter().any(|name| {
                    rule.id.as_ref() == Some(name)
                        || rule.name.as_ref() == Some(name)
                        || rule.title == *name
                }),
            };
            let source = filter.logsource.as_ref().is_none_or(|stated| {
                let fits = |filter: &Option<String>, rule: &Option<String>| {
                    filter.is_none() || filter == rule
                };
                fits(&stated.product, &rule.logsource.product)
                    && fits(&stated.category, &rule.logsource.category)
                    && fits(&stated.service, &rule.logsource.service)
            });
            if named && source {
                join_filter(rule, filter, number);
                rules += 1;
            }
        }
        if rules == 0 {
            let reason = "the filter names no rule that was read".to_owned();
            parsed.refused.push(Refusal {
                file: file.clone(),
                title: Some(filter.title.clone()),
                reason,
            });
        } else {
            joined += 1;
        }
    }
    joined
}

fn claim_id(
    ids: &mut BTreeMap<String, String>,
    id: Option<&str>,
    file: &str,
) -> Result<(), String> {
    let Some(id) = id else { return Ok(()) };
    match ids.get(id) {
        Some(other) => Err(format!("its id {id} is already that of a rule in {other}")),
        None => {
            ids.insert(id.to_owned(), file.to_owned());
            Ok(())
        }
    }
}

fn compile(file: &str, mut rule: SigmaRule, given: &Placeholders) -> Result<Loaded, String> {
    let stated = &rule.logsource;
    if stated.product.is_none() && stated.category.is_none() && stated.service.is_none() {
        return Err("it states no log source".to_owned());
    }
    let info = Arc::new(rule_info(file, &rule));
    fill_placeholders(&mut rule, given)?;
    mark(&mut rule);
    let mut lowered = lower_rule(&rule, &LowerOptions::default())
        .map_err(|error| one_line(&error.to_string()))?;
    mend(&mut lowered)?;
    let mut compiled =
        compile_to_compiled(&lowered).map_err(|error| one_line(&error.to_string()))?;
    // The whole event is never kept in a result.
    compiled.include_event = false;
    let sources = LogSource::ALL
        .iter()
        .copied()
        .filter(|source| source.serves(&rule.logsource))
        .collect();
    Ok(Loaded {
        info,
        name: rule.name,
        compiled,
        sources,
    })
}

fn rule_info(file: &str, rule: &SigmaRule) -> RuleInfo {
    let (techniques, tactics) = read_tags(&rule.tags);
    RuleInfo {
        id: rule
            .id
            .clone()
            .or_else(|| rule.name.clone())
            .unwrap_or_else(|| rule.title.clone()),
        title: rule.title.clone(),
        level: level(rule.level),
        description: rule
            .description
            .clone()
            .unwrap_or_default()
            .trim()
            .to_owned(),
        techniques,
        tactics,
        tags: rule.tags.clone(),
        references: rule.references.clone(),
        false_positives: rule.falsepositives.clone(),
        source: describe(&rule.logsource),
        file: file.to_owned(),
    }
}

fn correlation_info(file: &str, rule: &CorrelationRule) -> RuleInfo {
    let (techniques, tactics) = read_tags(&rule.tags);
    RuleInfo {
        id: rule
            .id
            .clone()
            .or_else(|| rule.name.clone())
            .unwrap_or_else(|| rule.title.clone()),
        title: rule.title.clone(),
        level: level(rule.level),
        description: rule
            .description
            .clone()
            .unwrap_or_default()
            .trim()
            .to_owned(),
        techniques,
        tactics,
        tags: rule.tags.clone(),
        references: rule.references.clone(),
        false_positives: rule.falsepositives.clone(),
        source: rule.correlation_type.as_str().to_owned(),
        file: file.to_owned(),
    }
}

fn level(stated: Option<rsigma_parser::Level>) -> Level {
    use rsigma_parser::Level as Stated;
    match stated {
        None | Some(Stated::Informational) => Level::Informational,
        Some(Stated::Low) => Level::Low,
        Some(Stated::Medium) => Level::Medium,
        Some(Stated::High) => Level::High,
        Some(Stated::Critical) => Level::Critical,
    }
}
