//! Every modifier and every rule of values of the Sigma specification 2.1, one small case each.

use super::{Fields, START, fields, load, rule};
use saigen_analyzer::detect::Value;
use std::collections::BTreeMap;

/// Whether a rule with this item in its selection fits.
fn item_fits(item: &str, subject: &Fields) -> bool {
    let detection = format!("selection:\n    {item}\ncondition: selection");
    !load([rule(&detection)])
        .evaluate_as(START, subject)
        .is_empty()
}

/// Cases of one field `f`: the item, its value, whether it fits.
fn check(cases: &[(&str, &'static str, bool)]) {
    let wrong: Vec<String> = cases
        .iter()
        .filter(|(item, value, expected)| item_fits(item, &fields([("f", *value)])) != *expected)
        .map(|(item, value, expected)| format!("{item} on {value:?} must be {expected}"))
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn texts_are_compared_whole_and_without_case() {
    check(&[
        ("f: Value", "vALUE", true),
        ("f: Value", "value ", false),
        ("f: [a, b]", "B", true),
        ("f: [a, b]", "c", false),
        ("f: ÄÖ", "äö", true),
        ("f: ''", "", true),
        ("f: ''", "x", false),
        ("f: '5'", "5", true),
        ("f: 5", "5", true),
        ("f: 5", "55", false),
        ("f: true", "true", true),
    ]);
}

#[test]
fn wildcards_and_their_escapes() {
    check(&[
        ("f: 'a*c'", "abbc", true),
        ("f: 'a*c'", "ac", true),
        ("f: 'a?c'", "abc", true),
        ("f: 'a?c'", "ac", false),
        ("f: 'a*c'", "a\nc", true),
        ("f: '*'", "", true),
        ("f: '?*'", "", false),
        ("f: '?*'", "a", true),
        (r"f: 'a\*c'", "a*c", true),
        (r"f: 'a\*c'", "abc", false),
        (r"f: 'a\?c'", "a?c", true),
        (r"f: 'a\?c'", "abc", false),
        // A backslash before any other character is itself.
        (r"f: 'C:\Windows\cmd.exe'", r"c:\windows\CMD.EXE", true),
        (r"f|endswith: '\cmd.exe'", r"C:\cmd.exe", true),
        (r"f|endswith: '\cmd.exe'", r"C:\xcmd.exe", false),
        // Two stand for one; before a wildcard they keep it one.
        (r"f: 'a\\b'", r"a\b", true),
        (r"f: 'C:\\*'", r"C:\anything", true),
        (r"f: 'C:\\*'", r"C:*", false),
        (r"f: 'C:\\\*'", r"C:\*", true),
        (r"f: 'C:\\\*'", r"C:\x", false),
        (r"f: '\\\\server\share'", r"\\server\share", true),
        (r"f|startswith: '\\\\'", r"\\server", true),
        (r"f|contains: '\\.\pipe'", r"\.\pipe", true),
        ("f|contains: 'a*c'", "xabbcx", true),
        ("f|contains: 'a?c'", "xacx", false),
        ("f|startswith: 'a?c'", "abcd", true),
        ("f|endswith: 'a*c'", "xabxc", true),
        ("f: '100%'", "100%", true),
        ("f: 'a.c'", "abc", false),
        ("f: '(x)[y]{z}+^$|'", "(X)[Y]{Z}+^$|", true),
    ]);
}

#[test]
fn text_modifiers() {
    check(&[
        ("f|contains: ell", "Hello", true),
        ("f|contains: elx", "Hello", false),
        ("f|contains: [x, ell]", "Hello", true),
        ("f|contains|all: [He, lo]", "Hello", true),
        ("f|contains|all: [He, x]", "Hello", false),
        ("f|startswith: he", "Hello", true),
        ("f|startswith: ello", "Hello", false),
        ("f|endswith: LLO", "Hello", true),
        ("f|endswith: hell", "Hello", false),
        ("f|startswith|cased: He", "Hello", true),
        ("f|startswith|cased: he", "Hello", false),
        ("f|contains|cased: ELL", "Hello", false),
        ("f|endswith|cased: llo", "Hello", true),
        ("f|cased: hello", "Hello", false),
        ("f|cased: 'H*o'", "Hello", true),
        ("f|cased: 'h*o'", "Hello", false),
        ("f|neq: x", "y", true),
        ("f|neq: X", "x", false),
        ("f|neq: [x, y]", "y", false),
        ("f|neq: [x, y]", "z", true),
        ("f|contains|neq: ell", "Hello", false),
        ("f|contains|neq: elx", "Hello", true),
    ]);
}

#[test]
fn regular_expressions_have_case_and_flags() {
    check(&[
        ("f|re: 'b.d'", "abcde", true),
        ("f|re: '^b.d'", "abcde", false),
        ("f|re: 'B.D'", "abcde", false),
        ("f|re|i: 'B.D'", "abcde", true),
        ("f|re: 'a.c'", "a\nc", false),
        ("f|re|s: 'a.c'", "a\nc", true),
        ("f|re: '^c'", "a\nc", false),
        ("f|re|m: '^c'", "a\nc", true),
        ("f|re|i|s: 'A.C'", "a\nc", true),
        ("f|re|i|m|s: '^C.'", "a\nc\n", true),
        ("f|re: ['x', 'b']", "abc", true),
        ("f|re|all: ['x', 'b']", "abc", false),
        (r"f|re: '\bcmd\.exe\b'", "run cmd.exe /c", true),
        (r"f|re: 'C:\\Windows\\'", r"C:\Windows\x", true),
    ]);
}

#[test]
fn encodings() {
    check(&[
        ("f|base64: 'foobar'", "Zm9vYmFy", true),
        ("f|base64|contains: 'foobar'", "-e Zm9vYmFy ", true),
        // Three places of the same bytes in a longer text.
        ("f|base64offset|contains: 'foobar'", "Zm9vYmFyIQ==", true),
        ("f|base64offset|contains: 'foobar'", "IWZvb2JhciE=", true),
        (
            "f|base64offset|contains: 'foobar'",
            "ISFmb29iYXIhIQ==",
            true,
        ),
        ("f|base64offset|contains: 'foobar'", "Zm9vYmF6", false),
        ("f|wide|base64offset|contains: 'foo'", "ZgBvAG8AYgA=", true),
        ("f|utf16le|base64offset|contains: 'foo'", "ZgBvAG8A", true),
        ("f|utf16be|base64offset|contains: 'foo'", "AGYAbwBv", true),
        ("f|utf16|base64offset|contains: 'foo'", "//5mAG8AbwA=", true),
        ("f|wide|base64|contains: 'foo'", "xZgBvAG8Ax", true),
        ("f|base64: ['a', 'foobar']", "Zm9vYmFy", true),
    ]);
}

#[test]
fn dashes_of_windows() {
    for dash in ["-", "/", "–", "—", "―"] {
        let line = format!("ping {dash}n 5");
        for item in [
            "f|windash|contains: ' -n '",
            "f|windash|contains: ' /n '",
            "f|contains|windash: ' -n '",
            "f|windash|contains|all: [' -n ', 'ping']",
        ] {
            let line: &'static str = Box::leak(line.clone().into_boxed_str());
            assert!(item_fits(item, &fields([("f", line)])), "{item} on {line}");
        }
    }
    check(&[
        ("f|windash|contains: ' -n '", "ping n 5", false),
        ("f|windash|endswith: '-n'", "ping /n", true),
        ("f|windash: '-n'", "/N", true),
        ("f|windash|contains: 'a-b -c'", "a-b /c", true),
        ("f|windash|contains: 'a-b -c'", "a/b /c", false),
        ("f|windash|contains: ' -a*-b '", "x /afoo –B y", true),
        (
            "f|windash|contains: ' -a -b -c -d -e -f -g -h -i '",
            "x -a /b -c -d -e -f -g -h —i y",
            true,
        ),
        ("f|windash|startswith: '-n'", "/n 5", true),
    ]);
}

#[test]
fn addresses_and_ranges() {
    check(&[
        ("f|cidr: 192.168.0.0/16", "192.168.4.5", true),
        ("f|cidr: 192.168.0.0/16", "192.169.0.1", false),
        (
            "f|cidr: [10.0.0.0/8, 192.168.0.0/16]",
            "10.255.255.255",
            true,
        ),
        ("f|cidr: 10.0.0.1/32", "10.0.0.1", true),
        ("f|cidr: 0.0.0.0/0", "8.8.8.8", true),
        ("f|cidr: 0.0.0.0/0", "no address", false),
        ("f|cidr: 0.0.0.0/0", "::1", false),
        ("f|cidr: '2001:db8::/32'", "2001:DB8:0:1::5", true),
        ("f|cidr: '2001:db8::/32'", "2001:db9::5", false),
        ("f|cidr: 'fe80::/10'", "febf::1", true),
        ("f|cidr: '::/0'", "10.0.0.1", false),
        ("f|cidr: '::1/128'", "0:0:0:0:0:0:0:1", true),
    ]);
}

#[test]
fn numbers() {
    check(&[
        ("f|gt: 5", "6", true),
        ("f|gt: 5", "5", false),
        ("f|gte: 5", "5", true),
        ("f|lt: 5", "4", true),
        ("f|lt: 5", "5", false),
        ("f|lte: 5", "5", true),
        ("f|lt: 5", "-6", true),
        ("f|gt: 1.5", "1.75", true),
        ("f|gt: 5", "x", false),
        ("f|gt: 5", "", false),
        ("f|lt: 10", "9", true),
    ]);
    let number = Fields(BTreeMap::from([
        ("f", Value::Number(443)),
        ("yes", Value::Flag(true)),
    ]));
    for (item, expected) in [
        ("f: 443", true),
        ("f: '443'", true),
        ("f: 44", false),
        ("f: [80, 443]", true),
        ("f|gte: 443", true),
        ("f|lt: 443", false),
        ("f|startswith: '44'", true),
        ("f: '4*'", true),
        ("f|re: '^4+3$'", true),
        ("yes: true", true),
        ("yes: false", false),
        ("yes: 'true'", true),
    ] {
        assert_eq!(item_fits(item, &number), expected, "{item}");
    }
}

#[test]
fn what_is_missing_null_or_empty() {
    let subject = fields([("f", "x"), ("empty", "")]);
    for (item, expected) in [
        ("gone: null", true),
        ("f: null", false),
        ("empty: null", false),
        ("empty: ''", true),
        ("gone: ''", false),
        ("gone: [null, x]", true),
        ("f: [null, x]", true),
        ("f: [null, y]", false),
        ("f|exists: true", true),
        ("f|exists: false", false),
        ("gone|exists: true", false),
        ("gone|exists: false", true),
        ("empty|exists: true", true),
        ("gone|contains: ''", false),
        ("gone: '*'", false),
        ("gone|re: '.*'", false),
        ("gone|gt: 0", false),
        ("gone|cidr: 0.0.0.0/0", false),
    ] {
        assert_eq!(item_fits(item, &subject), expected, "{item}");
    }
}

#[test]
fn fields_are_compared_with_fields() {
    let subject = Fields(BTreeMap::from([
        ("a", Value::text("Alpha")),
        ("same", Value::text("ALPHA")),
        ("part", Value::text("lph")),
        ("start", Value::text("al")),
        ("end", Value::text("pha")),
        ("n", Value::Number(5)),
        ("m", Value::Number(5)),
        ("text", Value::text("5")),
    ]));
    for (item, expected) in [
        ("a|fieldref: same", true),
        ("a|fieldref: part", false),
        ("a|fieldref: gone", false),
        ("gone|fieldref: a", false),
        ("gone|fieldref: gone2", false),
        ("n|fieldref: m", true),
        ("n|fieldref: text", true),
        ("a|fieldref|contains: part", true),
        ("a|fieldref|startswith: start", true),
        ("a|fieldref|endswith: end", true),
        ("a|fieldref|startswith: end", false),
        ("a|fieldref: [part, same]", true),
    ] {
        assert_eq!(item_fits(item, &subject), expected, "{item}");
    }
}

#[test]
fn parts_of_times() {
    for (item, expected) in [
        ("f|minute: 25", true),
        ("f|minute: 26", false),
        ("f|hour: 13", true),
        ("f|day: 8", true),
        ("f|month: 3", true),
        ("f|year: 2024", true),
        // ISO 8601: the week of the first Thursday is the first.
        ("f|week: 10", true),
        ("f|hour|gte: 12", true),
        ("f|hour|lt: 13", false),
        ("f|hour: [12, 13]", true),
    ] {
        for time in ["2024-03-08T13:25:59Z", "2024-03-08 13:25:59.123"] {
            assert_eq!(
                item_fits(item, &fields([("f", time)])),
                expected,
                "{item} on {time}"
            );
        }
        assert!(!item_fits(item, &fields([("f", "no time")])), "{item}");
    }
}

#[test]
fn lists_of_values_in_events() {
    let subject = Fields(BTreeMap::from([(
        "f",
        Value::Any(vec![Value::text("One"), Value::text("two")]),
    )]));
    for (item, expected) in [
        ("f: one", true),
        ("f: three", false),
        ("f|contains: tw", true),
        ("f|contains|all: [one, tw]", true),
        ("f|startswith: [x, t]", true),
        ("f|neq: one", false),
        ("f|neq: three", true),
        ("f|re: '^t'", true),
        ("f|exists: true", true),
    ] {
        assert_eq!(item_fits(item, &subject), expected, "{item}");
    }
}

#[test]
fn names_of_fields_as_they_are_written() {
    let subject = fields([
        ("name with spaces", "v"),
        ("a.b.c", "v"),
        ("Event_ID", "v"),
        ("@time", "v"),
    ]);
    for (item, expected) in [
        ("'name with spaces': v", true),
        ("'name with spaces|contains': v", true),
        ("a.b.c: v", true),
        ("Event_ID: v", true),
        ("event_id: v", false),
        ("'@time': v", true),
    ] {
        assert_eq!(item_fits(item, &subject), expected, "{item}");
    }
}
