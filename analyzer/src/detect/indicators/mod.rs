//! Indicators: hashes, addresses, domains, URLs, paths and names that are known to be bad, and
//! hashes of files that are known to be good.
//!
//! Lists are kept as sorted keys (some 40 bytes each), so that millions fit. Every text of an
//! event is looked through, whatever the field; a hit names the field, the value and the line
//! of the list.

mod find;
mod list;
mod pattern;
mod stix;
mod table;
mod value;

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, Read};
use std::sync::Arc;

use saigen_schemas::event::Event;
use sha2::{Digest as _, Sha256};

use crate::detect::detection::{INDICATOR, cut};
use crate::detect::indicators::find::Hit;
use crate::detect::indicators::list::{Entry, Taker, read_list};
use crate::detect::indicators::pattern::read_pattern;
use crate::detect::indicators::stix::{Object, read_bundle};
use crate::detect::indicators::table::{Key, Table};
use crate::detect::indicators::value::Indicator;
use crate::detect::{Level, MatchedField, RuleInfo};

pub use value::IndicatorKind;

/// The most indicators of all lists together: some 400 MB.
const INDICATORS_MAX: usize = 10_000_000;

/// The most known-good hashes: some 700 MB.
const KNOWN_GOOD_MAX: usize = 30_000_000;

/// The most bytes of texts that say what indicators stand for. Beyond it they are left out.
const LABEL_BYTES_MAX: usize = 16 << 20;

/// The longest such text, in characters.
const LABEL_CHARS_MAX: usize = 120;

/// The most lists.
const LISTS_MAX: usize = 1000;

/// Reasons that are kept for each list.
const REASONS_MAX: usize = 20;

/// What became of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListFacts {
    /// The list's name, without its folder.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: [u8; 32],
    /// Indicators, or known-good hashes, that it gave.
    pub taken: u64,
    /// Lines or objects that gave none.
    pub left_out: u64,
    /// Why, for the first of them: `line 3: …`.
    pub reasons: Vec<String>,
}

/// Where an indicator comes from. The order is that of the lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Note {
    list: u16,
    /// Line, or number of the object, from 1.
    line: u32,
    level: Level,
    label: u32,
}

/// All lists of a run.
#[derive(Debug, Default)]
pub struct Indicators {
    hashes: Table<Note>,
    import_hashes: Table<Note>,
    addresses: Table<Note>,
    /// Ranges by how many bits of an address they compare, of 128.
    networks: BTreeMap<u8, Table<Note>>,
    domains: Table<Note>,
    urls: Table<Note>,
    paths: Table<Note>,
    names: Table<Note>,
    known_good: Table<u16>,
    lists: Vec<ListFacts>,
    /// Whether a list holds STIX objects, for its notes.
    objects: Vec<bool>,
    good_lists: Vec<ListFacts>,
    labels: Labels,
    rules: Vec<Arc<RuleInfo>>,
    rule_places: BTreeMap<(u16, IndicatorKind, Level), usize>,
    count: usize,
}

/// Texts that indicators share.
#[derive(Debug)]
struct Labels {
    texts: Vec<Box<str>>,
    places: HashMap<Box<str>, u32>,
    bytes: usize,
}

impl Default for Labels {
    fn default() -> Self {
        Self {
            texts: vec!["".into()],
            places: HashMap::new(),
            bytes: 0,
        }
    }
}

impl Labels {
    fn place(&mut self, text: &str) -> u32 {
        let short = match text.char_indices().nth(LABEL_CHARS_MAX) {
            Some((end, _)) => text.get(..end).unwrap_or_default(),
            None => text,
        };
        if short.is_empty() {
            return 0;
        }
        if let Some(place) = self.places.get(short) {
            return *place;
        }
        let Ok(place) = u32::try_from(self.texts.len()) else {
            return 0;
        };
        if self.bytes + short.len() > LABEL_BYTES_MAX {
            return 0;
        }
        self.bytes += short.len();
        self.texts.push(short.into());
        self.places.insert(short.into(), place);
        place
    }
}

/// The level of a hit where its list states none: high, and medium for what good and bad share.
const fn usual_level(kind: IndicatorKind) -> Level {
    match kind {
        IndicatorKind::Hash | IndicatorKind::Domain | IndicatorKind::Url | IndicatorKind::Path => {
            Level::High
        }
        IndicatorKind::ImportHash
        | IndicatorKind::Address
        | IndicatorKind::Network
        | IndicatorKind::Name => Level::Medium,
    }
}

impl Indicators {
    /// Reads a list: plain, a table, or a STIX 2.1 bundle, told apart by content.
    ///
    /// # Errors
    ///
    /// Says why the list cannot be used as a whole; what is wrong with a line is in its facts.
    pub fn add(&mut self, name: &str, input: impl Read) -> Result<(), String> {
        let list = next_list(&self.lists)?;
        let mut input = BufReader::with_capacity(1 << 16, Hashing::new(input));
        let is_json = begins_as_json(&mut input).map_err(|error| error.to_string())?;
        let mut facts = ListFacts {
            name: name.to_owned(),
            ..ListFacts::default()
        };
        let mut full = false;
        let mut taking = Taking {
            indicators: self,
            facts: &mut facts,
            list,
            full: &mut full,
        };
        if is_json {
            read_bundle(&mut input, &mut |number, object| {
                taking.object(number, object);
            })
            .map_err(|error| format!("no STIX bundle: {error}"))?;
        } else {
            read_list(&mut input, &mut taking).map_err(|error| error.to_string())?;
        }
        if full {
            return Err(format!(
                "with it there are more than {INDICATORS_MAX} indicators"
            ));
        }
        facts.sha256 = input.into_inner().finish();
        self.lists.push(facts);
        self.objects.push(is_json);
        Ok(())
    }

    /// Reads a list of hashes of files that are known to be good; all else in it is left out.
    ///
    /// # Errors
    ///
    /// Says why the list cannot be used as a whole.
    pub fn add_known_good(&mut self, name: &str, input: impl Read) -> Result<(), String> {
        let list = next_list(&self.good_lists)?;
        let mut input = BufReader::with_capacity(1 << 16, Hashing::new(input));
        let mut facts = ListFacts {
            name: name.to_owned(),
            ..ListFacts::default()
        };
        let mut good = TakingGood {
            table: &mut self.known_good,
            facts: &mut facts,
            list,
        };
        read_list(&mut input, &mut good).map_err(|error| error.to_string())?;
        if self.known_good.len() > KNOWN_GOOD_MAX {
            return Err(format!(
                "with it there are more than {KNOWN_GOOD_MAX} known-good hashes"
            ));
        }
        if facts.taken == 0 {
            return Err("it holds no hash".to_owned());
        }
        facts.sha256 = input.into_inner().finish();
        self.good_lists.push(facts);
        Ok(())
    }

    /// Makes all lists ready to be looked into.
    pub(super) fn close(&mut self) {
        for table in [
            &mut self.hashes,
            &mut self.import_hashes,
            &mut self.addresses,
            &mut self.domains,
            &mut self.urls,
            &mut self.paths,
            &mut self.names,
        ] {
            table.close();
        }
        self.networks.values_mut().for_each(Table::close);
        self.known_good.close();
        self.labels.places = HashMap::new();
        let places: Vec<_> = self.rule_places.keys().copied().collect();
        self.rules = places
            .iter()
            .map(|(list, kind, level)| Arc::new(self.rule(*list, *kind, *level)))
            .collect();
        for (place, key) in places.into_iter().enumerate() {
            self.rule_places.insert(key, place);
        }
    }

    /// The rule that stands for the indicators of one kind and level in one list.
    fn rule(&self, list: u16, kind: IndicatorKind, level: Level) -> RuleInfo {
        let name = self
            .lists
            .get(usize::from(list))
            .map_or("", |facts| facts.name.as_str());
        let word = kind.word();
        RuleInfo {
            id: format!("indicator.{word}.{}.{name}", level.name()),
            title: format!("Known {word} from the list {name}"),
            level,
            description: format!(
                "A {word} that the list of indicators {name} names stands in an event."
            ),
            techniques: Vec::new(),
            tactics: Vec::new(),
            tags: Vec::new(),
            references: Vec::new(),
            false_positives: vec![format!(
                "What the list {name} holds by mistake, or no longer"
            )],
            source: "indicator".to_owned(),
            file: name.to_owned(),
        }
    }

    /// The rules that stand for the lists' indicators.
    pub(super) fn rules(&self) -> &[Arc<RuleInfo>] {
        &self.rules
    }

    /// How many different indicators there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.count
    }

    /// Whether there are known-good hashes.
    pub(super) fn knows_good(&self) -> bool {
        self.known_good.len() > 0
    }

    /// Whether there are none, and no known-good hashes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.count == 0 && self.known_good.len() == 0
    }

    /// What became of each list, in their order: first those of indicators, then those of good files.
    pub fn lists(&self) -> impl Iterator<Item = &ListFacts> {
        self.lists.iter().chain(&self.good_lists)
    }

    /// The entry that quietens, as reports show it.
    pub(super) fn good_entry(&self, list: usize) -> String {
        let name = self
            .good_lists
            .get(list)
            .map_or("", |facts| facts.name.as_str());
        format!("known good: {name}")
    }

    /// What an event holds of the lists: for each rule that stands for them its place and the
    /// fields, in the order of the rules.
    pub(super) fn hold(&self, event: &Event<'_>) -> Vec<(usize, Vec<MatchedField>)> {
        let mut by_rule: BTreeMap<usize, Vec<MatchedField>> = BTreeMap::new();
        if self.count == 0 {
            return Vec::new();
        }
        for hit in self.hits(event) {
            let key = (hit.note.list, hit.kind, hit.note.level);
            let Some(place) = self.rule_places.get(&key) else {
                continue;
            };
            by_rule.entry(*place).or_default().push(self.field(hit));
        }
        by_rule.into_iter().collect()
    }

    fn field(&self, hit: Hit) -> MatchedField {
        let list = usize::from(hit.note.list);
        let name = self.lists.get(list).map_or("", |facts| facts.name.as_str());
        let is_object = self.objects.get(list).copied().unwrap_or(false);
        let word = if is_object { "object" } else { "line" };
        let label = usize::try_from(hit.note.label)
            .ok()
            .and_then(|place| self.labels.texts.get(place))
            .map_or("", |label| label.as_ref());
        let mut pattern = format!("{name} {word} {}", hit.note.line);
        if !label.is_empty() {
            pattern.push_str(": ");
            pattern.push_str(label);
        }
        MatchedField {
            selection: INDICATOR.to_owned(),
            field: hit.field,
            value: cut(&hit.value),
            pattern: Some(pattern),
        }
    }

    fn put(&mut self, list: u16, entry: &Entry<'_>) {
        let kind = match entry.indicator {
            Indicator::Plain(kind, _) => kind,
            Indicator::Network(..) => IndicatorKind::Network,
        };
        let note = Note {
            list,
            line: entry.line,
            level: entry.level.unwrap_or(usual_level(kind)),
            label: self.labels.place(&entry.label),
        };
        self.count += 1;
        self.rule_places.insert((list, kind, note.level), 0);
        match entry.indicator {
            Indicator::Network(key, bits) => {
                self.networks.entry(bits).or_default().push(key, note);
            }
            Indicator::Plain(kind, key) => self.put_plain(kind, key, note),
        }
    }

    fn put_plain(&mut self, kind: IndicatorKind, key: Key, note: Note) {
        match kind {
            IndicatorKind::Hash => self.hashes.push(key, note),
            IndicatorKind::ImportHash => self.import_hashes.push(key, note),
            IndicatorKind::Address | IndicatorKind::Network => self.addresses.push(key, note),
            IndicatorKind::Domain => self.domains.push(key, note),
            IndicatorKind::Url => self.urls.push(key, note),
            IndicatorKind::Path => self.paths.push(key, note),
            IndicatorKind::Name => self.names.push(key, note),
        }
    }
}

fn next_list(lists: &[ListFacts]) -> Result<u16, String> {
    u16::try_from(lists.len())
        .ok()
        .filter(|_| lists.len() < LISTS_MAX)
        .ok_or_else(|| format!("more than {LISTS_MAX} lists"))
}

/// Looks whether a list is JSON, behind a byte order mark and spaces.
fn begins_as_json(input: &mut impl BufRead) -> io::Result<bool> {
    let bytes = input.fill_buf()?;
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "it is UTF-16, and UTF-8 is expected",
        ));
    }
    let mark = bytes.starts_with(&[0xef, 0xbb, 0xbf]);
    let rest = if mark { bytes.get(3..) } else { Some(bytes) };
    let is_json = rest
        .unwrap_or_default()
        .iter()
        .find(|byte| !byte.is_ascii_whitespace())
        .is_some_and(|byte| matches!(byte, b'{' | b'['));
    // `[2001:db8::1]:443` and `[` of an array differ in what follows.
    let is_address = rest.unwrap_or_default().starts_with(b"[")
        && rest
            .and_then(|rest| rest.get(1))
            .is_some_and(u8::is_ascii_hexdigit);
    if mark {
        input.consume(3);
    }
    Ok(is_json && !is_address)
}

/// Puts what a list says into the tables.
struct Taking<'i> {
    indicators: &'i mut Indicators,
    facts: &'i mut ListFacts,
    list: u16,
    full: &'i mut bool,
}

impl Taking<'_> {
    fn put(&mut self, entry: &Entry<'_>) {
        if self.indicators.count >= INDICATORS_MAX {
            *self.full = true;
            return;
        }
        self.facts.taken += 1;
        self.indicators.put(self.list, entry);
    }

    fn object(&mut self, number: u32, object: &Object) {
        if object.kind != "indicator" {
            return;
        }
        let reason = |what: &str| format!("object {number} ({}): {what}", cut(&object.id));
        if object.revoked {
            return leave_out(self.facts, reason("it is revoked"));
        }
        let language = object.pattern_type.as_deref().unwrap_or("stix");
        if language != "stix" {
            let what = format!("patterns of {language} are not read");
            return leave_out(self.facts, reason(&what));
        }
        match read_pattern(object.pattern.as_deref().unwrap_or_default()) {
            Err(what) => leave_out(self.facts, reason(&what)),
            Ok(looked) => {
                let name = object.name.as_deref().unwrap_or(&object.id);
                let label = if looked.partly {
                    format!("{name} (its pattern has further conditions)")
                } else {
                    name.to_owned()
                };
                for indicator in looked.indicators {
                    self.put(&Entry {
                        line: number,
                        indicator,
                        level: object.level(),
                        label: Cow::Borrowed(&label),
                    });
                }
            }
        }
    }
}

fn leave_out(facts: &mut ListFacts, reason: String) {
    facts.left_out += 1;
    if facts.reasons.len() < REASONS_MAX {
        facts.reasons.push(reason);
    }
}

impl Taker for Taking<'_> {
    fn take(&mut self, entry: Entry<'_>) {
        self.put(&entry);
    }

    fn leave(&mut self, line: u32, reason: String) {
        leave_out(self.facts, format!("line {line}: {reason}"));
    }
}

/// Puts the hashes of a list among the known-good ones.
struct TakingGood<'i> {
    table: &'i mut Table<u16>,
    facts: &'i mut ListFacts,
    list: u16,
}

impl Taker for TakingGood<'_> {
    fn take(&mut self, entry: Entry<'_>) {
        if let Indicator::Plain(IndicatorKind::Hash, key) = entry.indicator
            && self.table.len() <= KNOWN_GOOD_MAX
        {
            self.table.push(key, self.list);
            self.facts.taken += 1;
        }
    }

    fn leave(&mut self, line: u32, reason: String) {
        leave_out(self.facts, format!("line {line}: {reason}"));
    }
}

/// Hashes what is read through it.
struct Hashing<R> {
    inner: R,
    hasher: Sha256,
}

impl<R: Read> Hashing<R> {
    fn new(inner: R) -> Self {
        Self {
            inner,
            hasher: Sha256::new(),
        }
    }

    fn finish(self) -> [u8; 32] {
        self.hasher.finalize().into()
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
