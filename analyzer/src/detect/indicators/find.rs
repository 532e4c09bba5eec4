//! Looks through the texts of an event for what stands in the lists.

use saigen_schemas::event::{Event, Text, Value};

use crate::detect::indicators::table::{Backwards, Table, first_half, key_of, second_half};
use crate::detect::indicators::value::{
    hash_key, is_domain, masked, octets, path_byte, plain_url, read_address,
};
use crate::detect::indicators::{IndicatorKind, Indicators, Note};

/// The most bytes of one text that are looked through.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// The longest text that may be a path or a URL.
const WHOLE_BYTES_MAX: usize = 4096;

/// The most hits that one event is given; a script may be a list of indicators itself.
const HITS_MAX: usize = 64;

/// An indicator that stands in an event.
pub(super) struct Hit {
    pub(super) field: String,
    pub(super) value: String,
    pub(super) kind: IndicatorKind,
    pub(super) note: Note,
}

impl Indicators {
    /// What of the lists stands in an event, in the order of its fields, each once.
    pub(super) fn hits(&self, event: &Event<'_>) -> Vec<Hit> {
        let mut search = Search {
            lists: self,
            field: String::new(),
            hits: Vec::new(),
        };
        event.kind.visit(|name, value| {
            search.in_field(name);
            search.value(value);
        });
        for (name, value) in event.extra.iter() {
            search.in_field(&name.lossy());
            search.text(value);
        }
        search.hits
    }

    /// The list of good files that one of these hashes stands in, `SHA256=…,MD5=…` or a bare one.
    pub(in crate::detect) fn good_file(&self, hashes: &str) -> Option<usize> {
        if self.known_good.len() == 0 {
            return None;
        }
        let parts = hashes.split([',', ';', ' ', '|']);
        let digests = parts.filter_map(|part| {
            let (name, digest) = part.split_once('=').unwrap_or(("", part));
            // Many different files share a hash of their imports.
            (!name.eq_ignore_ascii_case("IMPHASH")).then(|| hash_key(digest.trim()))?
        });
        digests
            .filter_map(|[first, second]| self.known_good.find(first, || second))
            .min()
            .map(usize::from)
    }
}

struct Search<'i> {
    lists: &'i Indicators,
    field: String,
    hits: Vec<Hit>,
}

impl Search<'_> {
    fn in_field(&mut self, name: &str) {
        self.field.clear();
        self.field.push_str(name);
    }

    fn value(&mut self, value: Value<'_>) {
        match value {
            Value::Text(text) => self.text(text),
            Value::Args(args) => args.iter().for_each(|arg| self.text(arg)),
            Value::Ip(ip) => self.address(ip, &ip.to_string()),
            Value::Hash(hash) => self.hash(&hash.to_string(), ""),
            Value::Unsigned(_)
            | Value::Signed(_)
            | Value::Process(_)
            | Value::Guid(_)
            | Value::Word(_) => {}
        }
    }

    fn found(&mut self, kind: IndicatorKind, note: Option<Note>, value: &str) {
        let Some(note) = note else { return };
        let known = |hit: &Hit| hit.note == note && hit.kind == kind;
        if self.hits.len() < HITS_MAX && !self.hits.iter().any(known) {
            self.hits.push(Hit {
                field: self.field.clone(),
                value: value.to_owned(),
                kind,
                note,
            });
        }
    }

    fn text(&mut self, text: Text<'_>) {
        let bytes = text.0.get(..TEXT_BYTES_MAX).unwrap_or(text.0);
        let text = String::from_utf8_lossy(bytes);
        if text.len() < 3 {
            return;
        }
        self.urls(&text);
        let is_path = |text: &str| text.len() <= WHOLE_BYTES_MAX && text.contains(['/', '\\']);
        if text.contains([' ', '\t', '"']) {
            // A path with spaces: the whole text, or what stands in quotes.
            if is_path(&text) {
                self.path(&text);
            }
            for quoted in text.split('"').skip(1).step_by(2) {
                if quoted.contains(' ') && is_path(quoted) {
                    self.path(quoted);
                }
            }
        }
        let mut before = "";
        for token in text.split(is_between) {
            let bare = token.trim_end_matches(['.', ':']);
            if !bare.is_empty() {
                self.token(bare, before);
                before = bare;
            }
        }
    }

    fn token(&mut self, token: &str, before: &str) {
        if token.len() > WHOLE_BYTES_MAX {
            return;
        }
        if matches!(token.len(), 32 | 40 | 64 | 128) {
            self.hash(token, before);
        }
        if token.contains(['/', '\\']) {
            self.path(token);
            return;
        }
        let first = token.bytes().next().unwrap_or_default();
        if token.contains(['.', ':'])
            && (first.is_ascii_hexdigit() || matches!(first, b':' | b'['))
            && let Some(ip) = read_address(token)
        {
            self.address(ip, token);
            return;
        }
        if token.contains('.') {
            self.domain(token.rsplit_once(':').map_or(token, |(host, _)| host));
        }
        self.path(token);
    }

    fn hash(&mut self, digits: &str, before: &str) {
        let Some([first, second]) = hash_key(digits) else {
            return;
        };
        let of_imports = before.eq_ignore_ascii_case("imphash");
        if digits.len() == 32 && (of_imports || self.field.eq_ignore_ascii_case("imphash")) {
            let named = self.lists.import_hashes.find(first, || second);
            let note = named.or_else(|| self.lists.hashes.find(first, || second));
            let kind = if named.is_some() {
                IndicatorKind::ImportHash
            } else {
                IndicatorKind::Hash
            };
            return self.found(kind, note, digits);
        }
        let note = self.lists.hashes.find(first, || second);
        self.found(IndicatorKind::Hash, note, digits);
    }

    fn address(&mut self, ip: std::net::IpAddr, shown: &str) {
        // The machine's own address says nothing about whom it spoke with.
        if self.field == "local_ip" {
            return;
        }
        let bytes = octets(ip);
        let look = |table: &Table<Note>, bytes: &[u8; 16]| {
            table.find(first_half(bytes), || second_half(bytes))
        };
        let note = look(&self.lists.addresses, &bytes);
        self.found(IndicatorKind::Address, note, shown);
        for (bits, table) in &self.lists.networks {
            let note = look(table, &masked(bytes, *bits));
            self.found(IndicatorKind::Network, note, shown);
        }
    }

    /// Looks for a domain and all that it lies in.
    fn domain(&mut self, text: &str) {
        let text = text.strip_suffix('.').unwrap_or(text);
        if self.lists.domains.len() == 0 || !is_domain(text) {
            return;
        }
        let bytes = text.as_bytes();
        let mut hash = Backwards::new();
        for (place, byte) in bytes.iter().enumerate().rev() {
            if *byte == b'.' {
                self.domain_from(text, place + 1, hash.end());
            }
            hash.take(byte.to_ascii_lowercase());
        }
        self.domain_from(text, 0, hash.end());
    }

    fn domain_from(&mut self, text: &str, place: usize, first: u64) {
        let ending = text.get(place..).unwrap_or_default();
        let second = || second_half(ending.to_ascii_lowercase().as_bytes());
        let note = self.lists.domains.find(first, second);
        self.found(IndicatorKind::Domain, note, text);
    }

    fn urls(&mut self, text: &str) {
        let mut rest = text;
        while let Some((_, after)) = rest.split_once("://") {
            let end = after
                .find(|letter: char| {
                    letter.is_whitespace() || matches!(letter, '"' | '\'' | '`' | '<' | '>')
                })
                .unwrap_or(after.len());
            let (url, further) = after.split_at_checked(end).unwrap_or((after, ""));
            rest = further;
            if url.len() > WHOLE_BYTES_MAX {
                continue;
            }
            for candidate in [url, url.trim_end_matches([')', ']', ',', ';', '.', '}'])] {
                let Some((plain, host_len)) = plain_url(candidate) else {
                    continue;
                };
                let [first, second] = key_of(plain.as_bytes());
                let note = self.lists.urls.find(first, || second);
                self.found(IndicatorKind::Url, note, candidate);
                let host = plain.get(..host_len).unwrap_or_default();
                match read_address(host) {
                    Some(ip) => self.address(ip, host),
                    None => self.domain(host.split(':').next().unwrap_or(host)),
                }
            }
        }
    }

    /// Looks for a path and all its endings; the last part is the name.
    fn path(&mut self, text: &str) {
        if self.lists.paths.len() == 0 && self.lists.names.len() == 0 {
            return;
        }
        let text = text.trim_matches(['"', ' ', '\t', '\r', '\n']);
        let mut hash = Backwards::new();
        let mut is_name = true;
        for (place, byte) in text.bytes().enumerate().rev() {
            let byte = path_byte(byte);
            if byte == b'/' {
                self.path_from(text, place + 1, hash.end(), is_name);
                is_name = false;
            }
            hash.take(byte);
        }
        self.path_from(text, 0, hash.end(), is_name);
    }

    fn path_from(&mut self, text: &str, place: usize, first: u64, is_name: bool) {
        let ending = text.as_bytes().get(place..).unwrap_or_default();
        let second = || {
            let plain: Vec<u8> = ending.iter().map(|byte| path_byte(*byte)).collect();
            second_half(&plain)
        };
        let note = self.lists.paths.find(first, second);
        self.found(IndicatorKind::Path, note, text);
        if is_name {
            let note = self.lists.names.find(first, second);
            self.found(IndicatorKind::Name, note, text);
        }
    }
}

/// Whether a letter stands between the words of a text.
fn is_between(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || matches!(
            letter,
            '"' | '\'' | '`' | '<' | '>' | '(' | ')' | '{' | '}' | '|' | ';' | ',' | '='
        )
}

#[cfg(test)]
mod tests {
    use super::*;
    use saigen_schemas::event::{
        Args, BootId, Fields, FieldsBuf, Kind, Marks, NetworkConnected, ProcessStart, RecordRaw,
        Source, Time,
    };

    fn event(kind: Kind<'_>) -> Event<'_> {
        Event {
            seq: 0,
            time: Time {
                wall_us: 0,
                boot_us: None,
            },
            recorded_us: None,
            host: "h".into(),
            boot: BootId::default(),
            source: Source::Json,
            actor: None,
            marks: Marks::default(),
            extra: Fields::default(),
            kind,
        }
    }

    fn lists(text: &str) -> Indicators {
        let mut lists = Indicators::default();
        lists.add("list", text.as_bytes()).unwrap();
        lists.close();
        lists
    }

    fn found(lists: &Indicators, fields: &[(&str, &str)]) -> Vec<(String, IndicatorKind)> {
        let mut extra = FieldsBuf::default();
        for (name, value) in fields {
            extra.push(name.as_bytes(), value.as_bytes());
        }
        let event = Event {
            extra: extra.as_fields(),
            ..event(Kind::RecordRaw(RecordRaw::default()))
        };
        let hits = lists.hits(&event).into_iter();
        hits.map(|hit| (hit.field, hit.kind)).collect()
    }

    #[test]
    fn every_kind_is_found_wherever_it_stands_and_its_field_is_named() {
        use IndicatorKind::{Address, Domain, Hash, ImportHash, Name, Network, Path, Url};
        let md5 = "0123456789abcdef0123456789abcdef";
        let imports = "fedcba9876543210fedcba9876543210";
        let lists = lists(&format!(
            "{md5}\nimphash: {imports}\n10.1.2.3\n10.9.0.0/16\nevil.example\nhttp://ok.example/bad?x=1\nC:\\Temp\\a b.exe\nname: mimikatz.exe\n"
        ));
        let cases: [(&str, &[IndicatorKind]); 16] = [
            ("SHA1=00,MD5=0123456789ABCDEF0123456789ABCDEF", &[Hash]),
            (
                "MD5=00,IMPHASH=FEDCBA9876543210FEDCBA9876543210",
                &[ImportHash],
            ),
            ("MD5=FEDCBA9876543210FEDCBA9876543210", &[]),
            ("connect 10.1.2.3:443 now", &[Address]),
            ("10.9.255.1", &[Network]),
            ("10.10.0.1", &[]),
            ("www.EVIL.example", &[Domain]),
            ("notevil.example", &[]),
            ("curl https://evil.example/x", &[Domain]),
            ("iex('http://ok.example/bad?x=1')", &[Url]),
            ("https://ok.example/good", &[]),
            (r#""c:\temp\A B.exe" -x"#, &[Path]),
            (r"\Device\HarddiskVolume3\Temp\a b.exe", &[Path]),
            (r"C:\Temp\a b.exe.bak", &[]),
            (r"cmd /c .\MIMIKATZ.exe privilege::debug", &[Name]),
            ("mimikatz.exe.config", &[]),
        ];
        for (value, expected) in cases {
            let kinds: Vec<_> = found(&lists, &[("any", value)])
                .into_iter()
                .map(|(field, kind)| {
                    assert_eq!(field, "any");
                    kind
                })
                .collect();
            assert_eq!(kinds, expected, "{value}");
        }
    }

    #[test]
    fn typed_fields_are_looked_through_too() {
        let lists = lists("10.1.2.3\n/tmp/x\n");
        let network = event(Kind::NetworkConnected(NetworkConnected {
            remote_ip: "10.1.2.3".parse().ok(),
            ..NetworkConnected::default()
        }));
        assert_eq!(lists.hits(&network)[0].field, "remote_ip");
        let start = event(Kind::ProcessStart(ProcessStart {
            image: Some("/tmp/x".into()),
            args: Some(Args(b"sh\0-c\0/tmp/x\0")),
            ..ProcessStart::default()
        }));
        let hits = lists.hits(&start);
        assert_eq!((hits.len(), hits[0].field.as_str()), (1, "image"));
        assert_eq!(found(&lists, &[("f", "/srv/tmp/x")]), []);
    }

    #[test]
    fn good_files_are_known_by_any_hash_but_that_of_their_imports() {
        let digest = "0123456789abcdef0123456789abcdef";
        let mut lists = Indicators::default();
        lists.add_known_good("good", digest.as_bytes()).unwrap();
        lists.close();
        assert_eq!(lists.good_file(&format!("SHA1=1,MD5={digest}")), Some(0));
        assert_eq!(lists.good_file(&format!("IMPHASH={digest}")), None);
        assert_eq!(lists.good_file("MD5=1"), None);
    }
}
