//! Conditions, lists and keywords of the Sigma specification 2.1.

use super::{fields, fits, load, rule};

#[test]
fn conditions_have_precedence_and_lists() {
    let subject = fields([("a", "1"), ("b", "2")]);
    let parts = "one:\n    a: 1\ntwo:\n    b: 3\nother_x:\n    b: 2\n_hidden:\n    b: 9\n";
    for (condition, expected) in [
        ("one or two and two", true),
        ("(one or two) and two", false),
        ("not two and one", true),
        ("not (two or one)", false),
        ("not not one", true),
        ("one and (two or (other_x and not two))", true),
        ("1 of other_*", true),
        ("all of other_*", true),
        ("any of other_*", true),
        ("1 of two*", false),
        ("all of them", false),
        ("1 of them", true),
        ("2 of them", true),
        ("3 of them", false),
        ("one and not 1 of other_*", false),
        ("1 of o*", true),
        ("1 of *x", true),
    ] {
        assert_eq!(
            fits(&format!("{parts}condition: {condition}"), &subject),
            expected,
            "{condition}"
        );
    }
}

#[test]
fn what_begins_with_an_underscore_is_none_of_them() {
    let subject = fields([("a", "1")]);
    let parts = "one:\n    a: 1\n_two:\n    a: 2\n";
    assert!(fits(&format!("{parts}condition: all of them"), &subject));
    assert!(!fits(
        &format!("{parts}condition: all of them and _two"),
        &subject
    ));
}

#[test]
fn several_conditions_are_alternatives() {
    let parts = "one:\n    a: 1\ntwo:\n    a: 2\ncondition:\n    - one\n    - two";
    assert!(fits(parts, &fields([("a", "1")])));
    assert!(fits(parts, &fields([("a", "2")])));
    assert!(!fits(parts, &fields([("a", "3")])));
}

#[test]
fn maps_are_joined_and_lists_are_alternatives() {
    let map = "s:\n    a: 1\n    b: 2\ncondition: s";
    assert!(fits(map, &fields([("a", "1"), ("b", "2")])));
    assert!(!fits(map, &fields([("a", "1"), ("b", "3")])));
    let list = "s:\n    - a: 1\n      b: 2\n    - c: 3\ncondition: s";
    assert!(fits(list, &fields([("a", "1"), ("b", "2")])));
    assert!(fits(list, &fields([("c", "3")])));
    assert!(!fits(list, &fields([("a", "1"), ("b", "3")])));
    let of_same = "s:\n    a|contains: x\n    a|endswith: y\ncondition: s";
    assert!(fits(of_same, &fields([("a", "xzy")])));
    assert!(!fits(of_same, &fields([("a", "xz")])));
}

#[test]
fn keywords_stand_anywhere() {
    let any = "words:\n    - alpha\n    - 'be*a'\ncondition: words";
    assert!(fits(any, &fields([("f", "some ALPHA here")])));
    assert!(fits(any, &fields([("g", "a better area")])));
    assert!(!fits(any, &fields([("g", "gamma")])));
    let all = "words:\n    '|all':\n        - alpha\n        - beta\ncondition: words";
    assert!(fits(all, &fields([("f", "alpha"), ("g", "xbetax")])));
    assert!(!fits(all, &fields([("f", "alpha")])));
    let not = "words:\n    - alpha\ns:\n    f: x\ncondition: s and not words";
    assert!(fits(not, &fields([("f", "x")])));
    assert!(!fits(not, &fields([("f", "x"), ("g", "alpha")])));
    let expression = "words:\n    '|re':\n        - 'al.ha$'\ncondition: words";
    assert!(fits(expression, &fields([("f", "x alpha")])));
    let mixed = "words:\n    - alpha\n    - f: x\ncondition: words";
    assert!(fits(mixed, &fields([("f", "x")])));
}

#[test]
fn names_and_operators_keep_their_case_or_the_rule_is_refused() {
    for (condition, word) in [("ONE", "ONE"), ("one AND one", "condition")] {
        let said = super::refusal(rule(&format!("one:\n    a: 1\ncondition: {condition}")));
        assert!(said.contains(word), "{said}");
    }
    assert_eq!(
        load([rule("one:\n    a: 1\ncondition: one")])
            .counts()
            .loaded,
        1
    );
}
