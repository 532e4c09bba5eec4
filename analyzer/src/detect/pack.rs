//! The rules that the program carries, so that a case works on a machine that has nothing else.

use crate::detect::RuleText;

// One pair of name and text for each file under `rules/`, in the order of the names.
include!(concat!(env!("OUT_DIR"), "/built_in_rules.rs"));

/// The texts of the built-in rules, in a fixed order.
pub fn built_in() -> impl Iterator<Item = RuleText> {
    BUILT_IN.iter().map(|(name, text)| RuleText {
        name: (*name).to_owned(),
        text: (*text).to_owned(),
    })
}
