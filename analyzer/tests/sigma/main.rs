//! The Sigma specification, as far as rules rely on it, by rules and values of our own.

mod conditions;
mod modifiers;

use std::collections::BTreeMap;

use saigen_analyzer::detect::{
    Correlator, Detection, Engine, LogSource, Occasion, Placeholders, RuleText, Subject, Value,
    read_exceptions,
};
use saigen_schemas::event::Time;

/// Named texts and numbers.
struct Fields(BTreeMap<&'static str, Value<'static>>);

impl Subject for Fields {
    fn field(&self, name: &str) -> Option<Value<'_>> {
        self.0.get(name).cloned()
    }

    fn texts(&self, visit: &mut dyn FnMut(&str)) {
        for value in self.0.values() {
            if let Value::Text(text) = value {
                visit(text);
            }
        }
    }
}

fn fields<const N: usize>(pairs: [(&'static str, &'static str); N]) -> Fields {
    Fields(
        pairs
            .into_iter()
            .map(|(name, value)| (name, Value::text(value)))
            .collect(),
    )
}

const START: LogSource = LogSource::LinuxProcessCreation;

/// A rule over starts of programs with this detection.
fn rule(detection: &str) -> String {
    let detection: String = detection
        .lines()
        .map(|line| format!("    {line}\n"))
        .collect();
    format!(
        "title: Test\nlogsource:\n    product: linux\n    category: process_creation\ndetection:\n{detection}level: low\n"
    )
}

fn texts<const N: usize>(texts: [String; N]) -> impl Iterator<Item = RuleText> {
    texts.into_iter().enumerate().map(|(index, text)| RuleText {
        name: format!("{index}.yml"),
        text,
    })
}

fn load<const N: usize>(rules: [String; N]) -> Engine {
    let engine = Engine::new(texts(rules), &Placeholders::new());
    assert_eq!(engine.counts().refused, []);
    engine
}

fn fits(detection: &str, subject: &Fields) -> bool {
    !load([rule(detection)])
        .evaluate_as(START, subject)
        .is_empty()
}

fn refusal(text: String) -> String {
    let engine = Engine::new(texts([text]), &Placeholders::new());
    let refused = engine.counts().refused;
    assert_eq!((engine.counts().loaded, refused.len()), (0, 1));
    refused[0].reason.clone()
}

#[test]
fn modifiers_compare_as_the_specification_says() {
    let cases: [(&str, &str, bool); 22] = [
        ("CommandLine: 'A b'", "a B", true),
        ("CommandLine|cased: 'A b'", "a b", false),
        ("CommandLine|contains: foo", "x FOO y", true),
        ("CommandLine|startswith: foo", "x foo", false),
        ("CommandLine|endswith: foo", "x foo", true),
        ("CommandLine|contains|all: [a, b]", "b and a", true),
        ("CommandLine|contains|all: [a, z]", "b and a", false),
        ("CommandLine|re: 'f[o]{2}$'", "foo", true),
        ("CommandLine|re: 'FOO'", "foo", false),
        ("CommandLine|re|i: 'FOO'", "foo", true),
        ("CommandLine: 'sh*end'", "sh -c 'one\ntwo' end", true),
        ("CommandLine|startswith: 'a*b'", "xa b", false),
        ("CommandLine|startswith: 'a*b'", "a b c", true),
        ("CommandLine|endswith: 'a?c'", "x abc", true),
        ("CommandLine|endswith: 'a?c'", "abc x", false),
        (r"CommandLine: 'a\*b'", "a*b", true),
        (r"CommandLine: 'a\*b'", "axb", false),
        ("CommandLine|windash|contains: ' -f'", "x /f", true),
        (
            "CommandLine|base64offset|contains: '/bin/bash'",
            "echo YmFzaCAtaSAvYmluL2Jhc2gK",
            true,
        ),
        (
            "CommandLine|wide|base64offset|contains: 'http'",
            "powershell -e aAB0AHQAcAA6AC8ALwA=",
            true,
        ),
        ("CommandLine|exists: true", "x", true),
        ("CommandLine|neq: x", "x", false),
    ];
    for (item, line, expected) in cases {
        let detection = format!("selection:\n    {item}\ncondition: selection");
        assert_eq!(
            fits(&detection, &fields([("CommandLine", line)])),
            expected,
            "{item} on {line}"
        );
    }
}

#[test]
fn numbers_addresses_and_other_fields_are_compared_by_value() {
    let subject = Fields(BTreeMap::from([
        ("port", Value::Number(8080)),
        ("ip", Value::text("10.1.2.3")),
        ("six", Value::text("2001:db8::1")),
        ("Image", Value::text("/tmp/x")),
        ("TargetFilename", Value::text("/tmp/X")),
        (
            "type",
            Value::Any(vec![Value::text("EXECVE"), Value::text("SYSCALL")]),
        ),
        ("name with spaces", Value::text("v")),
    ]));
    for (item, expected) in [
        ("port|gt: 8000", true),
        ("port|lte: 8079", false),
        ("port: 8080", true),
        ("port: '8080'", true),
        ("ip|cidr: 10.0.0.0/8", true),
        ("ip|cidr: [192.168.0.0/16, 172.16.0.0/12]", false),
        ("six|cidr: '2001:db8::/32'", true),
        ("TargetFilename|fieldref: Image", true),
        ("type: SYSCALL", true),
        ("none: null", true),
        ("ip: null", false),
        ("none|exists: false", true),
        ("'name with spaces': v", true),
    ] {
        let detection = format!("selection:\n    {item}\ncondition: selection");
        assert_eq!(fits(&detection, &subject), expected, "{item}");
    }
}

#[test]
fn a_rule_of_pure_negation_is_held_against_its_own_log_source_only() {
    let engine = load([rule(
        "selection:\n    Image: /bin/sh\ncondition: not selection",
    )]);
    assert_eq!(
        engine
            .evaluate_as(START, &fields([("Image", "/bin/ls")]))
            .len(),
        1
    );
    assert!(
        engine
            .evaluate_as(LogSource::LinuxFileEvent, &fields([("Image", "/bin/ls")]))
            .is_empty()
    );
    assert!(
        engine
            .evaluate_as(LogSource::WindowsProcessCreation, &fields([("Image", "x")]))
            .is_empty()
    );
}

#[test]
fn what_cannot_be_used_is_refused_with_its_reason() {
    let selection = |item: &str| rule(&format!("selection:\n    {item}\ncondition: selection"));
    let cases = [
        (selection("CommandLine|nosuch: x"), "nosuch"),
        (
            selection("CommandLine|expand: '%admins%'"),
            "placeholder %admins% is not given",
        ),
        (selection("CommandLine|re: 'a('"), "regular expression"),
        (selection("CommandLine|re: '(?=a)b'"), "regular expression"),
        (
            selection("CommandLine|re: '((a{1000}){1000}){1000}'"),
            "regular expression",
        ),
        (selection("ip|cidr: 10.0.0.0/99"), "CIDR"),
        (
            rule("selection:\n    a: b\ncondition: selection and missing"),
            "missing",
        ),
        (
            rule("selection:\n    a: b\ncondition: selection | count() > 5"),
            "ondition",
        ),
        (
            "title: x\ndetection:\n    s:\n        a: b\n    condition: s\n".to_owned(),
            "no log source",
        ),
        (
            "title: x\nlogsource:\n    product: linux\n".to_owned(),
            "detection",
        ),
        ("a: [".to_owned(), "YAML"),
        (String::new(), "not a YAML mapping"),
        ("x".repeat((1 << 20) + 1), "1048577 bytes"),
        (bomb(), ""),
        (
            selection(&format!("a: {}x{}", "[".repeat(5000), "]".repeat(5000))),
            "line 7: brackets are nested more than 200 deep",
        ),
        (
            rule(&format!(
                "s:\n    a: b\ncondition: {}s",
                "not ".repeat(5000)
            )),
            "more than 16 times not in a row",
        ),
        (
            rule(&format!(
                "s:\n    a: b\ncondition: {}s{}",
                "(".repeat(5000),
                ")".repeat(5000)
            )),
            "ondition",
        ),
    ];
    for (text, reason) in cases {
        let said = refusal(text.clone());
        assert!(said.contains(reason), "{said:?} for {:.80}", text);
        assert!(!said.contains('\n') && said.len() < 400, "{said:?}");
        let placed = said.starts_with("line ") || said.contains(" at line ");
        assert!(placed || said.starts_with("file has"), "{said:?}");
    }
}

/// Lists of lists of lists, by reference: a few hundred bytes for 9^9 values.
fn bomb() -> String {
    let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x]\n");
    for level in 1..9 {
        let below = vec![format!("*a{}", level - 1); 9].join(", ");
        text.push_str(&format!("a{level}: &a{level} [{below}]\n"));
    }
    text + "title: bomb\n"
}

#[test]
fn a_broken_rule_is_not_fatal_to_the_rest() {
    let good = rule("selection:\n    a: b\ncondition: selection");
    let engine = Engine::new(
        texts([
            good.clone(),
            "a: [".to_owned(),
            format!("{good}---\ntitle: second\n"),
        ]),
        &Placeholders::new(),
    );
    let counts = engine.counts();
    assert_eq!(counts.loaded, 2);
    let files: Vec<&str> = counts
        .refused
        .iter()
        .map(|refusal| refusal.file.as_str())
        .collect();
    assert_eq!(files, ["1.yml", "2.yml"]);
}

#[test]
fn a_thousand_broken_rules_are_told_and_cost_little() {
    let good = rule("selection:\n    a: b\ncondition: selection");
    let mut all = vec!["title: x\nlogsource: [".to_owned(); 1000];
    all.push(good);
    all.push("---\n".repeat(1000));
    let begun = std::time::Instant::now();
    let texts = all.into_iter().enumerate().map(|(index, text)| RuleText {
        name: format!("{index}.yml"),
        text,
    });
    let engine = Engine::new(texts, &Placeholders::new());
    assert!(begun.elapsed().as_secs() < 20);
    let counts = engine.counts();
    assert_eq!(counts.loaded, 1);
    let of_last = counts
        .refused
        .iter()
        .filter(|refusal| refusal.file == "1001.yml");
    assert!(of_last.clone().count() < 30);
    assert!(
        of_last
            .clone()
            .any(|refusal| refusal.reason.contains("further documents"))
    );
    assert_eq!(counts.refused.len(), 1000 + of_last.count());
}

#[test]
fn two_rules_of_one_id_are_noticed() {
    let with_id = |title: &str| {
        format!(
            "id: 0001\n{}",
            rule(&format!("s:\n    a: {title}\ncondition: s"))
        )
    };
    let engine = Engine::new(
        texts([with_id("one"), with_id("two")]),
        &Placeholders::new(),
    );
    assert_eq!(engine.counts().loaded, 1);
    assert_eq!(
        engine.counts().refused[0].reason,
        "line 1: its id 0001 is already that of a rule in 0.yml"
    );
}

#[test]
fn placeholders_are_filled() {
    let given = Placeholders::from([(
        "admins".to_owned(),
        vec!["alice".to_owned(), "bob".to_owned()],
    )]);
    let text = rule("selection:\n    User|expand: 'HOME\\%admins%'\ncondition: selection");
    let engine = Engine::new(texts([text]), &given);
    assert_eq!(engine.counts().refused, []);
    assert_eq!(
        engine
            .evaluate_as(START, &fields([("User", "HOME\\bob")]))
            .len(),
        1
    );
    assert!(
        engine
            .evaluate_as(START, &fields([("User", "HOME\\eve")]))
            .is_empty()
    );
}

#[test]
fn a_filter_quietens_the_rules_that_it_names() {
    let loud = format!(
        "id: loud\n{}",
        rule("selection:\n    a: b\ncondition: selection")
    );
    let filter = "title: F\nlogsource:\n    product: linux\n    category: process_creation\nfilter:\n    rules:\n        - loud\n    \
                  selection:\n        User: svc\n    condition: not selection\n";
    let engine = load([loud, filter.to_owned()]);
    assert_eq!(engine.counts().filters, 1);
    assert!(
        engine
            .evaluate_as(START, &fields([("a", "b"), ("User", "svc")]))
            .is_empty()
    );
    assert_eq!(
        engine
            .evaluate_as(START, &fields([("a", "b"), ("User", "eve")]))
            .len(),
        1
    );
    let alone = Engine::new(texts([filter.to_owned()]), &Placeholders::new());
    assert_eq!(
        alone.counts().refused[0].reason,
        "line 5: the filter names no rule that was read"
    );
}

/// Holds one subject after the other, each at its second, and returns what was found.
fn run(engine: &Engine, events: &[(i64, Fields)]) -> Vec<Detection<usize>> {
    observe(engine, &mut Correlator::new(engine), events)
}

fn observe(
    engine: &Engine,
    correlator: &mut Correlator<'_, usize>,
    events: &[(i64, Fields)],
) -> Vec<Detection<usize>> {
    let mut found = Vec::new();
    for (index, (second, subject)) in events.iter().enumerate() {
        let occasion = Occasion {
            event: index,
            time: Time {
                wall_us: second * 1_000_000,
                boot_us: None,
            },
            host: "h".to_owned(),
            process: None,
        };
        found.extend(correlator.observe(&occasion, &engine.evaluate_as(START, subject)));
    }
    found
}

fn named(name: &str) -> String {
    format!(
        "name: {name}\n{}",
        rule(&format!("s:\n    what: {name}\ncondition: s"))
    )
}

fn correlation(kind: &str, rest: &str) -> String {
    format!("title: C\nid: c\ncorrelation:\n    type: {kind}\n{rest}")
}

#[test]
fn counts_are_by_group_and_window_and_a_burst_is_one_detection() {
    let text = correlation(
        "event_count",
        "    rules: [one]\n    group-by: [User]\n    timespan: 10s\n    condition:\n        gte: 3\n",
    );
    let engine = load([named("one"), text]);
    let event = |second, user| (second, fields([("what", "one"), ("User", user)]));
    let burst: Vec<_> = (0..8).map(|second| event(second, "a")).collect();
    let found = run(&engine, &burst);
    assert_eq!(found.len(), 1);
    assert_eq!(found[0].events, [0, 1, 2]);
    assert_eq!(found[0].why, "3 events within 10 s, sharing User “a”");
    assert!(
        run(&engine, &[event(0, "a"), event(1, "b"), event(2, "a")]).is_empty(),
        "two groups"
    );
    assert!(
        run(&engine, &[event(0, "a"), event(6, "a"), event(12, "a")]).is_empty(),
        "outside of the window"
    );
    assert!(
        run(
            &engine,
            &[(0, fields([("what", "one")])), event(1, "a"), event(2, "a")]
        )
        .is_empty(),
        "no group"
    );
    let twice: Vec<_> = [0, 1, 2, 30, 31, 32]
        .map(|second| event(second, "a"))
        .into();
    assert_eq!(run(&engine, &twice).len(), 2);
}

#[test]
fn different_values_are_counted_once_each() {
    let text = correlation(
        "value_count",
        "    rules: [one]\n    timespan: 1m\n    condition:\n        field: host\n        gte: 3\n",
    );
    let engine = load([named("one"), text]);
    let event = |host| (0, fields([("what", "one"), ("host", host)]));
    assert!(run(&engine, &[event("a"), event("b"), event("a"), event("b")]).is_empty());
    assert_eq!(
        run(&engine, &[event("a"), event("b"), event("a"), event("c")]).len(),
        1
    );
}

#[test]
fn order_matters_only_where_the_rule_says_so() {
    let rest = "    rules: [one, two]\n    aliases:\n        who:\n            one: User\n            two: Owner\n    group-by: [who]\n    timespan: 10s\n";
    let one = |second| (second, fields([("what", "one"), ("User", "a")]));
    let two = |second| (second, fields([("what", "two"), ("Owner", "a")]));
    let other = |second| (second, fields([("what", "two"), ("Owner", "b")]));
    let ordered = load([
        named("one"),
        named("two"),
        correlation("temporal_ordered", rest),
    ]);
    assert_eq!(run(&ordered, &[one(0), two(1)]).len(), 1);
    assert_eq!(
        run(&ordered, &[one(0), one(9), two(15)]).len(),
        1,
        "the newest start counts"
    );
    assert!(run(&ordered, &[two(0), one(1)]).is_empty());
    assert!(
        run(&ordered, &[one(0), other(1)]).is_empty(),
        "another group"
    );
    assert!(
        run(&ordered, &[one(0), two(11)]).is_empty(),
        "outside of the window"
    );
    let any_order = load([named("one"), named("two"), correlation("temporal", rest)]);
    assert_eq!(run(&any_order, &[two(0), one(1)]).len(), 1);
}

#[test]
fn sums_means_and_percentiles_are_of_the_window() {
    let event = |second, bytes| (second, fields([("what", "one"), ("bytes", bytes)]));
    let events = || {
        [
            event(0, "10"),
            event(1, "20"),
            event(2, "60"),
            event(3, "x"),
        ]
    };
    for (kind, condition, expected) in [
        ("value_sum", "gte: 90", 1),
        ("value_sum", "gte: 91", 0),
        ("value_avg", "gte: 30", 1),
        ("value_percentile", "percentile: 50\n        gte: 20", 1),
        ("value_percentile", "percentile: 0\n        gte: 11", 1),
    ] {
        let rest = format!(
            "    rules: [one]\n    timespan: 1m\n    condition:\n        field: bytes\n        {condition}\n"
        );
        let engine = load([named("one"), correlation(kind, &rest)]);
        // A percentile of 0 over the first event alone is 10, and never more.
        let expected = if condition.contains("gte: 11") {
            0
        } else {
            expected
        };
        assert_eq!(
            run(&engine, &events()).len(),
            expected,
            "{kind} {condition}"
        );
    }
}

#[test]
fn a_correlation_may_stand_on_another() {
    let many = "title: Many\nname: many\ncorrelation:\n    type: event_count\n    rules: [one]\n    group-by: [User]\n    \
                timespan: 10s\n    condition:\n        gte: 2\n";
    let top = correlation(
        "temporal_ordered",
        "    rules: [many, two]\n    group-by: [User]\n    timespan: 1m\n",
    );
    let engine = load([named("one"), named("two"), many.to_owned(), top]);
    let event = |second, what| (second, fields([("what", what), ("User", "a")]));
    let found = run(
        &engine,
        &[event(0, "one"), event(1, "one"), event(5, "two")],
    );
    assert_eq!(
        found
            .iter()
            .map(|detection| detection.rule.id.as_str())
            .collect::<Vec<_>>(),
        ["c"]
    );
    assert!(run(&engine, &[event(0, "one"), event(5, "two")]).is_empty());
}

#[test]
fn counted_rules_are_quiet_unless_the_correlation_says_generate() {
    let rest = "    rules: [one]\n    timespan: 10s\n    condition:\n        gte: 5\n";
    let event = || (0, fields([("what", "one")]));
    let quiet = load([named("one"), correlation("event_count", rest)]);
    assert!(run(&quiet, &[event()]).is_empty());
    let loud = load([
        named("one"),
        correlation("event_count", &format!("    generate: true\n{rest}")),
    ]);
    assert_eq!(run(&loud, &[event()]).len(), 1);
}

#[test]
fn correlations_that_cannot_work_are_refused() {
    let count = |rule: &str, gte: u64| {
        correlation(
            "event_count",
            &format!("    rules: [{rule}]\n    timespan: 1m\n    condition:\n        gte: {gte}\n"),
        )
    };
    assert!(refusal(count("nobody", 2)).contains("counts the rule nobody, which is not loaded"));
    let engine = Engine::new(
        texts([named("one"), count("one", 1_000_000)]),
        &Placeholders::new(),
    );
    assert!(
        engine.counts().refused[0]
            .reason
            .contains("at most 4096 events")
    );
    let circle = |own: &str, other: &str| {
        format!(
            "title: {own}\nid: {own}\ncorrelation:\n    type: event_count\n    rules: [{other}]\n    timespan: 1m\n    condition:\n        gte: 1\n"
        )
    };
    let engine = Engine::new(
        texts([circle("x", "y"), circle("y", "x")]),
        &Placeholders::new(),
    );
    assert_eq!(
        (engine.counts().loaded, engine.counts().refused.len()),
        (0, 2)
    );
}

#[test]
fn rules_that_could_never_apply_are_told() {
    let windows = rule("s:\n    a: b\ncondition: s").replace("linux", "windows");
    let engine = load([rule("s:\n    a: b\ncondition: s"), windows]);
    assert_eq!(engine.never_applicable().count(), 2);
    assert!(engine.evaluate_as(START, &fields([("a", "c")])).is_empty());
    let left: Vec<&str> = engine
        .never_applicable()
        .map(|rule| rule.source.as_str())
        .collect();
    assert_eq!(left, ["windows / process_creation"]);
}

#[test]
fn exceptions_quieten_what_they_cover_and_are_counted() {
    let mut engine = load([
        format!("id: loud\n{}", rule("s:\n    a: b\ncondition: s")),
        named("one"),
    ]);
    let text = "rule: loud\nUser: ci-*\nwhy: our own\n\nrule: one\nfrom: 2026-01-01T00:00:00Z\nwhy: later\n";
    engine.allow(read_exceptions(text).unwrap()).unwrap();
    let event = |user| (0, fields([("a", "b"), ("User", user)]));
    let mut correlator = Correlator::new(&engine);
    let events = [event("ci-1"), event("CI-2"), event("eve")];
    let found = observe(&engine, &mut correlator, &events);
    assert_eq!(found.len(), 1);
    let suppressed = correlator.suppressed();
    assert_eq!((suppressed.len(), suppressed[0].count), (1, 2));
    assert_eq!(suppressed[0].entry, "rule: loud; User: ci-*; why: our own");
    assert_eq!(suppressed[0].first, 0);
    let unused: Vec<usize> = correlator
        .unused_exceptions()
        .iter()
        .map(|exception| exception.line)
        .collect();
    assert_eq!(unused, [5]);
    drop(correlator);
    let unknown = read_exceptions("rule: nobody\nwhy: x").unwrap();
    assert_eq!(
        engine.allow(unknown).unwrap_err(),
        "line 1: no rule nobody is loaded"
    );
}

#[test]
fn what_is_excepted_does_not_count_and_correlations_can_be_excepted_by_any_field() {
    let text = correlation(
        "event_count",
        "    rules: [one]\n    group-by: [User]\n    timespan: 10s\n    condition:\n        gte: 2\n",
    );
    let event = |second, dir| {
        let subject = fields([("what", "one"), ("User", "a"), ("Dir", dir)]);
        (second, subject)
    };
    for (exception, expected) in [
        ("rule: c\nDir: /opt\nwhy: x", 0),
        ("rule: c\nDir: /srv\nwhy: x", 1),
        ("rule: one\nDir: /opt\nwhy: x", 0),
        ("rule: *\nUser: b\nwhy: x", 1),
        ("rule: *\nUser: a\nwhy: x", 0),
    ] {
        let mut engine = load([named("one"), text.clone()]);
        engine.allow(read_exceptions(exception).unwrap()).unwrap();
        let found = run(&engine, &[event(0, "/opt"), event(1, "/opt")]);
        assert_eq!(found.len(), expected, "{exception}");
    }
}

#[test]
fn threads_change_nothing() {
    let rules: [String; 6] = std::array::from_fn(|index| {
        rule(&format!(
            "s_a:\n    a|contains: x\ns_b:\n    b|contains: '{index}'\ncondition: 1 of s_*"
        ))
    });
    let engine = load(rules);
    let subject = fields([("a", "xx"), ("b", "012345")]);
    let alone = engine.evaluate_as(START, &subject);
    assert_eq!(alone.len(), 6);
    std::thread::scope(|scope| {
        let workers: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    (0..50)
                        .map(|_| engine.evaluate_as(START, &subject))
                        .collect::<Vec<_>>()
                })
            })
            .collect();
        for worker in workers {
            assert!(
                worker
                    .join()
                    .unwrap()
                    .into_iter()
                    .all(|found| found == alone)
            );
        }
    });
}
