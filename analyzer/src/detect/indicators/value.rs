//! What a text of a list means as an indicator, in the form that evidence is compared in.

use std::borrow::Cow;
use std::net::IpAddr;

use crate::detect::indicators::table::{Key, key_of};

/// What sort of thing an indicator names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum IndicatorKind {
    /// MD5, SHA-1, SHA-256 or SHA-512 of a file.
    Hash,
    /// MD5 of a program's table of imports.
    ImportHash,
    /// An IPv4 or IPv6 address.
    Address,
    /// A range of addresses, `10.0.0.0/8`.
    Network,
    /// A domain, which stands for all below it too.
    Domain,
    /// A URL, whatever its scheme.
    Url,
    /// A path, or the end of one.
    Path,
    /// The name of a file.
    Name,
}

impl IndicatorKind {
    /// Every kind.
    pub const ALL: [Self; 8] = [
        Self::Hash,
        Self::ImportHash,
        Self::Address,
        Self::Network,
        Self::Domain,
        Self::Url,
        Self::Path,
        Self::Name,
    ];

    /// Its word, as lists and reports have it.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hash => "hash",
            Self::ImportHash => "imphash",
            Self::Address => "address",
            Self::Network => "network",
            Self::Domain => "domain",
            Self::Url => "url",
            Self::Path => "path",
            Self::Name => "name",
        }
    }
}

/// An indicator in the form that it is kept in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Indicator {
    Plain(IndicatorKind, Key),
    /// The range's key and the bits that are compared, of 128.
    Network(Key, u8),
}

/// A text without what people put in to keep it from being clicked: `hxxp://evil[.]example`.
pub(super) fn refanged(text: &str) -> Cow<'_, str> {
    const PAIRS: [(&str, &str); 8] = [
        ("[.]", "."),
        ("(.)", "."),
        ("{.}", "."),
        ("[dot]", "."),
        ("[:]", ":"),
        ("[://]", "://"),
        ("hxxp", "http"),
        ("hXXp", "http"),
    ];
    if !text.contains(['[', '(', '{', 'x', 'X']) {
        return Cow::Borrowed(text);
    }
    let mut text = Cow::Borrowed(text);
    for (from, to) in PAIRS {
        if text.contains(from) {
            text = Cow::Owned(text.replace(from, to));
        }
    }
    text
}

/// What an indicator of an unstated kind is, told by its look. A name like `run.sh` may be a file
/// or a domain and is both.
pub(super) fn by_look(text: &str) -> Vec<Indicator> {
    let text = refanged(text.trim().trim_matches(['"', '\'']));
    if let Some(hash) = hash(&text) {
        return vec![hash];
    }
    if let Some(address) = address(&text).or_else(|| network(&text)) {
        return vec![address];
    }
    if text.contains("://") {
        return url(&text).into_iter().collect();
    }
    let looks_like_path = text.starts_with(['/', '~', '%']) || text.contains('\\');
    if looks_like_path || drive(&text).is_some() {
        return path(&text).into_iter().collect();
    }
    if let Some((host, rest)) = text.split_once('/') {
        // Without a scheme: a URL if it begins with a host. A range that is none is nothing.
        if read_address(host).is_some() && rest.bytes().all(|byte| byte.is_ascii_digit()) {
            return Vec::new();
        }
        let found = match domain(host).or_else(|| address(host)) {
            Some(_) if extension_word(host) != Ending::File => url(&text),
            Some(_) | None => path(&text),
        };
        return found.into_iter().collect();
    }
    match extension_word(&text) {
        Ending::File => name(&text).into_iter().collect(),
        Ending::Either => name(&text).into_iter().chain(domain(&text)).collect(),
        Ending::Other => domain(&text).into_iter().collect(),
    }
}

/// An indicator of a stated kind. `None` where the text is none of it.
pub(super) fn of_kind(kind: IndicatorKind, text: &str) -> Option<Indicator> {
    let text = refanged(text.trim().trim_matches(['"', '\'']));
    match kind {
        IndicatorKind::Hash => hash(&text),
        IndicatorKind::ImportHash => match hash(&text)? {
            Indicator::Plain(_, key) if text.len() == 32 => {
                Some(Indicator::Plain(IndicatorKind::ImportHash, key))
            }
            Indicator::Plain(..) | Indicator::Network(..) => None,
        },
        IndicatorKind::Address | IndicatorKind::Network => {
            address(&text).or_else(|| network(&text))
        }
        IndicatorKind::Domain => domain(&text).or_else(|| address(&text)),
        IndicatorKind::Url => url(&text),
        IndicatorKind::Path => path(&text),
        IndicatorKind::Name => name(&text),
    }
}

/// What the end of a name says.
#[derive(PartialEq, Eq)]
enum Ending {
    File,
    Either,
    Other,
}

/// Endings of files that are no top-level domains.
const FILE_ENDINGS: &[&str] = &[
    "exe", "dll", "sys", "ps1", "psm1", "psd1", "bat", "cmd", "vbs", "vbe", "js", "jse", "wsf",
    "hta", "scr", "lnk", "cpl", "ocx", "msi", "msp", "jar", "elf", "bin", "dat", "tmp", "txt",
    "doc", "docx", "docm", "xls", "xlsx", "xlsm", "xlam", "ppt", "pptx", "pdf", "rtf", "iso",
    "img", "vhd", "vhdx", "gz", "tar", "7z", "rar", "cab", "log", "ini", "xml", "json", "php",
    "asp", "aspx", "jsp", "jspx", "dmp", "key", "pem", "ko", "conf", "cfg", "service", "deb",
    "rpm", "class", "chm", "url", "inf", "reg", "sct", "xsl", "csproj", "kirbi", "ova", "out", "o",
];

/// Endings that are both.
const EITHER_ENDINGS: &[&str] = &[
    "sh", "py", "pl", "zip", "so", "md", "rs", "cc", "ps", "mov", "app",
];

fn extension_word(text: &str) -> Ending {
    let ending = text.rsplit('.').next().unwrap_or_default();
    let among = |list: &[&str]| list.iter().any(|known| known.eq_ignore_ascii_case(ending));
    if ending.len() == text.len() {
        Ending::Other
    } else if among(FILE_ENDINGS) {
        Ending::File
    } else if among(EITHER_ENDINGS) {
        Ending::Either
    } else {
        Ending::Other
    }
}

/// The key of a hash in hexadecimal digits; `None` where it is none by its length or digits.
pub(super) fn hash_key(text: &str) -> Option<Key> {
    if !matches!(text.len(), 32 | 40 | 64 | 128) {
        return None;
    }
    let half = |from: usize| u64::from_str_radix(text.get(from..from + 16)?, 16).ok();
    let all_digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let key = [half(0)?, half(16)?];
    // A row of zeros stands for "not computed" in many logs.
    (all_digits && key != [0, 0]).then_some(key)
}

fn hash(text: &str) -> Option<Indicator> {
    hash_key(text).map(|key| Indicator::Plain(IndicatorKind::Hash, key))
}

/// The sixteen bytes that an address is compared by.
pub(super) fn octets(ip: IpAddr) -> [u8; 16] {
    match ip.to_canonical() {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => six.octets(),
    }
}

/// An address, alone, in brackets or with a port.
pub(super) fn read_address(text: &str) -> Option<IpAddr> {
    let bare = text.trim_matches(['[', ']']);
    if let Ok(ip) = bare.parse() {
        return Some(ip);
    }
    let (host, port) = text.rsplit_once(':')?;
    let _: u16 = port.parse().ok()?;
    let bracketed = host
        .strip_prefix('[')
        .and_then(|rest| rest.strip_suffix(']'));
    match bracketed {
        Some(six) => six.parse().ok(),
        None => host.parse().ok().filter(IpAddr::is_ipv4),
    }
}

fn address(text: &str) -> Option<Indicator> {
    let ip = read_address(text)?;
    Some(Indicator::Plain(
        IndicatorKind::Address,
        key_of(&octets(ip)),
    ))
}

/// The first bits of an address, the rest zero.
pub(super) fn masked(octets: [u8; 16], bits: u8) -> [u8; 16] {
    let whole = u128::from_be_bytes(octets);
    let mask = u128::MAX
        .checked_shl(128 - u32::from(bits.min(128)))
        .unwrap_or(0);
    (whole & mask).to_be_bytes()
}

fn network(text: &str) -> Option<Indicator> {
    let (base, bits) = text.split_once('/')?;
    let base: IpAddr = base.parse().ok()?;
    let bits: u8 = bits.parse().ok()?;
    let bits = match base {
        IpAddr::V4(_) if bits <= 32 => bits + 96,
        IpAddr::V6(_) if bits <= 128 => bits,
        IpAddr::V4(_) | IpAddr::V6(_) => return None,
    };
    // The IPv4 form of an address within IPv6 has no range of its own here.
    let base = match base {
        IpAddr::V4(four) => four.to_ipv6_mapped().octets(),
        IpAddr::V6(six) => six.octets(),
    };
    if bits == 128 {
        return Some(Indicator::Plain(IndicatorKind::Address, key_of(&base)));
    }
    Some(Indicator::Network(key_of(&masked(base, bits)), bits))
}

/// Whether a text can be a domain: labels of letters, digits, hyphens and underscores, at least
/// two, the last one no number.
pub(super) fn is_domain(text: &str) -> bool {
    let labels = text.split('.');
    let good = |label: &str| {
        (1..=63).contains(&label.len())
            && label
                .chars()
                .all(|letter| letter.is_alphanumeric() || matches!(letter, '-' | '_'))
    };
    let last = text.rsplit('.').next().unwrap_or_default();
    text.len() <= 253
        && text.contains('.')
        && labels.into_iter().all(good)
        && last.chars().any(char::is_alphabetic)
}

fn domain(text: &str) -> Option<Indicator> {
    let text = text
        .strip_prefix("*.")
        .or(text.strip_prefix('.'))
        .unwrap_or(text);
    let text = text.strip_suffix('.').unwrap_or(text);
    // `host:443`
    let text = match text.rsplit_once(':') {
        Some((host, port)) if port.parse::<u16>().is_ok() => host,
        Some(_) | None => text,
    };
    is_domain(text).then(|| {
        let key = key_of(text.to_ascii_lowercase().as_bytes());
        Indicator::Plain(IndicatorKind::Domain, key)
    })
}

/// A URL in the form that it is compared in: without scheme, fragment, standard port and last slash, the host
/// in small letters. With it the length of the host in it.
pub(super) fn plain_url(text: &str) -> Option<(String, usize)> {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    let rest = rest.split('#').next().unwrap_or_default();
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (host, path) = rest.split_at_checked(end)?;
    let host = host.rsplit('@').next().unwrap_or_default();
    let host = host
        .strip_suffix(":80")
        .or(host.strip_suffix(":443"))
        .unwrap_or(host);
    if host.is_empty() {
        return None;
    }
    let mut plain = host.to_ascii_lowercase();
    let host_len = plain.len();
    plain.push_str(path.strip_suffix('/').unwrap_or(path));
    Some((plain, host_len))
}

/// A URL; one that is only a host is that domain or address.
fn url(text: &str) -> Option<Indicator> {
    let (plain, host_len) = plain_url(text)?;
    if plain.contains(char::is_whitespace) {
        return None;
    }
    if plain.len() == host_len {
        return address(&plain).or_else(|| domain(&plain));
    }
    Some(Indicator::Plain(
        IndicatorKind::Url,
        key_of(plain.as_bytes()),
    ))
}

fn drive(text: &str) -> Option<&str> {
    let mut letters = text.chars();
    let letter = letters.next()?.is_ascii_alphabetic();
    let colon = letters.next()? == ':';
    let rest = letters.as_str();
    (letter && colon && rest.starts_with(['/', '\\'])).then_some(rest)
}

/// The form that paths are compared in: small ASCII letters, `/` between the parts.
pub(super) fn path_byte(byte: u8) -> u8 {
    match byte {
        b'\\' => b'/',
        other => other.to_ascii_lowercase(),
    }
}

/// A path. Without its drive, variable or leading `*` it stands for the end of a path; a path of
/// Linux that begins with `/` for the whole.
fn path(text: &str) -> Option<Indicator> {
    let mut rest = text;
    if let Some(inner) = drive(rest) {
        rest = inner.trim_start_matches(['/', '\\']);
    } else if let Some((_, after)) = rest
        .strip_prefix('%')
        .and_then(|variable| variable.split_once('%'))
    {
        rest = after.trim_start_matches(['/', '\\']);
    } else if rest.starts_with(['*', '~']) {
        rest = rest
            .trim_start_matches(['*', '~'])
            .trim_start_matches(['/', '\\']);
    } else if rest.starts_with('\\') {
        rest = rest.trim_start_matches('\\');
    }
    let rest = rest.trim_end_matches(['/', '\\']);
    if rest.is_empty() || rest.contains(['*', '?']) {
        return None;
    }
    let plain: Vec<u8> = rest.bytes().map(path_byte).collect();
    Some(Indicator::Plain(IndicatorKind::Path, key_of(&plain)))
}

fn name(text: &str) -> Option<Indicator> {
    let bad = text.is_empty()
        || text.len() > 255
        || text.contains(['/', '\\', '*', '?', ','])
        || text.chars().all(|letter| letter.is_ascii_digit());
    let plain: Vec<u8> = text.bytes().map(path_byte).collect();
    (!bad).then(|| Indicator::Plain(IndicatorKind::Name, key_of(&plain)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<IndicatorKind> {
        by_look(text)
            .into_iter()
            .map(|found| match found {
                Indicator::Plain(kind, _) => kind,
                Indicator::Network(..) => IndicatorKind::Network,
            })
            .collect()
    }

    #[test]
    fn what_an_indicator_is_shows_in_its_look() {
        use IndicatorKind::{Address, Domain, Hash, Name, Network, Path, Url};
        let digest = "0123456789abcdef0123456789ABCDEF";
        let cases: [(&str, &[IndicatorKind]); 22] = [
            (digest, &[Hash]),
            ("01234567", &[]),
            ("10.1.2.3", &[Address]),
            ("10.1.2[.]3:8443", &[Address]),
            ("[2001:db8::1]:443", &[Address]),
            ("2001:db8::/32", &[Network]),
            ("10.0.0.0/8", &[Network]),
            ("10.0.0.1/32", &[Address]),
            ("10.0.0.0/33", &[]),
            ("evil[.]example", &[Domain]),
            ("*.evil.example", &[Domain]),
            ("hxxps://evil[.]example/a?b", &[Url]),
            ("http://evil.example/", &[Domain]),
            ("http://10.1.2.3:8080", &[Address]),
            ("evil.example/gate.php", &[Url]),
            (r"C:\Windows\Temp\a.exe", &[Path]),
            (r"%APPDATA%\x\a.exe", &[Path]),
            ("/tmp/.x", &[Path]),
            ("payload.exe", &[Name]),
            ("run.sh", &[Name, Domain]),
            ("two words", &[]),
            (r"C:\a*\b", &[]),
        ];
        for (text, expected) in cases {
            assert_eq!(kinds(text), expected, "{text}");
        }
    }

    #[test]
    fn forms_of_the_same_thing_are_the_same() {
        for (one, other) in [
            ("http://Evil.Example:80/a/", "hxxps://evil[.]example/a#top"),
            (r"C:\Windows\Temp\a.exe", r"d:/windows/temp/A.EXE"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("evil.example.", "EVIL.example"),
        ] {
            assert_eq!(by_look(one), by_look(other), "{one} and {other}");
        }
        assert_ne!(
            by_look("http://evil.example/A"),
            by_look("http://evil.example/a")
        );
    }

    #[test]
    fn a_stated_kind_is_kept_to() {
        assert!(of_kind(IndicatorKind::Name, "mimikatz").is_some());
        assert!(of_kind(IndicatorKind::Hash, "mimikatz").is_none());
        assert!(of_kind(IndicatorKind::ImportHash, &"a".repeat(40)).is_none());
        assert_eq!(
            hash_key(&"0".repeat(64)),
            None,
            "a hash that was not computed"
        );
    }
}
