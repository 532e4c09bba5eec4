//! Patterns of STIX 2.1 (§9): what single records can show of them.
//!
//! A pattern is read to alternatives of tests that must hold together. Of tests on the same
//! thing the most telling one is looked for; patterns over several observations, with qualifiers,
//! negations or comparisons other than equality are refused with the reason.

use crate::detect::indicators::value::{Indicator, IndicatorKind, by_look, of_kind};

/// The most tests that the alternatives of one pattern may have.
const TESTS_MAX: usize = 10_000;

/// How deep parentheses may stand in each other.
const DEPTH_MAX: usize = 32;

/// What is looked for of a pattern.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Looked {
    pub(super) indicators: Vec<Indicator>,
    /// Whether the pattern has further conditions that single records do not show.
    pub(super) partly: bool,
}

/// Reads a pattern. The error says why nothing of it can be looked for.
pub(super) fn read_pattern(text: &str) -> Result<Looked, String> {
    let mut reader = Reader {
        words: words(text)?,
        next: 0,
    };
    let mut looked = Looked::default();
    reader.observations(0, &mut looked)?;
    if let Some(word) = reader.peek() {
        return Err(match word {
            Word::Bare(word) if ["AND", "FOLLOWEDBY"].contains(&word.as_str()) => {
                "it joins several observations".to_owned()
            }
            Word::Bare(word) => format!("{word} is not supported"),
            Word::Text(_) | Word::Sign(_) => "it goes on after its end".to_owned(),
        });
    }
    Ok(looked)
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Word {
    /// An object path, an operator, a number.
    Bare(String),
    /// A quoted text.
    Text(String),
    /// `[ ] ( ) , =` and the other signs of comparison.
    Sign(String),
}

fn words(text: &str) -> Result<Vec<Word>, String> {
    let mut words = Vec::new();
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            ' ' | '\t' | '\r' | '\n' => {}
            '[' | ']' | '(' | ')' | ',' | '=' => words.push(Word::Sign(letter.to_string())),
            '!' | '<' | '>' => {
                let mut sign = letter.to_string();
                sign.extend(letters.next_if(|next| matches!(next, '=' | '>')));
                words.push(Word::Sign(sign));
            }
            '\'' => words.push(Word::Text(quoted(&mut letters)?)),
            _ => {
                // In an object path a part may be quoted: file:hashes.'SHA-256'.
                let mut bare = letter.to_string();
                while let Some(next) = letters.peek().copied() {
                    match next {
                        '\'' | '"' => {
                            letters.next();
                            let part: String = letters
                                .by_ref()
                                .take_while(|letter| *letter != next)
                                .collect();
                            bare.push_str(&part);
                        }
                        ' ' | '\t' | '\r' | '\n' | ']' | '(' | ')' | ',' | '=' | '!' | '<'
                        | '>' => {
                            break;
                        }
                        _ => {
                            bare.push(next);
                            letters.next();
                        }
                    }
                }
                words.push(Word::Bare(bare));
            }
        }
        if words.len() > 8 * TESTS_MAX {
            return Err("it is too long".to_owned());
        }
    }
    Ok(words)
}

fn quoted(letters: &mut impl Iterator<Item = char>) -> Result<String, String> {
    let mut text = String::new();
    while let Some(letter) = letters.next() {
        match letter {
            '\'' => return Ok(text),
            '\\' => text.extend(letters.next()),
            _ => text.push(letter),
        }
    }
    Err("a quoted text has no end".to_owned())
}

/// One test: where, and one of these values.
#[derive(Clone, Debug)]
struct Test {
    path: String,
    values: Vec<String>,
}

struct Reader {
    words: Vec<Word>,
    next: usize,
}

/// Alternatives of tests that hold together.
type Alternatives = Vec<Vec<Test>>;

impl Reader {
    fn peek(&self) -> Option<&Word> {
        self.words.get(self.next)
    }

    fn take_sign(&mut self, sign: &str) -> bool {
        let fits = matches!(self.peek(), Some(Word::Sign(next)) if next == sign);
        self.next += usize::from(fits);
        fits
    }

    fn take_word(&mut self, word: &str) -> bool {
        let fits = matches!(self.peek(), Some(Word::Bare(next)) if next.eq_ignore_ascii_case(word));
        self.next += usize::from(fits);
        fits
    }

    fn expect_sign(&mut self, sign: &str) -> Result<(), String> {
        if self.take_sign(sign) {
            Ok(())
        } else {
            Err(format!("expected {sign}"))
        }
    }

    fn observations(&mut self, depth: usize, looked: &mut Looked) -> Result<(), String> {
        if depth > DEPTH_MAX {
            return Err("its parentheses are too deep".to_owned());
        }
        loop {
            if self.take_sign("(") {
                self.observations(depth + 1, looked)?;
                self.expect_sign(")")?;
            } else {
                self.expect_sign("[")?;
                let alternatives = self.either(depth)?;
                self.expect_sign("]")?;
                for tests in alternatives {
                    choose(&tests, looked)?;
                }
            }
            if !self.take_word("OR") {
                return Ok(());
            }
        }
    }

    fn either(&mut self, depth: usize) -> Result<Alternatives, String> {
        let mut all = self.together(depth)?;
        while self.take_word("OR") {
            all.append(&mut self.together(depth)?);
            bounded(&all)?;
        }
        Ok(all)
    }

    fn together(&mut self, depth: usize) -> Result<Alternatives, String> {
        let mut all = self.test(depth)?;
        while self.take_word("AND") {
            let more = self.test(depth)?;
            if all.len().saturating_mul(more.len()) > TESTS_MAX {
                return Err("it has too many alternatives".to_owned());
            }
            all = all
                .iter()
                .flat_map(|left| {
                    more.iter()
                        .map(move |right| left.iter().chain(right).cloned().collect())
                })
                .collect();
            bounded(&all)?;
        }
        Ok(all)
    }

    fn test(&mut self, depth: usize) -> Result<Alternatives, String> {
        if self.take_sign("(") {
            if depth > DEPTH_MAX {
                return Err("its parentheses are too deep".to_owned());
            }
            let inner = self.either(depth + 1)?;
            self.expect_sign(")")?;
            return Ok(inner);
        }
        let Some(Word::Bare(path)) = self.peek().cloned() else {
            return Err("expected an object path".to_owned());
        };
        self.next += 1;
        if self.take_word("NOT") || path.eq_ignore_ascii_case("NOT") {
            return Err("a negation is not supported".to_owned());
        }
        let values = if self.take_word("IN") {
            self.set()?
        } else if self.take_sign("=") || self.take_word("ISSUBSET") {
            vec![self.value()?]
        } else {
            return Err("only =, IN and ISSUBSET are supported".to_owned());
        };
        Ok(vec![vec![Test { path, values }]])
    }

    fn set(&mut self) -> Result<Vec<String>, String> {
        self.expect_sign("(")?;
        let mut values = vec![self.value()?];
        while self.take_sign(",") {
            values.push(self.value()?);
        }
        self.expect_sign(")")?;
        Ok(values)
    }

    fn value(&mut self) -> Result<String, String> {
        match self.peek().cloned() {
            Some(Word::Text(text) | Word::Bare(text)) => {
                self.next += 1;
                Ok(text)
            }
            Some(Word::Sign(_)) | None => Err("expected a value".to_owned()),
        }
    }
}

fn bounded(all: &Alternatives) -> Result<(), String> {
    let tests: usize = all.iter().map(Vec::len).sum();
    if tests > TESTS_MAX {
        return Err("it has too many tests".to_owned());
    }
    Ok(())
}

/// What a test is on, by how telling it is.
fn kind_of(path: &str) -> Option<IndicatorKind> {
    let path = path.to_ascii_lowercase();
    let (object, property) = path.split_once(':')?;
    match object {
        "file" | "artifact" if property.ends_with("imphash") => Some(IndicatorKind::ImportHash),
        "file" | "artifact" if property.starts_with("hashes.") => {
            let known = [
                "md5", "sha-1", "sha1", "sha-256", "sha256", "sha-512", "sha512",
            ];
            known
                .contains(&property.trim_start_matches("hashes."))
                .then_some(IndicatorKind::Hash)
        }
        "file" if property == "name" => Some(IndicatorKind::Name),
        "process" if property.ends_with("_ref.name") || property == "name" => {
            Some(IndicatorKind::Name)
        }
        "ipv4-addr" | "ipv6-addr" if property == "value" => Some(IndicatorKind::Address),
        "network-traffic" if property.ends_with("_ref.value") => Some(IndicatorKind::Domain),
        "domain-name" if property == "value" => Some(IndicatorKind::Domain),
        "url" if property == "value" => Some(IndicatorKind::Url),
        _ => None,
    }
}

/// Chooses what to look for of tests that must hold together: every hash of the same file, else
/// the path, else the most telling test.
fn choose(tests: &[Test], looked: &mut Looked) -> Result<(), String> {
    let mut ranked: Vec<(u8, &Test, IndicatorKind)> = Vec::new();
    for test in tests {
        let Some(kind) = kind_of(&test.path) else {
            continue;
        };
        let rank = match kind {
            IndicatorKind::Hash => 0,
            IndicatorKind::Url => 1,
            IndicatorKind::Path => 2,
            IndicatorKind::Domain => 3,
            IndicatorKind::Address | IndicatorKind::Network => 4,
            IndicatorKind::ImportHash => 5,
            IndicatorKind::Name => 6,
        };
        ranked.push((rank, test, kind));
    }
    ranked.sort_by_key(|(rank, _, _)| *rank);
    let Some(&(best, first, kind)) = ranked.first() else {
        let path = tests.first().map_or("nothing", |test| test.path.as_str());
        return Err(format!("{path} is not looked for"));
    };
    let is_folder = |test: &&Test| {
        test.path
            .eq_ignore_ascii_case("file:parent_directory_ref.path")
    };
    if kind == IndicatorKind::Name
        && let Some(folder) = tests.iter().find(is_folder)
    {
        looked.partly |= tests.len() > 2;
        for folder in &folder.values {
            for name in &first.values {
                let path = format!("{}/{name}", folder.trim_end_matches(['/', '\\']));
                take(IndicatorKind::Path, &path, looked)?;
            }
        }
        return Ok(());
    }
    let chosen: Vec<_> = ranked.iter().filter(|(rank, _, _)| *rank == best).collect();
    looked.partly |= tests.len() > chosen.len();
    for (_, test, kind) in chosen {
        for value in &test.values {
            take(*kind, value, looked)?;
        }
    }
    Ok(())
}

fn take(kind: IndicatorKind, value: &str, looked: &mut Looked) -> Result<(), String> {
    let kind = if kind == IndicatorKind::Name && value.contains(['/', '\\']) {
        IndicatorKind::Path
    } else {
        kind
    };
    let found = of_kind(kind, value).or_else(|| by_look(value).into_iter().next());
    let indicator = found.ok_or_else(|| format!("“{value}” is no {}", kind.word()))?;
    looked.indicators.push(indicator);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<IndicatorKind> {
        read_pattern(text)
            .unwrap_or_else(|error| panic!("{text}: {error}"))
            .indicators
            .into_iter()
            .map(|indicator| match indicator {
                Indicator::Plain(kind, _) => kind,
                Indicator::Network(..) => IndicatorKind::Network,
            })
            .collect()
    }

    #[test]
    fn patterns_of_the_specification_are_read() {
        use IndicatorKind::{Address, Domain, Hash, Name, Network, Path, Url};
        let md5 = "79054025255fb1a26e4bc422aef54eb4";
        let cases: [(String, &[IndicatorKind]); 9] = [
            ("[ipv4-addr:value = '198.51.100.1']".to_owned(), &[Address]),
            (
                "[ipv4-addr:value ISSUBSET '198.51.100.0/24']".to_owned(),
                &[Network],
            ),
            (
                format!("[file:hashes.MD5 = '{md5}' AND file:name = 'x' ]"),
                &[Hash],
            ),
            (format!("[file:hashes.'SHA-1' = '{md5}aabbccdd']"), &[Hash]),
            (
                "[domain-name:value='a.example' OR url:value = 'http://b.example/x']".to_owned(),
                &[Domain, Url],
            ),
            (
                "[file:name = 'a.exe' AND file:parent_directory_ref.path = 'C:\\\\Windows']"
                    .to_owned(),
                &[Path],
            ),
            (
                "[ipv4-addr:value IN ('10.0.0.1', '10.0.0.2')] OR ([file:name = 'b'])".to_owned(),
                &[Address, Address, Name],
            ),
            (
                "[network-traffic:dst_ref.value = 'c.example' AND network-traffic:dst_port = 443]"
                    .to_owned(),
                &[Domain],
            ),
            ("[file:name = 'it\\'s.exe']".to_owned(), &[Name]),
        ];
        for (text, expected) in cases {
            assert_eq!(kinds(&text), expected, "{text}");
        }
        assert!(
            read_pattern("[file:name = 'a' AND file:size = 12]")
                .unwrap()
                .partly
        );
        assert!(!read_pattern("[file:name = 'a']").unwrap().partly);
    }

    #[test]
    fn what_single_records_cannot_show_is_refused() {
        for (text, reason) in [
            (
                "[a:b = 'c'] FOLLOWEDBY [a:b = 'd']",
                "a:b is not looked for",
            ),
            (
                "[file:name = 'c'] AND [file:name = 'd']",
                "it joins several observations",
            ),
            (
                "[file:name = 'c'] WITHIN 5 SECONDS",
                "WITHIN is not supported",
            ),
            (
                "[file:name != 'c']",
                "only =, IN and ISSUBSET are supported",
            ),
            ("[file:name NOT = 'c']", "a negation is not supported"),
            ("[file:name = 'c", "a quoted text has no end"),
            ("[file:hashes.MD5 = 'c']", "“c” is no hash"),
            ("", "expected ["),
        ] {
            assert_eq!(read_pattern(text).unwrap_err(), reason, "{text}");
        }
        let deep = format!("{}{}", "(".repeat(5000), "[file:name = 'c']");
        assert!(read_pattern(&deep).is_err());
        let wide = format!(
            "[{} file:name = 'z']",
            "(file:name = 'x' OR file:name = 'y') AND ".repeat(40)
        );
        assert!(read_pattern(&wide).is_err(), "2^40 alternatives");
    }
}
