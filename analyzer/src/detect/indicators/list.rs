//! Plain lists and tables of indicators, one a line.
//!
//! A line is an indicator, told by its look or by a word before it (`domain: evil.example`); text
//! behind ` #`, or in further cells, says what it stands for. A table has a first line with
//! names of columns; those of the usual feeds are known.

use std::borrow::Cow;
use std::io::{self, BufRead, Read as _};

use crate::detect::Level;
use crate::detect::indicators::value::{Indicator, IndicatorKind, by_look, of_kind};

/// The longest line that is read.
const LINE_BYTES_MAX: u64 = 1 << 16;

/// What a list says of one indicator.
pub(super) struct Entry<'l> {
    pub(super) line: u32,
    pub(super) indicator: Indicator,
    pub(super) level: Option<Level>,
    pub(super) label: Cow<'l, str>,
}

/// Takes what a list says.
pub(super) trait Taker {
    fn take(&mut self, entry: Entry<'_>);
    /// A line that gives no indicator, and why.
    fn leave(&mut self, line: u32, reason: String);
}

/// Reads a list to its end.
pub(super) fn read_list(input: &mut dyn BufRead, taker: &mut dyn Taker) -> io::Result<()> {
    let mut bytes = Vec::new();
    let mut columns: Option<Columns> = None;
    let mut line = 0_u32;
    let mut first = true;
    loop {
        bytes.clear();
        let read = (&mut *input)
            .take(LINE_BYTES_MAX)
            .read_until(b'\n', &mut bytes)?;
        if read == 0 {
            return Ok(());
        }
        line = line.saturating_add(1);
        if !bytes.ends_with(b"\n") && bytes.len() as u64 == LINE_BYTES_MAX {
            skip_line(input)?;
            taker.leave(line, format!("longer than {LINE_BYTES_MAX} bytes"));
            continue;
        }
        let Ok(text) = std::str::from_utf8(&bytes) else {
            taker.leave(line, "no UTF-8".to_owned());
            continue;
        };
        let text = text.trim_start_matches('\u{feff}').trim();
        if text.is_empty() {
            continue;
        }
        // Some feeds put the names of their columns into a comment.
        if let Some(comment) = text.strip_prefix('#') {
            if columns.is_none() {
                columns = Columns::read(comment.trim());
            }
            continue;
        }
        if std::mem::take(&mut first)
            && columns.is_none()
            && let Some(named) = Columns::read(text)
        {
            columns = Some(named);
            continue;
        }
        match &columns {
            Some(columns) => columns.row(line, text, taker),
            None => plain(line, text, taker),
        }
    }
}

fn skip_line(input: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        let (used, ended) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        input.consume(used);
        if ended {
            return Ok(());
        }
    }
}

/// A line of a plain list.
fn plain(line: u32, text: &str, taker: &mut dyn Taker) {
    let (value, comment) = match text.find(" #").or_else(|| text.find("\t#")) {
        Some(place) => text.split_at_checked(place).unwrap_or((text, "")),
        None => (text, ""),
    };
    let comment = comment.trim_start_matches([' ', '\t', '#']);
    let mut label = Cow::Borrowed(comment);
    let mut found = match value.split_once(':') {
        Some((word, rest)) if !rest.starts_with("//") => match kinds_of_word(word.trim()) {
            Some(Sort::Kind(kind)) => of_kind(kind, rest).into_iter().collect(),
            Some(Sort::Pair(_, _) | Sort::First(_)) | None => by_look(value),
        },
        Some(_) => by_look(value),
        None => by_look(value),
    };
    if found.is_empty() {
        let cells = cells(value, separator(value));
        if let [first, rest @ ..] = cells.as_slice()
            && !rest.is_empty()
        {
            found = by_look(first);
            if label.is_empty() {
                label = Cow::Owned(rest.join(" ").trim().to_owned());
            }
        }
    }
    give(
        line,
        found,
        None,
        label,
        "no hash, address, domain, URL, path or name",
        taker,
    );
}

fn give(
    line: u32,
    found: Vec<Indicator>,
    level: Option<Level>,
    label: Cow<'_, str>,
    otherwise: &str,
    taker: &mut dyn Taker,
) {
    if found.is_empty() {
        return taker.leave(line, otherwise.to_owned());
    }
    for indicator in found {
        taker.take(Entry {
            line,
            indicator,
            level,
            label: label.clone(),
        });
    }
}

/// What a word says that a value is.
#[derive(Clone, Copy)]
enum Sort {
    Kind(IndicatorKind),
    /// `a|b`: both parts are indicators.
    Pair(IndicatorKind, IndicatorKind),
    /// `a|b`: the first part is one.
    First(IndicatorKind),
}

/// The kinds behind the words of lists and feeds.
fn kinds_of_word(word: &str) -> Option<Sort> {
    let word = word.to_ascii_lowercase().replace(['-', ' '], "_");
    let kind = match word.as_str() {
        "hash" | "md5" | "sha1" | "sha_1" | "sha256" | "sha_256" | "sha512" | "sha_512"
        | "filehash" | "file_hash" | "md5_hash" | "sha1_hash" | "sha256_hash" | "filehash_md5"
        | "filehash_sha1" | "filehash_sha256" => IndicatorKind::Hash,
        "imphash" => IndicatorKind::ImportHash,
        "address" | "ip" | "ipv4" | "ipv6" | "ip_src" | "ip_dst" | "src_ip" | "dst_ip"
        | "dstip" | "srcip" | "ip_address" | "ipv4_addr" | "ipv6_addr" | "ip:port" => {
            IndicatorKind::Address
        }
        "cidr" | "network" | "range" | "ip_range" => IndicatorKind::Network,
        "domain" | "hostname" | "fqdn" | "domain_name" | "host" => IndicatorKind::Domain,
        "url" | "uri" | "link" => IndicatorKind::Url,
        "path" | "filepath" | "file_path" | "full_path" => IndicatorKind::Path,
        "filename" | "file_name" | "file" | "name" => IndicatorKind::Name,
        "domain|ip" => return Some(Sort::Pair(IndicatorKind::Domain, IndicatorKind::Address)),
        "ip_dst|port" | "ip_src|port" => return Some(Sort::First(IndicatorKind::Address)),
        "hostname|port" => return Some(Sort::First(IndicatorKind::Domain)),
        // A name and a hash of the same file: the hash says more.
        "filename|md5" | "filename|sha1" | "filename|sha256" | "filename|sha512" => {
            return Some(Sort::Pair(IndicatorKind::Hash, IndicatorKind::Hash));
        }
        _ => return None,
    };
    Some(Sort::Kind(kind))
}

/// What the columns of a table hold.
struct Columns {
    separator: char,
    /// Columns with values of an unstated kind.
    values: Vec<usize>,
    /// Columns with values of one kind.
    typed: Vec<(usize, IndicatorKind)>,
    sort: Option<usize>,
    level: Option<usize>,
    label: Option<usize>,
}

impl Columns {
    /// Reads a first line. `None` if it is none: no known name, or a value already.
    fn read(text: &str) -> Option<Self> {
        let separator = separator(text);
        let cells = cells(text, separator);
        let is_value = |cell: &String| {
            by_look(cell).iter().any(|found| match found {
                Indicator::Plain(kind, _) => {
                    !matches!(kind, IndicatorKind::Name | IndicatorKind::Domain)
                }
                Indicator::Network(..) => true,
            })
        };
        if cells.iter().any(is_value) {
            return None;
        }
        let mut columns = Self {
            separator,
            values: Vec::new(),
            typed: Vec::new(),
            sort: None,
            level: None,
            label: None,
        };
        let mut label_rank = usize::MAX;
        for (place, cell) in cells.iter().enumerate() {
            let name = cell.trim().to_ascii_lowercase().replace(['-', ' '], "_");
            const LABELS: [&str; 9] = [
                "description",
                "comment",
                "malware_printable",
                "malware",
                "signature",
                "threat",
                "label",
                "tags",
                "note",
            ];
            match name.as_str() {
                "ioc" | "ioc_value" | "indicator" | "indicator_value" | "value" | "observable" => {
                    columns.values.push(place);
                }
                "type" | "kind" | "ioc_type" | "indicator_type" | "attribute_type" => {
                    columns.sort = Some(place);
                }
                "level" | "severity" => columns.level = Some(place),
                _ => {
                    if let Some(rank) = LABELS.iter().position(|known| *known == name) {
                        if rank < label_rank {
                            (label_rank, columns.label) = (rank, Some(place));
                        }
                    } else if name != "name"
                        && let Some(Sort::Kind(kind)) = kinds_of_word(&name)
                    {
                        columns.typed.push((place, kind));
                    }
                }
            }
        }
        (!columns.values.is_empty() || !columns.typed.is_empty()).then_some(columns)
    }

    fn row(&self, line: u32, text: &str, taker: &mut dyn Taker) {
        let cells = cells(text, self.separator);
        let cell = |place: usize| cells.get(place).map_or("", |cell| cell.trim());
        let label = self.label.map_or("", cell);
        let level = self.level.and_then(|place| Level::parse(cell(place)));
        let mut found = Vec::new();
        let mut reason = "no indicator in this row".to_owned();
        for place in &self.values {
            let value = cell(*place);
            let word = self.sort.map_or("", cell);
            match kinds_of_word(word) {
                _ if word.is_empty() => found.extend(by_look(value)),
                Some(Sort::Kind(kind)) => found.extend(of_kind(kind, value)),
                Some(Sort::Pair(first, second)) => {
                    let (left, right) = value.split_once('|').unwrap_or((value, ""));
                    found.extend(of_kind(first, left));
                    found.extend(of_kind(second, right));
                }
                Some(Sort::First(kind)) => {
                    let left = value.split('|').next().unwrap_or(value);
                    found.extend(of_kind(kind, left));
                }
                None => reason = format!("{word} is not looked for"),
            }
        }
        for (place, kind) in &self.typed {
            found.extend(of_kind(*kind, cell(*place)));
        }
        give(line, found, level, Cow::Borrowed(label), &reason, taker);
    }
}

/// The character between the cells of a line.
fn separator(line: &str) -> char {
    [',', '\t', ';']
        .into_iter()
        .find(|separator| line.contains(*separator))
        .unwrap_or(',')
}

/// The cells of a line (RFC 4180 §2): quoted ones may hold the separator, doubled quotes are one.
fn cells(line: &str, separator: char) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut letters = line.trim().chars().peekable();
    let mut in_quotes = false;
    while let Some(letter) = letters.next() {
        let Some(cell) = cells.last_mut() else { break };
        match letter {
            '"' if in_quotes && letters.peek() == Some(&'"') => {
                letters.next();
                cell.push('"');
            }
            '"' if in_quotes => in_quotes = false,
            '"' if cell.trim().is_empty() => {
                cell.clear();
                in_quotes = true;
            }
            _ if letter == separator && !in_quotes => cells.push(String::new()),
            _ => cell.push(letter),
        }
    }
    cells
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Default)]
    struct Seen {
        taken: Vec<(u32, IndicatorKind, Option<Level>, String)>,
        left: Vec<(u32, String)>,
    }

    impl Taker for Seen {
        fn take(&mut self, entry: Entry<'_>) {
            let kind = match entry.indicator {
                Indicator::Plain(kind, _) => kind,
                Indicator::Network(..) => IndicatorKind::Network,
            };
            self.taken
                .push((entry.line, kind, entry.level, entry.label.into_owned()));
        }

        fn leave(&mut self, line: u32, reason: String) {
            self.left.push((line, reason));
        }
    }

    fn read(text: &str) -> Seen {
        let mut seen = Seen::default();
        read_list(&mut text.as_bytes(), &mut seen).unwrap();
        seen
    }

    #[test]
    fn a_plain_list_says_what_each_line_is() {
        let seen = read(
            "\u{feff}# ours\n10.1.2.3\nevil[.]example # seen in May\n10.2.0.0/16, office\nname: mimikatz\n???\nmd5: abc\n",
        );
        let expected = [
            (2, IndicatorKind::Address, ""),
            (3, IndicatorKind::Domain, "seen in May"),
            (4, IndicatorKind::Network, "office"),
            (5, IndicatorKind::Name, ""),
        ];
        let taken: Vec<_> = seen
            .taken
            .iter()
            .map(|(line, kind, _, label)| (*line, *kind, label.as_str()))
            .collect();
        assert_eq!(taken, expected);
        let lines: Vec<u32> = seen.left.iter().map(|(line, _)| *line).collect();
        assert_eq!(lines, [6, 7]);
    }

    #[test]
    fn tables_of_feeds_are_read_by_their_columns() {
        let seen = read(
            "uuid,type,value,comment,level\n1,ip-dst|port,10.0.0.1|443,\"a \"\"b\"\", c\",low\n2,filename|md5,a.exe|d41d8cd98f00b204e9800998ecf8427e,,\n3,mutex,x,,\n4,domain,evil.example,,\n",
        );
        assert_eq!(
            seen.taken,
            [
                (
                    2,
                    IndicatorKind::Address,
                    Some(Level::Low),
                    "a \"b\", c".to_owned()
                ),
                (3, IndicatorKind::Hash, None, String::new()),
                (5, IndicatorKind::Domain, None, String::new()),
            ]
        );
        assert_eq!(seen.left, [(4, "mutex is not looked for".to_owned())]);
        let hashes = read(
            "\"SHA-1\",\"MD5\",\"FileName\"\n\"DA39A3EE5E6B4B0D3255BFEF95601890AFD80709\",\"D41D8CD98F00B204E9800998ECF8427E\",\"empty\"\n",
        );
        assert_eq!(hashes.taken.len(), 3);
        let commented = read(
            "# \"first_seen\",\"ioc_id\",\"ioc_value\",\"ioc_type\"\n\"t\", \"9\", \"10.0.0.9:80\", \"ip:port\"\n",
        );
        assert_eq!(commented.taken.len(), 1);
    }

    #[test]
    fn a_line_without_end_is_left_out_and_the_rest_read() {
        let text = format!("{}\n10.0.0.1\n", "a".repeat(200_000));
        let seen = read(&text);
        assert_eq!(seen.left, [(1, "longer than 65536 bytes".to_owned())]);
        assert_eq!(seen.taken[0].0, 2);
    }
}
